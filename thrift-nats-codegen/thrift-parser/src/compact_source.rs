//! The source without comments, as the grammar reads it.
//!
//! One pass before parsing removes the comments, collapses the white space between tokens and limits the nesting of
//! brackets. It recognises literals, brackets and the keywords that start an item, and nothing else of the grammar.

use crate::keyword::{BODIES, near, starts_body, starts_item};
use crate::syntax::{Comment, CommentKind, Span};
use crate::syntax_error::SyntaxError;
use crate::token::{end_of_literal, end_of_word, is_word_byte};

/// The depth limit of nested brackets. This covers types in types, values in values and `xsd_attrs` in fields.
///
/// The parser uses the stack for each level. At this limit it needs less than 1 MiB, in an unoptimised build too.
pub const MAX_NESTING: usize = 64;

/// The white space of the code. It cannot occur in a literal.
const BLANK: char = '\n';

/// The source without comments.
#[derive(Debug, Default)]
pub(crate) struct CompactSource {
    /// The source with a single `\n` for each run of white space and comments.
    pub(crate) code: String,
    /// The offset in the source of each byte of the code, and of its end.
    origin: Vec<u32>,
    /// Every comment, in source order.
    pub(crate) comments: Vec<Comment>,
    /// The offsets in the code of lines that start like an item. Parsing continues there after an error.
    item_starts: Vec<usize>,
    /// The error that ended the scan early. The code ends before it.
    pub(crate) stop: Option<SyntaxError>,
}

impl CompactSource {
    /// Scans the source.
    ///
    /// # Errors
    ///
    /// The source has 4 GiB or more, so that offsets do not fit in a [`Span`].
    pub(crate) fn new(source: &str) -> Result<Self, SyntaxError> {
        if u32::try_from(source.len()).is_err() {
            let message = format!("the file has {} bytes; the limit is {}", source.len(), u32::MAX);
            return Err(SyntaxError::new(message, "", Span::default()));
        }
        let mut compact = Self::default();
        compact.code.reserve(source.len());
        compact.origin.reserve(source.len() + 1);
        compact.scan(source);
        Ok(compact)
    }

    /// The offset in the source of an offset in the code.
    pub(crate) fn source_offset(&self, at: usize) -> u32 {
        self.origin[at]
    }

    /// The span in the source of the code between `start` and `end`, without white space at its end.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let end = start + self.code[start..end].trim_end_matches(BLANK).len();
        // The origin of `end` would include the comments after the last token.
        let end = if end == start { self.origin[start] } else { self.origin[end - 1] + 1 };
        Span::new(self.origin[start], end)
    }

    /// The start of the `nth` line (from 1) at or after `at` that starts like an item; the end of the code if there is
    /// none.
    pub(crate) fn nth_item_start(&self, at: usize, nth: usize) -> usize {
        let before = self.item_starts.partition_point(|start| *start < at);
        self.item_starts.get(before + nth - 1).copied().unwrap_or(self.code.len())
    }

    /// The start of the first token at or after `at`.
    pub(crate) fn skip_blanks(&self, at: usize) -> usize {
        at + self.code[at..].bytes().take_while(|byte| *byte == BLANK as u8).count()
    }

    /// Whether the token at `at` is the first of its line.
    pub(crate) fn starts_line(&self, source: &str, at: usize) -> bool {
        match at {
            0 => true,
            // A slice of bytes: the range may start inside a character.
            _ => source.as_bytes()[self.origin[at - 1] as usize..self.origin[at] as usize].contains(&b'\n'),
        }
    }

    /// Whether a line that starts like an item is at `at`.
    pub(crate) fn is_item_start(&self, at: usize) -> bool {
        self.item_starts.binary_search(&at).is_ok()
    }

    fn scan(&mut self, source: &str) {
        let bytes = source.as_bytes();
        let (mut depth, mut starts_line) = (0_usize, true);
        let mut at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b'#' | b'/' => {
                    at = self.trivia(source, at);
                    if at > start {
                        starts_line |= bytes[start..at].contains(&b'\n');
                        if !self.code.is_empty() {
                            self.code.push(BLANK);
                            self.origin.push(start as u32);
                        }
                    }
                    if self.stop.is_some() {
                        break;
                    }
                    if at > start {
                        continue;
                    }
                    // A slash that starts no comment.
                    at += 1;
                }
                b'"' | b'\'' => at = end_of_literal(bytes, at).0,
                b'<' | b'{' | b'[' | b'(' => {
                    if byte == b'{' {
                        self.note_unknown_item(source);
                    }
                    depth = if byte == b'{' && opens_definition(&self.code) { 1 } else { depth + 1 };
                    if depth > MAX_NESTING {
                        let message = format!("brackets nest deeper than {MAX_NESTING} levels");
                        self.stop = Some(SyntaxError::new(message, "one level too many", span(at, at + 1)));
                        break;
                    }
                    at += 1;
                }
                b'>' | b'}' | b']' | b')' => {
                    depth = depth.saturating_sub(1);
                    at += 1;
                }
                _ => {
                    at = end_of_word(bytes, at);
                    if starts_line && starts_item(&source[start..at]) {
                        self.item_starts.push(self.code.len());
                    }
                }
            }
            starts_line = false;
            self.code.push_str(&source[start..at]);
            self.origin.extend(start as u32..at as u32);
        }
        self.origin.push(at as u32);
    }

    /// Called before a `{`. Adds the line to `item_starts` if it starts with a misspelt keyword, as `servise S {` does, so
    /// that this error is reported even if another error is before it.
    fn note_unknown_item(&mut self, source: &str) {
        let Some((rest, last)) = split_last_word(&self.code) else { return };
        let Some((rest, before)) = split_last_word(rest) else { return };
        let (rest, word) = match before {
            // `KEYWORD NAME extends PARENT {`
            "extends" => {
                let name = split_last_word(rest).and_then(|(rest, _)| split_last_word(rest));
                let Some(found) = name else { return };
                found
            }
            _ => (rest, before),
        };
        // A field without an id starts a line with its type, and may have `xsd_attrs {` after its name. A word that is far
        // from all keywords is probably from another language, and one error for the file is enough.
        if matches!(last, "xsd_attrs" | "xsd_all") || near(word, &BODIES).is_none() {
            return;
        }
        let start = rest.len();
        if self.starts_line(source, start) && self.item_starts.last().is_none_or(|noted| *noted < start) {
            self.item_starts.push(start);
        }
    }

    /// The end of the white space and comments at `at`. A comment that is not closed ends the scan.
    fn trivia(&mut self, source: &str, mut at: usize) -> usize {
        let bytes = source.as_bytes();
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    at += 1;
                    continue;
                }
                b'#' => at = end_of_line(bytes, at),
                b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of_line(bytes, at),
                b'/' if bytes.get(at + 1) == Some(&b'*') => {
                    let Some(len) = source[at + 2..].find("*/") else {
                        let place = span(at, at + 2);
                        self.stop = Some(SyntaxError::new("unterminated comment", "no closing `*/`", place));
                        break;
                    };
                    at += len + 4;
                }
                _ => break,
            }
            self.comments.push(Comment { kind: comment_kind(&source[start..at]), span: span(start, at) });
        }
        at
    }
}

fn span(start: usize, end: usize) -> Span {
    // `CompactSource::new` rejects sources for which this does not fit.
    Span::new(start as u32, end as u32)
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

/// Whether a `{` after this code must be the start of a body. Brackets that are still open there were never closed.
///
/// A keyword alone proves nothing, because a field may be named like one. But no field name is followed by a name and a
/// brace, except by `xsd_attrs {`.
fn opens_definition(code: &str) -> bool {
    let Some((code, last)) = split_last_word(code) else { return false };
    let Some((code, before)) = split_last_word(code) else { return false };
    let keyword = match before {
        // `KEYWORD NAME extends PARENT {`
        "extends" => split_last_word(code).and_then(|(code, _)| split_last_word(code)).map(|(_, word)| word),
        _ if last == "xsd_all" => split_last_word(code).map(|(_, word)| word),
        _ => Some(before),
    };
    last != "xsd_attrs" && keyword.is_some_and(starts_body)
}

/// The last word of the code, and the code before it. One blank after the word is skipped.
fn split_last_word(code: &str) -> Option<(&str, &str)> {
    let code = code.strip_suffix(BLANK).unwrap_or(code);
    let len = code.bytes().rev().take_while(|byte| is_word_byte(*byte)).count();
    (len > 0).then(|| code.split_at(code.len() - len))
}

fn comment_kind(text: &str) -> CommentKind {
    if !text.starts_with("/*") {
        CommentKind::Line
    } else if text.starts_with("/**") && text.bytes().any(|byte| !matches!(byte, b'/' | b'*')) {
        CommentKind::Doc
    } else {
        // `/**/` and `/***/` are not doc comments.
        CommentKind::Block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(source: &str) -> CompactSource {
        CompactSource::new(source).expect("a short text")
    }

    #[test]
    fn comment_delimiters_in_literals_are_text() {
        let source = "const string A = \"// no\" # yes\n/**/ /***/ /** doc */ '/* no */'";
        let compact = compact(source);
        let kinds: Vec<_> = compact.comments.iter().map(|c| (c.kind, &source[c.span.range()])).collect();
        assert_eq!(
            kinds,
            [
                (CommentKind::Line, "# yes"),
                (CommentKind::Block, "/**/"),
                (CommentKind::Block, "/***/"),
                (CommentKind::Doc, "/** doc */"),
            ]
        );
        assert_eq!(compact.code, "const\nstring\nA\n=\n\"// no\"\n'/* no */'");
    }

    #[test]
    fn white_space_and_comments_become_one_blank() {
        let compact = compact("\u{feff}  a \t/* é */ b // c\r\n\n  \"d  d\" /");
        assert_eq!(compact.code, "a\nb\n\"d  d\"\n/");
        assert_eq!(compact.span(2, 4), Span::new(17, 18));
        assert_eq!(compact.source_offset(compact.code.len()), 36);
    }

    #[test]
    fn any_character_may_precede_a_keyword() {
        for before in ["{\\\u{feff}0x", "\u{1f4a5}1", "é", "é\n", "'\u{1f4a5}\n"] {
            let source = format!("{before}struct A {{");
            assert_eq!(compact(&source).stop, None, "{source}");
        }
    }

    #[test]
    fn a_definition_closes_open_brackets() {
        let unclosed = "struct A xsd_all {\n  1: list<i32 x\n".repeat(MAX_NESTING);
        assert_eq!(compact(&unclosed).stop, None);
        let unclosed = "service A\nextends b.B\n{\n".repeat(MAX_NESTING + 1);
        assert_eq!(compact(&unclosed).stop, None);
        // Each of these may be nested in the one before it.
        for nested in ["1: i32 struct xsd_attrs {", "1: i32 service A extends xsd_attrs {", "struct =[A {"] {
            let nested = nested.repeat(MAX_NESTING + 1);
            assert!(compact(&nested).stop.is_some(), "{nested}");
        }
    }
}
