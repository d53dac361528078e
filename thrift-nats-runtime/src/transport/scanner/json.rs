//! The scanner of the JSON protocol.

use crate::protocol::{DecodeError, DecodeErrorKind, Limits};

/// The state of the search for the end of one message, which is an array.
#[derive(Debug)]
pub(in crate::transport) struct JsonScanner {
    /// The position in the message.
    position: usize,
    /// The number of open brackets and braces.
    open: usize,
    text: StringState,
    limits: Limits,
}

/// Whether the scanner is in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// In a string, after a backslash.
    Escaped,
}

impl JsonScanner {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { position: 0, open: 0, text: StringState::Outside, limits }
    }

    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        let most = bytes.len().min(self.limits.message);
        while let Some(rest) = bytes.get(self.position..most)
            && let Some(byte) = rest.first()
        {
            match (self.text, byte) {
                (StringState::Escaped, _) => self.text = StringState::Inside,
                (StringState::Inside, b'"') => self.text = StringState::Outside,
                (StringState::Inside, b'\\') => self.text = StringState::Escaped,
                (StringState::Inside, _) => {
                    self.position += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    continue;
                }
                (StringState::Outside, b'"') => self.text = StringState::Inside,
                (StringState::Outside, b'[' | b'{') => {
                    self.open += 1;
                    // A level of nesting opens at most two: `{"1":{` or `["i32","i32",1,{`. The message opens one.
                    if self.open > self.limits.depth.saturating_mul(2).saturating_add(1) {
                        return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
                    }
                }
                (StringState::Outside, b']' | b'}') => match self.open.checked_sub(1) {
                    Some(0) => {
                        let len = self.position + 1;
                        *self = Self::new(self.limits);
                        return Ok(Some(len));
                    }
                    Some(open) => self.open = open,
                    None => return Err(DecodeErrorKind::NotAMessage(*byte).into()),
                },
                (StringState::Outside, _) if self.open == 0 => {
                    return Err(DecodeErrorKind::NotAMessage(*byte).into());
                }
                (StringState::Outside, _) => {}
            }
            self.position += 1;
        }
        if bytes.len() > self.limits.message {
            let (len, limit) = (bytes.len() as u64, self.limits.message as u64);
            return Err(DecodeErrorKind::TooLong { what: "message", len, limit }.into());
        }
        Ok(None)
    }
}
