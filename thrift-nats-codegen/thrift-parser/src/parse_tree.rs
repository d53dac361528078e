//! The parse tree: the rules of the grammar that match, and where.

use pest::error::Error;
use pest::{Parser, Token};

use crate::grammar::{Grammar, Rule};

/// The nodes of one match, in pre-order.
///
/// They are copied from pest's `Pairs`, which count their children whenever they are entered and clone two `Rc`s for each
/// node. Without the copy, parsing takes 1.3 times as long (a struct of 3,000 fields).
#[derive(Debug)]
pub(crate) struct ParseTree<'t> {
    text: &'t str,
    nodes: Vec<NodeData>,
}

#[derive(Debug)]
struct NodeData {
    rule: Rule,
    start: u32,
    end: u32,
    /// The index of the first node after this one that is not in it.
    next: u32,
}

impl<'t> ParseTree<'t> {
    /// Matches `rule` at the start of a text of less than 4 GiB. The text may be longer than the match.
    pub(crate) fn parse(rule: Rule, text: &'t str) -> Result<Self, Error<Rule>> {
        let tokens = Grammar::parse(rule, text)?.tokens();
        let mut nodes: Vec<NodeData> = Vec::with_capacity(tokens.len() / 2);
        let mut open = Vec::with_capacity(16);
        for token in tokens {
            match token {
                Token::Start { rule, pos } => {
                    open.push(nodes.len());
                    nodes.push(NodeData { rule, start: pos.pos() as u32, end: 0, next: 0 });
                }
                Token::End { pos, .. } => {
                    let next = nodes.len() as u32;
                    let node = open.pop().and_then(|index| nodes.get_mut(index));
                    let node = node.expect("every end has its start");
                    node.end = pos.pos() as u32;
                    node.next = next;
                }
            }
        }
        Ok(Self { text, nodes })
    }

    /// The match of a rule that is not silent.
    pub(crate) fn root(&self) -> Node<'_> {
        Node { tree: self, index: 0 }
    }

    pub(crate) fn roots(&self) -> Nodes<'_> {
        Nodes { tree: self, from: 0, until: self.nodes.len() as u32 }
    }
}

/// A match of one rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'p> {
    tree: &'p ParseTree<'p>,
    index: u32,
}

impl<'p> Node<'p> {
    fn data(self) -> &'p NodeData {
        &self.tree.nodes[self.index as usize]
    }

    pub(crate) fn rule(self) -> Rule {
        self.data().rule
    }

    /// Offsets into the text that was matched.
    pub(crate) fn start(self) -> usize {
        self.data().start as usize
    }

    pub(crate) fn end(self) -> usize {
        self.data().end as usize
    }

    pub(crate) fn text(self) -> &'p str {
        &self.tree.text[self.start()..self.end()]
    }

    pub(crate) fn children(self) -> Nodes<'p> {
        Nodes { tree: self.tree, from: self.index + 1, until: self.data().next }
    }

    pub(crate) fn child(self, rule: Rule) -> Option<Self> {
        self.children().find(|child| child.rule() == rule)
    }
}

/// Siblings.
#[derive(Clone, Debug)]
pub(crate) struct Nodes<'p> {
    tree: &'p ParseTree<'p>,
    from: u32,
    until: u32,
}

impl<'p> Nodes<'p> {
    pub(crate) fn peek(&self) -> Option<Node<'p>> {
        (self.from < self.until).then_some(Node { tree: self.tree, index: self.from })
    }
}

impl<'p> Iterator for Nodes<'p> {
    type Item = Node<'p>;

    fn next(&mut self) -> Option<Node<'p>> {
        let node = self.peek()?;
        self.from = node.data().next;
        Some(node)
    }
}
