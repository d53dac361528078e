//! Parts of a text that could not be read.

use crate::compact_source::CompactSource;
use crate::keyword::{may_be_name, starts_item};
use crate::syntax::{Name, Span};
use crate::token::{end_of_literal, end_of_word, first_word, words};

/// A part of the text that could not be read.
///
/// A checker needs it to avoid follow-up errors: a name that cannot be resolved may be defined in a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The span of the text. If it is within the span of a definition of the document, the definition lacks members.
    pub span: Span,
    /// The names that the text may define. Only one, if a definition could be read up to its name; otherwise every word
    /// that may be the name of a definition or member.
    pub names: Vec<Name>,
    /// Whether the text is a definition or member without a name, or an include without a path. Any name that cannot be
    /// resolved may belong here.
    pub is_nameless: bool,
}

impl Gap {
    /// The source from `start` to its end. The names are the words of all lines that start like an item.
    pub(crate) fn to_end(source: &str, start: u32) -> Self {
        let mut names = Vec::new();
        let mut at = start as usize;
        for line in source[at..].split_inclusive('\n') {
            if starts_item(first_word(line.trim_start())) {
                names.extend(words(line, at as u32));
            }
            at += line.len();
        }
        Self { span: Span::new(start, source.len() as u32), names, is_nameless: false }
    }
}

/// The words of the code between `from` and `until` that may be names: those outside all brackets that are not keywords.
pub(crate) fn names_in(compact: &CompactSource, from: usize, until: usize) -> Vec<Name> {
    let bytes = &compact.code.as_bytes()[..until];
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' | b'\'' => end_of_literal(bytes, at).0,
            _ => end_of_word(bytes, at),
        };
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            // It may be the path of an include.
            b'"' | b'\'' => found.extend(words(&compact.code[at..end], compact.source_offset(at))),
            // The word before a `{` is a name even if an error left brackets open.
            _ if depth == 0 || compact.code[compact.skip_blanks(end)..].starts_with('{') => {
                let words = words(&compact.code[at..end], compact.source_offset(at));
                found.extend(words.into_iter().filter(|word| may_be_name(&word.text)));
            }
            _ => {}
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_outside_brackets() {
        let compact =
            CompactSource::new("sturct A { 1: B b } // C\nD (e) include 'f.g'").expect("a short text");
        let words = names_in(&compact, 0, compact.code.len());
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["sturct", "A", "D", "f", "g"]);
        assert_eq!(compact.span(0, 6), Span::new(0, 6));
    }
}
