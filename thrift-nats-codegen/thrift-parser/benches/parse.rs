//! The time that parsing and formatting take for a line of files of 1,000, 10,000 and 100,000 lines. It is nearly constant,
//! because both are linear.
//!
//! `cargo bench -p thrift-nats-parser`. Without `--bench`, as under `cargo test --benches`, only the small files are
//! measured.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

/// A file of about `lines` lines, with a mix of definitions as real files have.
fn ordinary(lines: usize) -> String {
    let mut text = String::from("namespace rs bench\n\ninclude \"shared.thrift\"\n\n");
    for number in 0..lines / 32 {
        write!(
            text,
            r#"/**
 * An order of customer {number}.
 * A second line, as documentation often has.
 */
struct Order{number} {{
  /** The number of the order. */
  1: required i64 id,
  2: optional string note = "none", // free text
  3: list<map<string, shared.Item>> items (cpp.type = "vector"),
  4: double price = 1.5
  5: Kind{number} kind;
  # for old clients
  6: set<i32> legacy = [1, 2, 3]
}} (since = "1.0")

enum Kind{number} {{
  PLAIN = 0,
  GIFT = 1,
  /* gone */
  OTHER
}}

const map<string, i32> LIMITS{number} = {{"small": 10, "large": 0xff}}

service Orders{number} extends shared.Base {{
  /** Puts an order into the basket. */
  Order{number} put(1: Order{number} order, 2: bool replace = false) throws (1: shared.Refused refused),
  oneway void forget(1: i64 id)
}}

"#
        )
        .expect("a String takes any text");
    }
    text
}

/// Only fields, without comments.
fn fields(lines: usize) -> String {
    let mut text = String::from("struct Wide {\n");
    for number in 1..lines {
        writeln!(text, "  {number}: optional list<string> field{number},").expect("a String takes any text");
    }
    text + "}\n"
}

/// An error in every line.
fn errors(lines: usize) -> String {
    let mut text = String::new();
    for number in 0..lines {
        writeln!(text, "const i32 C{number} = ;").expect("a String takes any text");
    }
    text
}

/// An error in every field of one struct.
fn malformed_fields(lines: usize) -> String {
    let mut text = String::from("struct Wide {\n");
    for number in 1..lines {
        writeln!(text, "  {number}: optional void field{number},").expect("a String takes any text");
    }
    text + "}\n"
}

/// Only comments, except for the last line.
fn comments(lines: usize) -> String {
    "// one of very many lines of comment\n".repeat(lines - 1) + "const i32 LAST = 1\n"
}

/// Prints the best time of several runs for each size.
fn measure(name: &str, make: fn(usize) -> String, sizes: &[usize], work: fn(&str) -> usize) {
    print!("{name:<22}");
    for &size in sizes {
        let text = make(size);
        let lines = text.matches('\n').count();
        let runs = (200_000 / lines).clamp(2, 50);
        let mut best = f64::INFINITY;
        for _ in 0..runs {
            let start = Instant::now();
            black_box(work(black_box(&text)));
            best = best.min(start.elapsed().as_secs_f64());
        }
        print!("{:>12.0}", best * 1e9 / lines as f64);
    }
    println!();
}

fn parse(text: &str) -> usize {
    let parsed = thrift_parser::parse(text);
    parsed.document.definitions.len() + parsed.errors.len()
}

fn format(text: &str) -> usize {
    thrift_parser::format(text).expect("a text without errors").len()
}

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[usize] = if full { &[1_000, 10_000, 100_000] } else { &[1_000] };
    print!("{:<22}", "ns per line of");
    sizes.iter().for_each(|size| print!("{size:>12}"));
    println!(" lines");
    measure("parse: ordinary", ordinary, sizes, parse);
    measure("parse: fields", fields, sizes, parse);
    measure("parse: comments", comments, sizes, parse);
    measure("parse: errors", errors, sizes, parse);
    measure("parse: bad fields", malformed_fields, sizes, parse);
    measure("format: ordinary", ordinary, sizes, format);
    measure("format: fields", fields, sizes, format);
    measure("format: comments", comments, sizes, format);
}
