//! The nesting of brackets, and the spaces between tokens.

use std::borrow::Cow;

use proc_macro2::Delimiter;

use super::flat::{Flat, FlatToken};

/// A token, or a pair of brackets with its content.
#[derive(Debug)]
pub(super) enum Tree<'s> {
    /// A word, an operator or a literal, and whether a space comes before it.
    Token {
        text: &'s str,
        space: bool,
    },
    /// `#[doc = "…"]`: the text of the comment.
    Doc(Cow<'s, str>),
    /// `#[…]`: the content of the brackets.
    Attribute(Vec<Self>),
    Group(Group<'s>),
}

#[derive(Debug)]
pub(super) struct Group<'s> {
    pub(super) delimiter: Delimiter,
    pub(super) trees: Vec<Tree<'s>>,
    pub(super) space: bool,
    /// Whether it is on separate lines regardless of its contents.
    pub(super) broken: bool,
    pub(super) list: List,
}

/// The entries of a list, and the separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Items or statements: nothing, or `;`, which is theirs.
    Items,
    /// Commas.
    Commas,
}

/// Words before a brace that make it a body, which is on separate lines.
fn is_body(word: &str) -> bool {
    matches!(word, "struct" | "enum" | "impl" | "trait" | "mod" | "fn" | "match" | "if")
}

/// Words with a space after them, also before a path or a bracket.
fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "as" | "async"
            | "const"
            | "dyn"
            | "else"
            | "enum"
            | "fn"
            | "for"
            | "if"
            | "impl"
            | "in"
            | "let"
            | "match"
            | "move"
            | "mut"
            | "pub"
            | "return"
            | "static"
            | "type"
    )
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '\'')
        || text.starts_with("b\"")
}

/// The trees of flat tokens.
pub(super) fn trees(flat: &Flat) -> Vec<Tree<'_>> {
    Reader { text: &flat.text, at: 0, tokens: flat.tokens.iter() }.trees(flat.top)
}

/// The tokens that are left to read.
struct Reader<'s> {
    text: &'s str,
    at: usize,
    tokens: std::slice::Iter<'s, FlatToken>,
}

impl<'s> Reader<'s> {
    /// The trees up to the bracket that closes them, or to the end; `count` is an estimate of their number.
    fn trees(&mut self, count: usize) -> Vec<Tree<'s>> {
        let mut builder = Builder { trees: Vec::with_capacity(count), ..Builder::default() };
        while let Some(token) = self.tokens.next() {
            match *token {
                FlatToken::Text(end) => {
                    let text = &self.text[self.at..end];
                    self.at = end;
                    if text == "#" {
                        let Some(FlatToken::Open(_, count)) = self.tokens.next() else {
                            unreachable!("`#` begins an attribute")
                        };
                        builder.attribute(self.trees(*count));
                    } else {
                        builder.token(text);
                    }
                }
                FlatToken::Open(delimiter, count) => {
                    let trees = self.trees(count);
                    builder.group(delimiter, trees);
                }
                FlatToken::Close => break,
            }
        }
        builder.trees
    }
}

/// The trees so far, and the state that decides about the space before the next.
#[derive(Default)]
struct Builder<'s> {
    trees: Vec<Tree<'s>>,
    /// The last token. Empty at the start, and `)` after any group.
    last: &'s str,
    /// For each `<` that is open: whether it follows `impl`.
    angles: Vec<bool>,
    /// Whether the last `>` closed one that follows `impl`.
    closed_impl: bool,
    /// Whether a `|` is open.
    in_pipes: bool,
    /// The word of a body in this entry.
    body: Option<&'s str>,
}

impl<'s> Builder<'s> {
    fn attribute(&mut self, inner: Vec<Tree<'s>>) {
        let doc = match inner.as_slice() {
            [Tree::Token { text: "doc", .. }, Tree::Token { text: "=", .. }, Tree::Token { text, .. }] => {
                doc_text(text)
            }
            _ => None,
        };
        self.trees.push(doc.map_or(Tree::Attribute(inner), Tree::Doc));
        self.last = "";
    }

    fn token(&mut self, text: &'s str) {
        let space = self.space_before(text);
        match text {
            "<" => self.angles.push(self.last == "impl"),
            ">" => self.closed_impl = self.angles.pop().unwrap_or(false),
            "|" => self.in_pipes = !self.in_pipes,
            // A comma within `<…>` ends nothing.
            ";" | "," | "=>" if self.angles.is_empty() => self.body = None,
            // `impl Trait` in a signature is not an `impl`; a `fn` in an `impl` has its own body.
            word if is_body(word) && self.body.is_none_or(|before| before == "impl" && word == "fn") => {
                self.body = Some(word);
            }
            _ => {}
        }
        self.last = text;
        self.trees.push(Tree::Token { text, space });
    }

    fn space_before(&self, text: &str) -> bool {
        let last = self.last;
        match last {
            "" | "." | "::" | "!" | "&" | "*" | "-" | ".." | "<" => return false,
            "|" if self.in_pipes => return false,
            _ => {}
        }
        match text {
            "," | ";" | "." | "?" | ":" | ">" => false,
            "|" => !self.in_pipes,
            "!" => is_keyword(last) || !is_word(last),
            "<" => is_keyword(last) && last != "impl" || !is_word(last) && last != ">",
            "::" => match last {
                ">" => self.closed_impl,
                ")" => false,
                _ => is_keyword(last) || !is_word(last),
            },
            _ => true,
        }
    }

    fn group(&mut self, delimiter: Delimiter, trees: Vec<Tree<'s>>) {
        let last = self.last;
        let is_brace = delimiter == Delimiter::Brace;
        let glued = match last {
            "" | "." | "::" | "!" | "&" | "*" | "-" | ".." | "<" => true,
            "|" => self.in_pipes,
            ">" | ")" => delimiter == Delimiter::Parenthesis,
            _ => delimiter == Delimiter::Parenthesis && is_word(last) && !is_keyword(last),
        };
        let semicolon = trees.iter().any(|tree| matches!(tree, Tree::Token { text: ";", .. }));
        let list = match self.body {
            _ if !is_brace => List::Commas,
            Some("struct" | "enum" | "match") => List::Commas,
            Some(_) => List::Items,
            None if semicolon => List::Items,
            // A block with an expression, as opposed to the fields of a value.
            None if matches!(last, "move" | "async" | "|" | "||" | "=>") => List::Items,
            None => List::Commas,
        };
        let inner = trees.iter().any(|tree| match tree {
            Tree::Doc(_) | Tree::Attribute(_) => true,
            Tree::Group(group) => group.broken,
            Tree::Token { .. } => false,
        });
        let broken =
            is_brace && !trees.is_empty() && (self.body.is_some() || last == "=>" || semicolon || inner)
                || inner;
        if is_brace {
            self.body = None;
        }
        self.trees.push(Tree::Group(Group { delimiter, trees, space: !glued, broken, list }));
        self.last = ")";
    }
}

/// The text of a literal, if it is a string of one line.
fn doc_text(literal: &str) -> Option<Cow<'_, str>> {
    let plain = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(plain) = plain.filter(|text| !text.contains(['\\', '\n'])) {
        return Some(Cow::Borrowed(plain));
    }
    let text = syn::parse_str::<syn::LitStr>(literal).ok()?.value();
    (!text.contains('\n')).then_some(Cow::Owned(text))
}
