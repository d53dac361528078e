//! Tokens as one text, with the end of each.

use std::fmt::Write;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Tokens as one text. The tokens themselves, each of which allocates, are dropped on the way.
pub(super) struct Flat {
    pub(super) text: String,
    pub(super) tokens: Vec<FlatToken>,
    /// The number of tokens and brackets on the outermost level.
    pub(super) top: usize,
}

#[derive(Clone, Copy)]
pub(super) enum FlatToken {
    /// The end of its text, which starts at the end of the token before.
    Text(usize),
    /// The number of tokens and brackets in it.
    Open(Delimiter, usize),
    Close,
}

impl Flat {
    pub(super) fn new(tokens: TokenStream) -> Self {
        // Enough for most definitions.
        let mut flat = Self { text: String::with_capacity(4096), tokens: Vec::with_capacity(1024), top: 0 };
        flat.top = flat.push(tokens);
        flat
    }

    /// Adds tokens, and returns their number on this level.
    fn push(&mut self, tokens: TokenStream) -> usize {
        let mut count = 0;
        // Whether the last token and the next belong together.
        let mut joint = false;
        for token in tokens {
            // One too many for a token that comes as two. The count is only a capacity.
            count += 1;
            match token {
                TokenTree::Punct(punct) => {
                    self.punct(punct.as_char(), joint);
                    joint = punct.spacing() == Spacing::Joint;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    // A lifetime comes in two.
                    if joint && self.text.ends_with('\'') {
                        self.tokens.pop();
                    }
                    // Writing to a `String` cannot fail.
                    let _ = write!(self.text, "{ident}");
                    self.tokens.push(FlatToken::Text(self.text.len()));
                }
                TokenTree::Literal(literal) => {
                    let _ = write!(self.text, "{literal}");
                    self.tokens.push(FlatToken::Text(self.text.len()));
                }
                TokenTree::Group(group) => {
                    let (delimiter, inner) = (group.delimiter(), group.stream());
                    // A stream that is shared would be copied by the loop.
                    drop(group);
                    if delimiter == Delimiter::None {
                        count += self.push(inner);
                    } else {
                        let open = self.tokens.len();
                        self.tokens.push(FlatToken::Open(delimiter, 0));
                        self.tokens[open] = FlatToken::Open(delimiter, self.push(inner));
                        self.tokens.push(FlatToken::Close);
                    }
                }
            }
            joint = false;
        }
        count
    }

    fn punct(&mut self, punct: char, joint: bool) {
        self.text.push(punct);
        if joint
            && let Some(FlatToken::Text(end)) = self.tokens.last_mut()
            && matches!(&self.text[*end - 1..], "::" | "->" | "=>" | "==" | "!=" | ".." | "||")
        {
            *end = self.text.len();
        } else {
            self.tokens.push(FlatToken::Text(self.text.len()));
        }
    }
}
