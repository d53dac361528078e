//! The text of syntax errors.

use pest::error::ErrorVariant;

use crate::compact_source::CompactSource;
use crate::grammar::Rule;
use crate::keyword::near;
use crate::mismatch::Mismatch;
use crate::syntax::Span;
use crate::syntax_error::SyntaxError;
use crate::token::{end_of_literal, token_at};

/// The expectation where an item can start.
const A_DEFINITION: &str = "a definition";

/// The syntax error for a mismatch.
pub(crate) fn explain(source: &str, compact: &CompactSource, mismatch: &Mismatch) -> SyntaxError {
    let at = mismatch.at;
    let mut span = token_at(source, compact.source_offset(at) as usize);
    let token = &source[span.range()];
    if let Some(error) = lexical(token, span) {
        return error;
    }
    let expected = match &mismatch.error.variant {
        ErrorVariant::ParsingError { positives, .. } => expectations(positives),
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let mut found = if token.is_empty() { "the end of the file".to_owned() } else { format!("`{token}`") };
    let missing = matches!(*expected, [one] if one != A_DEFINITION) && matches!(token, "}" | ")" | "]" | ">");
    if let (true, Some(line_end)) = (missing, line_end_before(source, compact, at)) {
        // Something is missing at the end of the line before. The bracket that the next line closes is not the mistake.
        span = line_end;
        found = "the end of the line".to_owned();
    }
    let wanted = match expected.as_slice() {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    if let Some(number) = number_before(compact, at).filter(|_| !expected.contains(&"`:`"))
        && token.starts_with(|c: char| c == '.' || c == '_' || c.is_ascii_alphabetic())
    {
        let rest = &source[span.start as usize..];
        let tail = &rest[..rest.bytes().take_while(is_number_byte).count()];
        let message = format!("malformed number `{number}{tail}`");
        return SyntaxError::new(message, "the number ends before this", span).with_help(if tail == "." {
            "a double has digits after its point: `5.0`"
        } else {
            "numbers are decimal, or hexadecimal with `0x`, without `_`"
        });
    }
    let error =
        SyntaxError::new(format!("expected {wanted}, found {found}"), format!("expected {wanted}"), span);
    let at_definition = expected.contains(&A_DEFINITION);
    if let Some(help) = help(token, &expected) {
        return error.with_help(help);
    }
    match misspelt(compact, at, at_definition) {
        Some((start, end, meant)) if start == at && end > start => {
            error.with_help(format!("write `{meant}`"))
        }
        Some((start, end, meant)) => {
            let span = compact.span(start, end);
            let message = format!("unknown keyword `{}`", &source[span.range()]);
            SyntaxError::new(message, format!("did you mean `{meant}`?"), span)
                .with_help(format!("write `{meant}`"))
        }
        None => error,
    }
}

/// Whether the byte may be part of a number, well-formed or not.
const fn is_number_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// The number that ends at `at` in the code, without its sign.
fn number_before(compact: &CompactSource, at: usize) -> Option<&str> {
    let code = &compact.code[..at];
    let start = at - code.bytes().rev().take_while(is_number_byte).count();
    code[start..].starts_with(|c: char| c.is_ascii_digit() || c == '.').then_some(&code[start..])
}

/// A misspelt keyword at or shortly before `at`: its start and end in the code, and the keyword that was meant. The grammar
/// takes such a word for a type or a name, so the mismatch is a few words later.
fn misspelt(compact: &CompactSource, at: usize, at_definition: bool) -> Option<(usize, usize, &'static str)> {
    const STARTS: [&str; 9] =
        ["typedef", "const", "enum", "struct", "union", "exception", "service", "include", "namespace"];
    const INSIDE: [&str; 3] = ["required", "optional", "oneway"];
    let code = compact.code.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let len = code[at..].iter().take_while(|byte| is_word(**byte)).count();
    let word = |start: usize, end: usize| compact.code.get(start..end).unwrap_or_default();
    if at_definition {
        return Some((at, at + len, near(word(at, at + len), &STARTS)?));
    }
    if let Some(meant) = near(word(at, at + len), &["extends", "throws"]) {
        return Some((at, at + len, meant));
    }
    // Backwards, over words with one blank between them.
    let mut next = code.get(at).copied().unwrap_or_default();
    let mut end = at;
    for _ in 0..3 {
        end -= usize::from(end > 0 && code[end - 1] == b'\n');
        let start = end - code[..end].iter().rev().take_while(|byte| is_word(**byte)).count();
        if start == end {
            return None;
        }
        let meant = match next {
            b'(' => near(word(start, end), &["throws"]),
            _ if is_word(next) && !next.is_ascii_digit() => near(word(start, end), &INSIDE),
            _ => None,
        };
        if let Some(meant) = meant {
            return Some((start, end, meant));
        }
        next = code[start];
        end = start;
    }
    None
}

/// The place after the last token before `at`, if `at` is on a later line: where that line ends or its comment starts.
fn line_end_before(source: &str, compact: &CompactSource, at: usize) -> Option<Span> {
    let before = at.checked_sub(1)?;
    let is_blank = compact.code.as_bytes()[before] == b'\n';
    let last_token_end = compact.source_offset(before) as usize + usize::from(!is_blank);
    let between = &source[last_token_end..compact.source_offset(at) as usize];
    if !between.contains('\n') {
        return None;
    }
    let end = last_token_end + between.len() - between.trim_start_matches([' ', '\t']).len();
    Some(Span::new(end as u32, end as u32))
}

/// The error of a token that is malformed.
fn lexical(token: &str, span: Span) -> Option<SyntaxError> {
    let first = token.chars().next()?;
    Some(match first {
        '"' | '\'' if !end_of_literal(token.as_bytes(), 0).1 => {
            SyntaxError::new("unterminated literal", format!("no closing `{first}` on this line"), span)
        }
        _ if !first.is_ascii() => SyntaxError::new(
            format!("unexpected character `{first}`"),
            "allowed only in literals and comments",
            span,
        ),
        _ => return None,
    })
}

/// Help for a form that Thrift had once, or that another dialect or language has.
fn help(token: &str, expected: &[&str]) -> Option<&'static str> {
    let at_definition = expected.contains(&A_DEFINITION);
    Some(match token {
        ":" if expected.contains(&"a field name") => "a field has an id, a type and a name: `1: i32 count`",
        "extends" | ":" if expected.contains(&"`{`") => {
            "only a service can extend another one, with `extends`"
        }
        "senum" => "`senum` was removed from Thrift; use an `enum` or `typedef string`",
        "slist" => "`slist` was removed from Thrift; use `string`",
        "package" if at_definition => "`package` belongs to fbthrift; use `namespace`",
        "message" | "syntax" if at_definition => {
            "this looks like Protocol Buffers; Thrift has `struct` and no `syntax` line"
        }
        "@" => "structured annotations belong to fbthrift; write `(key = \"value\")` after the item",
        ";" | "," if at_definition => "definitions have no separator; remove it",
        _ if at_definition && (token.ends_with("_namespace") || token.ends_with("_package")) => {
            "write `namespace LANGUAGE NAME`"
        }
        _ => return None,
    })
}

/// The tokens that could be there, the most likely first.
fn expectations(positives: &[Rule]) -> Vec<&'static str> {
    let mut texts: Vec<(u8, &'static str)> = positives.iter().filter_map(|rule| describe(*rule)).collect();
    texts.sort_unstable();
    texts.dedup();
    // Optional tokens are left out if a required one is expected.
    if texts.iter().any(|(rank, _)| *rank < 2) {
        texts.retain(|(rank, _)| *rank < 2);
    }
    texts.into_iter().map(|(_, text)| text).take(4).collect()
}

/// The text for a rule and its rank: 0 if required, 1 if it closes a bracket, 2 if optional.
fn describe(rule: Rule) -> Option<(u8, &'static str)> {
    Some(match rule {
        Rule::definition | Rule::header | Rule::item => (0, A_DEFINITION),
        Rule::typedef | Rule::constant | Rule::enumeration | Rule::structure | Rule::service => {
            (0, A_DEFINITION)
        }
        Rule::kw_typedef | Rule::kw_const | Rule::kw_enum | Rule::kw_struct | Rule::kw_service => {
            (0, A_DEFINITION)
        }
        Rule::include | Rule::cpp_include | Rule::namespace | Rule::kw_include => (0, A_DEFINITION),
        Rule::kw_cpp_include | Rule::kw_namespace => (0, A_DEFINITION),
        Rule::name => (0, "a name"),
        Rule::field_name => (0, "a field name"),
        Rule::path | Rule::key => (0, "a name"),
        Rule::field_type | Rule::base | Rule::map | Rule::set | Rule::list => (0, "a type"),
        Rule::kw_map | Rule::kw_set | Rule::kw_list => (0, "a type"),
        Rule::value | Rule::value_list | Rule::value_map => (0, "a value"),
        Rule::double | Rule::bare_sign => (0, "a value"),
        Rule::integer | Rule::enum_number => (0, "an integer"),
        Rule::truth => return None,
        Rule::literal => (0, "a quoted literal"),
        Rule::enum_value => (0, "a value's name"),
        Rule::field => (0, "a field"),
        Rule::function => (0, "a function"),
        Rule::annotation => (0, "an annotation"),
        Rule::value_entry => (0, "an entry"),
        Rule::open_brace => (0, "`{`"),
        Rule::open_paren => (0, "`(`"),
        Rule::open_angle => (0, "`<`"),
        Rule::close_brace => (1, "`}`"),
        Rule::close_paren => (1, "`)`"),
        Rule::close_bracket => (1, "`]`"),
        Rule::close_angle => (1, "`>`"),
        Rule::comma => (0, "`,`"),
        Rule::colon => (0, "`:`"),
        Rule::equals => (0, "`=`"),
        Rule::assign => (2, "`=`"),
        Rule::star => (0, "`*`"),
        Rule::kw_void => (0, "`void`"),
        Rule::kw_extends | Rule::extends => (2, "`extends`"),
        Rule::kw_throws | Rule::throws => (2, "`throws`"),
        Rule::separator => (2, "`,` or `;`"),
        Rule::annotations | Rule::open_annotations => (2, "annotations"),
        Rule::open_bracket | Rule::ampersand | Rule::kw_oneway | Rule::requiredness => return None,
        Rule::kw_cpp_type | Rule::cpp_type | Rule::kw_xsd_all | Rule::kw_xsd_flag => return None,
        Rule::kw_xsd_attrs | Rule::xsd_attrs => return None,
        // Silent rules are never reported.
        Rule::WHITESPACE | Rule::word_start | Rule::word_rest | Rule::word_end | Rule::word => return None,
        Rule::dotted | Rule::dotted_rest | Rule::capital | Rule::field_rest => return None,
        Rule::keyword | Rule::sign | Rule::exponent => return None,
        Rule::map_head | Rule::set_head | Rule::list_head => return None,
        Rule::struct_rest | Rule::enum_rest | Rule::service_rest => return None,
        // The rules of the recovery match the empty text rather than fail.
        Rule::head | Rule::struct_head | Rule::enum_head | Rule::service_head => return None,
        Rule::constant_head | Rule::typedef_head | Rule::body_end => return None,
        Rule::fields | Rule::enum_values | Rule::functions => return None,
        Rule::field_start | Rule::field_start_in_brackets | Rule::enum_value_start => return None,
        Rule::function_start | Rule::function_start_before_error | Rule::function_start_in_brackets => {
            return None;
        }
    })
}
