//! The grammar, in its two readings.

/// What is built into the syntax tree.
pub(crate) mod quiet {
    use pest_derive::Parser;

    #[derive(Debug, Parser)]
    #[grammar = "quiet.pest"]
    #[grammar = "thrift.pest"]
    pub(crate) struct Grammar;
}

/// Every token: to explain mistakes and to print.
pub(crate) mod full {
    use pest_derive::Parser;

    #[derive(Debug, Parser)]
    #[grammar = "full.pest"]
    #[grammar = "thrift.pest"]
    pub(crate) struct Grammar;
}
