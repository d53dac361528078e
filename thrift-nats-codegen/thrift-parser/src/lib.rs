#![doc = include_str!("../README.md")]

mod body;
mod builder;
mod compact_source;
mod diagnostic;
mod doc_comment;
mod format;
mod gap;
mod grammar;
mod keyword;
mod mismatch;
mod open_brackets;
mod parse;
mod parse_state;
mod parse_tree;
mod parsed;
mod recovery;
mod syntax_error;
mod token;

pub mod syntax;

pub use self::compact_source::MAX_NESTING;
pub use self::format::format;
pub use self::gap::Gap;
pub use self::parse::parse;
pub use self::parsed::Parsed;
pub use self::syntax_error::SyntaxError;
