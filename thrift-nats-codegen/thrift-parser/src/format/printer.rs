//! Prints a layout: decides where lines break.

use crate::format::layout::{Entry, Group, Item, Layout, Piece, PieceKind, PlacedComment, width_of};

/// The maximum width of a line that can be broken.
const WIDTH: usize = 100;
/// The number of spaces of one indentation level.
const INDENT: usize = 2;

/// The formatted text of a document.
pub(crate) fn print(layout: &Layout<'_>) -> String {
    let mut printer = Printer::default();
    let mut previous: Option<Shape> = None;
    for item in &layout.items {
        // Printed separately, because the empty line before it depends on the number of its lines.
        let mut alone = Printer::default();
        alone.pieces(&item.entry.pieces, 0, usize::from(item.entry.keeps_separator));
        if item.entry.keeps_separator {
            alone.put(",");
        }
        let shape = Shape { is_header: item.is_header, is_line: !alone.text.contains('\n') };
        printer.item(item, &alone.text, previous.is_some_and(|previous| are_apart(previous, shape)));
        previous = Some(shape);
    }
    printer.leading(&layout.at_end, 0, Gap::AsWritten);
    if !printer.text.is_empty() {
        printer.text.push('\n');
    }
    printer.text
}

/// Decides whether an empty line is between two items.
#[derive(Clone, Copy)]
struct Shape {
    is_header: bool,
    /// Whether it is a single line.
    is_line: bool,
}

/// Whether an empty line must separate two items. It is optional between headers and between definitions of a single line.
const fn are_apart(first: Shape, second: Shape) -> bool {
    first.is_header != second.is_header || !(first.is_header || first.is_line && second.is_line)
}

/// The rule for the empty line before something.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    None,
    AsWritten,
    Always,
}

impl Gap {
    fn is_empty_line(self, as_written: bool) -> bool {
        match self {
            Self::None => false,
            Self::AsWritten => as_written,
            Self::Always => true,
        }
    }
}

#[derive(Default)]
struct Printer {
    text: String,
    /// The width of the last line.
    column: usize,
}

impl Printer {
    /// Appends text without a line break.
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += width_of(text);
    }

    /// Starts a line, unless it is the first one. `empty_line` asks for an empty line before it.
    fn start_line(&mut self, indent: usize, empty_line: bool) {
        if !self.text.is_empty() {
            self.text.push_str(if empty_line { "\n\n" } else { "\n" });
        }
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn item(&mut self, item: &Item<'_>, text: &str, must_be_apart: bool) {
        let entry = &item.entry;
        let after_empty_line =
            entry.after_empty_line || entry.leading.iter().any(PlacedComment::after_empty_line);
        let gap = if must_be_apart && !after_empty_line { Gap::Always } else { Gap::AsWritten };
        self.start_entry(entry, 0, gap);
        self.text.push_str(text);
        self.trailing(&entry.trailing);
    }

    /// Prints an entry on a separate line.
    fn entry(&mut self, entry: &Entry<'_>, indent: usize, gap: Gap) {
        self.start_entry(entry, indent, gap);
        self.pieces(&entry.pieces, indent, ",".len());
        self.put(",");
        self.trailing(&entry.trailing);
    }

    /// Prints the comments before an entry and starts its line.
    fn start_entry(&mut self, entry: &Entry<'_>, indent: usize, gap: Gap) {
        if self.leading(&entry.leading, indent, gap) {
            self.put(" ");
        } else {
            let gap = if entry.leading.is_empty() { gap } else { Gap::AsWritten };
            self.start_line(indent, gap.is_empty_line(entry.after_empty_line));
        }
    }

    /// Prints comments on their own lines, except those that shared a line in the source. Returns whether the next
    /// token shares the line of the last comment.
    fn leading(&mut self, comments: &[PlacedComment<'_>], indent: usize, gap: Gap) -> bool {
        let mut shares = false;
        for (number, comment) in comments.iter().enumerate() {
            if shares {
                self.put(" ");
                self.comment(comment);
            } else {
                let gap = if number == 0 { gap } else { Gap::AsWritten };
                self.start_line(indent, gap.is_empty_line(comment.after_empty_line()));
                self.own_line(comment, indent);
            }
            shares = !comment.breaks_after;
        }
        shares
    }

    /// Prints the comments after something on its line.
    fn trailing(&mut self, comments: &[PlacedComment<'_>]) {
        for comment in comments {
            self.put(" ");
            self.comment(comment);
        }
    }

    /// Prints a comment that is not the first on its line. Only its first line moves.
    fn comment(&mut self, comment: &PlacedComment<'_>) {
        for (number, line) in lines_of(comment.text).enumerate() {
            if number > 0 {
                self.start_line(0, false);
            }
            self.put(line);
        }
    }

    /// Prints a comment that starts a line. Its other lines move with the first one; if each starts with a star, the
    /// stars are aligned.
    fn own_line(&mut self, comment: &PlacedComment<'_>, indent: usize) {
        let lines: Vec<&str> = lines_of(comment.text).collect();
        let is_framed = lines[1..].iter().all(|line| {
            let text = line.trim_start_matches(BLANKS);
            text.is_empty() || text.starts_with('*')
        });
        let shift = shift(&lines, comment.indent.unwrap_or(indent), indent);
        self.put(lines[0]);
        for line in &lines[1..] {
            let text = line.trim_start_matches(BLANKS);
            if text.is_empty() {
                self.start_line(0, false);
            } else if is_framed {
                self.start_line(indent + 1, false);
                self.put(text);
            } else {
                match shift {
                    Shift::Right(by) => {
                        self.start_line(by, false);
                        self.put(line);
                    }
                    Shift::Left(by) => {
                        self.start_line(0, false);
                        self.put(&line[by.min(blanks_before(line))..]);
                    }
                }
            }
        }
    }

    /// Prints the pieces of an entry. `tail` is the number of columns that follow on its line.
    fn pieces(&mut self, pieces: &[Piece<'_>], indent: usize, tail: usize) {
        let mut ends_line = false;
        for (piece, rest) in pieces.iter().zip(rests(pieces, tail)) {
            if ends_line {
                self.start_line(indent + 2 * INDENT, false);
            } else if piece.spaced {
                self.put(" ");
            }
            ends_line = false;
            match &piece.kind {
                PieceKind::Token(text) => self.put(text),
                PieceKind::Comment(comment) => {
                    self.comment(comment);
                    ends_line = comment.is_line;
                }
                PieceKind::Group(group) => self.group(group, indent, rest),
            }
        }
    }

    /// Prints a group. `rest` is the number of columns that follow on its line.
    fn group(&mut self, group: &Group<'_>, indent: usize, rest: usize) {
        let fits = group.width.is_some_and(|width| self.column + width + rest <= WIDTH);
        if fits || group.fixed_width().is_some() {
            self.one_line(group);
            return;
        }
        self.put(group.open);
        self.trailing(&group.after_open);
        let mut gap = Gap::None;
        for entry in &group.entries {
            self.entry(entry, indent + INDENT, gap);
            gap = Gap::AsWritten;
        }
        self.leading(&group.before_close, indent + INDENT, gap);
        self.start_line(indent, false);
        self.put(group.close);
    }

    /// Prints a group that has a width.
    fn one_line(&mut self, group: &Group<'_>) {
        self.put(group.open);
        for (number, entry) in group.entries.iter().enumerate() {
            self.put(if number == 0 { group.kind.padding() } else { ", " });
            for piece in &entry.pieces {
                if piece.spaced {
                    self.put(" ");
                }
                match &piece.kind {
                    PieceKind::Token(text) => self.put(text),
                    PieceKind::Comment(comment) => self.comment(comment),
                    PieceKind::Group(group) => self.one_line(group),
                }
            }
        }
        if !group.entries.is_empty() {
            self.put(group.kind.padding());
        }
        self.put(group.close);
    }
}

/// For each piece, the number of columns that follow it up to the next possible line break. `tail` columns follow the
/// last one.
fn rests(pieces: &[Piece<'_>], tail: usize) -> Vec<usize> {
    let mut rests = vec![tail; pieces.len()];
    let mut rest = tail;
    for (piece, place) in pieces.iter().zip(&mut rests).rev() {
        *place = rest;
        let width = match &piece.kind {
            PieceKind::Token(text) => width_of(text) + rest,
            PieceKind::Comment(comment) if comment.is_line => 0,
            PieceKind::Comment(comment) => match comment.text.split_once('\n') {
                Some((first, _)) => width_of(first),
                None => width_of(comment.text) + rest,
            },
            PieceKind::Group(group) => match group.fixed_width() {
                Some(width) => width + rest,
                None => group.open.len(),
            },
        };
        rest = width + usize::from(piece.spaced);
    }
    rests
}

/// The characters of an indentation.
const BLANKS: [char; 2] = [' ', '\t'];

/// The lines of a comment, without white space at their ends.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.trim_end_matches([' ', '\t', '\r']))
}

fn blanks_before(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// By how many columns the lines of a comment move.
#[derive(Clone, Copy)]
enum Shift {
    Left(usize),
    Right(usize),
}

/// The shift of a comment's lines if its first line moves between two columns. They move together or not at all, so that
/// they stay aligned.
fn shift(lines: &[&str], from: usize, to: usize) -> Shift {
    if to >= from {
        return Shift::Right(to - from);
    }
    let by = from - to;
    let can_move = |line: &&str| blanks_before(line) >= by || line.is_empty() || line.trim_start() == "*/";
    Shift::Left(if lines[1..].iter().all(can_move) { by } else { 0 })
}
