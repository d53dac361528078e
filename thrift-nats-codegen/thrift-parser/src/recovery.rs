//! Definitions with a mistake in their body: what can be read of them, part by part.
//!
//! The members before a mistake and those behind it are read; between them is a [`Gap`]. Where a member starts is seen from
//! where it stands and what it looks like, since a mistake may leave brackets open. Each part of the code is looked at a
//! bounded number of times, however many mistakes there are.

use crate::builder::Builder;
use crate::compact_source::{CompactSource, end_of_literal, end_of_word, starts_item};
use crate::grammar::Rule;
use crate::parse::{Driver, Gap, Mistake, first_word, mistake_in, skip_blanks, words};
use crate::parse_tree::{Node, ParseTree};
use crate::syntax::{Definition, Enum, Name, Service, Struct};

/// A definition that is read part by part.
enum Body {
    Struct(Struct),
    Enum(Enum),
    Service(Service),
}

impl Body {
    /// What its members and its end match.
    const fn rest(&self) -> Rule {
        match self {
            Self::Struct(_) => Rule::struct_rest,
            Self::Enum(_) => Rule::enum_rest,
            Self::Service(_) => Rule::service_rest,
        }
    }

    const fn members(&self) -> Rule {
        match self {
            Self::Struct(_) => Rule::fields,
            Self::Enum(_) => Rule::enum_values,
            Self::Service(_) => Rule::functions,
        }
    }

    /// What a member looks like: in the body itself, and where brackets may be open.
    const fn member_start(&self, within: bool) -> Option<Rule> {
        match (self, within) {
            (Self::Struct(_), false) => Some(Rule::field_start),
            (Self::Struct(_), true) => Some(Rule::field_start_within),
            (Self::Enum(_), false) => Some(Rule::enum_value_start),
            (Self::Enum(_), true) => None,
            (Self::Service(_), false) => Some(Rule::function_start),
            (Self::Service(_), true) => Some(Rule::function_start_within),
        }
    }

    fn part(&mut self, builder: &mut Builder<'_>, node: Node<'_>) {
        match self {
            Self::Struct(item) => builder.struct_part(item, node),
            Self::Enum(item) => builder.enum_part(item, node),
            Self::Service(item) => builder.service_part(item, node),
        }
    }

    fn finish(self, end: u32) -> Definition {
        match self {
            Self::Struct(mut item) => {
                item.span.end = end;
                Definition::Struct(item)
            }
            Self::Enum(mut item) => {
                item.span.end = end;
                Definition::Enum(item)
            }
            Self::Service(mut item) => {
                item.span.end = end;
                Definition::Service(item)
            }
        }
    }
}

/// Where a definition goes on behind a mistake.
enum Next {
    Member,
    /// Its closing brace.
    Close,
    /// Nowhere: a line that starts like an item is there, or the end of the code.
    Over,
}

/// What was skipped.
struct Skipped {
    /// Where it ends.
    at: usize,
    next: Next,
    /// Whether every bracket in it is closed, and none of them is a brace.
    is_balanced: bool,
}

impl Driver<'_> {
    /// Reads the definition that starts at `at`, whose mistake has been reported, and returns where it ends. If it is one
    /// without a body, or if the mistake is before that, nothing is read, and its name is returned if it can be seen.
    pub(crate) fn definition(&mut self, at: usize, mistake: &Mistake) -> Result<usize, Option<Name>> {
        let code = self.compact.code.as_str();
        self.builder.base = at;
        let tree = matched(Rule::head, &code[at..]);
        let head = tree.root().children().next().ok_or(None)?;
        let end = at + head.end();
        let place = self.compact.span(at, end);
        let mut from = skip_blanks(code, end);
        let mut body = match head.rule() {
            Rule::struct_head => Body::Struct(self.builder.new_struct(place)),
            Rule::enum_head => Body::Enum(self.builder.new_enum(place)),
            Rule::service_head => Body::Service(self.builder.new_service(place)),
            _ => {
                return Err(head.child(Rule::name).map(|name| self.builder.name(name)));
            }
        };
        for node in head.children() {
            body.part(&mut self.builder, node);
        }
        // The first has been reported.
        let mut reported = Some(mistake.at);
        loop {
            let gap = self.members(&mut body, from);
            if code[gap..].starts_with('}') {
                let end = self.end(&mut body, gap);
                self.parsed.document.definitions.push(body.finish(self.compact.span(at, end).end));
                return Ok(end);
            }
            let mistake = match reported.take() {
                Some(at) => at,
                None => self.report_behind(&body, from),
            };
            let skipped = self.skip_member(&body, gap, mistake);
            let span = self.compact.span(gap, skipped.at);
            if span.start < span.end {
                let names = words_outside_brackets(self.compact, gap, skipped.at);
                let is_nameless = names.is_empty();
                self.parsed.gaps.push(Gap { span, names, is_nameless });
            }
            from = skipped.at;
            match skipped.next {
                Next::Member | Next::Close => {}
                Next::Over => {
                    // If the mistake left nothing open, this one is another.
                    if skipped.is_balanced && mistake < from {
                        self.report_behind(&body, from);
                    }
                    self.left_open += 1;
                    self.parsed.document.definitions.push(body.finish(self.compact.span(at, from).end));
                    return Ok(from);
                }
            }
        }
    }

    /// Reports the mistake in what is left of a definition from `from` on.
    fn report_behind(&mut self, body: &Body, from: usize) -> usize {
        let found = mistake_behind(self.compact, body.rest(), from);
        self.report(&found);
        found.at
    }

    /// Reads all members from `from` up to the next mistake, or the closing brace. Returns where the gap starts, or the brace
    /// is.
    fn members(&mut self, body: &mut Body, from: usize) -> usize {
        let code = self.compact.code.as_str();
        self.builder.base = from;
        let tree = matched(body.members(), &code[from..]);
        let mut members = tree.roots();
        let mut next = from;
        while let Some(member) = members.next() {
            let text = member.text().trim_ascii_end();
            let start = from + member.start();
            next = skip_blanks(code, start + text.len());
            let is_last = members.peek().is_none();
            if is_last && !code[next..].starts_with('}') && self.may_go_on(text, next) {
                // What was taken for a member may be the beginning of one.
                return start;
            }
            body.part(&mut self.builder, member);
        }
        skip_blanks(code, next)
    }

    /// Whether what stands at `next` may belong to the member before it.
    fn may_go_on(&self, member: &str, next: usize) -> bool {
        let code = &self.compact.code[next..];
        let word = first_word(code);
        let is_id = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_digit())
            && code[word.len()..].trim_start_matches('\n').starts_with(':');
        !member.ends_with([',', ';']) && !is_id && !self.is_line_between(next)
    }

    /// Reads the closing brace at `at` and the annotations behind it. Returns where they end.
    fn end(&mut self, body: &mut Body, at: usize) -> usize {
        self.builder.base = at;
        let tree = matched(Rule::body_end, &self.compact.code[at..]);
        let end = at + tree.root().end();
        for part in tree.root().children() {
            body.part(&mut self.builder, part);
        }
        end
    }

    /// Looks for the next member, behind `from` and not before the mistake.
    fn skip_member(&self, body: &Body, from: usize, mistake: usize) -> Skipped {
        let code = self.compact.code.as_str();
        let bytes = code.as_bytes();
        let mut open = Open::default();
        let mut behind_separator = false;
        let mut at = from;
        loop {
            at = skip_blanks(code, at);
            let Some(&byte) = bytes.get(at) else { break };
            if self.compact.is_item_start(at) && !is_no_keyword(code, at) {
                break;
            }
            if byte == b'}' && open.braces == 0 && self.may_close(at) {
                return Skipped { at, next: Next::Close, is_balanced: open.is_balanced() };
            }
            let may_start =
                behind_separator || byte.is_ascii_digit() && open.is_body() || self.is_line_between(at);
            if may_start && at > from && self.is_member_start(body, at, &open, mistake) {
                return Skipped { at, next: Next::Member, is_balanced: open.is_balanced() };
            }
            behind_separator = matches!(byte, b',' | b';') && open.is_body() && open.angles == 0;
            at = match byte {
                b'"' | b'\'' => {
                    let (end, is_closed) = end_of_literal(bytes, at);
                    open.is_broken |= !is_closed;
                    end
                }
                _ => {
                    open.token(byte);
                    end_of_word(bytes, at)
                }
            };
        }
        Skipped { at, next: Next::Over, is_balanced: open.is_balanced() }
    }

    /// Whether a brace at `at` can close the definition: what stands behind it must not look like the rest of a member.
    fn may_close(&self, at: usize) -> bool {
        let next = skip_blanks(&self.compact.code, at + 1);
        let behind = &self.compact.code[next..];
        behind.is_empty()
            || behind.starts_with(['(', ',', ';', '}'])
            || self.is_line_between(next)
            || starts_item(first_word(behind))
    }

    /// Whether what stands at `at` looks like a member.
    fn is_member_start(&self, body: &Body, at: usize, open: &Open, mistake: usize) -> bool {
        let code = &self.compact.code[at..];
        if at >= mistake {
            let rule = body.member_start(!open.is_body());
            return rule.is_some_and(|rule| len_of_match(rule, code) > 0);
        }
        // An argument list that is not closed, and the mistake is what cannot follow in one.
        matches!(body, Body::Service(_))
            && !open.is_body()
            && mistake < at + len_of_match(Rule::function_start_before, code)
    }
}

/// How much of the code a rule matches that may match nothing.
fn len_of_match(rule: Rule, code: &str) -> usize {
    matched(rule, code).root().end()
}

/// Brackets that are open.
#[derive(Default)]
struct Open {
    braces: usize,
    parens: usize,
    squares: usize,
    angles: usize,
    /// Whether one is closed that is not open, or a literal is not closed.
    is_broken: bool,
    has_braces: bool,
}

impl Open {
    fn token(&mut self, byte: u8) {
        let (count, opens) = match byte {
            b'{' => (&mut self.braces, true),
            b'}' => (&mut self.braces, false),
            b'(' => (&mut self.parens, true),
            b')' => (&mut self.parens, false),
            b'[' => (&mut self.squares, true),
            b']' => (&mut self.squares, false),
            b'<' => (&mut self.angles, true),
            b'>' => (&mut self.angles, false),
            _ => return,
        };
        self.has_braces |= matches!(byte, b'{' | b'}');
        match (opens, count.checked_sub(1)) {
            (true, _) => *count += 1,
            (false, Some(rest)) => *count = rest,
            (false, None) => self.is_broken = true,
        }
    }

    /// Whether a separator here is one between members.
    const fn is_body(&self) -> bool {
        self.braces == 0 && self.parens == 0 && self.squares == 0
    }

    const fn is_balanced(&self) -> bool {
        self.is_body() && self.angles == 0 && !self.is_broken && !self.has_braces
    }
}

/// Whether the keyword at `at` is the name of a field, or none that was meant: what stands behind it can follow no keyword.
fn is_no_keyword(code: &str, at: usize) -> bool {
    let behind = &code[skip_blanks(code, end_of_word(code.as_bytes(), at))..];
    let word = first_word(behind);
    matches!(word, "xsd_attrs" | "xsd_optional" | "xsd_nillable")
        || word.starts_with(|c: char| c.is_ascii_digit())
        || word.is_empty() && !behind.starts_with(['{', '"', '\'', '*'])
}

/// The match of a rule that matches any text.
fn matched(rule: Rule, text: &str) -> ParseTree<'_> {
    ParseTree::parse(rule, text).expect("a rule of what may be left out matches everything")
}

/// The mistake in what is left of a definition from `from` on.
fn mistake_behind(compact: &CompactSource, rule: Rule, from: usize) -> Mistake {
    // Twice as much each time, as for whole items.
    let mut len = 64;
    loop {
        if let Some(mistake) = mistake_in(compact, rule, from, cut(&compact.code, from, len)) {
            return mistake;
        }
        len *= 2;
    }
}

/// The end of a text of at least `len` bytes from `from` on that ends with a whole token.
fn cut(code: &str, from: usize, len: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'"' | b'\'' => end_of_literal(bytes, at).0,
            _ => at + 1,
        };
        if at >= from + len && matches!(byte, b'\n' | b',' | b';') {
            return at;
        }
    }
    code.len()
}

/// The words of the code from `from` up to `until` that may be names: they are in no brackets, and no keywords.
pub(crate) fn words_outside_brackets(compact: &CompactSource, from: usize, until: usize) -> Vec<Name> {
    let bytes = &compact.code.as_bytes()[..until];
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b'"' | b'\'' => end_of_literal(bytes, at).0,
            _ => end_of_word(bytes, at),
        };
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            // A path may be in it, which was to be included.
            b'"' | b'\'' => found.extend(words(&compact.code[at..end], compact.source_offset(at))),
            // What stands before a brace is a name, whatever is open.
            _ if depth == 0 || compact.code[skip_blanks(&compact.code, end)..].starts_with('{') => {
                let words = words(&compact.code[at..end], compact.source_offset(at));
                found.extend(words.into_iter().filter(|word| may_be_name(&word.text)));
            }
            _ => {}
        }
        at = end;
    }
    found
}

/// Whether a word can be the name of something that is defined.
fn may_be_name(word: &str) -> bool {
    !matches!(
        word,
        "bool"
            | "byte"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "double"
            | "string"
            | "binary"
            | "void"
            | "list"
            | "set"
            | "map"
            | "required"
            | "optional"
            | "oneway"
            | "async"
            | "extends"
            | "throws"
    ) && !starts_item(word)
        && !word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::Span;

    #[test]
    fn a_text_is_cut_between_tokens() {
        assert_eq!(cut("a,b;c\nd", 0, 1), 2);
        assert_eq!(cut("a,b;c\nd", 0, 3), 4);
        assert_eq!(cut("\"a,b\"\nc", 0, 1), 6);
        assert_eq!(cut("1.5e-3", 0, 1), 6);
    }

    #[test]
    fn a_name_stands_outside_of_brackets() {
        let compact = CompactSource::of("sturct A { 1: B b } // C\nD (e) include 'f.g'");
        let words = words_outside_brackets(&compact, 0, compact.code.len());
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["sturct", "A", "D", "f", "g"]);
        assert_eq!(compact.span(0, 6), Span::new(0, 6));
    }
}
