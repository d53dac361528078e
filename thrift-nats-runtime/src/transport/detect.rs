//! Detection of the protocol and transport of a message by its first bytes.
//!
//! | first bytes | format |
//! | --- | --- |
//! | `80 01` | binary |
//! | `82` | compact |
//! | `[` | JSON |
//! | `00 00 .. ..`, then a name | binary in the old form, which starts with the length of the name |
//! | a length, then `80`, `82`, `[` or `00` | one of the above, framed |
//! | a length, then `0f ff` | header transport |
//!
//! The table is unambiguous: a name is an IDL identifier, which cannot start with `80`, `82`, `[`, `00` or `0f`.

use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{DecodeError, DecodeErrorKind, Limits};

/// The magic number of the header transport.
pub(super) const HEADER_MAGIC: [u8; 2] = [0x0f, 0xff];

/// The format of a message, as far as its first bytes show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A message without a frame.
    Unframed(Protocol),
    /// A message in a frame. `end` is the length of the frame with its length field.
    Framed { protocol: Protocol, end: usize },
    /// A message in the header transport, whose headers name the protocol. `end` is as in `Framed`.
    Header { end: usize },
}

impl Start {
    /// The format of the message, unless its headers name it.
    pub(super) const fn format(self) -> Option<WireFormat> {
        match self {
            Self::Unframed(protocol) => Some(WireFormat::new(protocol, Transport::Buffered)),
            Self::Framed { protocol, .. } => Some(WireFormat::new(protocol, Transport::Framed)),
            Self::Header { .. } => None,
        }
    }
}

/// Detects the format of the message that starts `bytes`. Returns `None` if more bytes are needed.
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
        [next, ..] => {
            // A framed binary message in the old form starts with the length of its name.
            let protocol = if *next == 0 { Some(Protocol::Binary) } else { protocol_of(*next) };
            match protocol.filter(|_| length > 0) {
                Some(_) if length > limits.message => {
                    let (len, limit) = (length as u64, limits.message as u64);
                    return Err(DecodeErrorKind::TooLong { what: "frame", len, limit }.into());
                }
                Some(protocol) => Start::Framed { protocol, end: 4 + length },
                // The old form has no version. Only the length of the name tells a message from other data.
                None if length > limits.name => return Err(DecodeErrorKind::NotAMessage(*first).into()),
                None => Start::Unframed(Protocol::Binary),
            }
        }
    };
    Ok(Some(start))
}

/// The protocol whose messages start with this byte. The old form of binary has no such byte.
const fn protocol_of(first: u8) -> Option<Protocol> {
    match first {
        0x80 => Some(Protocol::Binary),
        0x82 => Some(Protocol::Compact),
        b'[' => Some(Protocol::Json),
        _ => None,
    }
}

/// The error for a first word that exceeds the maximum length of a frame.
fn not_a_message(first: u8, length: usize, limits: Limits) -> DecodeError {
    // Below 2^28, the word is more likely the length of a frame that is too long than text or noise.
    if first & 0xf0 == 0 {
        let (len, limit) = (length as u64, limits.message as u64);
        return DecodeErrorKind::TooLong { what: "frame", len, limit }.into();
    }
    DecodeErrorKind::NotAMessage(first).into()
}
