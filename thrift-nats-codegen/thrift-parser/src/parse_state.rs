//! The state that the parser and its recovery share.

use crate::builder::Builder;
use crate::compact_source::CompactSource;
use crate::diagnostic::explain;
use crate::mismatch::Mismatch;
use crate::parsed::Parsed;

/// The result so far.
#[derive(Debug)]
pub(crate) struct ParseState<'s> {
    pub(crate) source: &'s str,
    pub(crate) compact: &'s CompactSource,
    pub(crate) builder: Builder<'s>,
    pub(crate) parsed: Parsed,
    /// The number of braces that errors left open. Each may still be closed.
    pub(crate) left_open: usize,
}

impl<'s> ParseState<'s> {
    pub(crate) fn new(source: &'s str, compact: &'s CompactSource) -> Self {
        let builder = Builder::new(source, compact);
        Self { source, compact, builder, parsed: Parsed::default(), left_open: 0 }
    }

    pub(crate) fn report(&mut self, mismatch: &Mismatch) {
        // At the end of a code that the scan cut short, the reason for the cut is reported instead.
        if mismatch.at < self.compact.code.len() || self.compact.stop.is_none() {
            self.parsed.errors.push(explain(self.source, self.compact, mismatch));
        }
    }

    /// Whether the token at `at` is the first of its line.
    pub(crate) fn starts_line(&self, at: usize) -> bool {
        self.compact.starts_line(self.source, at)
    }

    pub(crate) fn finish(self) -> Parsed {
        let mut parsed = self.parsed;
        parsed.errors.extend(self.builder.errors);
        parsed.document.legacy = self.builder.legacy;
        parsed
    }
}
