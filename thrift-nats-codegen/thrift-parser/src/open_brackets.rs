//! The brackets that a part of the code leaves open.

use crate::token::end_of_literal;

/// The number of open brackets of each kind.
#[derive(Debug, Default)]
pub(crate) struct OpenBrackets {
    pub(crate) braces: usize,
    parens: usize,
    squares: usize,
    pub(crate) angles: usize,
    /// Whether a bracket was closed that was not open, or a literal is not closed.
    pub(crate) is_broken: bool,
    has_braces: bool,
}

impl OpenBrackets {
    pub(crate) fn token(&mut self, byte: u8) {
        let (count, opens) = match byte {
            b'{' => (&mut self.braces, true),
            b'}' => (&mut self.braces, false),
            b'(' => (&mut self.parens, true),
            b')' => (&mut self.parens, false),
            b'[' => (&mut self.squares, true),
            b']' => (&mut self.squares, false),
            b'<' => (&mut self.angles, true),
            b'>' => (&mut self.angles, false),
            _ => return,
        };
        self.has_braces |= matches!(byte, b'{' | b'}');
        match (opens, count.checked_sub(1)) {
            (true, _) => *count += 1,
            (false, Some(rest)) => *count = rest,
            (false, None) => self.is_broken = true,
        }
    }

    /// Whether a separator here is between members.
    pub(crate) const fn is_body(&self) -> bool {
        self.braces == 0 && self.parens == 0 && self.squares == 0
    }

    pub(crate) const fn is_balanced(&self) -> bool {
        self.is_body() && self.angles == 0 && !self.is_broken && !self.has_braces
    }
}

/// The number of open braces after this code, if `open` were open before it.
pub(crate) fn open_braces(code: &str, mut open: usize) -> usize {
    let mut at = 0;
    while let Some(&byte) = code.as_bytes().get(at) {
        match byte {
            b'"' | b'\'' => {
                at = end_of_literal(code.as_bytes(), at).0;
                continue;
            }
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    open
}
