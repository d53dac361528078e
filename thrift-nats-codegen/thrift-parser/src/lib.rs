//! A parser for the Apache Thrift IDL: source text to a [syntax tree](syntax) with spans.
//!
//! It reads what the Apache compiler reads, legacy forms included, and reports every independent mistake of a file in one
//! run. It resolves nothing: a formatter, a linter or a generator is built on top. It opens no files.
//!
//! ```
//! let parsed = thrift_parser::parse("struct Point { 1: i32 x, 2: i32 y = }");
//! assert_eq!(parsed.errors[0].message, "expected a value, found `}`");
//! let source = "struct Point { 1: i32 x, 2: i32 y }";
//! let document = thrift_parser::parse(source).document;
//! assert_eq!(document.definitions[0].name().text, "Point");
//! ```

mod doc;
mod format;
mod grammar;
mod parse;
mod surface;
mod syntax_error;
mod tree;

pub mod syntax;

pub use self::format::format;
pub use self::parse::{MAX_NESTING, Parsed, parse};
pub use self::syntax_error::SyntaxError;
