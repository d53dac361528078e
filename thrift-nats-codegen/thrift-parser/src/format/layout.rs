//! The layout: the tokens, brackets and comments of a document, before line breaks are chosen.

/// The headers and definitions of a document, and the comments after the last one.
#[derive(Debug)]
pub(crate) struct Layout<'s> {
    pub(crate) items: Vec<Item<'s>>,
    pub(crate) at_end: Vec<PlacedComment<'s>>,
}

/// A header or definition.
#[derive(Debug)]
pub(crate) struct Item<'s> {
    pub(crate) is_header: bool,
    pub(crate) entry: Entry<'s>,
}

/// A comment, with its position relative to the code around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedComment<'s> {
    pub(crate) text: &'s str,
    /// Whether it extends to the end of the line: `//` or `#`.
    pub(crate) is_line: bool,
    /// The number of line breaks between it and the token or comment before it.
    pub(crate) breaks_before: usize,
    /// Whether a line break is between it and the next token or comment.
    pub(crate) breaks_after: bool,
    /// The indentation of its line, if it is the first in it.
    pub(crate) indent: Option<usize>,
}

impl PlacedComment<'_> {
    /// Whether an empty line is before it.
    pub(crate) const fn after_empty_line(&self) -> bool {
        self.breaks_before > 1
    }
}

/// A field, function, value or the like: a separate line, or part of a line with its siblings.
#[derive(Debug, Default)]
pub(crate) struct Entry<'s> {
    /// The comments before it.
    pub(crate) leading: Vec<PlacedComment<'s>>,
    /// Whether an empty line is directly before it, after any leading comments.
    pub(crate) after_empty_line: bool,
    /// The last piece is not a line comment.
    pub(crate) pieces: Vec<Piece<'s>>,
    /// The comments after it on its line. Only the last one may be a line comment.
    pub(crate) trailing: Vec<PlacedComment<'s>>,
    /// Whether it had a separator with a comment before it.
    pub(crate) keeps_separator: bool,
}

#[derive(Debug)]
pub(crate) struct Piece<'s> {
    /// Whether a space is before it.
    pub(crate) spaced: bool,
    pub(crate) kind: PieceKind<'s>,
}

#[derive(Debug)]
pub(crate) enum PieceKind<'s> {
    Token(&'s str),
    Comment(PlacedComment<'s>),
    Group(Group<'s>),
}

/// Brackets and the entries between them.
#[derive(Debug)]
pub(crate) struct Group<'s> {
    pub(crate) kind: GroupKind,
    pub(crate) open: &'s str,
    pub(crate) close: &'s str,
    /// The comments after the opening bracket on its line.
    pub(crate) after_open: Vec<PlacedComment<'s>>,
    pub(crate) entries: Vec<Entry<'s>>,
    /// The comments before the closing bracket.
    pub(crate) before_close: Vec<PlacedComment<'s>>,
    /// The width on one line; `None` if it needs more than one line.
    pub(crate) width: Option<usize>,
    /// Whether it is part of a type. There it is broken only if it contains a comment.
    pub(crate) is_in_type: bool,
}

/// The kinds of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    /// The body of a struct, union, exception or service: never on one line.
    Body,
    /// The body of an enum, with spaces inside on one line.
    Enum,
    /// The brackets of a list or map.
    Value,
    /// The parentheses of arguments, `throws` and annotations.
    Round,
    /// The braces of `xsd_attrs`, with spaces inside on one line.
    XsdAttrs,
}

impl GroupKind {
    /// The text between a bracket and an entry on one line.
    pub(crate) const fn padding(self) -> &'static str {
        match self {
            Self::Enum | Self::XsdAttrs | Self::Body => " ",
            Self::Value | Self::Round => "",
        }
    }

    /// Whether it stays on several lines if the source has a line break after the opening bracket.
    pub(crate) const fn keeps_break(self) -> bool {
        match self {
            Self::Enum | Self::Value => true,
            Self::Body | Self::Round | Self::XsdAttrs => false,
        }
    }
}

impl Group<'_> {
    /// The width, if it can only be on one line.
    pub(crate) fn fixed_width(&self) -> Option<usize> {
        self.width.filter(|_| self.is_in_type || self.entries.is_empty())
    }

    /// The width on one line, for [`Group::width`]. `breaks` says whether the first entry starts on a new line.
    pub(crate) fn one_line_width(&self, breaks: bool) -> Option<usize> {
        let is_empty = self.entries.is_empty();
        if !self.after_open.is_empty()
            || !self.before_close.is_empty()
            || (!is_empty && self.kind == GroupKind::Body)
            || (breaks && self.kind.keeps_break())
        {
            return None;
        }
        let mut width = self.open.len() + self.close.len();
        if !is_empty {
            // `, ` is between two entries.
            width += 2 * self.kind.padding().len() + 2 * (self.entries.len() - 1);
        }
        for entry in &self.entries {
            width += entry.one_line_width()?;
        }
        Some(width)
    }
}

impl Entry<'_> {
    fn one_line_width(&self) -> Option<usize> {
        if !self.leading.is_empty() || !self.trailing.is_empty() {
            return None;
        }
        self.pieces.iter().map(Piece::one_line_width).sum()
    }
}

impl Piece<'_> {
    /// The width on one line, with the space before it; `None` if the entry needs a separate line.
    fn one_line_width(&self) -> Option<usize> {
        let width = match &self.kind {
            PieceKind::Token(text) => Some(width_of(text)),
            PieceKind::Comment(_) => None,
            PieceKind::Group(group) => group.width,
        }?;
        Some(width + usize::from(self.spaced))
    }
}

/// The number of columns of a text.
pub(crate) fn width_of(text: &str) -> usize {
    text.chars().count()
}
