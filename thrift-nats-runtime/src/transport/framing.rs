//! Writing what a transport puts around a message.

use super::header;
use super::headers::Headers;
use crate::format::{Transport, WireFormat};
use crate::protocol::{EncodeError, EncodeErrorKind, Limits};

/// Writes what stands before a message; [`end_frame`] completes it once the message is behind it. Returns where the message
/// starts.
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

/// Whether the frame of a message in this format can be completed without what is behind the start of the message.
pub(crate) const fn may_be_apart(format: WireFormat) -> bool {
    !(format.zlib && matches!(format.transport, Transport::Header))
}

/// Completes the frame that is all of `buffer` and the `behind` bytes behind it, and in which the message starts at `start`.
/// There may be such bytes if the message [may be apart](may_be_apart).
pub(crate) fn end_frame(
    buffer: &mut Vec<u8>,
    format: WireFormat,
    start: usize,
    behind: usize,
) -> Result<(), EncodeError> {
    if format.zlib && format.transport == Transport::Header {
        let message = buffer.split_off(start);
        header::compress(buffer, &message);
    }
    match format.transport {
        Transport::Buffered => Ok(()),
        Transport::Framed | Transport::Header => {
            let len = buffer.len().saturating_sub(4) + behind;
            let limit = i32::MAX as usize;
            let Some(place) = buffer.first_chunk_mut() else { return Ok(()) };
            *place = i32::try_from(len)
                .map_err(|_| EncodeErrorKind::TooLong { what: "frame", len, limit })?
                .to_be_bytes();
            Ok(())
        }
    }
}
