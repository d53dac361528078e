#![doc = include_str!("../README.md")]

mod builder;
mod compact_source;
mod doc_comment;
mod format;
mod grammar;
mod parse;
mod parse_tree;
mod recovery;
mod syntax_error;

pub mod syntax;

pub use self::format::format;
pub use self::parse::{Gap, MAX_NESTING, Parsed, parse};
pub use self::syntax_error::SyntaxError;
