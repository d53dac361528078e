//! The runtime of thrift-nats: [Apache Thrift](https://thrift.apache.org) services over [NATS](https://nats.io) sessions.
//!
//! Types, clients and service traits are generated from `.thrift` files: by a build script with the crate
//! `thrift-nats-codegen` and [`include_thrift!`], by the attribute macro [`thrift`](macro@thrift), or by the command
//! `thrift-nats-gen`. This crate carries their calls.
//!
//! - [`Server`] listens on a subject, accepts sessions and runs calls; [`Server`] is one that does.
//! - [`Client`] is what every generated client is made of: it opens sessions and makes calls. A [`Call`] takes options
//!   before it is awaited.
//! - [`Context`] is what a handler knows of a call besides its arguments.
//! - [`Error`] is everything that is not in the IDL.
//! - [`protocol`] reads and writes values; generated types implement [`protocol::Value`].
//!
//! # Example
//!
//! With the service `Greeter { string greet(1: string name) }` in `idl/greeter.thrift`, which a build script compiles:
//!
//! ```ignore (needs the generated code)
//! use std::time::Duration;
//!
//! use greeter::{Greeter, GreeterClient, GreeterServer};
//! use thrift_nats_runtime::{Context, Result, Server, async_nats};
//!
//! thrift_nats_runtime::include_thrift!(); // module `greeter`
//!
//! struct Handler;
//!
//! impl Greeter for Handler {
//!     async fn greet(&self, _cx: &Context, name: String) -> Result<String> {
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//!
//! let nats = async_nats::connect("nats://localhost:4222").await?;
//! let server = Server::builder(&nats, "greeter").serve(GreeterServer::new(Handler)).await?;
//!
//! let greeter = GreeterClient::connect(&nats, "greeter").await?;
//! println!("{}", greeter.greet("world").timeout(Duration::from_secs(1)).await?);
//!
//! greeter.close().await?;
//! server.drain(Duration::from_secs(10)).await?;
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `macros` | yes | the attribute macro |
//! | `faststr` | no | `FastStr`, which strings are that are generated as shared ones |
//! | `serde` | no | what code needs that is generated with the option `serde` |

mod arguments;
mod client;
mod context;
mod endpoint;
mod error;
mod format;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod macros;
mod method;
mod nats_error;
mod proto;
pub mod protocol;
#[doc(hidden)]
pub mod server;
mod service;
mod shared_error;
mod sync;
mod time;
mod transport;

pub use async_nats;
pub use bytes::Bytes;
#[cfg(feature = "faststr")]
pub use faststr::FastStr;
pub use ordered_float::OrderedFloat;
#[cfg(feature = "macros")]
pub use thrift_nats_macros::thrift;
pub use uuid::Uuid;

pub use self::client::{Call, CallWithHeaders, Client, ClientBuilder, Response, SessionEvent, SessionEvents};
pub use self::context::Context;
pub use self::error::{
    AcceptError, ApplicationException, ApplicationExceptionKind, CloseReason, ConnectError, Error,
    InvalidOption, NatsError, Outcome, PeerReason, Result, ServeError, SharedError, ShutdownError,
    UnknownEnumValue,
};
pub use self::format::{Protocol, Transport, UnknownFormat};
pub use self::method::{MethodError, Success};
pub use self::server::{LameDuck, Server, ServerBuilder};
pub use self::service::{Reply, ReplyFuture, Request, Service, Services};
pub use self::transport::Headers;

/// What only generated code names. Other code must not: it changes without notice.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "serde")]
    pub use serde;

    pub use crate::arguments::{Argument, Arguments, Chain, Parameter, Parameters, StructOfArguments};
    pub use crate::server::{Reply, Request};
    pub use crate::{method_error, open_enum, service_server};
}

/// A `double` that can be ordered: in sets, and as the key of a map.
pub type OrderedF64 = OrderedFloat<f64>;

/// Includes what a build script has generated with `thrift_nats_codegen::compile`: a module for each namespace.
///
/// With a name it includes the file that was named so by `Options::file_name`.
///
/// ```ignore
/// thrift_nats_runtime::include_thrift!();
/// use tutorial::CalculatorClient;
/// ```
#[macro_export]
macro_rules! include_thrift {
    () => {
        $crate::include_thrift!("thrift.rs");
    };
    ($file_name:literal) => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $file_name));
    };
}
