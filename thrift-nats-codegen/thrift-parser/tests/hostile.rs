//! Texts that nobody writes: each ends in an error or a tree, in time that grows with its length alone.
//!
//! No test measures time: what is not linear does not end within one.

use thrift_parser::{MAX_NESTING, format, parse};

/// Every place where the grammar recurses: what opens a level, what is in the innermost, what closes a level, what stands
/// around it all, and how many levels that is already.
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
    (open, inner, close, [before, behind], _): (&str, &str, &str, [&str; 2], usize),
    levels: usize,
) -> String {
    format!("{before}{}{inner}{}{behind}\n", open.repeat(levels), close.repeat(levels))
}

fn brackets(text: &str) -> usize {
    text.matches(['<', '[', '{', '(']).count()
}

#[test]
fn what_nests_up_to_the_limit_parses() {
    // The stack of a thread is 2 MiB, and much of it belongs to the caller.
    let run = || {
        for place in NESTED {
            let levels = (MAX_NESTING - place.4) / brackets(place.0);
            let source = nested(*place, levels - usize::from(place.1.contains('(')));
            assert_eq!(parse(&source).errors, [], "{source}");
            let text = format(&source).expect("a source without mistakes");
            assert_eq!(format(&text), Ok(text.clone()));
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread").join().expect("no panic");
}
