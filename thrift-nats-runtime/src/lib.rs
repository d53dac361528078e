//! [Apache Thrift](https://thrift.apache.org) services over [NATS](https://nats.io): the runtime of thrift-nats.
//!
//! Types, clients and service traits are generated from `.thrift` files: by a build script with the crate
//! `thrift-nats-codegen` and [`include_thrift!`], by the attribute macro [`thrift`](macro@thrift), or by the command
//! `thrift-nats-gen`. This crate carries their calls, in sessions between a client and a server.
//!
//! - [`Server`] serves a service on a subject: [`Server::builder`].
//! - [`Client`] is wrapped by every generated client: [`Client::builder`]. Options of a [`Call`] are set before it is
//!   awaited.
//! - [`Context`] tells a handler of the call that it serves, besides its arguments.
//! - [`Error`] is that of a call; [`ConnectError`], [`ServeError`] and [`ShutdownError`] are those of the other operations.
//! - [`protocol`] reads and writes values; generated types implement [`protocol::Value`].
//!
//! # Example
//!
//! For the service `Greeter { string greet(1: string name) }`:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use thrift_nats_runtime::{Context, Error, Server, async_nats};
//! # // A build script generates the module from `greeter.thrift`: `thrift_nats_runtime::include_thrift!();`
//! # mod greeter {
//! #     use std::sync::Arc;
//! #     use thrift_nats_runtime::{
//! #         Call, Client, ConnectError, Context, Error, ReplyFuture, Request, Service, ShutdownError, async_nats,
//! #     };
//! #     pub trait Greeter: Send + Sync + 'static {
//! #         fn greet(&self, cx: &Context, name: String) -> impl Future<Output = Result<String, Error>> + Send;
//! #     }
//! #     pub struct GreeterServer<H>(Arc<H>);
//! #     impl<H> GreeterServer<H> {
//! #         pub fn new(handler: H) -> Self { Self(Arc::new(handler)) }
//! #     }
//! #     impl<H: Greeter> Service for GreeterServer<H> {
//! #         fn name(&self) -> &'static str { "Greeter" }
//! #         fn call(&self, request: Request) -> ReplyFuture {
//! #             let handler = Arc::clone(&self.0);
//! #             Box::pin(async move {
//! #                 let result = handler.greet(request.context(), String::new()).await;
//! #                 request.reply(result)
//! #             })
//! #         }
//! #     }
//! #     pub struct GreeterClient(Client);
//! #     impl GreeterClient {
//! #         pub async fn connect(nats: &async_nats::Client, subject: &str) -> Result<Self, ConnectError> {
//! #             Client::connect(nats, subject).await.map(Self)
//! #         }
//! #         pub fn greet(&self, _name: &str) -> Call<String> { self.0.call("greet", &()) }
//! #         pub async fn close(&self) -> Result<(), ShutdownError> { self.0.close().await }
//! #     }
//! # }
//! use greeter::{Greeter, GreeterClient, GreeterServer}; // generated
//!
//! struct Handler;
//!
//! impl Greeter for Handler {
//!     async fn greet(&self, _cx: &Context, name: String) -> Result<String, Error> {
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nats = async_nats::connect("nats://localhost:4222").await?;
//! let server = Server::builder(&nats, "greeter").serve(GreeterServer::new(Handler)).await?;
//!
//! let greeter = GreeterClient::connect(&nats, "greeter").await?;
//! println!("{}", greeter.greet("world").timeout(Duration::from_secs(1)).await?);
//!
//! greeter.close().await?;
//! server.drain(Duration::from_secs(10)).await?;
//! # Ok(()) }
//! ```
//!
//! # Errors and retries
//!
//! A function that declares exceptions has its own error enum, with a variant for each exception and `Rpc` for
//! [`Error`]. Other functions return [`Error`].
//!
//! [`Error::outcome`] says whether the call may have run. A call that did not run is retried on another session, at most
//! eight times, for as long as its deadline allows. A call that may have run is retried only if it is idempotent: because
//! the IDL says `(idempotent = "true")`, or because the caller says [`Call::idempotent`]. A session that ended because one
//! side could not read what the other sent is not retried: the call may be the reason.
//!
//! A handler returns [`Error`], too, so that `?` passes on the errors of calls that it makes.
//! [`ApplicationException::internal`] turns any other error into one, and hides its text from the caller.
//!
//! # Deadlines
//!
//! Every call has a timeout: that of [`Call::timeout`], or else of [`ClientBuilder::timeout`] (10 s). It starts when the
//! call is first polled, and includes opening a session and retries. The server learns of it: [`Context::deadline`]. It
//! drops the handler's future at the deadline. [`Call::on_behalf_of`] gives a call the deadline and the trace of the one
//! that a handler serves.
//!
//! # Cancellation
//!
//! Dropping the future of a call cancels it. The server is told, and drops the handler's future. A handler that must not be
//! interrupted spawns its work as a task.
//!
//! # Shutdown
//!
//! - [`Server::drain`] accepts no more sessions, and replies to all requests that it has received. Clients retry later ones
//!   on another server. A rolling restart fails no call; only oneway calls in transit can be lost.
//! - [`Server::stop`] stops at once. Calls whose requests were received fail with an unknown outcome; the others are
//!   retried.
//! - [`Server::failed`] waits until the server cannot serve any more.
//! - [`Client::close`] ends the sessions of a client. Dropping the last clone does, too, but does not wait for NATS.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `macros` | yes | the attribute macro [`thrift`](macro@thrift) |
//! | `faststr` | no | the type `FastStr`, for code that is generated with shared strings |
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
mod log_limit;
mod macros;
mod method;
mod nats_error;
mod proto;
pub mod protocol;
mod server;
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

/// Items for generated code only. They change without notice.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "serde")]
    pub use serde;

    pub use crate::arguments::{Argument, Arguments, Chain, Parameter, Parameters, StructOfArguments};
    pub use crate::{method_error, open_enum, service_server};
}

/// A `double` with a total order, for sets and for the keys of maps.
pub type OrderedF64 = OrderedFloat<f64>;

/// Includes the code that a build script generated with `thrift_nats_codegen::compile`: a module for each namespace.
///
/// With the name of a file, it includes the one that was given that name by `Options::file_name`.
///
/// ```ignore (a build script has to generate the code)
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
