//! From what the grammar matched to the layout: which tokens belong together, and which comment stands at what.

use crate::compact_source::CompactSource;
use crate::format::layout::{Entry, Group, GroupKind, Item, Layout, Piece, PieceKind, Remark};
use crate::grammar::Rule;
use crate::parse::skip_blanks;
use crate::parse_tree::{Node, Nodes, ParseTree};
use crate::syntax::{Comment, CommentKind};

/// The layout of a document without mistakes.
pub(crate) fn read<'s>(source: &'s str, compact: &'s CompactSource) -> Layout<'s> {
    let mut reader = Reader {
        source,
        compact,
        comments: &compact.comments,
        base: 0,
        last_end: 0,
        previous: None,
        angles: 0,
        before_separator: Vec::new(),
    };
    let mut items: Vec<Item<'s>> = Vec::new();
    for (base, tree) in trees(&compact.code) {
        reader.base = base;
        let node = tree.root();
        let Boundary { behind, above, is_apart } = reader.boundary(reader.start(node), false);
        let above = put_behind_last(&mut items, behind, above);
        let is_header = node.children().any(|child| child.rule() == Rule::header);
        let entry = Entry { above, is_apart, ..reader.entry(node, None) };
        items.push(Item { is_header, entry });
    }
    let Boundary { behind, above, .. } = reader.boundary(source.len(), true);
    let at_end = put_behind_last(&mut items, behind, above);
    Layout { items, at_end }
}

/// Adds comments to those behind the last item, as [`put_behind`] does. Nothing is behind what is not there.
fn put_behind_last<'s>(
    items: &mut [Item<'s>],
    mut behind: Vec<Remark<'s>>,
    above: Vec<Remark<'s>>,
) -> Vec<Remark<'s>> {
    match items.last_mut() {
        Some(last) => put_behind(&mut last.entry.behind, behind, above),
        None => {
            behind.extend(above);
            behind
        }
    }
}

/// The parse tree of each item of a code without mistakes, and where it starts.
fn trees(code: &str) -> impl Iterator<Item = (usize, ParseTree<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let base = skip_blanks(code, at);
        if base == code.len() {
            return None;
        }
        let tree = ParseTree::parse(Rule::item, &code[base..]).expect("a code without mistakes");
        at = base + tree.root().end();
        Some((base, tree))
    })
}

struct Reader<'s> {
    source: &'s str,
    compact: &'s CompactSource,
    /// Those that are not placed yet.
    comments: &'s [Comment],
    /// Where the text that was matched starts in the code.
    base: usize,
    /// Where the last token or comment ended.
    last_end: usize,
    /// The last token of the entry; `None` at its start and behind a comment.
    previous: Option<Rule>,
    /// How many angle brackets are open.
    angles: usize,
    /// Line comments before the separator of the entry that is being read: they go behind it.
    before_separator: Vec<Remark<'s>>,
}

/// The comments between two entries.
struct Boundary<'s> {
    /// Those behind the first, on its line.
    behind: Vec<Remark<'s>>,
    /// Those before the second.
    above: Vec<Remark<'s>>,
    /// Whether an empty line is directly before the second.
    is_apart: bool,
}

impl<'s> Reader<'s> {
    fn start(&self, node: Node<'_>) -> usize {
        self.compact.source_offset(self.base + node.start()) as usize
    }

    /// The comments up to `until`, and how many lines end behind the last.
    fn remarks(&mut self, until: usize) -> (Vec<Remark<'s>>, usize) {
        let count = self.comments.iter().take_while(|comment| (comment.span.start as usize) < until).count();
        let (here, rest) = self.comments.split_at(count);
        self.comments = rest;
        let mut remarks: Vec<Remark<'s>> = Vec::with_capacity(count);
        for comment in here {
            let before = &self.source[self.last_end..comment.span.start as usize];
            let breaks_before = before.matches('\n').count();
            if let Some(last) = remarks.last_mut() {
                last.breaks_behind = breaks_before > 0;
            }
            let indent = before.rsplit_once('\n').map(|(_, indent)| indent);
            remarks.push(Remark {
                text: &self.source[comment.span.range()],
                is_line: comment.kind == CommentKind::Line,
                breaks_before,
                breaks_behind: false,
                indent: indent.filter(|indent| indent.bytes().all(|byte| byte == b' ')).map(str::len),
            });
            self.last_end = comment.span.end as usize;
        }
        let breaks = self.source[self.last_end..until].matches('\n').count();
        if let Some(last) = remarks.last_mut() {
            last.breaks_behind = breaks > 0 || until == self.source.len();
        }
        self.last_end = until;
        (remarks, breaks)
    }

    /// The comments up to an entry that starts at `until`; `closes` tells that it is none, but a bracket or the end.
    fn boundary(&mut self, until: usize, closes: bool) -> Boundary<'s> {
        let (mut behind, breaks) = self.remarks(until);
        let mut count = behind.iter().take_while(|remark| remark.breaks_before == 0).count();
        if count == behind.len() && breaks == 0 && !closes {
            // All on one line: they belong to what follows.
            count = 0;
        }
        let above = behind.split_off(count);
        Boundary { behind, above, is_apart: breaks > 1 }
    }

    /// Reads an entry, without the comments around it. A separator may follow it in `siblings`.
    fn entry(&mut self, node: Node<'_>, siblings: Option<&mut Nodes<'_>>) -> Entry<'s> {
        let mut entry = Entry::default();
        self.previous = None;
        self.node(node, &mut entry);
        if let Some(siblings) = siblings
            && siblings.peek().is_some_and(|sibling| sibling.rule() == Rule::separator)
            && let Some(separator) = siblings.next()
        {
            self.separator(separator, &mut entry);
        }
        entry.behind = std::mem::take(&mut self.before_separator);
        entry
    }

    fn node(&mut self, node: Node<'_>, entry: &mut Entry<'s>) {
        let rule = node.rule();
        let mut children = node.children();
        while let Some(child) = children.next() {
            match child.rule() {
                Rule::open_brace | Rule::open_paren | Rule::open_bracket | Rule::open_annotations => {
                    self.group(rule, child, &mut children, entry);
                }
                Rule::separator => self.separator(child, entry),
                _ if child.children().next().is_none() => self.token(child, entry),
                _ => self.node(child, entry),
            }
        }
    }

    /// Puts a token behind the others, and the comments before it where they are.
    fn token(&mut self, node: Node<'_>, entry: &mut Entry<'s>) {
        let (remarks, _) = self.remarks(self.start(node));
        self.put_remarks(remarks, entry);
        let token = self.take(node);
        match node.rule() {
            Rule::open_angle => self.angles += 1,
            Rule::close_angle => self.angles -= 1,
            _ => {}
        }
        let tight = match node.rule() {
            Rule::comma | Rule::colon | Rule::close_angle => true,
            _ if self.previous == Some(Rule::open_angle) => true,
            // Behind the literal of a `cpp_type` stands a blank.
            Rule::open_angle => self.previous != Some(Rule::literal),
            _ => false,
        };
        let spaced = !entry.pieces.is_empty() && !tight;
        self.previous = Some(node.rule());
        entry.pieces.push(Piece { spaced, kind: PieceKind::Token(token) });
    }

    /// The text of a token, which is gone past.
    fn take(&mut self, node: Node<'_>) -> &'s str {
        let start = self.start(node);
        let end = start + node.text().len();
        self.last_end = end;
        &self.source[start..end]
    }

    fn put_remarks(&mut self, remarks: Vec<Remark<'s>>, entry: &mut Entry<'s>) {
        for remark in remarks {
            let spaced = !entry.pieces.is_empty() && self.previous != Some(Rule::open_angle);
            self.previous = None;
            entry.pieces.push(Piece { spaced, kind: PieceKind::Remark(remark) });
        }
    }

    /// Puts the comments before a token where they are, but gives back the line comments directly before it: they can go
    /// behind it.
    fn put_remarks_but_last_lines(&mut self, node: Node<'_>, entry: &mut Entry<'s>) -> Vec<Remark<'s>> {
        let (mut remarks, _) = self.remarks(self.start(node));
        let lines = remarks.iter().rev().take_while(|remark| remark.is_line).count();
        let lines = remarks.split_off(remarks.len() - lines);
        self.put_remarks(remarks, entry);
        lines
    }

    fn separator(&mut self, node: Node<'_>, entry: &mut Entry<'s>) {
        let pieces = entry.pieces.len();
        self.before_separator = self.put_remarks_but_last_lines(node, entry);
        entry.keeps_separator = entry.pieces.len() > pieces;
        self.take(node);
    }

    /// Reads what `open` opens, up to the closing bracket in `children`.
    fn group(&mut self, rule: Rule, open: Node<'_>, children: &mut Nodes<'_>, entry: &mut Entry<'s>) {
        let kind = match rule {
            Rule::structure | Rule::service => GroupKind::Body,
            Rule::enumeration => GroupKind::Enum,
            Rule::value_list | Rule::value_map => GroupKind::Value,
            Rule::xsd_attrs => GroupKind::XsdAttrs,
            _ => GroupKind::Round,
        };
        let before_open = self.put_remarks_but_last_lines(open, entry);
        // Arguments stand directly behind the function's name.
        let spaced = !entry.pieces.is_empty() && (rule != Rule::function || self.previous.is_none());
        let mut group = Group {
            kind,
            open: self.take(open),
            close: "",
            behind_open: before_open,
            entries: Vec::new(),
            before_close: Vec::new(),
            width: None,
            is_in_type: self.angles > 0,
        };
        let mut breaks = false;
        while let Some(child) = children.next() {
            let start = self.start(child);
            let closes = matches!(child.rule(), Rule::close_brace | Rule::close_paren | Rule::close_bracket);
            breaks |= group.entries.is_empty() && self.source[self.last_end..start].contains('\n');
            let Boundary { mut behind, mut above, is_apart } = self.boundary(start, closes);
            above = match group.entries.last_mut() {
                Some(last) => put_behind(&mut last.behind, behind, above),
                None => {
                    if closes && above.is_empty() && !breaks {
                        // All on one line.
                        std::mem::swap(&mut behind, &mut above);
                    }
                    put_behind(&mut group.behind_open, behind, above)
                }
            };
            if closes {
                group.close = self.take(child);
                group.before_close = above;
                self.previous = Some(child.rule());
                break;
            }
            group.entries.push(Entry { above, is_apart, ..self.entry(child, Some(children)) });
        }
        group.width = group.one_line_width(breaks);
        entry.pieces.push(Piece { spaced, kind: PieceKind::Group(group) });
    }
}

/// Adds comments to those behind an entry. What stands behind a line comment goes before what comes next: it is given back,
/// with those that are `above` that already.
fn put_behind<'s>(
    behind: &mut Vec<Remark<'s>>,
    more: Vec<Remark<'s>>,
    above: Vec<Remark<'s>>,
) -> Vec<Remark<'s>> {
    behind.extend(more);
    let Some(line) = behind.iter().position(|remark| remark.is_line) else { return above };
    let mut spilled = behind.split_off(line + 1);
    spilled.extend(above);
    spilled
}
