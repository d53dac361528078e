//! The parser: matches one item of the file after the other.
//!
//! An item that does not match is reported and handed to [`recovery`](crate::recovery). If that cannot read the definition
//! either, parsing continues at the next line that starts like an item.

use crate::builder::Item;
use crate::compact_source::CompactSource;
use crate::gap::{Gap, names_in};
use crate::grammar::Rule;
use crate::keyword::{starts_body, starts_item};
use crate::mismatch::Mismatch;
use crate::open_brackets::open_braces;
use crate::parse_state::ParseState;
use crate::parse_tree::ParseTree;
use crate::parsed::Parsed;
use crate::recovery::recover_definition;
use crate::syntax::{Definition, Header, Name};
use crate::syntax_error::SyntaxError;
use crate::token::{first_word, token_at};

/// Parses the text of a `.thrift` file.
///
/// Parsing never fails as a whole: the result holds every definition that could be read, and every syntax error in source
/// order. All spans are byte offsets into `source`; a byte order mark counts.
///
/// Two errors end parsing early: a bracket that nests deeper than [`MAX_NESTING`](crate::MAX_NESTING) levels, and a comment
/// that is not closed. A text of 4 GiB or more is not parsed at all. Time and memory are linear in the length of `source`.
///
/// ```
/// let parsed = thrift_parser::parse("enum Color { RED, GREEN }\nconst i32 LIMIT = ;\n");
/// assert_eq!(parsed.document.definitions.len(), 1);
/// assert_eq!(parsed.errors[0].message, "expected a value, found `;`");
/// ```
pub fn parse(source: &str) -> Parsed {
    let compact = match CompactSource::new(source) {
        Ok(compact) => compact,
        Err(error) => return Parsed { errors: vec![error], ..Parsed::default() },
    };
    let mut parser =
        Parser { state: ParseState::new(source, &compact), unclosed: None, may_be_annotated: false };
    parser.items();
    let mut parsed = parser.state.finish();
    if let Some(stop) = compact.stop {
        parsed.gaps.push(Gap::to_end(source, stop.span.start));
        parsed.errors.push(stop);
    }
    parsed.errors.sort_by_key(|error| error.span);
    parsed.document.comments = compact.comments;
    parsed
}

struct Parser<'s> {
    state: ParseState<'s>,
    /// The start of the last item if it is a `typedef` or `const`. Neither has a closing token, so text after it on its
    /// line may belong to it.
    unclosed: Option<usize>,
    /// Whether annotations may follow the last item.
    may_be_annotated: bool,
}

impl Parser<'_> {
    fn items(&mut self) {
        let compact = self.state.compact;
        let code = compact.code.as_str();
        let mut at = 0;
        loop {
            at = compact.skip_blanks(at);
            if at == code.len() {
                break;
            }
            if self.state.left_open > 0 && code[at..].starts_with('}') {
                self.state.left_open -= 1;
                self.may_be_annotated = false;
                at += 1;
                continue;
            }
            at = match match_item(compact, at) {
                Ok((tree, end)) => {
                    self.item(&tree, at, end);
                    end
                }
                Err(mismatch) => self.recover(at, mismatch),
            };
        }
    }

    fn item(&mut self, tree: &ParseTree<'_>, at: usize, end: usize) {
        let code = self.state.compact.code.as_str();
        self.may_be_annotated = !code[..end].trim_ascii_end().ends_with([',', ';']);
        match self.state.builder.item(tree.root(), at) {
            Item::Header(header) => self.header(header),
            Item::Definition(definition) => {
                let is_unclosed = matches!(definition, Definition::Typedef(_) | Definition::Const(_));
                self.unclosed = is_unclosed.then_some(at);
                self.may_be_annotated &= !matches!(definition, Definition::Const(_));
                self.state.parsed.document.definitions.push(definition);
            }
        }
    }

    fn header(&mut self, header: Header) {
        if !self.state.parsed.document.definitions.is_empty() {
            self.state.parsed.errors.push(misplaced_header(self.state.source, &header));
        }
        self.unclosed = None;
        self.may_be_annotated &= matches!(&header, Header::Namespace(item) if item.scope.text != "*");
        self.state.parsed.document.headers.push(header);
    }

    /// Reports the mismatch at the item that starts at `at`. Returns where parsing continues.
    fn recover(&mut self, at: usize, mismatch: Mismatch) -> usize {
        let compact = self.state.compact;
        let code = compact.code.as_str();
        let is_annotated = std::mem::take(&mut self.may_be_annotated) && code[at..].starts_with('(');
        let in_annotations = is_annotated.then(|| mismatch_in_annotations(compact, at)).flatten();
        let mismatch = in_annotations.unwrap_or(mismatch);
        self.state.report(&mismatch);
        let unclosed = self.unclosed.take();
        match recover_definition(&mut self.state, at, mismatch.at) {
            Ok(end) => {
                self.may_be_annotated = code[..end].trim_ascii_end().ends_with('}');
                end
            }
            Err(name) => self.skip_item(at, mismatch.at, name, unclosed),
        }
    }

    /// Skips an item of which at most the `name` could be read. Returns where parsing continues.
    fn skip_item(
        &mut self,
        at: usize,
        error_at: usize,
        name: Option<Name>,
        unclosed: Option<usize>,
    ) -> usize {
        let compact = self.state.compact;
        let code = compact.code.as_str();
        let mut start = at;
        let mut names = Vec::new();
        // A token at the start of a line starts another item, unless no item can start with it.
        let continues_last_item = || {
            const NO_ITEM: &[char] =
                &['"', '\'', '[', ']', ':', '=', ')', '>', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
            error_at == at
                && !code[at..].starts_with([',', ';'])
                && (!self.state.starts_line(at) || code[at..].starts_with(NO_ITEM))
        };
        if let Some(before) = unclosed.filter(|_| continues_last_item())
            && let Some(definition) = self.state.parsed.document.definitions.pop()
        {
            // The definition continues after its end, so the part that matched may be wrong: drop it, keep its name.
            start = before;
            names.push(definition.name().clone());
        }
        let next = self.next_item(at, error_at);
        match name {
            Some(name) => names.push(name),
            None => names.extend(names_in(compact, at, next)),
        }
        let word = first_word(&code[at..]);
        let is_nameless = names.is_empty()
            && match word {
                "include" | "const" | "typedef" => true,
                // `struct struct {`: a keyword stands where the name belongs.
                _ => {
                    starts_body(word) && first_word(&code[compact.skip_blanks(at + word.len())..]).is_empty()
                }
            };
        self.state.parsed.gaps.push(Gap { span: compact.span(start, next), names, is_nameless });
        self.state.left_open = open_braces(&code[at..next], self.state.left_open);
        next
    }

    /// The place where parsing continues after the item that starts at `at` and has an error at `error_at`.
    fn next_item(&self, at: usize, error_at: usize) -> usize {
        let compact = self.state.compact;
        if error_at == at && compact.code[at..].starts_with([';', ',', '}']) {
            // Often this one token is the whole mistake.
            let next = compact.skip_blanks(at + 1);
            if starts_item(first_word(&compact.code[next..])) {
                return next;
            }
        }
        compact.nth_item_start(error_at.max(at + 1), 1)
    }
}

/// The item that starts at `at`, and where it ends.
///
/// The grammar is given only the code up to the next line that starts like an item, because pest looks for the start of the
/// line backwards from the end of its input when it reports an error. A field that is named like a keyword may start such a
/// line too. Therefore the match is tried again with twice as many of these lines while it fails at the end of its input.
/// The doubling keeps the total linear.
fn match_item(compact: &CompactSource, at: usize) -> Result<(ParseTree<'_>, usize), Mismatch> {
    let mut lines = 1;
    loop {
        let end = compact.nth_item_start(at + 1, lines);
        match ParseTree::parse(Rule::item, &compact.code[at..end]) {
            Ok(tree) => {
                let end = at + tree.root().end();
                return Ok((tree, end));
            }
            Err(error) => {
                if let Some(mismatch) = Mismatch::new(compact, error, at, end) {
                    return Err(mismatch);
                }
            }
        }
        lines *= 2;
    }
}

/// The error in the annotations at `at`. Annotations are optional, so the item before them matches without them.
fn mismatch_in_annotations(compact: &CompactSource, at: usize) -> Option<Mismatch> {
    let mut lines = 1;
    loop {
        let end = compact.nth_item_start(at + 1, lines);
        let error = ParseTree::parse(Rule::annotations, &compact.code[at..end]).err()?;
        if let Some(mismatch) = Mismatch::new(compact, error, at, end) {
            return Some(mismatch);
        }
        lines *= 2;
    }
}

fn misplaced_header(source: &str, header: &Header) -> SyntaxError {
    let span = match header {
        Header::Include(item) | Header::CppInclude(item) => item.span,
        Header::Namespace(item) => item.span,
    };
    let span = token_at(source, span.start as usize);
    let word = &source[span.range()];
    SyntaxError::new(format!("`{word}` after a definition"), "must come before all definitions", span)
}
