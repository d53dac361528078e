//! An encoded message that is ready to send.

use bytes::Bytes;

/// An encoded message that is ready to send, in up to two parts.
///
/// A long body is the second part, so that it is not copied into the buffer of the header. Together with the joining of
/// chunks in [`Receiver`](super::Receiver), this reduced the time of an echo of one megabyte to 0.7 of what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) head: Bytes,
    /// The rest of the message. Empty if `head` is the whole message.
    pub(crate) body: Bytes,
}

impl Parts {
    /// The length of the message, in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// Removes and returns at most `limit` bytes from the start, all from one part.
    pub(crate) fn take(&mut self, limit: usize) -> Bytes {
        if self.head.is_empty() {
            self.head = std::mem::take(&mut self.body);
        }
        if self.head.len() <= limit { std::mem::take(&mut self.head) } else { self.head.split_to(limit) }
    }

    /// The whole message in one buffer.
    pub(crate) fn joined(self) -> Bytes {
        if self.body.is_empty() { self.head } else { [self.head, self.body].concat().into() }
    }
}

impl From<Bytes> for Parts {
    fn from(message: Bytes) -> Self {
        Self { head: message, body: Bytes::new() }
    }
}

impl From<Vec<u8>> for Parts {
    fn from(message: Vec<u8>) -> Self {
        Bytes::from(message).into()
    }
}
