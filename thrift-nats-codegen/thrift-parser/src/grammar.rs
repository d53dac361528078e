//! The grammar of the IDL, in `thrift.pest`. The syntax tree, the syntax errors and the formatter all use it.

use pest_derive::Parser;

#[derive(Debug, Parser)]
#[grammar = "thrift.pest"]
pub(crate) struct Grammar;
