//! Messages in the order in which they are to go, each of which can be taken out again.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A queue of messages. Whatever is done to it costs about the same however long it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: BTreeMap<u64, Message>,
    /// The place of the next message.
    next: u64,
    /// The length of all messages together.
    bytes: usize,
}

#[derive(Debug)]
struct Message {
    seqid: i32,
    /// What has not been taken.
    rest: Bytes,
}

impl Queue {
    /// Queues a message; `seqid` says whose it is. Returns its place.
    pub(super) fn push(&mut self, message: Bytes, seqid: i32) -> u64 {
        let place = self.next;
        self.next += 1;
        self.bytes += message.len();
        self.messages.insert(place, Message { seqid, rest: message });
        place
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// How many bytes there are.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the first message.
    pub(super) fn pop(&mut self) -> Option<(i32, Bytes)> {
        let (_, message) = self.messages.pop_first()?;
        self.bytes -= message.rest.len();
        Some((message.seqid, message.rest))
    }

    /// Takes the message at this place out, if it is still there.
    pub(super) fn remove(&mut self, place: u64) -> bool {
        let message = self.messages.remove(&place);
        self.bytes -= message.as_ref().map_or(0, |message| message.rest.len());
        message.is_some()
    }

    /// The place of the first message, and how much of it is left.
    pub(super) fn first(&self) -> Option<(u64, usize)> {
        self.messages.first_key_value().map(|(place, message)| (*place, message.rest.len()))
    }

    /// Takes at most `limit` bytes off the first message: they, and whose it is if that was the last of it.
    pub(super) fn take(&mut self, limit: usize) -> Option<(Bytes, Option<i32>)> {
        let mut first = self.messages.first_entry()?;
        let rest = &mut first.get_mut().rest;
        let part = rest.split_to(limit.min(rest.len()));
        let complete = rest.is_empty();
        self.bytes -= part.len();
        Some((part, complete.then(|| first.remove().seqid)))
    }
}
