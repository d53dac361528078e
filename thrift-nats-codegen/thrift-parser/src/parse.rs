//! The driver: matches one item after the other, and goes on behind a mistake at the next definition, or within the one that
//! has the mistake.

use pest::error::{Error, InputLocation};

use crate::builder::{Builder, Item};
use crate::compact_source::{CompactSource, end_of_literal, is_word_byte, starts_body, starts_item};
use crate::grammar::Rule;
use crate::parse_tree::ParseTree;
use crate::recovery::words_outside_brackets;
use crate::syntax::{Definition, Document, Header, Name, Span};
use crate::syntax_error::{SyntaxError, explain, token_at};

/// How deep brackets may nest: types in types, values in values.
pub const MAX_NESTING: usize = 64;

/// What a parse gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// What could be read: all of the file if there are no errors. A definition with a mistake in one of its fields, values or
    /// functions is there with the others.
    pub document: Document,
    /// Every independent mistake, in source order.
    pub errors: Vec<SyntaxError>,
    /// What could not be read, in source order; nothing if there are no errors.
    pub gaps: Vec<Gap>,
}

/// A part of the text that could not be read, and what a checker has to know of it, so that no error follows from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The text. If it is within the span of a definition of the document, that one lacks members.
    pub span: Span,
    /// What it may define: the one name that a definition has, or every word that may be one if it cannot be read as far as
    /// its name. For a part of a definition, every word that may be the name of a member.
    pub names: Vec<Name>,
    /// Whether it is a definition or member without a name, or an include without a path: what is missed may be this.
    pub is_nameless: bool,
}

/// Parses the text of a `.thrift` file. Spans are offsets into `source`, a byte order mark included.
///
/// Never fails as a whole: what is wrong is in [`Parsed::errors`]. Takes time in proportion to the length of the text.
///
/// Reading ends at a bracket that nests deeper than [`MAX_NESTING`] levels and at a comment that is not closed. A text of
/// 4 GiB or more is not read at all.
pub fn parse(source: &str) -> Parsed {
    if let Err(error) = check_length(source) {
        return Parsed { errors: vec![error], ..Parsed::default() };
    }
    let compact = CompactSource::of(source);
    let mut driver = Driver {
        source,
        compact: &compact,
        builder: Builder::new(source, &compact),
        parsed: Parsed::default(),
        left_open: 0,
        unclosed: None,
        may_be_annotated: false,
    };
    driver.items();
    let Driver { builder, mut parsed, .. } = driver;
    parsed.errors.extend(builder.errors);
    parsed.document.legacy = builder.legacy;
    if let Some(stop) = compact.stop {
        parsed.gaps.push(rest_of(source, stop.span.start));
        parsed.errors.push(stop);
    }
    parsed.errors.sort_by_key(|error| error.span);
    parsed.document.comments = compact.comments;
    parsed
}

/// What has been read, and what helps to go on.
pub(crate) struct Driver<'s> {
    pub(crate) source: &'s str,
    pub(crate) compact: &'s CompactSource,
    pub(crate) builder: Builder<'s>,
    pub(crate) parsed: Parsed,
    /// Braces that mistakes left open: each may still be closed.
    pub(crate) left_open: usize,
    /// Where the last item starts, if it is one that nothing closes: what stands behind it on its line may be part of it.
    unclosed: Option<usize>,
    /// Whether annotations may follow what has been read.
    may_be_annotated: bool,
}

/// A text that no rule matches.
pub(crate) struct Mistake {
    /// Where in the code.
    pub(crate) at: usize,
    error: Box<Error<Rule>>,
}

impl<'s> Driver<'s> {
    fn items(&mut self) {
        let code = self.compact.code.as_str();
        let mut at = 0;
        loop {
            at = skip_blanks(code, at);
            if at == code.len() {
                break;
            }
            if self.left_open > 0 && code[at..].starts_with('}') {
                self.left_open -= 1;
                self.may_be_annotated = false;
                at += 1;
                continue;
            }
            match match_item(self.compact, at) {
                Ok((item, end)) => {
                    let is_over = code[..end].trim_ascii_end().ends_with([',', ';']);
                    self.may_be_annotated = !is_over;
                    match self.builder.item(item.root(), at) {
                        Item::Header(header) => self.header(header),
                        Item::Definition(definition) => {
                            let is_open = matches!(definition, Definition::Typedef(_) | Definition::Const(_));
                            self.unclosed = is_open.then_some(at);
                            self.may_be_annotated &= !matches!(definition, Definition::Const(_));
                            self.parsed.document.definitions.push(definition);
                        }
                    }
                    at = end;
                }
                Err(mistake) => {
                    let annotated = std::mem::take(&mut self.may_be_annotated) && code[at..].starts_with('(');
                    let within = annotated.then(|| mistake_in_annotations(self.compact, at)).flatten();
                    let mistake = within.unwrap_or(mistake);
                    self.report(&mistake);
                    let unclosed = self.unclosed.take();
                    at = match self.definition(at, &mistake) {
                        Ok(end) => {
                            self.may_be_annotated = code[..end].trim_ascii_end().ends_with('}');
                            end
                        }
                        Err(name) => self.skip_item(at, mistake.at, name, unclosed),
                    };
                }
            }
        }
    }

    fn header(&mut self, header: Header) {
        if !self.parsed.document.definitions.is_empty() {
            self.parsed.errors.push(misplaced_header(self.source, &header));
        }
        self.unclosed = None;
        self.may_be_annotated &= matches!(&header, Header::Namespace(item) if item.scope.text != "*");
        self.parsed.document.headers.push(header);
    }

    pub(crate) fn report(&mut self, mistake: &Mistake) {
        // What stops the text is reported instead.
        if mistake.at < self.compact.code.len() || self.compact.stop.is_none() {
            let error = explain(self.source, self.compact, &mistake.error, mistake.at);
            self.parsed.errors.push(error);
        }
    }

    /// Goes past an item of which nothing can be read but perhaps its name.
    fn skip_item(&mut self, at: usize, mistake: usize, name: Option<Name>, unclosed: Option<usize>) -> usize {
        let code = self.compact.code.as_str();
        let mut start = at;
        let mut names = Vec::new();
        // What stands on a line of its own is another item, but for what starts none.
        let goes_on = || {
            const VALUES: &[char] =
                &['"', '\'', '[', ']', ':', '=', ')', '>', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
            mistake == at
                && !code[at..].starts_with([',', ';'])
                && (!self.is_line_between(at) || code[at..].starts_with(VALUES))
        };
        if let Some(before) = unclosed.filter(|_| goes_on())
            && let Some(definition) = self.parsed.document.definitions.pop()
        {
            // It goes on where it should end: who knows what it was meant to be.
            start = before;
            names.push(definition.name().clone());
        }
        let next = self.next_item(at, mistake);
        match name {
            Some(name) => names.push(name),
            None => names.extend(words_outside_brackets(self.compact, at, next)),
        }
        let word = first_word(&code[at..]);
        let is_nameless = names.is_empty()
            && match word {
                "include" | "const" | "typedef" => true,
                // A keyword is no name, but it was to be one.
                _ => starts_body(word) && first_word(&code[skip_blanks(code, at + word.len())..]).is_empty(),
            };
        self.parsed.gaps.push(Gap { span: self.compact.span(start, next), names, is_nameless });
        self.left_open = open_braces(&code[at..next], self.left_open);
        next
    }

    /// Where to go on behind an item that starts at `at` and has a mistake.
    fn next_item(&self, at: usize, mistake: usize) -> usize {
        let code = self.compact.code.as_str();
        if mistake == at && code[at..].starts_with([';', ',', '}']) {
            // Often all that is wrong.
            let next = skip_blanks(code, at + 1);
            if starts_item(first_word(&code[next..])) {
                return next;
            }
        }
        self.compact.nth_item_start(mistake.max(at + 1), 1)
    }

    /// Whether a line ends before the token at `at`.
    pub(crate) fn is_line_between(&self, at: usize) -> bool {
        self.compact.starts_line(self.source, at)
    }
}

/// The item that starts at `at`, and where it ends.
///
/// The grammar sees no more of the code than the item needs, lest a mistake costs time for all that follows: pest looks for
/// the line's start from the end of what it was given. A line that starts like an item is where one item ends and another
/// starts, but for fields that are named like a keyword.
fn match_item(compact: &CompactSource, at: usize) -> Result<(ParseTree<'_>, usize), Mistake> {
    let mut lines = 1;
    loop {
        let end = compact.nth_item_start(at + 1, lines);
        let text = &compact.code[at..end];
        match ParseTree::parse(Rule::item, text) {
            Ok(tree) => {
                let end = at + tree.root().end();
                return Ok((tree, end));
            }
            Err(error) => {
                if let Some(mistake) = mistake_of(compact, error, at, end) {
                    return Err(mistake);
                }
            }
        }
        // Twice as much each time: that bounds what is read again by what is read.
        lines *= 2;
    }
}

/// Why no `rule` matches what starts at `at`, if that can be told from the code before `end`.
pub(crate) fn mistake_in(compact: &CompactSource, rule: Rule, at: usize, end: usize) -> Option<Mistake> {
    let parsed = ParseTree::parse(rule, &compact.code[at..end]);
    mistake_of(compact, parsed.expect_err("the same text did not match before"), at, end)
}

/// What `error` says of the code from `at` on, unless it is that there is too little before `end`.
fn mistake_of(compact: &CompactSource, error: Error<Rule>, at: usize, end: usize) -> Option<Mistake> {
    let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
    (at + offset < end || end == compact.code.len())
        .then(|| Mistake { at: at + offset, error: Box::new(error) })
}

/// What is wrong with the annotations at `at`: they may be left out, so that the item before them ends without them.
fn mistake_in_annotations(compact: &CompactSource, at: usize) -> Option<Mistake> {
    let mut lines = 1;
    loop {
        let end = compact.nth_item_start(at + 1, lines);
        let error = ParseTree::parse(Rule::annotations, &compact.code[at..end]).err()?;
        if let Some(mistake) = mistake_of(compact, error, at, end) {
            return Some(mistake);
        }
        lines *= 2;
    }
}

/// # Errors
///
/// If offsets into the text do not fit a [`Span`].
pub(crate) fn check_length(source: &str) -> Result<(), SyntaxError> {
    match u32::try_from(source.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(SyntaxError::new("the file is longer than 4 GiB", "", Span::default())),
    }
}

/// Where the first token at or behind `at` starts.
pub(crate) fn skip_blanks(code: &str, at: usize) -> usize {
    at + code[at..].bytes().take_while(|byte| *byte == b'\n').count()
}

fn misplaced_header(source: &str, header: &Header) -> SyntaxError {
    let span = match header {
        Header::Include(item) | Header::CppInclude(item) => item.span,
        Header::Namespace(item) => item.span,
    };
    let span = token_at(source, span.start as usize);
    let word = &source[span.range()];
    SyntaxError::new(format!("`{word}` behind a definition"), "belongs before all definitions", span)
}

/// What cannot be read from `start` on. Its definitions start lines, if they are there at all.
fn rest_of(source: &str, start: u32) -> Gap {
    let mut names = Vec::new();
    let mut at = start as usize;
    for line in source[at..].split_inclusive('\n') {
        if starts_item(first_word(line.trim_start())) {
            names.extend(words(line, at as u32));
        }
        at += line.len();
    }
    Gap { span: Span::new(start, source.len() as u32), names, is_nameless: false }
}

/// The word that a text starts with, if it starts with one.
pub(crate) fn first_word(text: &str) -> &str {
    &text[..text.bytes().take_while(|byte| is_word_byte(*byte)).count()]
}

/// The words of a text that starts at `start` in the source.
pub(crate) fn words(text: &str, start: u32) -> Vec<Name> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(from) = text[at..].find(is_word).map(|len| at + len) {
        at = text[from..].find(|c| !is_word(c)).map_or(text.len(), |len| from + len);
        let span = Span::new(start + from as u32, start + at as u32);
        words.push(Name { text: text[from..at].to_owned(), span });
    }
    words
}

/// How many braces are open behind this code, if `open` are before it.
fn open_braces(code: &str, mut open: usize) -> usize {
    let mut at = 0;
    while let Some(&byte) = code.as_bytes().get(at) {
        match byte {
            b'"' | b'\'' => {
                at = end_of_literal(code.as_bytes(), at).0;
                continue;
            }
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    open
}
