//! Tokens of a text, found without the grammar.

use crate::syntax::{Name, Span};

/// The token at `at`, as an error message quotes it.
pub(crate) fn token_at(source: &str, at: usize) -> Span {
    let rest = &source[at..];
    let mut chars = rest.chars();
    let len = match chars.next() {
        None => 0,
        Some(first) if first.is_alphanumeric() || first == '_' => {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len())
        }
        Some('"' | '\'') => {
            let (end, _) = end_of_literal(rest.as_bytes(), 0);
            rest[..end].trim_end_matches('\r').len()
        }
        Some(other) => other.len_utf8(),
    };
    Span::new(at as u32, (at + len) as u32)
}

/// The end of the literal that starts at `at`, and whether it is closed. A literal that is not closed ends with its line.
pub(crate) fn end_of_literal(bytes: &[u8], at: usize) -> (usize, bool) {
    let quote = bytes[at];
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\n' => break,
            // An escaped quote does not close the literal. The other bytes of an escaped character follow one by one.
            b'\\' if bytes.get(end + 1).is_some_and(|next| *next != b'\n') => end += 2,
            _ => end += 1,
        }
        if byte == quote {
            return (end, true);
        }
    }
    (end, false)
}

/// The end of the word or number at `at`, dots included. Any other character is a token alone.
pub(crate) fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let run = |wanted: fn(u8) -> bool, from: usize| {
        bytes[from..].iter().position(|byte| !wanted(*byte)).map_or(bytes.len(), |len| from + len)
    };
    if is_word_byte(bytes[at]) { run(is_word_byte, at) } else { run(|byte| byte & 0xc0 == 0x80, at + 1) }
}

pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// The word that a text starts with; empty if it starts with another token.
pub(crate) fn first_word(text: &str) -> &str {
    &text[..text.bytes().take_while(|byte| is_word_byte(*byte)).count()]
}

/// The words of a text that is at `start` in the source.
pub(crate) fn words(text: &str, start: u32) -> Vec<Name> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(from) = text[at..].find(is_word).map(|len| at + len) {
        at = text[from..].find(|c| !is_word(c)).map_or(text.len(), |len| from + len);
        let span = Span::new(start + from as u32, start + at as u32);
        words.push(Name { text: text[from..at].to_owned(), span });
    }
    words
}
