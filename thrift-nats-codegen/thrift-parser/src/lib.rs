//! A parser for the Apache Thrift IDL.
pub mod syntax;
