#![doc = include_str!("../README.md")]

mod doc;
mod format;
mod grammar;
mod parse;
mod parse_tree;
mod recover;
mod surface;
mod syntax_error;
mod tree;

pub mod syntax;

pub use self::format::format;
pub use self::parse::{Gap, MAX_NESTING, Parsed, parse};
pub use self::syntax_error::SyntaxError;
