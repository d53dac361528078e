//! The runtime of thrift-nats: Apache Thrift services over NATS.

mod client;
mod context;
mod error;
mod link;
mod method;
pub mod protocol;
pub mod server;
mod session;
mod transport;

pub use async_nats;
pub use bytes::Bytes;
pub use ordered_float::OrderedFloat;
pub use uuid::Uuid;

pub use self::client::{Call, Client, ClientBuilder};
pub use self::context::Context;
pub use self::error::{
    AcceptError, ApplicationException, ApplicationExceptionKind, CloseReason, Error, Outcome, PeerReason,
    SharedError,
};
pub use self::method::{MethodError, NoArguments, Success};
pub use self::server::{RunningServer, Server};

/// A `double` that can be ordered: in sets, and as the key of a map.
pub type OrderedF64 = OrderedFloat<f64>;
