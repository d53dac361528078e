//! Messages that were received.

use bytes::Bytes;

use super::headers::Headers;
use crate::format::WireFormat;
use crate::protocol::peek_seqid;

/// A message that was received, with what it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) format: WireFormat,
    /// What the header transport carried besides the message.
    pub(crate) headers: Headers,
    /// The message itself.
    pub(crate) payload: Bytes,
}

impl Frame {
    /// The sequence number of the message. Looks at nothing else: what is wrong with the name is for whoever waits for the
    /// message to find.
    pub(crate) fn seqid(&self) -> Option<i32> {
        peek_seqid(self.format.protocol, &self.payload)
    }
}
