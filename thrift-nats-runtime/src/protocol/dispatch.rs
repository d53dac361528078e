//! The choice of a protocol at run time.

use super::{binary, compact, json};
use crate::format::Protocol;

/// Does something with the writer of a protocol: the choice is made once, not for every value.
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

/// Does something with the reader of a protocol: the choice is made once, not for every value.
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

/// The sequence number of a whole message. Looks at nothing else: what is wrong with the name is for whoever waits for the
/// message to find.
pub(crate) fn peek_seqid(protocol: Protocol, message: &[u8]) -> Option<i32> {
    match protocol {
        Protocol::Binary => binary::peek_seqid(message),
        Protocol::Compact => compact::peek_seqid(message),
        Protocol::Json => json::peek_seqid(message),
    }
}
