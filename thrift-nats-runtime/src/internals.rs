//! What lies below a session, for the fuzz targets and for tests that hold bytes against other implementations. Nothing
//! here is promised to anyone else.

use bytes::Bytes;

use crate::format::{Protocol, ProtocolSet, Transport, WireFormat};
use crate::protocol::{DecodeError, EncodeError, Limits, peek_seqid};
use crate::transport::{Frame, Headers, Receiver, begin_frame, end_frame};

/// What a message is written in, and what comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// How the message is written.
    pub protocol: Protocol,
    /// What is around it.
    pub transport: Transport,
    /// Whether it is compressed.
    pub zlib: bool,
    /// Names and values, by name.
    pub headers: Vec<(String, String)>,
}

/// Cuts a stream into messages, as a server does for one of its sessions.
#[derive(Debug)]
pub struct MessageReader(Receiver);

impl MessageReader {
    /// A stream whose first message tells what it is.
    pub fn new(limits: Limits) -> Self {
        Self(Receiver::detecting(ProtocolSet::ALL, limits))
    }

    /// Takes the next chunk, and hands out the messages that are complete with it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn receive(
        &mut self,
        chunk: Bytes,
        mut deliver: impl FnMut(Framing, Bytes),
    ) -> Result<(), DecodeError> {
        self.0.receive(chunk, |Frame { format, headers, payload }| {
            let WireFormat { protocol, transport, zlib } = format;
            let headers = headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            deliver(Framing { protocol, transport, zlib, headers }, payload);
        })
    }
}

/// The bytes that carry a message.
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

/// The sequence number of a whole message, found without reading it.
#[must_use]
pub fn seqid(protocol: Protocol, message: &[u8]) -> Option<i32> {
    peek_seqid(protocol, message)
}
