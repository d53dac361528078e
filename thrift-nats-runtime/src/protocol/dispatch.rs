//! The choice of a reader or writer by [`Protocol`] at run time.
//!
//! The macros match on the protocol once for each value, not for each field: the code inside is compiled for each
//! protocol.

use super::{binary, compact, json};
use crate::format::Protocol;

/// Runs `$body` with the writer of `$protocol`.
macro_rules! with_writer {
    ($protocol:expr, $buffer:expr, $limits:expr, |$writer:ident| $body:expr) => {
        match $protocol {
            $crate::Protocol::Binary => {
                let mut $writer = $crate::protocol::BinaryWriter::new($buffer, $limits);
                $body
            }
            $crate::Protocol::Compact => {
                let mut $writer = $crate::protocol::CompactWriter::new($buffer, $limits);
                $body
            }
            $crate::Protocol::Json => {
                let mut $writer = $crate::protocol::JsonWriter::new($buffer, $limits);
                $body
            }
        }
    };
}

/// Runs `$body` with the reader of `$protocol`.
macro_rules! with_reader {
    ($protocol:expr, $message:expr, $limits:expr, |$reader:ident| $body:expr) => {
        match $protocol {
            $crate::Protocol::Binary => {
                let mut $reader = $crate::protocol::BinaryReader::new($message, $limits);
                $body
            }
            $crate::Protocol::Compact => {
                let mut $reader = $crate::protocol::CompactReader::new($message, $limits);
                $body
            }
            $crate::Protocol::Json => {
                let mut $reader = $crate::protocol::JsonReader::new($message, $limits);
                $body
            }
        }
    };
}

pub(crate) use {with_reader, with_writer};

/// The sequence number of a complete message, or `None` if its header is cut off.
///
/// Nothing else is checked, so that a reply with a malformed name still reaches its call, which reports the error.
pub(crate) fn peek_seqid(protocol: Protocol, message: &[u8]) -> Option<i32> {
    match protocol {
        Protocol::Binary => binary::peek_seqid(message),
        Protocol::Compact => compact::peek_seqid(message),
        Protocol::Json => json::peek_seqid(message),
    }
}
