//! Hostile texts: each is parsed to a tree or to errors, in time that is linear in its length.
//!
//! No test measures time. A quadratic parser would not finish with texts of this length.

use thrift_parser::{MAX_NESTING, Parsed, format, parse};

/// Every place where the grammar recurses: the text that opens a level, the text in the innermost level, the text that
/// closes a level, the text before and after, and the number of levels in the latter.
const NESTED: &[(&str, &str, &str, [&str; 2], usize)] = &[
    ("list<", "i32", ">", ["typedef ", " T"], 0),
    ("set<", "i32", ">", ["typedef ", " T"], 0),
    ("map<i32, ", "i32", ">", ["typedef ", " T"], 0),
    ("map<", "i32", ", i32>", ["typedef ", " T"], 0),
    ("list<", "i32 (a = \"b\")", "> (a)", ["struct A { 1: ", " x }"], 2),
    ("[", "1", "]", ["const T X = ", ""], 0),
    ("[1, ", "1", ", 1]", ["const T X = ", ""], 0),
    ("{1: ", "1", "}", ["const T X = ", ""], 0),
    ("{", "1", ": 1}", ["const T X = ", ""], 0),
    ("{1: [", "1", "]}", ["struct A { 1: T x = ", " }"], 1),
    ("1: i32 x xsd_attrs { ", "2: i32 y", " }", ["struct A { ", " }"], 1),
    ("1: i32 x xsd_attrs {\n1: i32\nstruct xsd_attrs {", "2: i32 y", " } }", ["union A { ", " }"], 1),
];

fn nested(
    (open, inner, close, [before, after], _): (&str, &str, &str, [&str; 2], usize),
    levels: usize,
) -> String {
    format!("{before}{}{inner}{}{after}\n", open.repeat(levels), close.repeat(levels))
}

fn brackets(text: &str) -> usize {
    text.matches(['<', '[', '{', '(']).count()
}

#[test]
fn brackets_nest_up_to_the_limit() {
    // A thread has a stack of 2 MiB. Half of it is left to the caller.
    let run = || {
        for place in NESTED {
            let levels = (MAX_NESTING - place.4) / brackets(place.0);
            let source = nested(*place, levels - usize::from(place.1.contains('(')));
            assert_eq!(parse(&source).errors, [], "{source}");
            let text = format(&source).expect("a source without errors");
            assert_eq!(format(&text), Ok(text.clone()));
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread").join().expect("no panic");
}

#[test]
fn deeper_nesting_is_an_error() {
    for place in NESTED {
        for levels in [MAX_NESTING + 1, 3_000, 1_000_000] {
            let source = nested(*place, levels);
            let errors = parse(&source).errors;
            assert_eq!(errors.len(), 1, "{}", place.0);
            assert_eq!(errors[0].message, format!("brackets nest deeper than {MAX_NESTING} levels"));
            assert_eq!(format(&source), Err(errors));
        }
    }
}

#[test]
fn brackets_that_are_never_closed_are_an_error() {
    for place in NESTED {
        let source = place.0.repeat(1_000_000 / place.0.len());
        assert!(!parse(&source).errors.is_empty(), "{}", place.0);
        let source = format!("{}{source}", place.3[0]);
        assert_eq!(parse(&source).errors.len(), 1, "{}", place.0);
    }
}

#[test]
fn brackets_in_any_order_are_an_error() {
    for text in ["{}", "}{", "<>", "{(", "struct A {", "{ {", "a{", ")]}>", "<struct A{"] {
        assert!(!parse(&text.repeat(200_000)).errors.is_empty(), "{text}");
        assert!(!parse(&format!("{text}\n").repeat(10_000)).errors.is_empty(), "{text}");
    }
}

#[test]
fn a_file_that_ends_too_early_is_an_error() {
    let whole = "/* a */ struct A { 1: optional list<i32> x = [1, 'b'] (c = \"d\"), } // e";
    for len in 1..whole.len() - " } // e".len() {
        let Some(source) = whole.get(..len) else { continue };
        if !source.trim_end().ends_with("*/") {
            assert_eq!(parse(source).errors.len(), 1, "{source}");
        }
    }
    for end in ["/*", "/* /", "/**", "\"", "'", "\"\\", "\"\\\"", "'\u{e9}"] {
        let source = format!("struct A {{}}\nconst string B = {end}");
        let Parsed { document, errors, .. } = parse(&source);
        assert_eq!((document.definitions.len(), errors.len()), (1, 1), "{source}");
    }
}

#[test]
fn an_unterminated_token_is_reported_once_or_once_a_line() {
    assert_eq!(parse(&"/* a\nstruct A {}\n".repeat(100_000)).errors.len(), 1);
    assert_eq!(parse(&"/* ".repeat(500_000)).errors.len(), 1);
    assert_eq!(parse(&"const string A = \"a\n".repeat(10_000)).errors.len(), 10_000);
    assert_eq!(parse(&"\"".repeat(1_000_001)).errors.len(), 1);
    assert_eq!(parse(&"'\\".repeat(500_000)).errors.len(), 1);
}

#[test]
fn long_files_of_short_definitions_parse() {
    let definitions = [
        ("struct A {}\n", 100_000),
        ("const i32 A = 1 ", 10_000),
        ("typedef i32 A;", 10_000),
        ("enum E{A}", 10_000),
    ];
    for (definition, count) in definitions {
        let source = definition.repeat(count);
        let Parsed { document, errors, .. } = parse(&source);
        assert_eq!((document.definitions.len(), errors), (count, Vec::new()), "{definition}");
    }
}

#[test]
fn long_definitions_parse() {
    let fields = "struct A {\n".to_owned() + &"  1: i32 x // a\n".repeat(10_000) + "}\n";
    let names = "struct A {\n".to_owned() + &"  1: i32\n  const,\n".repeat(10_000) + "}\n";
    let values = format!("const list<i32> A = [{}]", "1, ".repeat(10_000));
    let comments = format!("const list<i32> A = [{}]", "/* a */ ".repeat(100_000));
    let lines = format!("const i32 A = {}1", "// a\n".repeat(100_000));
    let annotations = format!("typedef i32 A ({})", "a = 'b' ".repeat(10_000));
    let name = format!("struct {} {{}}", "A".repeat(1_000_000));
    let text = format!("const string A = '{}'", "\\n".repeat(500_000));
    let digits = format!("const double A = {}.5", "9".repeat(1_000_000));
    for source in [fields, names, values, comments, lines, annotations, name, text, digits] {
        assert_eq!(parse(&source).errors, [], "{}", &source[..40]);
        let text = format(&source).expect("a source without errors");
        assert!(text.len() >= source.len() / 2, "{}", &source[..40]);
    }
}

#[test]
fn all_of_many_errors_are_reported() {
    let lines = [
        ("const i32 A = ;\n", 30_000),
        ("struct A { 1: }\n", 3_000),
        ("struct A {\n", 3_000),
        ("struct struct\n", 3_000),
        ("service A { void f(\n", 3_000),
    ];
    for (line, count) in lines {
        assert_eq!(parse(&line.repeat(count)).errors.len(), count, "{line}");
    }
    assert_eq!(parse(&"namespace py a\n".repeat(3_000)).errors, []);
    let misplaced = "struct A {}\n".to_owned() + &"namespace py a\n".repeat(3_000);
    assert_eq!(parse(&misplaced).errors.len(), 3_000);
    let numbers = format!("const list<i64> A = [{}]", "99999999999999999999 ".repeat(3_000));
    assert_eq!(parse(&numbers).errors.len(), 3_000);
    assert_eq!(parse(&"}".repeat(1_000_000)).errors.len(), 1);
}

#[test]
fn all_of_many_errors_in_one_definition_are_reported() {
    let members = [
        ("struct A {", "1: void a\n"),
        ("struct A {", "1: void a,"),
        ("struct A {", "1: i32 a = ]\n"),
        ("struct A {", "1: i32 a (b = c)\n"),
        ("enum A {", "A = B,"),
        ("service A {", "void a(1: void b)\n"),
        ("service A {", "void a;\n"),
    ];
    for (open, member) in members {
        let Parsed { document, errors, gaps, .. } = parse(&format!("{open}{}\n}}", member.repeat(10_000)));
        assert_eq!((document.definitions.len(), errors.len(), gaps.len()), (1, 10_000, 10_000), "{member}");
    }
    // A run of tokens that no member can start with is a single error.
    for scraps in ["void, ", "( ", "[\n", "{ ", "} = ", "'a' ", "A ", "A; ", "1 "] {
        let source = format!("struct A {{ {}", scraps.repeat(100_000));
        assert!((1..3).contains(&parse(&source).errors.len()), "{scraps}");
    }
}
