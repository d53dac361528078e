//! Writing the frame around a message.

use super::header;
use super::headers::Headers;
use crate::format::{Transport, WireFormat};
use crate::protocol::{EncodeError, EncodeErrorKind, Limits};

/// Writes the part of a frame that precedes the message. Returns the position in `buffer` at which the message starts.
///
/// `buffer` must be empty. The caller appends the message, then calls [`end_frame`], which writes the length.
///
/// # Errors
/// [`EncodeErrorKind::TooLong`] if the headers exceed [`Limits::header`].
pub(crate) fn begin_frame(
    buffer: &mut Vec<u8>,
    format: WireFormat,
    seqid: i32,
    headers: &Headers,
    limits: Limits,
) -> Result<usize, EncodeError> {
    match format.transport {
        Transport::Buffered => {}
        Transport::Framed => buffer.extend_from_slice(&[0; 4]),
        Transport::Header => header::write(buffer, format, seqid, headers, limits)?,
    }
    Ok(buffer.len())
}

/// Whether the body of a message in this format can be sent from its own buffer. It cannot if the message is compressed.
pub(crate) const fn may_be_apart(format: WireFormat) -> bool {
    !(format.zlib && matches!(format.transport, Transport::Header))
}

/// Completes the frame that [`begin_frame`] started in `buffer`: compresses the message, which starts at `start`, and
/// writes the length.
///
/// `apart` is the number of bytes of the frame that follow in another buffer. It must be 0 unless the body
/// [may be apart](may_be_apart).
///
/// # Errors
/// [`EncodeErrorKind::TooLong`] if the length of the frame does not fit in an `i32`.
pub(crate) fn end_frame(
    buffer: &mut Vec<u8>,
    format: WireFormat,
    start: usize,
    apart: usize,
) -> Result<(), EncodeError> {
    if format.zlib && format.transport == Transport::Header {
        let message = buffer.split_off(start);
        header::compress(buffer, &message);
    }
    match format.transport {
        Transport::Buffered => Ok(()),
        Transport::Framed | Transport::Header => {
            let len = buffer.len().saturating_sub(4) + apart;
            let limit = i32::MAX as usize;
            let Some(place) = buffer.first_chunk_mut() else { return Ok(()) };
            *place = i32::try_from(len)
                .map_err(|_| EncodeErrorKind::TooLong { what: "frame", len, limit })?
                .to_be_bytes();
            Ok(())
        }
    }
}
