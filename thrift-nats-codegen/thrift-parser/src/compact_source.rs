//! One pass over the text, before the grammar's: takes out the comments, squeezes what lies between the tokens, and bounds
//! how deep brackets nest. It knows literals and brackets, and of words only those that start a definition.

use crate::parse::MAX_NESTING;
use crate::syntax::{Comment, CommentKind, Span};
use crate::syntax_error::{SyntaxError, near};

/// The words that start a definition with a body.
const BODIES: [&str; 5] = ["enum", "struct", "union", "exception", "service"];

/// What stands in the code for white space and comments: no literal holds it.
const BLANK: char = '\n';

/// A text as the grammar reads it.
#[derive(Debug, Default)]
pub(crate) struct CompactSource {
    /// The text, with one blank, a `\n`, for each run of white space and comments.
    pub(crate) code: String,
    /// For each byte of the code, and for its end, the offset in the source.
    origin: Vec<u32>,
    /// Every comment, in source order.
    pub(crate) comments: Vec<Comment>,
    /// Where in the code a line starts with a word that starts an item, or as if it did: where to go on behind a mistake.
    item_starts: Vec<usize>,
    /// What no grammar can read on from. The code ends before it.
    pub(crate) stop: Option<SyntaxError>,
}

impl CompactSource {
    /// Reads a text of less than 4 GiB.
    pub(crate) fn of(source: &str) -> Self {
        let mut compact = Self::default();
        compact.code.reserve(source.len());
        compact.origin.reserve(source.len() + 1);
        compact.scan(source);
        compact
    }

    /// The offset in the source of an offset in the code.
    pub(crate) fn source_offset(&self, at: usize) -> u32 {
        self.origin[at]
    }

    /// The place in the source of the tokens from `start` up to `end` in the code, blanks at the end left out.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let end = start + self.code[start..end].trim_end_matches(BLANK).len();
        // Not the origin of `end`: that lies behind what follows the last token.
        let end = if end == start { self.origin[start] } else { self.origin[end - 1] + 1 };
        Span::new(self.origin[start], end)
    }

    /// Where the `nth` line at or behind `at`, counted from 1, starts like an item; the end of the code if none does.
    pub(crate) fn nth_item_start(&self, at: usize, nth: usize) -> usize {
        let before = self.item_starts.partition_point(|start| *start < at);
        self.item_starts.get(before + nth - 1).copied().unwrap_or(self.code.len())
    }

    /// Whether the token at `at` is the first of its line.
    pub(crate) fn starts_line(&self, source: &str, at: usize) -> bool {
        match at {
            0 => true,
            // Of bytes: what stands before may end with a character of several.
            _ => source.as_bytes()[self.origin[at - 1] as usize..self.origin[at] as usize].contains(&b'\n'),
        }
    }

    /// Whether a line starts like an item at `at`.
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
                    // A slash of its own.
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

    /// Before a `{`: notes a line that starts like a definition whose keyword is misspelt, as in `servise S {`: that is to be
    /// shown behind another mistake, too.
    fn note_unknown_item(&mut self, source: &str) {
        let Some((rest, last)) = split_last_word(&self.code) else { return };
        let Some((rest, before)) = split_last_word(rest) else { return };
        let (rest, word) = match before {
            // NAME `extends` PARENT
            "extends" => {
                let name = split_last_word(rest).and_then(|(rest, _)| split_last_word(rest));
                let Some(found) = name else { return };
                found
            }
            _ => (rest, before),
        };
        // A field may have `xsd_attrs {` behind its type and name, and it starts a line if it has no id. Words that are far
        // from all keywords are of another language: one error says that, and not one for each.
        if matches!(last, "xsd_attrs" | "xsd_all") || near(word, &BODIES).is_none() {
            return;
        }
        let start = rest.len();
        if self.starts_line(source, start) && self.item_starts.last().is_none_or(|noted| *noted < start) {
            self.item_starts.push(start);
        }
    }

    /// Behind the white space and comments that start at `at`. A comment that is not closed stops the scan.
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
                        self.stop = Some(SyntaxError::new("comment is not closed", "no `*/` follows", place));
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
    // Sources are checked to be shorter than 4 GiB before anything else.
    Span::new(start as u32, end as u32)
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

/// Where the literal that starts at `at` ends, and whether it is closed: if it is not, it ends with its line.
pub(crate) fn end_of_literal(bytes: &[u8], at: usize) -> (usize, bool) {
    let quote = bytes[at];
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\n' => break,
            // What is escaped does not close it. If it is a character of more than one byte, the others follow.
            b'\\' if bytes.get(end + 1).is_some_and(|next| *next != b'\n') => end += 2,
            _ => end += 1,
        }
        if byte == quote {
            return (end, true);
        }
    }
    (end, false)
}

/// Behind the word or number, dots included, or else the character that starts at `at`.
pub(crate) fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let run = |wanted: fn(u8) -> bool, from: usize| {
        bytes[from..].iter().position(|byte| !wanted(*byte)).map_or(bytes.len(), |len| from + len)
    };
    if is_word_byte(bytes[at]) { run(is_word_byte, at) } else { run(|byte| byte & 0xc0 == 0x80, at + 1) }
}

pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

pub(crate) fn starts_item(word: &str) -> bool {
    // Forms of old times, too: each is told of itself.
    matches!(word, "include" | "cpp_include" | "namespace" | "typedef" | "const" | "senum")
        || word.ends_with("_namespace")
        || word.ends_with("_package")
        || starts_body(word)
}

pub(crate) fn starts_body(word: &str) -> bool {
    BODIES.contains(&word)
}

/// Whether a `{` behind this code can be of nothing but a definition, so that whatever is open there was never closed.
///
/// Keywords may be names of fields, so that their mere sight says nothing. But no field called like a keyword is followed
/// by a name and a brace, unless that name is `xsd_attrs`.
fn opens_definition(code: &str) -> bool {
    let Some((code, last)) = split_last_word(code) else { return false };
    let Some((code, before)) = split_last_word(code) else { return false };
    let keyword = match before {
        // NAME `extends` PARENT
        "extends" => split_last_word(code).and_then(|(code, _)| split_last_word(code)).map(|(_, word)| word),
        _ if last == "xsd_all" => split_last_word(code).map(|(_, word)| word),
        _ => Some(before),
    };
    last != "xsd_attrs" && keyword.is_some_and(starts_body)
}

/// The word that ends the code but for one blank, and the code before it.
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
        // `/**/` and `/***/` document nothing.
        CommentKind::Block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_told_from_literals() {
        let source = "const string A = \"// no\" # yes\n/**/ /***/ /** doc */ '/* no */'";
        let compact = CompactSource::of(source);
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
    fn what_stands_between_tokens_becomes_one_blank() {
        let compact = CompactSource::of("\u{feff}  a \t/* é */ b // c\r\n\n  \"d  d\" /");
        assert_eq!(compact.code, "a\nb\n\"d  d\"\n/");
        assert_eq!(compact.span(2, 4), Span::new(17, 18));
        assert_eq!(compact.source_offset(compact.code.len()), 36);
    }

    #[test]
    fn a_misspelt_keyword_may_stand_behind_any_character() {
        for before in ["{\\\u{feff}0x", "\u{1f4a5}1", "é", "é\n", "'\u{1f4a5}\n"] {
            let source = format!("{before}struct A {{");
            assert_eq!(CompactSource::of(&source).stop, None, "{source}");
        }
    }

    #[test]
    fn a_definition_closes_what_was_left_open() {
        let unclosed = "struct A xsd_all {\n  1: list<i32 x\n".repeat(MAX_NESTING);
        assert_eq!(CompactSource::of(&unclosed).stop, None);
        let unclosed = "service A\nextends b.B\n{\n".repeat(MAX_NESTING + 1);
        assert_eq!(CompactSource::of(&unclosed).stop, None);
        // Each of these can stand in the one before it.
        for nested in ["1: i32 struct xsd_attrs {", "1: i32 service A extends xsd_attrs {", "struct =[A {"] {
            let nested = nested.repeat(MAX_NESTING + 1);
            assert!(CompactSource::of(&nested).stop.is_some(), "{nested}");
        }
    }
}
