//! What is decoded: one of everything, in the kinds of types that the generator makes.

#[thrift_nats_runtime::thrift("../idl/vectors.thrift")]
mod owned_api {}

#[thrift_nats_runtime::thrift("../idl/vectors.thrift", strings = "shared", containers = "hash")]
mod shared_api {}

#[thrift_nats_runtime::thrift("../idl/vectors.thrift", keep_unknown_fields = true)]
mod keeping_api {}

pub use keeping_api::vectors as keeping;
pub use owned_api::vectors as owned;
pub use shared_api::vectors as shared;
