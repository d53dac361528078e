//! Messages that are to be sent.

use bytes::Bytes;

/// A message that is to be sent. A long body is not copied behind what stands before it: it stays where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) head: Bytes,
    /// What follows; empty where the head is all.
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

    /// Takes at most `limit` bytes off the start, as far as they lie together.
    pub(crate) fn take(&mut self, limit: usize) -> Bytes {
        if self.head.is_empty() {
            self.head = std::mem::take(&mut self.body);
        }
        if self.head.len() <= limit { std::mem::take(&mut self.head) } else { self.head.split_to(limit) }
    }

    /// The whole message.
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
