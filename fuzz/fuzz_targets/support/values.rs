//! What is decoded: one of everything, in the generator's two kinds of types.

#[thrift_nats_runtime::thrift("../idl/vectors.thrift")]
mod owned_api {}

#[thrift_nats_runtime::thrift("../idl/vectors.thrift", strings = "shared", containers = "hash")]
mod shared_api {}

pub use owned_api::vectors as owned;
pub use shared_api::vectors as shared;
