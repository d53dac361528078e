//! An encoded message that is ready to send.

use bytes::Bytes;

/// The minimum length of a part that is a NATS message of its own, rather than joined with the parts before and after it, in
/// bytes. A message costs some microseconds, in which 64 KiB can be copied.
const LONG_PART: usize = 64 * 1024;

/// An encoded message that is ready to send, in parts.
///
/// Long bodies and long binary values are parts of their own, so that they are not copied into the buffer of the header. Most
/// messages have one part, and then no memory but that of the part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The first part. Empty only if the message is.
    first: Bytes,
    /// The other parts, last one first. None is empty.
    later: Vec<Bytes>,
    /// The length of the other parts together, in bytes.
    later_len: usize,
}

impl Parts {
    /// The message that consists of these parts, one after the other.
    pub(crate) fn new(first: Bytes, later: impl IntoIterator<Item = Bytes>) -> Self {
        let mut later: Vec<_> = later.into_iter().filter(|part| !part.is_empty()).collect();
        later.reverse();
        let later_len = later.iter().map(Bytes::len).sum();
        let mut parts = Self { first, later, later_len };
        parts.advance();
        parts
    }

    /// The length of the message, in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.first.len() + self.later_len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Removes and returns at most `limit` bytes from the start. Short parts that fit together are joined. A long part is not
    /// copied, except for its start after a short part, or if the whole message fits in the limit. Returns none only if the
    /// message is empty or `limit` is 0.
    pub(crate) fn take(&mut self, limit: usize) -> Bytes {
        let len = self.joinable(limit);
        if len <= self.first.len() {
            return self.take_from_first(limit);
        }
        let mut joined = Vec::with_capacity(len);
        while joined.len() < len {
            joined.extend_from_slice(&self.take_from_first(len - joined.len()));
        }
        joined.into()
    }

    /// The number of bytes at the start to return in one buffer, of at most `limit`.
    fn joinable(&self, limit: usize) -> usize {
        let mut len = self.first.len();
        if len >= LONG_PART.min(limit) || self.later.is_empty() {
            return len;
        }
        // The peer would have to join the parts of a message that fits in one NATS message.
        if self.len() <= limit {
            return self.len();
        }
        for part in self.later.iter().rev().take_while(|part| part.len() < LONG_PART) {
            if len >= limit {
                break;
            }
            len += part.len();
        }
        // The start of a long part is added to the short ones before it.
        len.max(LONG_PART).min(limit).min(self.len())
    }

    /// Removes and returns at most `limit` bytes of the first part.
    fn take_from_first(&mut self, limit: usize) -> Bytes {
        if limit < self.first.len() {
            return self.first.split_to(limit);
        }
        let part = std::mem::take(&mut self.first);
        self.advance();
        part
    }

    /// Makes the next part the first one, if the first one is empty.
    fn advance(&mut self) {
        if self.first.is_empty()
            && let Some(next) = self.later.pop()
        {
            self.later_len -= next.len();
            self.first = next;
        }
    }

    /// The whole message in one buffer.
    pub(crate) fn joined(self) -> Bytes {
        if self.later.is_empty() {
            return self.first;
        }
        let mut message = Vec::with_capacity(self.len());
        message.extend_from_slice(&self.first);
        self.later.iter().rev().for_each(|part| message.extend_from_slice(part));
        message.into()
    }
}

impl From<Bytes> for Parts {
    fn from(message: Bytes) -> Self {
        Self { first: message, later: Vec::new(), later_len: 0 }
    }
}

impl From<Vec<u8>> for Parts {
    fn from(message: Vec<u8>) -> Self {
        Bytes::from(message).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_parts_are_not_copied_and_short_ones_are_joined() {
        let long = Bytes::from((0..1_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        let parts = || Parts::new(Bytes::from("ab"), [Bytes::from("c"), long.clone(), Bytes::from("d")]);
        let whole = parts().joined();
        for limit in [50_000, 200_000, 500_000] {
            let mut parts = parts();
            let taken: Vec<_> =
                std::iter::repeat_with(|| parts.take(limit)).take_while(|it| !it.is_empty()).collect();
            assert_eq!(taken.concat(), whole);
            assert!(taken.iter().all(|part| part.len() <= limit), "{limit}");
            assert_eq!(
                taken[0].len(),
                limit.min(LONG_PART),
                "the short parts, and the start of the long one"
            );
            let inside = long.as_ptr_range();
            let shared = taken.iter().filter(|part| inside.contains(&part.as_ptr()));
            assert!(shared.map(Bytes::len).sum::<usize>() >= long.len() - 2 * LONG_PART, "{limit}");
        }
    }

    #[test]
    fn message_that_fits_in_the_limit_is_taken_at_once() {
        let long = Bytes::from(vec![b'x'; 100_000]);
        let mut parts = Parts::new(Bytes::from("ab"), [long.clone(), Bytes::from("d")]);
        assert_eq!(parts.take(parts.len()), [b"ab", &long[..], b"d"].concat());
        assert!(parts.is_empty());
    }

    #[test]
    fn parts_are_taken_in_order_up_to_the_limit() {
        let parts = || Parts::new(Bytes::from("abc"), ["", "de", "", "f"].map(Bytes::from));
        assert_eq!(parts().joined(), "abcdef");
        for (limit, taken) in [
            (1, &["a", "b", "c", "d", "e", "f"][..]),
            (2, &["ab", "cd", "ef"]),
            (4, &["abcd", "ef"]),
            (9, &["abcdef"]),
        ] {
            let mut parts = parts();
            let mut left = 6;
            for part in taken {
                assert_eq!((parts.len(), parts.is_empty()), (left, false));
                assert_eq!(parts.take(limit), part);
                left -= part.len();
            }
            assert_eq!((parts.len(), parts.is_empty(), parts.take(limit)), (0, true, Bytes::new()));
        }
        let without_first = Parts::new(Bytes::new(), [Bytes::from("a")]);
        assert_eq!((without_first.len(), without_first.is_empty()), (1, false));
        assert_eq!(without_first, Parts::from(Bytes::from("a")));
    }
}
