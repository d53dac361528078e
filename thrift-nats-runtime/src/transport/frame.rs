//! A received message with its format.

use bytes::Bytes;

use super::header;
use super::headers::Headers;
use crate::format::WireFormat;
use crate::protocol::{DecodeError, DecodeErrorKind, Limits, peek_seqid};

/// The minimum length of a piece of a message that is kept without copying, in bytes. Shorter ones are copied, because each
/// kept piece keeps the buffer that it was received in: async-nats cuts messages from buffers of 64 KiB or more.
pub(super) const LONG_CHUNK: usize = 32 * 1024;

/// A complete message that was received, without its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) format: WireFormat,
    /// The headers of the header transport. Empty in other transports.
    pub(crate) headers: Headers,
    /// The message: its Thrift header and its body. Compressed if `format.zlib` is set.
    pub(crate) payload: Bytes,
    /// The sequence number in the frame of a compressed message. 0 in other frames.
    pub(super) seqid: i32,
}

impl Frame {
    /// A message that is not compressed.
    pub(crate) const fn plain(format: WireFormat, headers: Headers, payload: Bytes) -> Self {
        Self { format, headers, payload, seqid: 0 }
    }

    /// The sequence number of the message, or `None` if its header is cut off. Nothing else is checked. The number of a
    /// compressed message is the one in its frame, so that a session can route the message without decompressing it.
    pub(crate) fn seqid(&self) -> Option<i32> {
        if self.format.zlib {
            return Some(self.seqid);
        }
        peek_seqid(self.format.protocol, &self.payload)
    }

    /// The same message, which does not keep the buffer that it was received in, of 64 KiB or more, if it is short.
    pub(crate) fn detached(mut self) -> Self {
        if self.payload.len() < LONG_CHUNK {
            self.payload = Bytes::copy_from_slice(&self.payload);
        }
        self
    }

    /// Decompresses the message, if it is compressed. This takes time: never call it in a receive loop or under the lock of
    /// a session.
    ///
    /// # Errors
    /// The compressed message is malformed or exceeds a limit.
    pub(crate) fn inflate(self, limits: Limits) -> Result<Inflated, DecodeError> {
        self.inflate_with(|payload| header::decompress(payload, limits.message))
    }

    /// Decompresses only the start of the message, if it is compressed: the Thrift header of a request that is rejected.
    ///
    /// # Errors
    /// The start of the compressed message is malformed.
    pub(crate) fn inflate_start(self) -> Result<Inflated, DecodeError> {
        self.inflate_with(header::decompress_start)
    }

    fn inflate_with(
        self,
        decompress: impl FnOnce(&[u8]) -> Result<Vec<u8>, DecodeError>,
    ) -> Result<Inflated, DecodeError> {
        let Self { format, headers, payload, seqid } = self;
        if !format.zlib {
            return Ok(Inflated { format, headers, message: payload, bytes: 0 });
        }
        let message = decompress(&payload)?;
        match peek_seqid(format.protocol, &message) {
            Some(found) if found != seqid => {
                Err(DecodeErrorKind::UnexpectedSeqid { expected: seqid, found }.into())
            }
            // The reader of the message reports a header that is cut off.
            Some(_) | None => {
                let bytes = message.capacity();
                Ok(Inflated { format, headers, message: message.into(), bytes })
            }
        }
    }
}

/// A message that is not compressed, or not any more.
#[derive(Debug)]
pub(crate) struct Inflated {
    pub(crate) format: WireFormat,
    pub(crate) headers: Headers,
    pub(crate) message: Bytes,
    /// The memory of the decompressed message, in bytes. 0 if the message was not compressed.
    pub(crate) bytes: usize,
}
