//! From the layout to text: where lines break.

use crate::format::layout::{Entry, Group, Item, Layout, Piece, PieceKind, Remark, width_of};

/// How wide a line may be if it can be broken.
const WIDTH: usize = 100;
/// By how many blanks what is between brackets is indented.
const INDENT: usize = 2;

/// The text of a document.
pub(crate) fn print(layout: &Layout<'_>) -> String {
    let mut printer = Printer::default();
    let mut previous: Option<Shape> = None;
    for item in &layout.items {
        // Printed on its own first: how many lines it takes decides what stands before it.
        let mut alone = Printer::default();
        alone.pieces(&item.entry.pieces, 0, usize::from(item.entry.keeps_separator));
        if item.entry.keeps_separator {
            alone.put(",");
        }
        let shape = Shape { is_header: item.is_header, is_line: !alone.text.contains('\n') };
        printer.item(item, &alone.text, previous.is_some_and(|previous| are_apart(previous, shape)));
        previous = Some(shape);
    }
    printer.above(&layout.at_end, 0, Gap::AsWritten);
    if !printer.text.is_empty() {
        printer.text.push('\n');
    }
    printer.text
}

/// What decides about the empty line between two headers or definitions.
#[derive(Clone, Copy)]
struct Shape {
    is_header: bool,
    /// Whether it takes a single line.
    is_line: bool,
}

/// Whether an empty line must stand between the two: between definitions of a single line, and between headers, it may.
const fn are_apart(first: Shape, second: Shape) -> bool {
    first.is_header != second.is_header || !(first.is_header || first.is_line && second.is_line)
}

/// The empty line before something.
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
    /// Puts text without a line break on the line.
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += width_of(text);
    }

    /// Starts a line if it is not the first, behind an empty one if that is asked for.
    fn start_line(&mut self, indent: usize, empty_line: bool) {
        if !self.text.is_empty() {
            self.text.push_str(if empty_line { "\n\n" } else { "\n" });
        }
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn item(&mut self, item: &Item<'_>, text: &str, must_be_apart: bool) {
        let entry = &item.entry;
        let is_apart = entry.is_apart || entry.above.iter().any(Remark::is_apart);
        let gap = if must_be_apart && !is_apart { Gap::Always } else { Gap::AsWritten };
        self.start_entry(entry, 0, gap);
        self.text.push_str(text);
        self.behind(&entry.behind);
    }

    /// An entry that has a line of its own.
    fn entry(&mut self, entry: &Entry<'_>, indent: usize, gap: Gap) {
        self.start_entry(entry, indent, gap);
        self.pieces(&entry.pieces, indent, ",".len());
        self.put(",");
        self.behind(&entry.behind);
    }

    /// The comments before an entry, and the start of its line.
    fn start_entry(&mut self, entry: &Entry<'_>, indent: usize, gap: Gap) {
        if self.above(&entry.above, indent, gap) {
            self.put(" ");
        } else {
            let gap = if entry.above.is_empty() { gap } else { Gap::AsWritten };
            self.start_line(indent, gap.is_empty_line(entry.is_apart));
        }
    }

    /// Comments on lines of their own, but for those that shared one. Tells whether what follows shares that of the last.
    fn above(&mut self, remarks: &[Remark<'_>], indent: usize, gap: Gap) -> bool {
        let mut shares = false;
        for (number, remark) in remarks.iter().enumerate() {
            if shares {
                self.put(" ");
                self.remark(remark);
            } else {
                let gap = if number == 0 { gap } else { Gap::AsWritten };
                self.start_line(indent, gap.is_empty_line(remark.is_apart()));
                self.own_line(remark, indent);
            }
            shares = !remark.breaks_behind;
        }
        shares
    }

    /// Comments behind something on its line.
    fn behind(&mut self, remarks: &[Remark<'_>]) {
        for remark in remarks {
            self.put(" ");
            self.remark(remark);
        }
    }

    /// A comment that has something else before it: its first line goes wherever that does, the others stay.
    fn remark(&mut self, remark: &Remark<'_>) {
        for (number, line) in lines_of(remark.text).enumerate() {
            if number > 0 {
                self.start_line(0, false);
            }
            self.put(line);
        }
    }

    /// A comment that starts a line: its other lines move with its first, or are lined up if each starts with a star.
    fn own_line(&mut self, remark: &Remark<'_>, indent: usize) {
        let lines: Vec<&str> = lines_of(remark.text).collect();
        let is_framed = lines[1..].iter().all(|line| {
            let text = line.trim_start_matches(BLANKS);
            text.is_empty() || text.starts_with('*')
        });
        let shift = shift(&lines, remark.indent.unwrap_or(indent), indent);
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

    /// What an entry is made of, to be followed on its line by `tail` columns.
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
                PieceKind::Remark(remark) => {
                    self.remark(remark);
                    ends_line = remark.is_line;
                }
                PieceKind::Group(group) => self.group(group, indent, rest),
            }
        }
    }

    /// What is between brackets, to be followed on its line by `rest` columns.
    fn group(&mut self, group: &Group<'_>, indent: usize, rest: usize) {
        let fits = group.width.is_some_and(|width| self.column + width + rest <= WIDTH);
        if fits || group.fixed_width().is_some() {
            self.one_line(group);
            return;
        }
        self.put(group.open);
        self.behind(&group.behind_open);
        let mut gap = Gap::None;
        for entry in &group.entries {
            self.entry(entry, indent + INDENT, gap);
            gap = Gap::AsWritten;
        }
        self.above(&group.before_close, indent + INDENT, gap);
        self.start_line(indent, false);
        self.put(group.close);
    }

    /// A group that has a width.
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
                    PieceKind::Remark(remark) => self.remark(remark),
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

/// For each piece, how many columns follow it up to where the line can be broken, or ends behind `tail` more.
fn rests(pieces: &[Piece<'_>], tail: usize) -> Vec<usize> {
    let mut rests = vec![tail; pieces.len()];
    let mut rest = tail;
    for (piece, place) in pieces.iter().zip(&mut rests).rev() {
        *place = rest;
        let width = match &piece.kind {
            PieceKind::Token(text) => width_of(text) + rest,
            PieceKind::Remark(remark) if remark.is_line => 0,
            PieceKind::Remark(remark) => match remark.text.split_once('\n') {
                Some((first, _)) => width_of(first),
                None => width_of(remark.text) + rest,
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

/// What indents a line.
const BLANKS: [char; 2] = [' ', '\t'];

/// The lines of a comment, without what is not seen at their ends.
fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.trim_end_matches([' ', '\t', '\r']))
}

fn blanks_before(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// By how many blanks the lines of a comment move.
#[derive(Clone, Copy)]
enum Shift {
    Left(usize),
    Right(usize),
}

/// How the lines of a comment move if its first moves from one column to another: all or none, so that they stay in line.
fn shift(lines: &[&str], from: usize, to: usize) -> Shift {
    if to >= from {
        return Shift::Right(to - from);
    }
    let by = from - to;
    let can_move = |line: &&str| blanks_before(line) >= by || line.is_empty() || line.trim_start() == "*/";
    Shift::Left(if lines[1..].iter().all(can_move) { by } else { 0 })
}
