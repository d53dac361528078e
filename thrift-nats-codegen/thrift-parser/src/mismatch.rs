//! A place where the grammar does not match.

use pest::error::{Error, InputLocation};

use crate::compact_source::CompactSource;
use crate::grammar::Rule;
use crate::parse_tree::ParseTree;

/// A place where the grammar does not match.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The offset in the code.
    pub(crate) at: usize,
    pub(crate) error: Box<Error<Rule>>,
}

impl Mismatch {
    /// The mismatch that `error` reports for the code between `start` and `end`; `None` if it may be due to `end` only.
    pub(crate) fn new(compact: &CompactSource, error: Error<Rule>, start: usize, end: usize) -> Option<Self> {
        let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
        let at = start + offset;
        (at < end || end == compact.code.len()).then(|| Self { at, error: Box::new(error) })
    }

    /// The reason why `rule` does not match at `start`; `None` if that cannot be told from the code before `end`.
    pub(crate) fn of_rule(compact: &CompactSource, rule: Rule, start: usize, end: usize) -> Option<Self> {
        let error = ParseTree::parse(rule, &compact.code[start..end]);
        Self::new(compact, error.expect_err("the caller has seen that the rule does not match"), start, end)
    }
}
