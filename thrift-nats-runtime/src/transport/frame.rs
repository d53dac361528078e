//! A received message with its format.

use bytes::Bytes;

use super::headers::Headers;
use crate::format::WireFormat;
use crate::protocol::peek_seqid;

/// A complete message that was received, without its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) format: WireFormat,
    /// The headers of the header transport. Empty in other transports.
    pub(crate) headers: Headers,
    /// The message: its Thrift header and its body.
    pub(crate) payload: Bytes,
}

impl Frame {
    /// The sequence number of the message, or `None` if its header is cut off. Nothing else is checked.
    pub(crate) fn seqid(&self) -> Option<i32> {
        peek_seqid(self.format.protocol, &self.payload)
    }
}
