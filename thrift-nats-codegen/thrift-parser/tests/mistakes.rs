//! What is said about a text that is wrong, and where.

use thrift_parser::{MAX_NESTING, SyntaxError, parse};

/// Each mistake as `line:column: message`.
fn mistakes(source: &str) -> Vec<String> {
    let place = |error: &SyntaxError| {
        let before = &source[..error.span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}: {}", error.message)
    };
    parse(source).errors.iter().map(place).collect()
}

#[test]
fn a_brace_that_a_mistake_left_open_may_still_be_closed() {
    let source = "struct A {\n  1: i32 x = \nstruct B {\n  1: i32 y\n}\n}\nconst i32 C = 1\n}\n";
    assert_eq!(
        mistakes(source),
        [
            "3:1: expected a value, found `struct`",
            // This one closes nothing.
            "8:1: expected a definition, found `}`",
        ]
    );
    assert_eq!(parse(source).document.definitions.len(), 2);
}

#[test]
fn what_is_missing_at_the_end_of_a_line_is_missing_there() {
    assert_eq!(
        mistakes("struct B {\n  1: i32 \n}\n"),
        ["2:10: expected a field name, found the end of the line"]
    );
    assert_eq!(
        mistakes("struct B {\n  1: i32\r\n}\n"),
        ["2:9: expected a field name, found the end of the line"]
    );
    assert_eq!(
        mistakes("struct B { 1: i32 // x\n\n}"),
        ["1:19: expected a field name, found the end of the line"]
    );
    assert_eq!(mistakes("enum E { A =\n}"), ["1:13: expected an integer, found the end of the line"]);
    assert_eq!(mistakes("struct B { 1: i32 }"), ["1:19: expected a field name, found `}`"]);
    // Anything could stand there: the place is that of the token.
    assert_eq!(mistakes("struct A {}\n}"), ["2:1: expected a definition, found `}`"]);
    assert_eq!(mistakes("service S { void f()\nthrows }"), ["2:8: expected `(`, found `}`"]);
}

#[test]
fn a_comment_that_is_not_closed_takes_the_rest() {
    let source = "struct A { 1: i32 x /* the first\nstruct B {}\n/* the second\nconst i32 C = 1\n";
    assert_eq!(mistakes(source), ["1:21: comment is not closed"]);
    assert_eq!(mistakes("struct A {}\n/*"), ["2:1: comment is not closed"]);
    assert_eq!(parse("struct A {}\n/*").document.definitions.len(), 1);
    assert_eq!(
        mistakes("struct A { 1: }\n/*/"),
        ["1:15: expected a type, found `}`", "2:1: comment is not closed"]
    );
}

#[test]
fn many_open_braces_are_not_taken_for_deep_nesting() {
    let source = "struct A {\n  1: list<i32 x\n".repeat(2 * MAX_NESTING);
    let mistakes = mistakes(&source);
    assert_eq!(mistakes.len(), 2 * MAX_NESTING);
    assert!(mistakes.iter().all(|mistake| mistake.contains("expected `>`")), "{mistakes:?}");
}

#[test]
fn a_keyword_at_the_start_of_a_line_may_be_a_name() {
    let source = "struct A {\n  1: i32\n  const,\n  2: i32\n  struct\n}\nstruct B {}";
    assert_eq!(mistakes(source), [""; 0]);
    assert_eq!(parse(source).document.definitions.len(), 2);
}

#[test]
fn a_misplaced_header_is_read_all_the_same() {
    let source = "struct A {}\nnamespace py a\nstruct B {}\n";
    assert_eq!(mistakes(source), ["2:1: `namespace` behind a definition"]);
    assert_eq!(parse(source).document.headers.len(), 1);
}

#[test]
fn a_literal_ends_with_its_line_unless_it_is_closed() {
    for literal in ["\"a", "'", "\"a\\\"", "\"a'", "'\\\\\\'", "\"a // b", "\"\\"] {
        let source = format!("const string A = {literal}\r\nconst i32 B = 1\n");
        assert_eq!(mistakes(&source), ["1:18: literal is not closed on its line"], "{literal}");
        let error = &parse(&source).errors[0];
        assert_eq!(&source[error.span.range()], literal);
    }
    assert_eq!(mistakes("const string A = 'a\\'b' 'c'"), ["1:25: expected a definition, found `'c'`"]);
}
