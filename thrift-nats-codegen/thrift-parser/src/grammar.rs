//! The driver: matches one item after the other, and goes on behind a mistake at the next definition.

use pest::Parser;
use pest::error::InputLocation;
use pest_derive::Parser;

use crate::comments::{self, Surface};
use crate::syntax::{Comment, Definition, Document, Header, Span};
use crate::syntax_error::{SyntaxError, explain, token_at};
use crate::tree::Builder;

#[derive(Parser)]
#[grammar = "thrift.pest"]
struct ThriftGrammar;

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

/// What one match of the grammar is.
pub(crate) enum Item {
    Header(Header),
    Definition(Definition),
    End,
}

/// Parses the text of a `.thrift` file. Spans are offsets into `source`, a byte order mark included.
///
/// Never fails as a whole: what is wrong is in [`Parsed::errors`]. Takes time in proportion to the length of the text.
pub fn parse(source: &str) -> Parsed {
    if u32::try_from(source.len()).is_err() {
        let error = SyntaxError::new("the file is longer than 4 GiB", "", Span::default());
        return Parsed { document: Document::default(), errors: vec![error] };
    }
    let Surface { comments, too_deep } = comments::scan(source, MAX_NESTING);
    if let Some(span) = too_deep {
        let message = format!("brackets nest deeper than {MAX_NESTING} levels");
        let error = SyntaxError::new(message, "one level too many", span);
        return Parsed { document: Document { comments, ..Document::default() }, errors: vec![error] };
    }
    let mut parsed = Parsed::default();
    let mut builder = Builder::new(source, &comments);
    let mut at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    loop {
        match next_item(source, at, &mut builder) {
            Ok((Item::End, _)) => break,
            Ok((Item::Header(header), end)) => {
                if !parsed.document.definitions.is_empty() {
                    parsed.errors.push(misplaced_header(source, &header));
                }
                parsed.document.headers.push(header);
                at = end;
            }
            Ok((Item::Definition(definition), end)) => {
                parsed.document.definitions.push(definition);
                at = end;
            }
            Err(error) => {
                let mistake = error.span.start as usize;
                parsed.errors.push(error);
                match next_definition(source, &comments, at, mistake) {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
    }
    parsed.errors.append(&mut builder.errors);
    parsed.errors.sort_by_key(|error| error.span);
    parsed.document.comments = comments;
    parsed
}

fn next_item(source: &str, at: usize, builder: &mut Builder<'_>) -> Result<(Item, usize), SyntaxError> {
    let mut pairs = ThriftGrammar::parse(Rule::item, &source[at..]).map_err(|error| {
        let offset = match error.location {
            InputLocation::Pos(offset) | InputLocation::Span((offset, _)) => offset,
        };
        explain(source, &error, at + offset)
    })?;
    let item = pairs.next().expect("a match of a rule is a pair of that rule");
    let end = at + item.as_span().end();
    Ok((builder.item(item, at), end))
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

/// Where to go on behind a mistake: the next line that starts like an item, at or behind the mistake but behind `from`.
fn next_definition(source: &str, comments: &[Comment], from: usize, mistake: usize) -> Option<usize> {
    let begin = mistake.max(from);
    let mut line = source[..begin].rfind('\n').map_or(0, |newline| newline + 1);
    loop {
        let text = source[line..].lines().next().unwrap_or_default();
        let start = line + text.len() - text.trim_start().len();
        let word = text.trim_start().split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
        let behind = start > from || (start == from && mistake > from);
        if start >= begin && behind && word.is_some_and(starts_item) && !in_comment(comments, start) {
            // What failed where it started must not be tried again.
            if start != mistake || !source[from..start].trim_ascii().is_empty() {
                return Some(start);
            }
        }
        line += source[line..].find('\n')? + 1;
    }
}

fn starts_item(word: &str) -> bool {
    matches!(
        word,
        "include"
            | "cpp_include"
            | "namespace"
            | "typedef"
            | "const"
            | "enum"
            | "struct"
            | "union"
            | "exception"
            | "service"
    )
}

fn in_comment(comments: &[Comment], at: usize) -> bool {
    let next = comments.partition_point(|comment| comment.span.end as usize <= at);
    comments.get(next).is_some_and(|comment| comment.span.start as usize <= at)
}
