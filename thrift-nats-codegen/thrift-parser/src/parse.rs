//! The driver: matches one item after the other, and goes on behind a mistake at the next definition.

use pest::Parser;
use pest::error::{Error, InputLocation};
use pest::iterators::Pair;

use crate::grammar::{full, quiet};
use crate::surface::{Surface, end_of_literal};
use crate::syntax::{Document, Header, Span};
use crate::syntax_error::{SyntaxError, explain, token_at};
use crate::tree::{Builder, Item};

/// How deep brackets may nest: types in types, values in values.
pub const MAX_NESTING: usize = 64;

/// What a parse gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// What could be read: all of the file if there are no errors.
    pub document: Document,
    /// Every independent mistake, in source order.
    pub errors: Vec<SyntaxError>,
}

/// Parses the text of a `.thrift` file. Spans are offsets into `source`, a byte order mark included.
///
/// Never fails as a whole: what is wrong is in [`Parsed::errors`]. Takes time in proportion to the length of the text.
///
/// Reading ends at a bracket that nests deeper than [`MAX_NESTING`] levels and at a comment that is not closed. A text of
/// 4 GiB or more is not read at all.
pub fn parse(source: &str) -> Parsed {
    if let Err(error) = check_length(source) {
        return Parsed { document: Document::default(), errors: vec![error] };
    }
    let surface = Surface::of(source);
    let mut parsed = Parsed::default();
    let mut builder = Builder::new(source, &surface);
    let code = &surface.code;
    // Braces that mistakes left open: each may still be closed.
    let mut left_open = 0_usize;
    let mut at = 0;
    loop {
        at = skip_blanks(code, at);
        if at == code.len() {
            break;
        }
        if left_open > 0 && code[at..].starts_with('}') {
            left_open -= 1;
            at += 1;
            continue;
        }
        match match_item(&surface, at) {
            Ok((item, end)) => {
                match builder.item(item, at) {
                    Item::Header(header) => {
                        if !parsed.document.definitions.is_empty() {
                            parsed.errors.push(misplaced_header(source, &header));
                        }
                        parsed.document.headers.push(header);
                    }
                    Item::Definition(definition) => parsed.document.definitions.push(definition),
                }
                at = end;
            }
            Err(Mistake { at: mistake, error }) => {
                // What stops the text is reported instead, below.
                if mistake < code.len() || surface.stop.is_none() {
                    parsed.errors.push(explain(source, &surface, &error, mistake));
                }
                let next = surface.nth_item_start(mistake.max(at + 1), 1);
                left_open = open_braces(&code[at..next], left_open);
                at = next;
            }
        }
    }
    parsed.errors.append(&mut builder.errors);
    parsed.document.legacy = builder.legacy;
    parsed.errors.extend(surface.stop);
    parsed.errors.sort_by_key(|error| error.span);
    parsed.document.comments = surface.comments;
    parsed
}

/// A text that no rule matches.
pub(crate) struct Mistake {
    /// Where in the code.
    at: usize,
    error: Box<Error<full::Rule>>,
}

/// The item that starts at `at`, and where it ends.
///
/// The grammar sees no more of the code than the item needs, lest a mistake costs time for all that follows: pest looks for
/// the line's start from the end of what it was given. A line that starts like an item is where one item ends and another
/// starts, but for fields that are named like a keyword.
fn match_item(surface: &Surface, at: usize) -> Result<(Pair<'_, quiet::Rule>, usize), Mistake> {
    let mut lines = 1;
    loop {
        let end = surface.nth_item_start(at + 1, lines);
        let text = &surface.code[at..end];
        if let Ok(mut pairs) = quiet::Grammar::parse(quiet::Rule::item, text) {
            let item = pairs.next().expect("a match of a rule is a pair of that rule");
            let end = at + item.as_span().end();
            return Ok((item, end));
        }
        let error =
            full::Grammar::parse(full::Rule::item, text).expect_err("both readings are of one language");
        let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
        if at + offset < end || end == surface.code.len() {
            return Err(Mistake { at: at + offset, error: Box::new(error) });
        }
        // Twice as much each time: that bounds what is read again by what is read.
        lines *= 2;
    }
}

/// # Errors
///
/// If offsets into the text do not fit a [`Span`].
pub(crate) fn check_length(source: &str) -> Result<(), SyntaxError> {
    match u32::try_from(source.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(SyntaxError::new("the file is longer than 4 GiB", "", Span::default())),
    }
}

/// Where the first token at or behind `at` starts.
pub(crate) fn skip_blanks(code: &str, at: usize) -> usize {
    at + code[at..].bytes().take_while(|byte| *byte == b'\n').count()
}

fn misplaced_header(source: &str, header: &Header) -> SyntaxError {
    let span = match header {
        Header::Include(item) | Header::CppInclude(item) => item.span,
        Header::Namespace(item) => item.span,
    };
    let span = token_at(source, span.start as usize);
    let word = &source[span.range()];
    SyntaxError::new(format!("`{word}` behind a definition"), "belongs before all definitions", span)
}

/// How many braces are open behind this code, if `open` are before it.
fn open_braces(code: &str, mut open: usize) -> usize {
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
