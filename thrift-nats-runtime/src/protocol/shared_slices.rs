//! Long binary values that are sent from their own memory, instead of being copied into the buffer of the message.

use bytes::Bytes;

/// The minimum length of a value that is sent from its own memory, in bytes. To copy a shorter one costs no more than to send
/// another part.
pub(crate) const MIN_SHARED: usize = 16 * 1024;

/// The values that a writer has left out of its buffer, each with its position in the buffer. The positions ascend.
#[derive(Debug, Default)]
pub(crate) struct SharedSlices {
    slices: Vec<(usize, Bytes)>,
    /// The length of all slices together, in bytes.
    len: usize,
}

impl SharedSlices {
    /// The length of all slices together, in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Adds a value at this position, which is the length of the buffer.
    pub(super) fn push(&mut self, position: usize, value: Bytes) {
        self.len += value.len();
        self.slices.push((position, value));
    }

    /// Cuts `buffer` at the positions of the values, and puts each value at its place.
    pub(crate) fn join(self, buffer: Vec<u8>) -> Vec<Bytes> {
        let mut rest = Bytes::from(buffer);
        let mut parts = Vec::with_capacity(2 * self.slices.len() + 1);
        let mut start = 0;
        for (position, value) in self.slices {
            let before = rest.split_to(position - start);
            start = position;
            parts.extend([before, value].into_iter().filter(|part| !part.is_empty()));
        }
        parts.extend(Some(rest).filter(|rest| !rest.is_empty()));
        parts
    }
}

/// Reserves memory for a value of `len` bytes with its length field, and after a long one for the ends of the structs
/// around it and some short values: if the memory were exact, the next byte would double it, and copy the value.
#[inline]
pub(super) fn reserve_for(buffer: &mut Vec<u8>, len: usize) {
    const LONG: usize = 1024;
    const TAIL: usize = 128;
    buffer.reserve(if len < LONG { 5 + len } else { 5 + len + TAIL });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_at_their_places() {
        let mut slices = SharedSlices::default();
        assert_eq!(slices.len(), 0);
        for (position, value) in [(0, "a"), (2, "b"), (2, "c"), (5, "d")] {
            slices.push(position, Bytes::from(value));
        }
        assert_eq!(slices.len(), 4);
        assert_eq!(slices.join(b"12345".to_vec()), ["a", "12", "b", "c", "345", "d"]);
        assert_eq!(SharedSlices::default().join(b"12".to_vec()), ["12"]);
        assert_eq!(SharedSlices::default().join(Vec::new()), [""; 0]);
    }
}
