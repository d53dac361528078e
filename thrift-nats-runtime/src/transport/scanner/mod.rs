//! Finds where a message that is in no frame ends.

mod binary;
mod compact;
mod json;
#[cfg(test)]
mod tests;

use self::binary::BinaryScanner;
use self::compact::CompactScanner;
use self::json::JsonScanner;
use crate::format::Protocol;
use crate::protocol::{DecodeError, Limits};

/// The state of the search for the end of one message. Can be given the same message again and again as it grows: it
/// goes on where it stopped and never looks at a byte twice.
#[derive(Debug)]
pub(super) enum Scanner {
    Binary(BinaryScanner),
    Compact(CompactScanner),
    Json(JsonScanner),
}

impl Scanner {
    pub(super) fn new(protocol: Protocol, limits: Limits) -> Self {
        match protocol {
            Protocol::Binary => Self::Binary(BinaryScanner::new(limits)),
            Protocol::Compact => Self::Compact(CompactScanner::new(limits)),
            Protocol::Json => Self::Json(JsonScanner::new(limits)),
        }
    }

    /// Looks at what has arrived of a message: `bytes` starts where the message starts, and is at least as long as the
    /// last time. Returns the length of the message once all of it is there, and is then ready for the next one.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        match self {
            Self::Binary(scanner) => scanner.scan(bytes),
            Self::Compact(scanner) => scanner.scan(bytes),
            Self::Json(scanner) => scanner.scan(bytes),
        }
    }

    /// How long the message is at least, by what was looked at so far.
    pub(super) const fn needed(&self) -> usize {
        match self {
            Self::Binary(scanner) => scanner.needed(),
            Self::Compact(scanner) => scanner.needed(),
            // Only its bytes tell where a text ends.
            Self::Json(_) => 0,
        }
    }
}
