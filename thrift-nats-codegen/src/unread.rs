//! The parts of a file that could not be read. They may define any name that is missing elsewhere, so that the checker does
//! not report errors that only follow from another.

use std::collections::HashSet;

use thrift_parser::Gap;
use thrift_parser::syntax::{Definition, Span};

/// The first words of definitions, which have a name, and of includes, which have a path.
const KEYWORDS: [&str; 8] =
    ["struct", "union", "exception", "enum", "typedef", "const", "service", "include"];

/// The parts of a file that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// The places with missing code, in source order.
    gaps: Vec<Span>,
    /// The names that may be defined there.
    names: HashSet<String>,
    /// The names of members that known definitions may have there.
    members: HashSet<String>,
    /// The members there that have no name.
    nameless_members: Vec<Span>,
    /// The keywords of definitions that have no name there, and of includes that have no path.
    nameless: Vec<&'static str>,
    /// The places of all mistakes in the text, in source order.
    mistakes: Vec<Span>,
}

impl Unread {
    pub(crate) fn new(text: &str, gaps: Vec<Gap>, definitions: &[Definition], mistakes: Vec<Span>) -> Self {
        let spans = gaps.iter().map(|gap| gap.span).collect();
        let is_within = |gap: &Gap| {
            let before = definitions.partition_point(|definition| definition.span().start <= gap.span.start);
            before > 0 && gap.span.start < definitions[before - 1].span().end
        };
        let (members, others): (Vec<Gap>, Vec<Gap>) = gaps.into_iter().partition(is_within);
        let nameless = |gaps: &[Gap]| -> Vec<Span> {
            gaps.iter().filter(|gap| gap.is_nameless).map(|gap| gap.span).collect()
        };
        let nameless_members = nameless(&members);
        let keyword = |span: Span| KEYWORDS.into_iter().find(|word| text[span.range()].starts_with(word));
        let nameless = nameless(&others).into_iter().filter_map(keyword).collect();
        let names =
            |gaps: Vec<Gap>| gaps.into_iter().flat_map(|gap| gap.names).map(|name| name.text).collect();
        Self {
            gaps: spans,
            names: names(others),
            members: names(members),
            nameless_members,
            nameless,
            mistakes,
        }
    }

    /// Whether all of the file could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Whether `name` may be defined in a part that could not be read.
    pub(crate) fn may_define(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether a part of the definition at this place could not be read.
    pub(crate) fn is_missing_in(&self, span: Span) -> bool {
        touches(&self.gaps, span)
    }

    /// Whether the definition at this place may have a member `name` that could not be read.
    pub(crate) fn may_name_member(&self, span: Span, name: &str) -> bool {
        touches(&self.nameless_members, span) || self.members.contains(name) && self.is_missing_in(span)
    }

    /// Whether a definition with one of these keywords has no name. Any unknown name may be its.
    pub(crate) fn lacks_name_of(&self, keywords: &[&str]) -> bool {
        self.nameless.iter().any(|keyword| keywords.contains(keyword))
    }

    /// Whether there is a mistake at this place, so that the value is not known.
    pub(crate) fn is_mistaken(&self, span: Span) -> bool {
        touches(&self.mistakes, span)
    }
}

/// Whether one of these spans, which are sorted, starts within another.
fn touches(sorted: &[Span], span: Span) -> bool {
    let before = sorted.partition_point(|other| other.start < span.start);
    sorted.get(before).is_some_and(|other| other.start < span.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_within_each_span_around_it() {
        let unread = Unread::new("", Vec::new(), &[], vec![Span::new(3, 4), Span::new(10, 12)]);
        assert!(unread.is_mistaken(Span::new(0, 20)) && unread.is_mistaken(Span::new(10, 12)));
        assert!(!unread.is_mistaken(Span::new(4, 10)) && !unread.is_mistaken(Span::new(0, 3)));
    }
}
