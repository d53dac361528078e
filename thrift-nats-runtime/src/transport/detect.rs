//! What a message is, by its first bytes.
//!
//! | first bytes | what it is |
//! | --- | --- |
//! | `80 01` | binary |
//! | `82` | compact |
//! | `[` | JSON |
//! | `00 00 .. ..`, then a name | binary, in the old form: the length of the name |
//! | a length, then `80`, `82`, `[` or `00` | one of these, framed |
//! | a length, then `0f ff` | header transport |
//!
//! A name is an identifier of the IDL: none starts with a byte that stands for something else behind a length.

use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{DecodeError, DecodeErrorKind, Limits};

/// The magic number of the header transport.
pub(super) const HEADER_MAGIC: [u8; 2] = [0x0f, 0xff];

/// What the first bytes of a message tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A message without a frame.
    Unframed(Protocol),
    /// A message in a frame that ends here.
    Framed { protocol: Protocol, end: usize },
    /// A message in a frame with headers, which ends here. What protocol it is in stands further behind.
    Header { end: usize },
}

impl Start {
    /// What the message is, where that is known.
    pub(super) const fn format(self) -> Option<WireFormat> {
        match self {
            Self::Unframed(protocol) => Some(WireFormat::new(protocol, Transport::Buffered)),
            Self::Framed { protocol, .. } => Some(WireFormat::new(protocol, Transport::Framed)),
            Self::Header { .. } => None,
        }
    }
}

/// Tells what starts with `bytes`; `None` where more bytes are needed for that.
pub(super) fn detect(bytes: &[u8], limits: Limits) -> Result<Option<Start>, DecodeError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    if let Some(protocol) = protocol_of(*first) {
        return Ok(Some(Start::Unframed(protocol)));
    }
    let Some(length) = bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize) else {
        return Ok(None);
    };
    let most = limits.message.saturating_add(limits.header);
    if length > most.max(limits.name) {
        return Err(not_a_message(*first, length, limits));
    }
    let start = match bytes.get(4..).unwrap_or_default() {
        [] => return Ok(None),
        [high] if *high == HEADER_MAGIC[0] => return Ok(None),
        [high, low, ..] if [*high, *low] == HEADER_MAGIC => Start::Header { end: 4 + length },
        [behind, ..] => {
            // The old form of a binary message in a frame starts with the length of its name.
            let protocol = if *behind == 0 { Some(Protocol::Binary) } else { protocol_of(*behind) };
            match protocol.filter(|_| length > 0) {
                Some(_) if length > limits.message => {
                    let (len, limit) = (length as u64, limits.message as u64);
                    return Err(DecodeErrorKind::TooLong { what: "frame", len, limit }.into());
                }
                Some(protocol) => Start::Framed { protocol, end: 4 + length },
                // Nothing but the length of the name tells it from anything else.
                None if length > limits.name => return Err(DecodeErrorKind::NotAMessage(*first).into()),
                None => Start::Unframed(Protocol::Binary),
            }
        }
    };
    Ok(Some(start))
}

/// The protocol whose messages start with this byte. The old form of binary is not one of them.
const fn protocol_of(first: u8) -> Option<Protocol> {
    match first {
        0x80 => Some(Protocol::Binary),
        0x82 => Some(Protocol::Compact),
        b'[' => Some(Protocol::Json),
        _ => None,
    }
}

/// What starts with a length that no frame may have.
fn not_a_message(first: u8, length: usize, limits: Limits) -> DecodeError {
    // Up to there it is more likely a frame than text or noise.
    if first & 0xf0 == 0 {
        let (len, limit) = (length as u64, limits.message as u64);
        return DecodeErrorKind::TooLong { what: "frame", len, limit }.into();
    }
    DecodeErrorKind::NotAMessage(first).into()
}
