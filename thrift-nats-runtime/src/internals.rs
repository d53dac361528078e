//! The layer below a session, for the fuzz targets and for tests that compare bytes with other implementations.
//!
//! Nothing here is covered by semantic versioning.

use bytes::Bytes;

use crate::format::{Protocol, ServedFormats, Transport, WireFormat};
use crate::protocol::{DecodeError, EncodeError, Limits, peek_seqid};
use crate::transport::{Headers, Inflated, Receiver, begin_frame, end_frame};

/// The format and the headers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The protocol of the message.
    pub protocol: Protocol,
    /// The transport around it.
    pub transport: Transport,
    /// Whether the message is compressed with zlib.
    pub zlib: bool,
    /// The headers: names and values, sorted by name.
    pub headers: Vec<(String, String)>,
}

/// Cuts a byte stream into messages, as a server does in a session.
#[derive(Debug)]
pub struct MessageReader(Receiver, Limits);

impl MessageReader {
    /// A reader that detects the format by the first message.
    pub fn new(limits: Limits) -> Self {
        Self(Receiver::detecting(ServedFormats::ALL, limits), limits)
    }

    /// Adds the next chunk, and passes every message that is now complete to `deliver`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn receive(
        &mut self,
        chunk: Bytes,
        mut deliver: impl FnMut(Framing, Bytes),
    ) -> Result<(), DecodeError> {
        let mut inflated = Ok(());
        let received = self.0.receive(chunk, |frame| {
            if inflated.is_ok() {
                inflated = frame.inflate(self.1).map(|Inflated { format, headers, message, .. }| {
                    let WireFormat { protocol, transport, zlib } = format;
                    let headers =
                        headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    deliver(Framing { protocol, transport, zlib, headers }, message);
                });
            }
        });
        inflated.and(received)
    }
}

/// Wraps a message in the frame of `framing.transport`.
///
/// # Errors
/// See [`EncodeError`].
pub fn wrap(message: &[u8], framing: &Framing, seqid: i32, limits: Limits) -> Result<Vec<u8>, EncodeError> {
    let mut headers = Headers::default();
    for (name, value) in &framing.headers {
        headers.insert(name.clone(), value.clone());
    }
    let &Framing { protocol, transport, zlib, .. } = framing;
    let format = WireFormat { protocol, transport, zlib };
    let mut buffer = Vec::new();
    let start = begin_frame(&mut buffer, format, seqid, &headers, limits)?;
    buffer.extend_from_slice(message);
    end_frame(&mut buffer, format, start, 0)?;
    Ok(buffer)
}

/// The sequence number of a complete message, found without decoding the message.
#[must_use]
pub fn seqid(protocol: Protocol, message: &[u8]) -> Option<i32> {
    peek_seqid(protocol, message)
}
