//! Prints trees as lines. An entry that does not fit on one line is broken within its last brackets.

use proc_macro2::Delimiter;

use super::entry::{ends_in_body, is_base, is_statement, is_tall, split};
use super::tree::{Group, List, Tree};

/// The width that lines are kept to, where they can be broken.
const WIDTH: usize = 100;
const BLANKS: &str = "                                ";

/// Lines so far.
pub(super) struct Printer {
    pub(super) text: String,
    /// The start of the line: no space is written there.
    pub(super) start: usize,
}

impl Printer {
    pub(super) fn line(&mut self, indent: usize) {
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

    /// Number of columns of the line that are used.
    fn column(&self) -> usize {
        self.text.len() - self.text.rfind('\n').map_or(0, |at| at + 1)
    }

    /// Entries of a list, each on a separate line.
    pub(super) fn entries(
        &mut self,
        trees: &[Tree<'_>],
        indent: usize,
        list: List,
        before: &mut Option<bool>,
    ) {
        for entry in split(trees, list) {
            let tall = list == List::Items && is_tall(entry);
            // A blank line goes around entries with several lines.
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

    pub(super) fn entry(&mut self, mut entry: &[Tree<'_>], indent: usize) {
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

    /// Tokens that need no separate lines; `more` columns follow them.
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
        // Otherwise a bound or a value starts a new line.
        let Some(at) = at else { return self.flat(trees) };
        self.flat(&trees[..at]);
        self.line(indent + 4);
        self.start = self.text.len();
        self.fit(&trees[at..], indent + 4, more);
    }

    /// A group on separate lines.
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
            Tree::Doc(_) | Tree::Attribute(_) => {
                unreachable!("a group with a comment or an attribute is broken")
            }
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

/// The contents of a group, without a comma at its end unless it makes a tuple of one.
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

/// Whether a group holds nothing but something that ends in a group: that one is opened in its place.
fn is_hugging(group: &Group<'_>) -> bool {
    group.delimiter != Delimiter::Brace
        && matches!(split(&group.trees, group.list).as_slice(), [entry]
            if matches!(entry.last(), Some(Tree::Group(inner)) if !inner.trees.is_empty()))
        && !group.trees.iter().any(|tree| matches!(tree, Tree::Token { text: ",", .. }))
        // After a body, the last brackets are easily overlooked.
        && !group.trees.iter().rev().skip(1).any(|tree| {
            matches!(tree, Tree::Group(inner) if inner.delimiter == Delimiter::Brace)
        })
}

/// The place to break a line without brackets: before the last `+`, or after the last `=`.
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
