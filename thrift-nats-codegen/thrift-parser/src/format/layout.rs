//! What is printed, before it is known where its lines break: no more of a document than its tokens, brackets and comments.

/// A document: its headers and definitions, and the comments behind the last.
#[derive(Debug)]
pub(crate) struct Layout<'s> {
    pub(crate) items: Vec<Item<'s>>,
    pub(crate) at_end: Vec<Remark<'s>>,
}

/// A header or definition.
#[derive(Debug)]
pub(crate) struct Item<'s> {
    pub(crate) is_header: bool,
    pub(crate) entry: Entry<'s>,
}

/// A comment, and how it stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remark<'s> {
    pub(crate) text: &'s str,
    /// Whether it runs to the end of the line.
    pub(crate) is_line: bool,
    /// How many lines end between it and what stands before it.
    pub(crate) breaks_before: usize,
    /// Whether its line ends between it and what stands behind it.
    pub(crate) breaks_behind: bool,
    /// With how many blanks its line starts, if there is nothing else before it.
    pub(crate) indent: Option<usize>,
}

impl Remark<'_> {
    /// Whether an empty line stands before it.
    pub(crate) const fn is_apart(&self) -> bool {
        self.breaks_before > 1
    }
}

/// What is printed on a line of its own, or in one line with its siblings.
#[derive(Debug, Default)]
pub(crate) struct Entry<'s> {
    /// Comments before it.
    pub(crate) above: Vec<Remark<'s>>,
    /// Whether an empty line stands between those, or what is before it, and itself.
    pub(crate) is_apart: bool,
    /// The last is no line comment.
    pub(crate) pieces: Vec<Piece<'s>>,
    /// Comments behind it on its line: only the last runs to the end of the line.
    pub(crate) behind: Vec<Remark<'s>>,
    /// Whether a separator ended it that a comment stands before.
    pub(crate) keeps_separator: bool,
}

/// A part of an entry.
#[derive(Debug)]
pub(crate) struct Piece<'s> {
    /// Whether a blank stands before it.
    pub(crate) spaced: bool,
    pub(crate) kind: PieceKind<'s>,
}

#[derive(Debug)]
pub(crate) enum PieceKind<'s> {
    Token(&'s str),
    Remark(Remark<'s>),
    Group(Group<'s>),
}

/// Entries between brackets.
#[derive(Debug)]
pub(crate) struct Group<'s> {
    pub(crate) kind: GroupKind,
    pub(crate) open: &'s str,
    pub(crate) close: &'s str,
    /// Comments behind the opening bracket on its line.
    pub(crate) behind_open: Vec<Remark<'s>>,
    pub(crate) entries: Vec<Entry<'s>>,
    /// Comments before the closing bracket.
    pub(crate) before_close: Vec<Remark<'s>>,
    /// How wide it is on one line; `None` if it must not be on one line.
    pub(crate) width: Option<usize>,
    /// Whether it stands within a type: there it breaks only if it must.
    pub(crate) is_in_type: bool,
}

/// The kinds of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    /// Of a struct, union, exception or service: never on one line.
    Body,
    /// Of an enum, with blanks inside.
    Enum,
    /// Of a list or map.
    Value,
    /// Of arguments, `throws` and annotations.
    Round,
    /// Of `xsd_attrs`, with blanks inside.
    XsdAttrs,
}

impl GroupKind {
    /// What stands between a bracket and an entry on one line.
    pub(crate) const fn padding(self) -> &'static str {
        match self {
            Self::Enum | Self::XsdAttrs | Self::Body => " ",
            Self::Value | Self::Round => "",
        }
    }

    /// Whether it stays on more than one line if its first entry is not on the line of the opening bracket.
    pub(crate) const fn keeps_break(self) -> bool {
        match self {
            Self::Enum | Self::Value => true,
            Self::Body | Self::Round | Self::XsdAttrs => false,
        }
    }
}

impl Group<'_> {
    /// The width on one line, if it is never on more.
    pub(crate) fn fixed_width(&self) -> Option<usize> {
        self.width.filter(|_| self.is_in_type || self.entries.is_empty())
    }

    /// The width on one line, for [`Group::width`]; `breaks` tells whether the first entry starts a line of its own.
    pub(crate) fn one_line_width(&self, breaks: bool) -> Option<usize> {
        let is_empty = self.entries.is_empty();
        if !self.behind_open.is_empty()
            || !self.before_close.is_empty()
            || (!is_empty && self.kind == GroupKind::Body)
            || (breaks && self.kind.keeps_break())
        {
            return None;
        }
        let mut width = self.open.len() + self.close.len();
        if !is_empty {
            // Between two entries stands `, `.
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
        if !self.above.is_empty() || !self.behind.is_empty() {
            return None;
        }
        self.pieces.iter().map(Piece::one_line_width).sum()
    }
}

impl Piece<'_> {
    /// Its width on one line, the blank before it included; `None` if it must not be on one line with its siblings.
    fn one_line_width(&self) -> Option<usize> {
        let width = match &self.kind {
            PieceKind::Token(text) => Some(width_of(text)),
            PieceKind::Remark(_) => None,
            PieceKind::Group(group) => group.width,
        }?;
        Some(width + usize::from(self.spaced))
    }
}

/// How many columns a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    text.chars().count()
}
