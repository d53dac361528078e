//! Scanners, which find the end of a message that has no frame.
//!
//! A scanner looks only at what it needs to find the end, and never decodes a value. The reader of the message reports
//! everything else that is malformed.

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

/// The state of the search for the end of one message. It is called with the same message again as more of it arrives,
/// continues where it stopped, and looks at each byte once. A message in many chunks therefore takes linear time.
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

    /// Continues the scan. `bytes` starts where the message starts, and is at least as long as in the previous call.
    ///
    /// Returns the length of the message if it is complete, and is then ready for the next message. Returns `None` if more
    /// bytes are needed.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        match self {
            Self::Binary(scanner) => scanner.scan(bytes),
            Self::Compact(scanner) => scanner.scan(bytes),
            Self::Json(scanner) => scanner.scan(bytes),
        }
    }

    /// A lower bound on the length of the message, in bytes.
    pub(super) const fn needed(&self) -> usize {
        match self {
            Self::Binary(scanner) => scanner.needed(),
            Self::Compact(scanner) => scanner.needed(),
            // JSON has no lengths.
            Self::Json(_) => 0,
        }
    }
}
