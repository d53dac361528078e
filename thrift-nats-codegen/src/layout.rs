//! Rust tokens as text that is laid out for people, in the manner of rustfmt.
//!
//! It knows the Rust that this crate emits, and no more: items, statements, calls, paths and types, but no operators besides
//! `=`, `+`, `!=` and prefixes. What is printed are the tokens that came, and trailing commas. Tests hold it to that. A printer
//! for all of Rust wants a syntax tree first, which takes longer than all the rest of the generator.

use std::borrow::Cow;
use std::fmt::Write;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The width that lines are kept to, where they can be broken.
const WIDTH: usize = 100;
const BLANKS: &str = "                                ";

/// Items that have been laid out.
pub(crate) struct Piece {
    text: String,
    /// Whether the first of them, and the last, stand apart; `None` without any.
    ends: Option<(bool, bool)>,
}

impl Piece {
    /// Lays items out that stand in this many modules.
    pub(crate) fn new(tokens: TokenStream, depth: usize) -> Self {
        let flat = Flat::new(tokens);
        let trees = flat.trees();
        let mut printer = Printer { text: String::with_capacity(2 * flat.text.len()), start: 0 };
        let mut last = None;
        printer.entries(&trees, 4 * depth, List::Items, &mut last);
        let first = split(&trees, List::Items).first().is_some_and(|entry| is_tall(entry));
        Self { text: printer.text, ends: last.map(|last| (first, last)) }
    }
}

/// A file that is laid out bit by bit: what has been laid out needs no tokens any more.
pub(crate) struct File {
    printer: Printer,
    /// For each module that is open, and the file: whether what came last in it stands apart; `None` at its start.
    open: Vec<Option<bool>>,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { printer: Printer { text: String::new(), start: 0 }, open: vec![None] }
    }

    fn indent(&self) -> usize {
        4 * self.depth()
    }

    /// Items in the module that is open.
    pub(crate) fn items(&mut self, piece: &Piece) {
        let Some((first, last)) = piece.ends else { return };
        let before = self.open.last_mut().expect("the file itself is never closed").replace(last);
        let text = &mut self.printer.text;
        if !text.is_empty() {
            text.push('\n');
        }
        if before.is_some_and(|before| before || first) {
            text.push('\n');
        }
        text.push_str(&piece.text);
    }

    /// How many modules are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len() - 1
    }

    /// Opens a module: `header` is all that stands before its brace.
    pub(crate) fn open(&mut self, header: TokenStream) {
        let indent = self.indent();
        let last = self.open.last_mut().expect("the file itself is never closed");
        if last.replace(true).is_some() {
            self.printer.text.push('\n');
        }
        let flat = Flat::new(header);
        self.printer.entry(&flat.trees(), indent);
        self.printer.text.push_str(" {");
        self.open.push(None);
    }

    /// Closes the module that is open.
    pub(crate) fn close(&mut self) {
        self.open.pop();
        let indent = self.indent();
        self.printer.line(indent);
        self.printer.text.push('}');
    }

    pub(crate) fn text(self) -> String {
        self.printer.text
    }
}

/// Tokens as text, one behind the other: the tokens themselves, each with memory of its own, are gone by then.
struct Flat {
    text: String,
    tokens: Vec<FlatToken>,
    /// How many tokens and brackets are in no other.
    top: usize,
}

#[derive(Clone, Copy)]
enum FlatToken {
    /// Where its text ends; it starts where that of the one before it ends.
    Text(usize),
    /// How many tokens and brackets stand in it.
    Open(Delimiter, usize),
    Close,
}

impl Flat {
    fn new(tokens: TokenStream) -> Self {
        // What most definitions fit into.
        let mut flat = Self { text: String::with_capacity(4096), tokens: Vec::with_capacity(1024), top: 0 };
        flat.top = flat.push(tokens);
        flat
    }

    /// Adds tokens, and says how many stand beside each other.
    fn push(&mut self, tokens: TokenStream) -> usize {
        let mut count = 0;
        // Whether nothing is to stand between the last token and the next.
        let mut joint = false;
        for token in tokens {
            // One too many for what comes in two: it is for a capacity.
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
                    // What two hold is copied when it is taken apart.
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

    fn trees(&self) -> Vec<Tree<'_>> {
        Reader { text: &self.text, at: 0, tokens: self.tokens.iter() }.trees(self.top)
    }
}

/// A token, or what stands between two brackets.
#[derive(Debug)]
enum Tree<'s> {
    /// A word, an operator or a literal, and whether a space stands before it.
    Token {
        text: &'s str,
        space: bool,
    },
    /// `#[doc = "…"]`: the text of the comment.
    Doc(Cow<'s, str>),
    /// `#[…]`: what stands in the brackets.
    Attribute(Vec<Self>),
    Group(Group<'s>),
}

#[derive(Debug)]
struct Group<'s> {
    delimiter: Delimiter,
    trees: Vec<Tree<'s>>,
    space: bool,
    /// Whether it has lines of its own whatever it holds.
    broken: bool,
    list: List,
}

/// What a list is made of, and what stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// Items or statements: nothing, or `;`, which is theirs.
    Items,
    /// Commas.
    Commas,
}

/// Words before a brace that make it a body, with lines of its own.
fn is_body(word: &str) -> bool {
    matches!(word, "struct" | "enum" | "impl" | "trait" | "mod" | "fn" | "match" | "if")
}

/// Words behind which a path or a bracket stands apart.
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

/// What is left to read of the tokens.
struct Reader<'s> {
    text: &'s str,
    at: usize,
    tokens: std::slice::Iter<'s, FlatToken>,
}

impl<'s> Reader<'s> {
    /// The trees up to the bracket that closes them, or to the end: about so many.
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

/// Trees so far, and what of them decides about the space before the next.
#[derive(Default)]
struct Builder<'s> {
    trees: Vec<Tree<'s>>,
    /// The last token; empty at the start, `)` behind any group.
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
            // `impl Trait` in a signature is none; `fn` in an `impl` has a body of its own.
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

/// What a literal says, if it is a string that fits on a line.
fn doc_text(literal: &str) -> Option<Cow<'_, str>> {
    let plain = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(plain) = plain.filter(|text| !text.contains(['\\', '\n'])) {
        return Some(Cow::Borrowed(plain));
    }
    let text = syn::parse_str::<syn::LitStr>(literal).ok()?.value();
    (!text.contains('\n')).then_some(Cow::Owned(text))
}

/// The text of trees on one line.
fn flat(trees: &[Tree<'_>], text: &mut String) {
    for tree in trees {
        match tree {
            Tree::Token { text: token, space } => {
                if *space {
                    text.push(' ');
                }
                text.push_str(token);
            }
            Tree::Doc(_) | Tree::Attribute(_) => unreachable!("what has one is broken"),
            Tree::Group(group) => {
                if group.space {
                    text.push(' ');
                }
                let (open, close) = brackets(group.delimiter);
                let pad =
                    if group.delimiter == Delimiter::Brace && !group.trees.is_empty() { " " } else { "" };
                text.push_str(open);
                text.push_str(pad);
                flat(without_last_comma(group), text);
                text.push_str(pad);
                text.push_str(close);
            }
        }
    }
}

/// What stands in a group, without a comma at its end; but where it is the only one, which makes a tuple of one.
fn without_last_comma<'t, 's>(group: &'t Group<'s>) -> &'t [Tree<'s>] {
    let is_comma = |tree: &Tree<'_>| matches!(tree, Tree::Token { text: ",", .. });
    match group.trees.split_last() {
        Some((last, rest))
            if is_comma(last) && (group.delimiter != Delimiter::Parenthesis || rest.iter().any(is_comma)) =>
        {
            rest
        }
        _ => &group.trees,
    }
}

const fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

struct Printer {
    text: String,
    /// Where the line was begun: no space stands there.
    start: usize,
}

impl Printer {
    fn line(&mut self, indent: usize) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let mut left = indent;
        while left > 0 {
            let some = left.min(BLANKS.len());
            self.text.push_str(&BLANKS[..some]);
            left -= some;
        }
    }

    /// How much of the line is taken.
    fn column(&self) -> usize {
        self.text.len() - self.text.rfind('\n').map_or(0, |at| at + 1)
    }

    /// Entries of a list, each on a line of its own.
    fn entries(&mut self, trees: &[Tree<'_>], indent: usize, list: List, before: &mut Option<bool>) {
        for entry in split(trees, list) {
            let tall = list == List::Items && is_tall(entry);
            // What has lines of its own stands apart.
            if before.is_some_and(|before| before || tall) && !is_statement(entry) {
                self.text.push('\n');
            }
            *before = Some(tall);
            self.entry(entry, indent);
            if list == List::Commas && !ends_in_body(entry) && !is_base(entry) {
                self.text.push(',');
            }
        }
    }

    fn entry(&mut self, mut entry: &[Tree<'_>], indent: usize) {
        loop {
            match entry.split_first() {
                Some((Tree::Doc(doc), rest)) => {
                    self.line(indent);
                    self.text.push_str("///");
                    self.text.push_str(doc);
                    entry = rest;
                }
                Some((Tree::Attribute(trees), rest)) => {
                    self.line(indent);
                    self.text.push('#');
                    let group = attribute_group(trees);
                    self.text.push_str(&group);
                    if self.column() > WIDTH {
                        self.text.truncate(self.text.len() - group.len());
                        self.broken_attribute(trees, indent);
                    }
                    entry = rest;
                }
                _ => break,
            }
        }
        self.line(indent);
        self.start = self.text.len();
        self.sequence(entry, indent);
    }

    /// `[allow(…)]`, a line for each part.
    fn broken_attribute(&mut self, trees: &[Tree<'_>], indent: usize) {
        self.text.push('[');
        self.start = self.text.len();
        self.sequence(trees, indent);
        self.text.push(']');
    }

    /// Tokens that go on the line that has been begun, and on as many more as they need.
    fn sequence(&mut self, trees: &[Tree<'_>], indent: usize) {
        let mut rest = trees;
        while !rest.is_empty() {
            let until = rest.iter().position(|tree| matches!(tree, Tree::Group(group) if group.broken));
            let (head, tail) = rest.split_at(until.unwrap_or(rest.len()));
            // The bracket that follows is on the same line.
            self.fit(head, indent, if until.is_some() { 2 } else { 1 });
            rest = match tail.split_first() {
                Some((Tree::Group(group), behind)) => {
                    self.broken(group, indent);
                    behind
                }
                _ => tail,
            };
        }
    }

    /// Trees on the line, as wide as they are.
    fn flat(&mut self, trees: &[Tree<'_>]) {
        let at = self.text.len();
        flat(trees, &mut self.text);
        if at == self.start && self.text[at..].starts_with(' ') {
            self.text.remove(at);
        }
    }

    /// Tokens without anything that has to have lines of its own; `more` columns follow them.
    fn fit(&mut self, trees: &[Tree<'_>], indent: usize, more: usize) {
        let start = self.text.len();
        self.flat(trees);
        if self.column() + more <= WIDTH {
            return;
        }
        self.text.truncate(start);
        // The last bracket before which everything fits is opened.
        let mut candidate = None;
        let mut text = String::new();
        for (index, tree) in trees.iter().enumerate() {
            if let Tree::Group(group) = tree
                && !group.trees.is_empty()
                && (candidate.is_none() || self.column() + text.len() < WIDTH)
            {
                candidate = Some((index, self.column() + text.len()));
            }
            flat(std::slice::from_ref(tree), &mut text);
        }
        let at = break_point(trees).filter(|at| *at > 0);
        if let Some((index, _)) = candidate.filter(|(_, column)| *column < WIDTH || at.is_none()) {
            self.flat(&trees[..index]);
            if let Tree::Group(group) = &trees[index] {
                self.broken(group, indent);
            }
            self.fit(&trees[index + 1..], indent, more);
            return;
        }
        // Else a bound or a value goes to a line of its own.
        let Some(at) = at else { return self.flat(trees) };
        self.flat(&trees[..at]);
        self.line(indent + 4);
        self.start = self.text.len();
        self.fit(&trees[at..], indent + 4, more);
    }

    /// A group with lines of its own.
    fn broken(&mut self, group: &Group<'_>, indent: usize) {
        let (open, close) = brackets(group.delimiter);
        if group.space && self.text.len() != self.start {
            self.text.push(' ');
        }
        self.text.push_str(open);
        if is_hugging(group) {
            self.start = self.text.len();
            self.sequence(without_last_comma(group), indent);
        } else {
            self.entries(&group.trees, indent + 4, group.list, &mut None);
            self.line(indent);
        }
        self.text.push_str(close);
    }
}

/// Whether a group holds nothing but something that ends in a group: that one is opened in its place.
fn is_hugging(group: &Group<'_>) -> bool {
    group.delimiter != Delimiter::Brace
        && matches!(split(&group.trees, group.list).as_slice(), [entry]
            if matches!(entry.last(), Some(Tree::Group(inner)) if !inner.trees.is_empty()))
        && !group.trees.iter().any(|tree| matches!(tree, Tree::Token { text: ",", .. }))
        // Behind a body, the last brackets are not where the eye looks.
        && !group.trees.iter().rev().skip(1).any(|tree| {
            matches!(tree, Tree::Group(inner) if inner.delimiter == Delimiter::Brace)
        })
}

/// Where a line may be broken that has no brackets to open: before the last `+`, or behind the last `=`.
fn break_point(trees: &[Tree<'_>]) -> Option<usize> {
    let mut angles = 0_usize;
    let mut found = None;
    for (index, tree) in trees.iter().enumerate() {
        match tree {
            Tree::Token { text: "<", .. } => angles += 1,
            Tree::Token { text: ">", .. } => angles = angles.saturating_sub(1),
            Tree::Token { text, .. } if angles == 0 && *text == "+" => found = Some(index),
            Tree::Token { text, .. } if angles == 0 && *text == "=" => found = Some(index + 1),
            _ => {}
        }
    }
    found
}

fn attribute_group(trees: &[Tree<'_>]) -> String {
    let mut text = String::from("[");
    flat(trees, &mut text);
    text.push(']');
    text
}

/// Whether an entry stands apart: it has a body, is an `impl` or a macro, or a function with documentation.
fn is_tall(entry: &[Tree<'_>]) -> bool {
    let documented = matches!(entry.first(), Some(Tree::Doc(_)));
    let first = entry.iter().find(|tree| matches!(tree, Tree::Token { .. }));
    if matches!(first, Some(Tree::Token { text: "impl" | "::", .. })) {
        return true;
    }
    entry.iter().any(|tree| match tree {
        Tree::Group(group) => group.broken,
        Tree::Token { text, .. } => documented && *text == "fn",
        Tree::Doc(_) | Tree::Attribute(_) => false,
    })
}

/// Whether an entry is a statement or expression rather than an item.
fn is_statement(entry: &[Tree<'_>]) -> bool {
    const ITEMS: [&str; 9] = ["pub", "impl", "fn", "struct", "enum", "trait", "mod", "const", "static"];
    match entry.iter().find(|tree| matches!(tree, Tree::Token { .. })) {
        Some(Tree::Token { text, .. }) => !ITEMS.contains(text) && *text != "::",
        _ => true,
    }
}

/// Whether an entry is `..base`, which no comma may follow.
fn is_base(entry: &[Tree<'_>]) -> bool {
    matches!(entry.first(), Some(Tree::Token { text: "..", .. }))
}

/// Whether an entry of a comma list needs no comma: the arm of a `match` with a body.
fn ends_in_body(entry: &[Tree<'_>]) -> bool {
    match entry {
        [.., Tree::Token { text: "=>", .. }, Tree::Group(group)] if group.trees.is_empty() => {
            group.delimiter == Delimiter::Brace
        }
        [.., Tree::Group(group)] => {
            group.broken && group.delimiter == Delimiter::Brace && group.list == List::Items
        }
        _ => false,
    }
}

/// The entries of a list, without the commas between them.
fn split<'t, 's>(trees: &'t [Tree<'s>], list: List) -> Vec<&'t [Tree<'s>]> {
    let mut entries = Vec::new();
    let mut start = 0;
    // Commas within `<…>` are part of a type.
    let mut angles = 0_usize;
    for (index, tree) in trees.iter().enumerate() {
        let next = trees.get(index + 1);
        match tree {
            Tree::Token { text: "<", .. } => angles += 1,
            Tree::Token { text: ">", .. } => angles = angles.saturating_sub(1),
            Tree::Token { text, .. } if list == List::Items && *text == ";" => {
                entries.push(&trees[start..=index]);
                start = index + 1;
            }
            Tree::Token { text, .. } if list == List::Commas && *text == "," && angles == 0 => {
                entries.push(&trees[start..index]);
                start = index + 1;
            }
            Tree::Group(group) if group.delimiter == Delimiter::Brace && angles == 0 => {
                let goes_on = match next {
                    Some(Tree::Token { text, .. }) => {
                        matches!(*text, "." | "?" | "," | ";" | "else" | "from")
                    }
                    Some(Tree::Group(_)) => list == List::Commas && !group.broken,
                    Some(Tree::Doc(_) | Tree::Attribute(_)) => false,
                    None => true,
                };
                let arm = index > start && matches!(trees[index - 1], Tree::Token { text: "=>", .. });
                let ends = group.broken || group.trees.is_empty() && (list == List::Items || arm);
                if ends && !goes_on && (list == List::Items || group.list == List::Items || group.broken) {
                    entries.push(&trees[start..=index]);
                    start = index + 1;
                }
            }
            _ => {}
        }
    }
    if start < trees.len() {
        entries.push(&trees[start..]);
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use quote::quote;

    use super::*;
    use crate::options::{Containers, Options};

    fn layout(tokens: TokenStream) -> String {
        let mut file = File::new();
        file.items(&Piece::new(tokens, 0));
        file.text()
    }

    #[test]
    fn what_fits_stays_on_a_line_and_bodies_have_their_own() {
        let text = layout(quote! {
            #[doc = " A point."]
            #[derive(Clone, Debug)]
            pub struct Point { pub x: i32, pub y: ::std::vec::Vec<(i32, &'static str)> }
            impl<T: Some> ::a::B for Point {
                const X: &'static [Self] = &[Self { x: -1 }];
                fn get(&mut self, other: &Point) -> Result<(), Error> {
                    let mut value = vec![1, (2, 3).0];
                    if !value.is_empty() { return Err(Error::new("a", *other)); }
                    match self.x { 1 => value.one()?, 2 => { value.two() } 3 => {} Self::X(_) => Self { ..other } }
                }
            }
            ::a::b!(Point, "x");
        });
        let wanted = "\
/// A point.
#[derive(Clone, Debug)]
pub struct Point {
    pub x: i32,
    pub y: ::std::vec::Vec<(i32, &'static str)>,
}

impl<T: Some> ::a::B for Point {
    const X: &'static [Self] = &[Self { x: -1 }];

    fn get(&mut self, other: &Point) -> Result<(), Error> {
        let mut value = vec![1, (2, 3).0];
        if !value.is_empty() {
            return Err(Error::new(\"a\", *other));
        }
        match self.x {
            1 => value.one()?,
            2 => {
                value.two()
            }
            3 => {}
            Self::X(_) => Self { ..other },
        }
    }
}

::a::b!(Point, \"x\");";
        assert_eq!(text, wanted);
    }

    #[test]
    fn what_does_not_fit_is_opened_at_its_last_bracket() {
        let text = layout(quote! {
            fn long(&self, first: ::some::rather::long::path::to::AType, second: ::another::rather::long::path) -> Out {
                self.client.call("a rather long literal", |field| match field.id { 1 => field.read(), _ => field.skip() })
            }
        });
        let wanted = "\
fn long(
    &self,
    first: ::some::rather::long::path::to::AType,
    second: ::another::rather::long::path,
) -> Out {
    self.client.call(
        \"a rather long literal\",
        |field| match field.id {
            1 => field.read(),
            _ => field.skip(),
        },
    )
}";
        assert_eq!(text, wanted);
    }

    /// The tokens, without the commas that are left out or put in.
    fn tokens(stream: TokenStream, found: &mut Vec<String>) {
        for token in stream {
            match token {
                TokenTree::Group(group) => {
                    found.push(format!("{:?}", group.delimiter()));
                    tokens(group.stream(), found);
                    found.push("end".to_owned());
                }
                TokenTree::Punct(punct) if punct.as_char() == ',' => {}
                other => found.push(other.to_string()),
            }
        }
    }

    #[track_caller]
    fn assert_is_its_tokens(options: &Options, path: &Path) {
        let (Some(()), ..) = crate::generate::emit(options, &[path.to_owned()], |emitter| {
            let text = emitter.program();
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let trailing = text.lines().find(|line| line.ends_with(' ') && !line.contains("///"));
            assert_eq!(trailing, None, "{}", path.display());
            for id in emitter.program.ids() {
                let code = emitter.item(id);
                let (mut before, mut after) = (Vec::new(), Vec::new());
                tokens(code.clone(), &mut before);
                tokens(layout(code).parse().unwrap(), &mut after);
                let differs = before.iter().zip(&after).position(|(one, other)| one != other);
                let around = |tokens: &[String], at: usize| tokens[at.saturating_sub(8)..=at].join(" ");
                let shown = differs.map(|at| (around(&before, at), around(&after, at)));
                assert!(differs.is_none() && before.len() == after.len(), "{}: {shown:?}", path.display());
            }
        }) else {
            return;
        };
    }

    #[test]
    fn the_text_is_the_tokens_that_came() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../idl");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_is_its_tokens(&Options::new(), &path);
            assert_is_its_tokens(
                &Options::new().containers(Containers::Hash).serde(true).client(false),
                &path,
            );
        }
    }

    #[test]
    fn the_text_of_the_corpus_is_the_tokens_that_came() {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/idl-corpus");
        let corpus = std::env::var_os("THRIFT_IDL_CORPUS").map_or(beside, PathBuf::from);
        if !corpus.is_dir() {
            println!("skipped: no IDL corpus at {} (set THRIFT_IDL_CORPUS)", corpus.display());
            return;
        }
        let (mut folders, mut files) = (vec![corpus], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "thrift") {
                    assert_is_its_tokens(&Options::new(), &path);
                    files += 1;
                }
            }
        }
        assert!(files > 500);
    }
}
