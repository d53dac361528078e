//! The types that `decode` reads: a struct with every type, generated with each set of options that changes decoding.

#[thrift_nats_runtime::thrift("../idl/vectors.thrift")]
mod owned_api {}

#[thrift_nats_runtime::thrift("../idl/vectors.thrift", strings = "shared", containers = "hash")]
mod shared_api {}

#[thrift_nats_runtime::thrift("../idl/vectors.thrift", keep_unknown_fields = true)]
mod keeping_api {}

pub use keeping_api::vectors as keeping;
pub use owned_api::vectors as owned;
pub use shared_api::vectors as shared;
