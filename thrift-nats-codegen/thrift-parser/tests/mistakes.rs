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
fn a_word_of_the_grammar_that_is_misspelt_is_told_where_it_stands() {
    let told = |source| {
        let helps = parse(source).errors.into_iter().filter_map(|error| error.help);
        mistakes(source)
            .into_iter()
            .zip(helps)
            .map(|(error, help)| format!("{error}; {help}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("sturct A {}"), ["1:1: expected a definition, found `sturct`; write `struct`"]);
    assert_eq!(told("Service S {}"), ["1:1: expected a definition, found `Service`; write `service`"]);
    assert_eq!(
        told("struct A {}\nexeption X {}"),
        ["2:1: expected a definition, found `exeption`; write `exception`"]
    );
    let optional = "`optinal` is no word that stands here; write `optional`";
    assert_eq!(told("struct A {\n  1: optinal string a,\n  2: i32 b\n}"), [format!("2:6: {optional}")]);
    assert_eq!(told("struct A {\n  1: optinal /* c */ A a\n  2: i32 b\n}"), [format!("2:6: {optional}")]);
    assert_eq!(
        told("struct A { 1: reqiured i32 b }"),
        ["1:15: `reqiured` is no word that stands here; write `required`"]
    );
    assert_eq!(
        told("service S { onewya void f() }"),
        ["1:13: `onewya` is no word that stands here; write `oneway`"]
    );
    assert_eq!(
        told("service S { void f() throw (1: X x) }"),
        ["1:22: `throw` is no word that stands here; write `throws`"]
    );
    assert_eq!(told("service S extend T {}"), ["1:11: expected `{`, found `extend`; write `extends`"]);
    // A name that is like one, with another mistake behind it.
    assert_eq!(mistakes("struct A { 1: option }"), ["1:22: expected a field name, found `}`"]);
    assert_eq!(mistakes("struct A { 1: option\n 2: i32 b }"), ["2:2: expected a field name, found `2`"]);
    assert_eq!(mistakes("struct structs [ }"), ["1:16: expected `{`, found `[`"]);
}

#[test]
fn the_fields_and_parents_of_other_languages_are_told_how_thrift_has_them() {
    let help = |source| parse(source).errors.remove(0).help.unwrap_or_default();
    assert_eq!(help("struct A { count: i32 }"), "a field is an id, a type and a name: `1: i32 count`");
    let parents = "only a service extends another, with `extends`";
    assert_eq!(help("struct A extends B { 1: i32 a }"), parents);
    assert_eq!(help("exception A : B { 1: i32 a }"), parents);
    assert_eq!(help("service A : B {}"), parents);
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

#[test]
fn a_keyword_that_is_misspelt_is_told_behind_another_mistake() {
    let source = "struct A {\n  1: i32 x =\n}\nservise S {}\n exeption X\n// of b\n{\n}\nServise T extends b.B {\n}\nstruct B {}\n";
    assert_eq!(
        mistakes(source),
        [
            "2:13: expected a value, found the end of the line",
            "4:1: expected a definition, found `servise`",
            "5:2: expected a definition, found `exeption`",
            "9:1: expected a definition, found `Servise`",
        ]
    );
    assert_eq!(parse(source).document.definitions.len(), 1);
    // A field without an id starts a line with two names before a brace.
    let source = "struct A {\n  1: i32 x =\n  B b xsd_attrs { 1: i32 y }\n  B xsd_attrs {}\n}\n";
    assert_eq!(mistakes(source).len(), 1, "{:?}", mistakes(source));
    let source = "struct A {\n  B b xsd_attrs {\n    1: i32 y\n  }\n}\nstruct C {}\n";
    assert_eq!(parse(source).document.definitions.len(), 2);
}
