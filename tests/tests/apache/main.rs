//! Comparison with Apache's implementations in Python and in Rust: golden bytes, and random values in both directions.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod exchange;
mod peer;
mod random;
mod values;
mod vectors;

#[thrift_nats_runtime::thrift("../idl/vectors.thrift")]
mod api {}

pub(crate) use api::vectors as types;
