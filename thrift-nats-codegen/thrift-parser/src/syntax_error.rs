//! The public error of the parser.

use std::fmt;

use crate::syntax::Span;

/// A syntax error, as a diagnostic with a place.
///
/// `Display` prints the message only. It has the style of rustc: lower case, without a full stop.
///
/// ```
/// let parsed = thrift_parser::parse("struct Point { 1: i32 }");
/// let error = &parsed.errors[0];
/// assert_eq!(error.to_string(), "expected a field name, found `}`");
/// assert_eq!(error.span.range(), 22..23);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyntaxError {
    /// The message: one line.
    pub message: String,
    /// A few words to print next to the caret. May be empty.
    pub label: String,
    /// The place of the error. May be empty, at the end of the line or the file.
    pub span: Span,
    /// A proposal to fix it, if one is known.
    pub help: Option<String>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

impl SyntaxError {
    pub(crate) fn new(message: impl Into<String>, label: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), label: label.into(), span, help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
