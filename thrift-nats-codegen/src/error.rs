//! The error of every operation of the generator.

use std::fmt;
use std::path::PathBuf;

use crate::diagnostics::{Diagnostic, Report};
use crate::sources::Sources;

/// The error of an operation: all diagnostics, with their places. `Debug` prints the same text as
/// `Display`, so that `unwrap()` in a build script reads well.
pub struct Error {
    report: Box<Report>,
    sources: Vec<PathBuf>,
    /// Empty modules, as Rust, with the names that the code would have.
    modules: String,
}

impl Error {
    /// All errors and warnings.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Every file that was read.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// An error with these diagnostics, and the files that were read.
    pub(crate) fn new(report: Report, sources: Vec<PathBuf>) -> Self {
        Self { report: Box::new(report), sources, modules: String::new() }
    }

    /// The error with the modules that there would be without it.
    pub(crate) fn with_modules(self, modules: String) -> Self {
        Self { modules, ..self }
    }

    /// Empty modules with the names that the code would have, as far as the files could be read. For the attribute macro:
    /// rustc then reports no missing modules.
    #[doc(hidden)]
    pub fn modules(&self) -> &str {
        &self.modules
    }

    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::new(Report::new(Sources::default(), vec![Diagnostic::without_place(text)]), Vec::new())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text starts on a new line: `main` prints `Error: ` before it.
        write!(f, "the Thrift IDL has errors\n\n{}", self.report)
    }
}

impl std::error::Error for Error {}
