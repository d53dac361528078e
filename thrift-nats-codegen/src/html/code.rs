//! Lines of IDL on a page: text, parts of which link to definitions.
//!
//! This module holds plain text only. The templates escape it.

/// A link to a page, or to a definition on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) href: String,
    pub(super) text: String,
}

/// A piece of [`Code`].
#[derive(Debug)]
pub(super) struct Span {
    /// The target of the piece's link, if it has one.
    pub(super) href: Option<String>,
    pub(super) text: String,
}

/// IDL with links, such as a type, a signature or the value of a constant.
#[derive(Debug, Default)]
pub(super) struct Code(Vec<Span>);

impl Code {
    pub(super) fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Appends text without a link.
    pub(super) fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Span { href: None, text: last }) => last.push_str(text),
            _ => self.0.push(Span { href: None, text: text.to_owned() }),
        }
    }

    /// Appends text with a link.
    pub(super) fn link(&mut self, Link { href, text }: Link) {
        self.0.push(Span { href: Some(href), text });
    }
}
