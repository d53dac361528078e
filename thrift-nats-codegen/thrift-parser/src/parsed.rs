//! The result of a parse.

use crate::gap::Gap;
use crate::syntax::Document;
use crate::syntax_error::SyntaxError;

/// The result of [`parse`](crate::parse).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// Everything that could be read; the whole file if `errors` is empty. A definition with an error in one of its
    /// members contains its other members.
    pub document: Document,
    /// Every independent syntax error, in source order.
    pub errors: Vec<SyntaxError>,
    /// The parts of the text that could not be read, in source order. Empty if `errors` is empty. An error inside one
    /// token, such as an integer that does not fit in 64 bits, leaves no gap.
    pub gaps: Vec<Gap>,
}
