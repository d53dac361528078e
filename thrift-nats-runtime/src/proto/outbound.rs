//! The outgoing stream: joins messages into chunks, and numbers the chunks.

use bytes::{Bytes, BytesMut};

use super::queue::Queue;
use crate::transport::Parts;

/// A chunk that is ready to be published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its number: 1, 2, 3, …
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
}

/// The sending half of a session. A chunk contains everything that is queued when it is made, up to the limit: no message
/// waits for others to fill a chunk.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    queue: Queue,
    /// The place of the message of which a part was sent.
    begun: Option<u64>,
    /// The number of the last chunk.
    number: u64,
}

impl Outbound {
    /// Queues a message of the call `seqid`. Returns its place, for [`cancel`](Self::cancel).
    pub(super) fn push_message(&mut self, message: impl Into<Parts>, seqid: i32) -> u64 {
        self.queue.push(message.into(), seqid)
    }

    /// Removes the message at this place. Returns false if a part of it was sent: the peer would read the next message as
    /// the rest of it.
    pub(super) fn cancel(&mut self, place: u64) -> bool {
        self.begun != Some(place) && self.queue.remove(place)
    }

    /// Drops all queued messages. Chunk numbers continue.
    pub(super) fn clear(&mut self) {
        *self = Self { number: self.number, ..Self::default() };
    }

    /// Number of queued bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// The number of the last chunk that was made.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Makes the next chunk, of at most `limit` bytes. Calls `complete` for every message that ends in it.
    pub(super) fn next(&mut self, limit: usize, mut complete: impl FnMut(i32)) -> Option<Chunk> {
        let limit = limit.max(1).min(self.queue.bytes());
        if limit == 0 {
            return None;
        }
        // A chunk that lies within one buffer is a slice of it, not a copy.
        let mut payload = Bytes::new();
        let mut joined = BytesMut::new();
        while payload.len() + joined.len() < limit
            && let Some(place) = self.queue.first()
            && let Some((part, seqid)) = self.queue.take(limit - joined.len())
        {
            if part.len() == limit {
                payload = part;
            } else {
                joined.reserve(limit - joined.len());
                joined.extend_from_slice(&part);
            }
            self.begun = seqid.is_none().then_some(place);
            if let Some(seqid) = seqid {
                complete(seqid);
            }
        }
        if payload.is_empty() {
            payload = joined.freeze();
        }
        self.number += 1;
        Some(Chunk { number: self.number, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_messages_share_a_chunk() {
        let mut out = Outbound::default();
        out.push_message(Bytes::from("one"), 1);
        out.push_message(Bytes::from("two"), 2);
        let mut complete = Vec::new();
        let chunk = out.next(100, |seqid| complete.push(seqid));
        assert_eq!(chunk, Some(Chunk { number: 1, payload: Bytes::from("onetwo") }));
        assert_eq!(complete, [1, 2]);
        assert_eq!(out.next(100, |_| ()), None);
    }

    #[test]
    fn a_long_message_is_complete_with_its_last_chunk() {
        let mut out = Outbound::default();
        out.push_message(Bytes::from("abcdef"), 7);
        let mut complete = Vec::new();
        assert_eq!(out.next(4, |seqid| complete.push(seqid)).unwrap().payload, "abcd");
        assert!(complete.is_empty());
        let chunk = out.next(4, |seqid| complete.push(seqid)).unwrap();
        assert_eq!((chunk.number, complete), (2, vec![7]));
        assert_eq!(chunk.payload, "ef");
    }

    #[test]
    fn a_message_can_be_cancelled_until_its_first_byte_is_sent() {
        let mut out = Outbound::default();
        let places =
            [&b"abcdef"[..], b"gh", b"ij"].map(|message| out.push_message(Bytes::from_static(message), 1));
        assert_eq!(out.bytes(), 10);
        assert_eq!(out.next(4, |_| ()).unwrap().payload, "abcd");
        assert!(!out.cancel(places[0]), "a part was sent");
        assert!(out.cancel(places[1]));
        assert!(!out.cancel(places[1]), "it was removed already");
        assert_eq!(out.bytes(), 4, "its bytes do not count any more");
        assert_eq!(out.next(100, |_| ()).unwrap().payload, "efij");
        assert!(!out.cancel(places[2]), "it was sent");
        assert_eq!((out.bytes(), out.next(100, |_| ())), (0, None));
    }

    #[test]
    fn a_separate_body_follows_its_head() {
        let mut out = Outbound::default();
        let body = Bytes::from(vec![b'x'; 100]);
        let parts = || Parts::new(Bytes::from("head"), [body.clone()]);
        let places = [(); 3].map(|()| out.push_message(parts(), 1));
        out.push_message(Bytes::from("end"), 2);
        let whole = [b"head", &body[..]].concat();
        let mut complete = 0;
        assert_eq!(out.next(40, |_| complete += 1).unwrap().payload, whole[..40]);
        let second = out.next(40, |_| complete += 1).unwrap().payload;
        assert_eq!(second.as_ptr(), body[36..].as_ptr(), "not copied");
        assert!(!out.cancel(places[0]), "a part of it was sent");
        assert!(out.cancel(places[1]));
        assert_eq!(out.bytes(), 24 + 104 + 3);
        let mut rest = Vec::new();
        while let Some(chunk) = out.next(40, |_| complete += 1) {
            rest.extend_from_slice(&chunk.payload);
        }
        assert_eq!(rest, [&whole[80..], &whole, b"end"].concat());
        assert_eq!(complete, 3);
    }

    #[test]
    fn a_chunk_of_one_message_is_a_slice_of_it() {
        let mut out = Outbound::default();
        let message = Bytes::from(vec![b'x'; 100]);
        out.push_message(message.clone(), 1);
        for start in [0, 40, 80] {
            assert_eq!(out.next(40, |_| ()).unwrap().payload.as_ptr(), message[start..].as_ptr());
        }
    }
}
