//! Reads the layout from the parse tree and the comments: decides which entry a comment belongs to.

use crate::compact_source::CompactSource;
use crate::format::layout::{Entry, Group, GroupKind, Item, Layout, Piece, PieceKind, PlacedComment};
use crate::grammar::Rule;
use crate::parse_tree::{Node, Nodes, ParseTree};
use crate::syntax::{Comment, CommentKind};

/// The layout of a document without errors.
pub(crate) fn read<'s>(source: &'s str, compact: &'s CompactSource) -> Layout<'s> {
    let mut reader = Reader {
        source,
        compact,
        unplaced: &compact.comments,
        base: 0,
        last_end: 0,
        previous: None,
        angles: 0,
        before_separator: Vec::new(),
    };
    let mut items: Vec<Item<'s>> = Vec::new();
    for (base, tree) in trees(compact) {
        reader.base = base;
        let node = tree.root();
        let Boundary { trailing, leading, after_empty_line } = reader.boundary(reader.start(node), false);
        let leading = add_trailing_to_last(&mut items, trailing, leading);
        let is_header = node.children().any(|child| child.rule() == Rule::header);
        let entry = Entry { leading, after_empty_line, ..reader.entry(node, None) };
        items.push(Item { is_header, entry });
    }
    let Boundary { trailing, leading, .. } = reader.boundary(source.len(), true);
    let at_end = add_trailing_to_last(&mut items, trailing, leading);
    Layout { items, at_end }
}

/// Adds comments after the last item. Returns those that belong before the next one, which are all of them in a file
/// without items.
fn add_trailing_to_last<'s>(
    items: &mut [Item<'s>],
    mut trailing: Vec<PlacedComment<'s>>,
    leading: Vec<PlacedComment<'s>>,
) -> Vec<PlacedComment<'s>> {
    match items.last_mut() {
        Some(last) => add_trailing(&mut last.entry.trailing, trailing, leading),
        None => {
            trailing.extend(leading);
            trailing
        }
    }
}

/// The parse tree of each item of a document without errors, and where the item starts.
fn trees(compact: &CompactSource) -> impl Iterator<Item = (usize, ParseTree<'_>)> {
    let code = compact.code.as_str();
    let mut at = 0;
    std::iter::from_fn(move || {
        let base = compact.skip_blanks(at);
        if base == code.len() {
            return None;
        }
        let tree = ParseTree::parse(Rule::item, &code[base..]).expect("a document without errors matches");
        at = base + tree.root().end();
        Some((base, tree))
    })
}

struct Reader<'s> {
    source: &'s str,
    compact: &'s CompactSource,
    /// The comments that are not placed yet.
    unplaced: &'s [Comment],
    /// The start of the parse tree in the code.
    base: usize,
    /// The end of the last token or comment.
    last_end: usize,
    /// The last token of the entry; `None` at its start and after a comment.
    previous: Option<Rule>,
    /// The number of open angle brackets.
    angles: usize,
    /// The line comments before the separator of the current entry. They are printed after the separator.
    before_separator: Vec<PlacedComment<'s>>,
}

/// The comments between two entries.
struct Boundary<'s> {
    /// The comments after the first entry, on its line.
    trailing: Vec<PlacedComment<'s>>,
    /// The comments before the second entry.
    leading: Vec<PlacedComment<'s>>,
    /// Whether an empty line is directly before the second entry.
    after_empty_line: bool,
}

impl<'s> Reader<'s> {
    fn start(&self, node: Node<'_>) -> usize {
        self.compact.source_offset(self.base + node.start()) as usize
    }

    /// Takes the comments before `until`. Also returns the number of line breaks after the last one.
    fn comments(&mut self, until: usize) -> (Vec<PlacedComment<'s>>, usize) {
        let count = self.unplaced.iter().take_while(|comment| (comment.span.start as usize) < until).count();
        let (here, rest) = self.unplaced.split_at(count);
        self.unplaced = rest;
        let mut comments: Vec<PlacedComment<'s>> = Vec::with_capacity(count);
        for comment in here {
            let before = &self.source[self.last_end..comment.span.start as usize];
            let breaks_before = before.matches('\n').count();
            if let Some(last) = comments.last_mut() {
                last.breaks_after = breaks_before > 0;
            }
            let indent = before.rsplit_once('\n').map(|(_, indent)| indent);
            comments.push(PlacedComment {
                text: &self.source[comment.span.range()],
                is_line: comment.kind == CommentKind::Line,
                breaks_before,
                breaks_after: false,
                indent: indent.filter(|indent| indent.bytes().all(|byte| byte == b' ')).map(str::len),
            });
            self.last_end = comment.span.end as usize;
        }
        let breaks = self.source[self.last_end..until].matches('\n').count();
        if let Some(last) = comments.last_mut() {
            last.breaks_after = breaks > 0 || until == self.source.len();
        }
        self.last_end = until;
        (comments, breaks)
    }

    /// Takes the comments between two entries; the second starts at `until`. `closes` says that a closing bracket or
    /// the end of the file is there instead.
    fn boundary(&mut self, until: usize, closes: bool) -> Boundary<'s> {
        let (mut trailing, breaks) = self.comments(until);
        let mut count = trailing.iter().take_while(|comment| comment.breaks_before == 0).count();
        if count == trailing.len() && breaks == 0 && !closes {
            // All on one line: the comments belong to the second entry.
            count = 0;
        }
        let leading = trailing.split_off(count);
        Boundary { trailing, leading, after_empty_line: breaks > 1 }
    }

    /// Reads an entry without the comments around it. A separator may follow it in `siblings`.
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
        entry.trailing = std::mem::take(&mut self.before_separator);
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

    /// Adds a token, and the comments before it.
    fn token(&mut self, node: Node<'_>, entry: &mut Entry<'s>) {
        let (comments, _) = self.comments(self.start(node));
        self.put_comments(comments, entry);
        let token = self.take(node);
        match node.rule() {
            Rule::open_angle => self.angles += 1,
            Rule::close_angle => self.angles -= 1,
            _ => {}
        }
        let tight = match node.rule() {
            Rule::comma | Rule::colon | Rule::close_angle => true,
            _ if self.previous == Some(Rule::open_angle) => true,
            // A space follows the literal of a `cpp_type`.
            Rule::open_angle => self.previous != Some(Rule::literal),
            _ => false,
        };
        let spaced = !entry.pieces.is_empty() && !tight;
        self.previous = Some(node.rule());
        entry.pieces.push(Piece { spaced, kind: PieceKind::Token(token) });
    }

    /// Takes the text of a token.
    fn take(&mut self, node: Node<'_>) -> &'s str {
        let start = self.start(node);
        let end = start + node.text().len();
        self.last_end = end;
        &self.source[start..end]
    }

    fn put_comments(&mut self, comments: Vec<PlacedComment<'s>>, entry: &mut Entry<'s>) {
        for comment in comments {
            let spaced = !entry.pieces.is_empty() && self.previous != Some(Rule::open_angle);
            self.previous = None;
            entry.pieces.push(Piece { spaced, kind: PieceKind::Comment(comment) });
        }
    }

    /// Adds the comments before a token, except the line comments directly before it. Those are returned, because they
    /// can be placed after the token.
    fn put_comments_but_last_lines(
        &mut self,
        node: Node<'_>,
        entry: &mut Entry<'s>,
    ) -> Vec<PlacedComment<'s>> {
        let (mut comments, _) = self.comments(self.start(node));
        let lines = comments.iter().rev().take_while(|comment| comment.is_line).count();
        let lines = comments.split_off(comments.len() - lines);
        self.put_comments(comments, entry);
        lines
    }

    fn separator(&mut self, node: Node<'_>, entry: &mut Entry<'s>) {
        let pieces = entry.pieces.len();
        self.before_separator = self.put_comments_but_last_lines(node, entry);
        entry.keeps_separator = entry.pieces.len() > pieces;
        self.take(node);
    }

    /// Reads the group that `open` starts, up to its closing bracket in `children`.
    fn group(&mut self, rule: Rule, open: Node<'_>, children: &mut Nodes<'_>, entry: &mut Entry<'s>) {
        let kind = match rule {
            Rule::structure | Rule::service => GroupKind::Body,
            Rule::enumeration => GroupKind::Enum,
            Rule::value_list | Rule::value_map => GroupKind::Value,
            Rule::xsd_attrs => GroupKind::XsdAttrs,
            _ => GroupKind::Round,
        };
        let before_open = self.put_comments_but_last_lines(open, entry);
        // The arguments follow the name of the function without a space.
        let spaced = !entry.pieces.is_empty() && (rule != Rule::function || self.previous.is_none());
        let mut group = Group {
            kind,
            open: self.take(open),
            close: "",
            after_open: before_open,
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
            let Boundary { mut trailing, mut leading, after_empty_line } = self.boundary(start, closes);
            leading = match group.entries.last_mut() {
                Some(last) => add_trailing(&mut last.trailing, trailing, leading),
                None => {
                    if closes && leading.is_empty() && !breaks {
                        // All on one line.
                        std::mem::swap(&mut trailing, &mut leading);
                    }
                    add_trailing(&mut group.after_open, trailing, leading)
                }
            };
            if closes {
                group.close = self.take(child);
                group.before_close = leading;
                self.previous = Some(child.rule());
                break;
            }
            group.entries.push(Entry { leading, after_empty_line, ..self.entry(child, Some(children)) });
        }
        group.width = group.one_line_width(breaks);
        entry.pieces.push(Piece { spaced, kind: PieceKind::Group(group) });
    }
}

/// Adds comments after an entry, up to the first line comment. Returns the others and the `leading` ones, which belong
/// before the next entry.
fn add_trailing<'s>(
    trailing: &mut Vec<PlacedComment<'s>>,
    more: Vec<PlacedComment<'s>>,
    leading: Vec<PlacedComment<'s>>,
) -> Vec<PlacedComment<'s>> {
    trailing.extend(more);
    let Some(line) = trailing.iter().position(|comment| comment.is_line) else { return leading };
    let mut spilled = trailing.split_off(line + 1);
    spilled.extend(leading);
    spilled
}
