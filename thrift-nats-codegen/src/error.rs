//! The error of every operation of the generator.

use std::fmt;
use std::path::PathBuf;

use crate::diagnostics::{Diagnostic, Report};
use crate::sources::Sources;

/// Why nothing was generated: everything that is wrong with the files, with the places. `Debug` prints the same text as
/// `Display`, so that `unwrap()` in a build script reads well.
pub struct Error(Box<Report>, Vec<PathBuf>);

impl Error {
    /// Each thing that is wrong, and the warnings.
    pub fn report(&self) -> &Report {
        &self.0
    }

    /// Every file that was read.
    pub fn sources(&self) -> &[PathBuf] {
        &self.1
    }

    /// What is wrong, and the files that were read.
    pub(crate) fn new(report: Report, sources: Vec<PathBuf>) -> Self {
        Self(Box::new(report), sources)
    }

    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self(Box::new(Report::new(Sources::default(), vec![Diagnostic::without_place(text)])), Vec::new())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Behind `Error: ` and on lines of its own.
        write!(f, "the Thrift IDL has errors\n\n{}", self.0)
    }
}

impl std::error::Error for Error {}
