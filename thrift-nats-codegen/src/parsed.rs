//! One file and its syntax tree, for tools that work with the text and not with its meaning. Names are not resolved, and includes
//! are not read.

use std::path::PathBuf;

use thrift_parser::syntax::Document;

use crate::diagnostics::Report;
use crate::error::Error;
use crate::reading::Reading;
use crate::sources::{Source, Sources};

/// A `.thrift` file, parsed on its own: the files that it includes are not read, and no name is looked up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ParsedFile {
    /// The text. Bytes that are not UTF-8 are each a `?`, so that offsets are those of the file.
    pub text: String,
    /// All parts that could be read.
    pub document: Document,
    /// The mistakes in the text.
    pub errors: Report,
}

impl ParsedFile {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// If the file cannot be read. Mistakes in its text are in [`errors`](Self::errors).
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let reading = Reading::of(&path)
            .map_err(|why| Error::message(format!("cannot read `{}`: {why}", path.display())))?;
        Ok(Self::new(path, reading))
    }

    /// Parses a text that is not in a file. Errors show `path` as its file.
    pub fn of_text(path: impl Into<PathBuf>, text: String) -> Self {
        Self::new(path.into(), Reading::of_text(text))
    }

    fn new(path: PathBuf, mut reading: Reading) -> Self {
        let mut sources = Sources::default();
        let source = sources.add(Source::new(path, reading.text.clone()));
        let errors = Report::new(sources, reading.take_diagnostics(source));
        Self { text: reading.text, document: reading.document, errors }
    }
}
