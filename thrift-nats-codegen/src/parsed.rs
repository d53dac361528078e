//! One file and its syntax tree, for tools that look at the text and not at what it means. Nothing is resolved here, and no
//! other file is read.

use std::path::{Path, PathBuf};

use thrift_parser::syntax::{Document, Span};

use crate::diagnostics::{Diagnostic, Report};
use crate::generate::Error;
use crate::sources::{Place, Source, Sources};

/// A `.thrift` file, parsed on its own: the files that it includes are not read, and no name is looked up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ParsedFile {
    /// The text. Bytes that are not UTF-8 are each a `?`, so that offsets are those of the file.
    pub text: String,
    /// All of it that could be read.
    pub document: Document,
    /// What is wrong with the text.
    pub errors: Report,
}

impl ParsedFile {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// If the file cannot be read. What is wrong with its text is in [`errors`](Self::errors).
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let (text, invalid) = decode(&bytes);
        let parsed = thrift_parser::parse(&text);
        let mut sources = Sources::default();
        let source = sources.add(Source::new(path, text.clone()));
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        // Old files have comments in old encodings; anywhere else it is an error.
        let mut comments = parsed.document.comments.iter().peekable();
        for at in invalid {
            while comments.next_if(|comment| comment.span.end <= at).is_some() {}
            if comments.peek().is_none_or(|comment| comment.span.start > at) {
                let place = Place { source, span: Span::new(at, at + 1) };
                let error = Diagnostic::error(place, "the file is not UTF-8").label("invalid byte here");
                diagnostics.push(error.help("save it as UTF-8; only comments may be in another encoding"));
                break;
            }
        }
        for error in parsed.errors {
            let place = Place { source, span: error.span };
            let diagnostic = Diagnostic::error(place, error.message).label(error.label);
            diagnostics.push(diagnostic.maybe_help(error.help));
        }
        let errors = Report::new(sources, diagnostics);
        Ok(Self { text, document: parsed.document, errors })
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    Error::message(format!("cannot read `{}`: {reason}", path.display()))
}

/// The text, and the offsets of the bytes that are none.
fn decode(bytes: &[u8]) -> (String, Vec<u32>) {
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            // A file that is too long for this is not read by the parser.
            invalid.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            text.push('?');
        }
    }
    (text, invalid)
}
