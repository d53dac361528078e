//! Reads and parses a file. All operations read files with it.

use std::io;
use std::path::Path;

use thrift_parser::syntax::{Comment, Document, Span};
use thrift_parser::{Gap, SyntaxError};

use crate::diagnostics::Diagnostic;
use crate::sources::{Place, SourceId};
use crate::unread::Unread;

/// The text of a file, and the result of parsing it.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Bytes that are not UTF-8 are each a `?`, so that offsets are those of the file.
    pub(crate) text: String,
    /// All parts that could be read.
    pub(crate) document: Document,
    gaps: Vec<Gap>,
    mistakes: Vec<SyntaxError>,
    /// The first byte outside of comments that is not UTF-8.
    invalid: Option<Span>,
}

impl Reading {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// The reason why it cannot be read. Mistakes in its text are not an error here.
    pub(crate) fn of(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| reason(&error))?;
        if u32::try_from(bytes.len()).is_err() {
            return Err("it is larger than 4 GiB".to_owned());
        }
        let (text, invalid) = decode(bytes);
        let parsed = thrift_parser::parse(&text);
        let invalid = outside(&invalid, &parsed.document.comments);
        Ok(Self { text, document: parsed.document, gaps: parsed.gaps, mistakes: parsed.errors, invalid })
    }

    /// Parses a text.
    pub(crate) fn of_text(text: String) -> Self {
        let parsed = thrift_parser::parse(&text);
        Self { text, document: parsed.document, gaps: parsed.gaps, mistakes: parsed.errors, invalid: None }
    }

    /// The mistakes in the text, as diagnostics of `source`.
    pub(crate) fn take_diagnostics(&mut self, source: SourceId) -> Vec<Diagnostic> {
        let place = |span| Place { source, span };
        let mut diagnostics = Vec::new();
        if let Some(span) = self.invalid {
            let error = Diagnostic::error(place(span), "the file is not UTF-8").label("invalid byte here");
            diagnostics.push(error.help("save it as UTF-8; only comments may be in another encoding"));
        }
        for mistake in std::mem::take(&mut self.mistakes) {
            // The byte is also a syntax error, which is reported above.
            if Some(mistake.span) != self.invalid {
                let error = Diagnostic::error(place(mistake.span), mistake.message).label(mistake.label);
                diagnostics.push(error.maybe_help(mistake.help));
            }
        }
        diagnostics
    }

    /// The parts of the text that could not be read.
    pub(crate) fn take_unread(&mut self) -> Unread {
        let mistakes = self.mistakes.iter().map(|mistake| mistake.span).collect();
        Unread::new(&self.text, std::mem::take(&mut self.gaps), &self.document.definitions, mistakes)
    }
}

/// The reason why a file cannot be read, in words.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

/// The text, and the offsets of the bytes that are not UTF-8.
fn decode(bytes: Vec<u8>) -> (String, Vec<u32>) {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            // The file is not larger than 4 GiB.
            invalid.push(text.len() as u32);
            text.push('?');
        }
    }
    (text, invalid)
}

/// The first of these bytes outside of comments. Old files have comments in old encodings.
fn outside(invalid: &[u32], comments: &[Comment]) -> Option<Span> {
    let mut comments = comments.iter().peekable();
    let is_outside = |at: &&u32| {
        while comments.next_if(|comment| comment.span.end <= **at).is_some() {}
        comments.peek().is_none_or(|comment| comment.span.start > **at)
    };
    invalid.iter().find(is_outside).map(|at| Span::new(*at, at + 1))
}
