//! A queue of messages from which each message can be removed again.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::transport::Parts;

/// Capacity that the buffer of an empty queue may keep, in messages.
const SMALL: usize = 16;

/// The place of a queued message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the queue of short messages, or in that of a legacy peer.
    Short(u64),
    /// The id of a long message.
    Long(u64),
}

/// A queue of messages. Every operation takes constant time on average.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// A removed message leaves an empty one until all messages before it are gone. No other message is empty.
    messages: VecDeque<QueuedMessage>,
    /// The place of the first of them.
    first: u64,
    /// Number of messages that are not empty.
    len: usize,
    /// The length of all messages together.
    bytes: usize,
}

#[derive(Debug)]
struct QueuedMessage {
    seqid: i32,
    /// The bytes that are still queued.
    rest: Parts,
}

impl Queue {
    /// Queues a message of the call `seqid`, which must not be empty. Returns its place.
    pub(super) fn push(&mut self, message: Parts, seqid: i32) -> u64 {
        debug_assert!(!message.is_empty(), "a message must not be empty");
        self.bytes += message.len();
        self.len += 1;
        self.messages.push_back(QueuedMessage { seqid, rest: message });
        self.first + self.messages.len() as u64 - 1
    }

    /// Number of messages.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Number of bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Removes and returns the first message.
    pub(super) fn pop(&mut self) -> Option<(i32, Parts)> {
        let (seqid, rest) =
            self.messages.front_mut().map(|message| (message.seqid, std::mem::take(&mut message.rest)))?;
        self.bytes -= rest.len();
        self.drop_empty();
        Some((seqid, rest))
    }

    /// Removes the message at this place. Returns false if it is not queued any more.
    pub(super) fn remove(&mut self, place: u64) -> bool {
        let Some(message) = place
            .checked_sub(self.first)
            .and_then(|index| self.messages.get_mut(index as usize))
            .filter(|message| !message.rest.is_empty())
        else {
            return false;
        };
        self.bytes -= std::mem::take(&mut message.rest).len();
        self.drop_empty();
        true
    }

    /// The length of the first messages that fit into `limit` bytes together, of one at least.
    pub(super) fn fitting(&self, limit: usize) -> usize {
        if self.bytes <= limit {
            return self.bytes;
        }
        let mut fitting = 0;
        for message in &self.messages {
            let len = message.rest.len();
            if fitting > 0 && fitting + len > limit {
                break;
            }
            fitting += len;
        }
        fitting
    }

    /// The place of the first message.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.messages.is_empty()).then_some(self.first)
    }

    /// Removes at most `limit` bytes from the start of the first message, from one buffer. Returns them, and the number of
    /// the message's call if the message is complete.
    pub(super) fn take(&mut self, limit: usize) -> Option<(Bytes, Option<i32>)> {
        let QueuedMessage { seqid, rest } = self.messages.front_mut()?;
        let seqid = *seqid;
        let part = rest.take(limit);
        let complete = rest.is_empty();
        self.bytes -= part.len();
        if complete {
            self.drop_empty();
        }
        Some((part, complete.then_some(seqid)))
    }

    /// To be called when a message has become empty: drops the empty messages at the front.
    fn drop_empty(&mut self) {
        self.len -= 1;
        while self.messages.front().is_some_and(|message| message.rest.is_empty()) {
            self.messages.pop_front();
            self.first += 1;
        }
        if self.messages.is_empty() {
            // An idle session does not keep the buffer of a busy one.
            self.messages.shrink_to(SMALL);
        }
    }
}
