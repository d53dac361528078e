//! The grammar of the IDL, in `thrift.pest`.

use pest_derive::Parser;

#[derive(Debug, Parser)]
#[grammar = "thrift.pest"]
pub(crate) struct Grammar;
