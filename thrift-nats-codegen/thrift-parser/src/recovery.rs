//! Error recovery inside a definition: its members are read one by one.
//!
//! The members before and after an error are read; the text between them is a [`Gap`]. An error may leave brackets
//! open, so the start of the next member is recognised by its position and its first tokens, not by the nesting. Each
//! part of the code is looked at a bounded number of times, however many errors there are.

use crate::body::Body;
use crate::compact_source::CompactSource;
use crate::gap::{Gap, names_in};
use crate::grammar::Rule;
use crate::keyword::starts_item;
use crate::mismatch::Mismatch;
use crate::open_brackets::OpenBrackets;
use crate::parse_state::ParseState;
use crate::parse_tree::ParseTree;
use crate::syntax::Name;
use crate::token::{end_of_literal, end_of_word, first_word};

/// Reads the definition that starts at `at` and whose error at `error_at` has been reported. Returns where it ends.
///
/// # Errors
///
/// The definition has no body, or the error is before its body. Nothing was read; the name is returned if it is there.
pub(crate) fn recover_definition(
    state: &mut ParseState<'_>,
    at: usize,
    error_at: usize,
) -> Result<usize, Option<Name>> {
    let compact = state.compact;
    let tree = parse_optional(Rule::head, &compact.code[at..]);
    let head = tree.root().children().next().ok_or(None)?;
    let end = at + head.end();
    let span = compact.span(at, end);
    state.builder.base = at;
    let mut body = match head.rule() {
        Rule::struct_head => Body::Struct(state.builder.new_struct(span)),
        Rule::enum_head => Body::Enum(state.builder.new_enum(span)),
        Rule::service_head => Body::Service(state.builder.new_service(span)),
        _ => return Err(head.child(Rule::name).map(|name| state.builder.name(name))),
    };
    for node in head.children() {
        body.part(&mut state.builder, node);
    }
    let mut recovery = Recovery { state, body };
    let end = recovery.body(compact.skip_blanks(end), error_at);
    let Recovery { state, body } = recovery;
    state.parsed.document.definitions.push(body.finish(compact.span(at, end).end));
    Ok(end)
}

struct Recovery<'r, 's> {
    state: &'r mut ParseState<'s>,
    body: Body,
}

/// The token that ends a gap.
enum GapEnd {
    Member,
    ClosingBrace,
    /// A line that starts like an item, or the end of the code.
    Item,
}

/// Code that was skipped.
struct Skipped {
    /// The end of the gap.
    at: usize,
    end: GapEnd,
    /// Whether every bracket in the gap is closed and none of them is a brace.
    is_balanced: bool,
}

impl Recovery<'_, '_> {
    /// Reads the body that starts at `start`. Returns where the definition ends.
    fn body(&mut self, start: usize, error_at: usize) -> usize {
        let compact = self.state.compact;
        let mut from = start;
        let mut reported = Some(error_at);
        loop {
            let gap = self.members(from);
            if compact.code[gap..].starts_with('}') {
                return self.end(gap);
            }
            let error_at = match reported.take() {
                Some(at) => at,
                None => self.report(from),
            };
            let skipped = self.skip_member(gap, error_at);
            let span = compact.span(gap, skipped.at);
            if span.start < span.end {
                let names = names_in(compact, gap, skipped.at);
                let is_nameless = names.is_empty();
                self.state.parsed.gaps.push(Gap { span, names, is_nameless });
            }
            from = skipped.at;
            match skipped.end {
                GapEnd::Member | GapEnd::ClosingBrace => {}
                GapEnd::Item => {
                    // If the error left no bracket open, the missing brace is a separate error.
                    if skipped.is_balanced && error_at < from {
                        self.report(from);
                    }
                    self.state.left_open += 1;
                    return from;
                }
            }
        }
    }

    /// Reports the first error in the rest of the body. Returns where it is.
    fn report(&mut self, from: usize) -> usize {
        let mismatch = mismatch_after(self.state.compact, self.body.rest(), from);
        self.state.report(&mismatch);
        mismatch.at
    }

    /// Reads members up to the next error or the closing brace. Returns the place of the brace, or the start of the gap.
    fn members(&mut self, from: usize) -> usize {
        let compact = self.state.compact;
        let code = compact.code.as_str();
        let tree = parse_optional(self.body.members(), &code[from..]);
        let mut members = tree.roots();
        let mut next = from;
        self.state.builder.base = from;
        while let Some(member) = members.next() {
            let text = member.text().trim_ascii_end();
            let start = from + member.start();
            next = compact.skip_blanks(start + text.len());
            let is_last = members.peek().is_none();
            if is_last && !code[next..].starts_with('}') && self.may_continue(text, next) {
                // The text that matched may be the start of a longer, malformed member.
                return start;
            }
            self.body.part(&mut self.state.builder, member);
        }
        compact.skip_blanks(next)
    }

    /// Whether the token at `next` may belong to the member before it.
    fn may_continue(&self, member: &str, next: usize) -> bool {
        let code = &self.state.compact.code[next..];
        let word = first_word(code);
        let is_id = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_digit())
            && code[word.len()..].trim_start_matches('\n').starts_with(':');
        !member.ends_with([',', ';']) && !is_id && !self.state.starts_line(next)
    }

    /// Reads the closing brace at `at` and the annotations after it. Returns where they end.
    fn end(&mut self, at: usize) -> usize {
        self.state.builder.base = at;
        let tree = parse_optional(Rule::body_end, &self.state.compact.code[at..]);
        for part in tree.root().children() {
            self.body.part(&mut self.state.builder, part);
        }
        at + tree.root().end()
    }

    /// Looks for the next member after `from`, but not before the error.
    fn skip_member(&self, from: usize, error_at: usize) -> Skipped {
        let compact = self.state.compact;
        let bytes = compact.code.as_bytes();
        let mut open = OpenBrackets::default();
        let mut after_separator = false;
        let mut at = from;
        loop {
            at = compact.skip_blanks(at);
            let Some(&byte) = bytes.get(at) else { break };
            if compact.is_item_start(at) && !is_field_name(compact, at) {
                break;
            }
            if byte == b'}' && open.braces == 0 && self.may_close(at) {
                return Skipped { at, end: GapEnd::ClosingBrace, is_balanced: open.is_balanced() };
            }
            let may_start =
                after_separator || byte.is_ascii_digit() && open.is_body() || self.state.starts_line(at);
            if may_start && at > from && self.is_member_start(at, &open, error_at) {
                return Skipped { at, end: GapEnd::Member, is_balanced: open.is_balanced() };
            }
            after_separator = matches!(byte, b',' | b';') && open.is_body() && open.angles == 0;
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
        Skipped { at, end: GapEnd::Item, is_balanced: open.is_balanced() }
    }

    /// Whether the brace at `at` may close the definition: the text after it must not look like the rest of a member.
    fn may_close(&self, at: usize) -> bool {
        let compact = self.state.compact;
        let next = compact.skip_blanks(at + 1);
        let after = &compact.code[next..];
        after.is_empty()
            || after.starts_with(['(', ',', ';', '}'])
            || self.state.starts_line(next)
            || starts_item(first_word(after))
    }

    /// Whether the code at `at` looks like the start of a member.
    fn is_member_start(&self, at: usize, open: &OpenBrackets, error_at: usize) -> bool {
        let code = &self.state.compact.code[at..];
        if at >= error_at {
            let rule = self.body.member_start(!open.is_body());
            return rule.is_some_and(|rule| matched_len(rule, code) > 0);
        }
        // An argument list that is not closed: a function starts before the error, which is its first token that cannot
        // follow in an argument list.
        matches!(self.body, Body::Service(_))
            && !open.is_body()
            && error_at < at + matched_len(Rule::function_start_before_error, code)
    }
}

/// Number of bytes that an optional rule matches.
fn matched_len(rule: Rule, code: &str) -> usize {
    parse_optional(rule, code).root().end()
}

/// Matches a rule that matches the empty text rather than fail.
fn parse_optional(rule: Rule, code: &str) -> ParseTree<'_> {
    ParseTree::parse(rule, code).expect("an optional rule matches any text")
}

/// Whether the keyword at `at` is used as the name of a field, or is part of a malformed one: the next token cannot
/// follow a keyword that starts an item.
fn is_field_name(compact: &CompactSource, at: usize) -> bool {
    let after = &compact.code[compact.skip_blanks(end_of_word(compact.code.as_bytes(), at))..];
    let word = first_word(after);
    matches!(word, "xsd_attrs" | "xsd_optional" | "xsd_nillable")
        || word.starts_with(|c: char| c.is_ascii_digit())
        || word.is_empty() && !after.starts_with(['{', '"', '\'', '*'])
}

/// The first place at or after `from` where the `rule` for the rest of a definition does not match.
fn mismatch_after(compact: &CompactSource, rule: Rule, from: usize) -> Mismatch {
    // The length doubles so that the total stays linear.
    let mut len = 64;
    loop {
        if let Some(found) = Mismatch::of_rule(compact, rule, from, cut(&compact.code, from, len)) {
            return found;
        }
        len *= 2;
    }
}

/// The end of a piece of at least `len` bytes that starts at `from` and ends with a whole token.
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

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_piece_ends_between_tokens() {
        assert_eq!(cut("a,b;c\nd", 0, 1), 2);
        assert_eq!(cut("a,b;c\nd", 0, 3), 4);
        assert_eq!(cut("\"a,b\"\nc", 0, 1), 6);
        assert_eq!(cut("1.5e-3", 0, 1), 6);
    }
}
