//! The trait that generated code implements for a handler, with what goes in and what comes out of it.
//!
//! Servers run requests through it, and so do clients of a service in the same process. It never touches NATS, sessions or
//! timers: who calls it owns the deadline and sends the reply.
//!
//! A received message becomes a [`Request`] and a [`RequestHeader`]. The request goes to [`Service::call`], by
//! [`Contained::new`], which turns a panic into an error. Its result goes to [`RequestHeader::answer`], which writes the
//! reply's message.

mod contained;
mod request;
mod services;

use std::pin::Pin;

pub(crate) use self::contained::Contained;
pub(crate) use self::request::{Origin, RequestHeader};
pub use self::request::{Reply, Request};
pub use self::services::Services;
use crate::error::Error;

/// What a call comes to, later.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// A service that can be called: implemented by generated code, for the handler that it is made from.
pub trait Service: Send + Sync + 'static {
    /// Its name in the IDL.
    fn name(&self) -> &'static str;

    /// Runs a call. What it fails with is answered as a TApplicationException.
    ///
    /// The future is polled among all else that the server does. What takes long without waiting, or blocks, belongs into
    /// [`tokio::task::spawn_blocking`] or `tokio::task::block_in_place`.
    fn call(&self, request: Request) -> ReplyFuture;
}
