//! Messages in the order in which they are to go, each of which can be taken out again.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::transport::Parts;

/// How many messages the buffer of an empty queue may be made for.
const SMALL: usize = 16;

/// A queue of messages. Whatever is done to it costs the same however long it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// A message that was taken out leaves an empty one, until all before it have gone: there are no others.
    messages: VecDeque<Message>,
    /// The place of the first of them.
    first: u64,
    /// How many of them are not empty.
    len: usize,
    /// The length of all messages together.
    bytes: usize,
}

#[derive(Debug)]
struct Message {
    seqid: i32,
    /// What has not been taken.
    rest: Parts,
}

impl Queue {
    /// Queues a message, which is not empty; `seqid` says whose it is. Returns its place.
    pub(super) fn push(&mut self, message: Parts, seqid: i32) -> u64 {
        debug_assert!(!message.is_empty(), "no message of any protocol is empty");
        self.bytes += message.len();
        self.len += 1;
        self.messages.push_back(Message { seqid, rest: message });
        self.first + self.messages.len() as u64 - 1
    }

    /// How many messages there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many bytes there are.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the first message.
    pub(super) fn pop(&mut self) -> Option<(i32, Parts)> {
        let (seqid, rest) =
            self.messages.front_mut().map(|message| (message.seqid, std::mem::take(&mut message.rest)))?;
        self.bytes -= rest.len();
        self.gone();
        Some((seqid, rest))
    }

    /// Takes the message at this place out, if it is still there.
    pub(super) fn remove(&mut self, place: u64) -> bool {
        let Some(message) = place
            .checked_sub(self.first)
            .and_then(|index| self.messages.get_mut(index as usize))
            .filter(|message| !message.rest.is_empty())
        else {
            return false;
        };
        self.bytes -= std::mem::take(&mut message.rest).len();
        self.gone();
        true
    }

    /// The place of the first message.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.messages.is_empty()).then_some(self.first)
    }

    /// Takes at most `limit` bytes off the first message, as many as lie together: they, and whose it is if that was the
    /// last of it.
    pub(super) fn take(&mut self, limit: usize) -> Option<(Bytes, Option<i32>)> {
        let Message { seqid, rest } = self.messages.front_mut()?;
        let seqid = *seqid;
        let part = rest.take(limit);
        let complete = rest.is_empty();
        self.bytes -= part.len();
        if complete {
            self.gone();
        }
        Some((part, complete.then_some(seqid)))
    }

    /// A message has become empty: forgets those at the front that are.
    fn gone(&mut self) {
        self.len -= 1;
        while self.messages.front().is_some_and(|message| message.rest.is_empty()) {
            self.messages.pop_front();
            self.first += 1;
        }
        if self.messages.is_empty() {
            // An idle session keeps no buffer of a busy one.
            self.messages.shrink_to(SMALL);
        }
    }
}
