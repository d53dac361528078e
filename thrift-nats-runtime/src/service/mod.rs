//! The trait that generated code implements for a handler, with its requests and replies.
//!
//! Servers run requests through it, and so do clients of a service in the same process. It never touches NATS, sessions or
//! timers: its caller owns the deadline and sends the reply.
//!
//! A received message becomes a [`Request`] and a [`RequestHeader`]. The request is passed to [`Service::call`], by
//! [`Contained::new`], which turns a panic into an error. Its result is passed to [`RequestHeader::reply_message`], which
//! writes the reply's message.

mod contained;
mod request;
mod services;

use std::pin::Pin;

pub(crate) use self::contained::Contained;
pub(crate) use self::request::{Origin, RequestHeader};
pub use self::request::{Reply, Request};
pub use self::services::Services;
use crate::error::Error;

/// The future of a call's reply.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// A service that can be called.
///
/// Generated code implements it for the server type of each service, which wraps a handler. An implementation by hand
/// serves functions without generated code:
///
/// ```
/// use thrift_nats_runtime::{Call, Client, Error, ReplyFuture, Request, Service};
///
/// /// A service whose every function returns the time that it has left, in milliseconds.
/// struct TimeLeft;
///
/// impl Service for TimeLeft {
///     fn name(&self) -> &'static str {
///         "TimeLeft"
///     }
///
///     fn call(&self, request: Request) -> ReplyFuture {
///         Box::pin(async move {
///             let remaining = request.context().remaining().unwrap_or_default();
///             request.reply::<i64, Error>(Ok(remaining.as_millis() as i64))
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let client = Client::in_process(TimeLeft);
/// let call: Call<i64> = client.call("timeLeft", &());
/// assert!(call.await? > 9000);
/// # Ok(()) }
/// ```
pub trait Service: Send + Sync + 'static {
    /// The name of the service in the IDL.
    fn name(&self) -> &'static str;

    /// Runs a call. The reply to one that fails is a TApplicationException.
    ///
    /// A future that blocks, or computes for long, occupies a thread of the runtime. Move such work to
    /// [`tokio::task::spawn_blocking`] or `tokio::task::block_in_place`.
    ///
    /// # Cancellation
    /// The future is dropped when the caller cancels the call, when the deadline of the call passes, a while after the end of
    /// its session (see [`grace_after_end`](crate::ServerBuilder::grace_after_end)), and when the server stops.
    fn call(&self, request: Request) -> ReplyFuture;
}
