//! The stream that goes out: messages joined into chunks, and chunks numbered.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A chunk that is ready to be published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its number: 1, 2, 3, …
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
}

/// The sending half of a session. Everything that is queued when a chunk is made goes into it, up to the limit: nothing
/// ever waits for more.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    queue: BytesMut,
    /// How many bytes have gone into chunks.
    sent: u64,
    /// The number of the last chunk.
    number: u64,
    /// The messages that are not all sent: the position behind each, and whose it is.
    unsent: VecDeque<(u64, i32)>,
}

impl Outbound {
    /// Queues a message; `seqid` says whose it is.
    pub(super) fn push(&mut self, message: &[u8], seqid: i32) {
        self.queue.extend_from_slice(message);
        self.unsent.push_back((self.sent + self.queue.len() as u64, seqid));
    }

    /// The number of the last chunk that was made.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Makes the next chunk of at most `limit` bytes; `complete` is called for every message that ends in it.
    pub(super) fn next(&mut self, limit: usize, mut complete: impl FnMut(i32)) -> Option<Chunk> {
        if self.queue.is_empty() {
            return None;
        }
        let payload = self.queue.split_to(limit.max(1).min(self.queue.len())).freeze();
        self.number += 1;
        self.sent += payload.len() as u64;
        while let Some((end, seqid)) = self.unsent.front().copied()
            && end <= self.sent
        {
            self.unsent.pop_front();
            complete(seqid);
        }
        if self.queue.is_empty() {
            // An idle session keeps no buffer.
            self.queue = BytesMut::new();
            if self.unsent.capacity() > 64 {
                self.unsent = VecDeque::new();
            }
        }
        Some(Chunk { number: self.number, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_queued_goes_into_one_chunk() {
        let mut out = Outbound::default();
        out.push(b"one", 1);
        out.push(b"two", 2);
        let mut complete = Vec::new();
        let chunk = out.next(100, |seqid| complete.push(seqid));
        assert_eq!(chunk, Some(Chunk { number: 1, payload: Bytes::from("onetwo") }));
        assert_eq!(complete, [1, 2]);
        assert_eq!(out.next(100, |_| ()), None);
    }

    #[test]
    fn a_message_longer_than_a_chunk_is_cut_and_complete_in_its_last() {
        let mut out = Outbound::default();
        out.push(b"abcdef", 7);
        let mut complete = Vec::new();
        assert_eq!(out.next(4, |seqid| complete.push(seqid)).unwrap().payload, "abcd");
        assert!(complete.is_empty());
        let chunk = out.next(4, |seqid| complete.push(seqid)).unwrap();
        assert_eq!((chunk.number, complete), (2, vec![7]));
        assert_eq!(chunk.payload, "ef");
    }
}
