//! Serving a service: accepting sessions, running calls, and ending both without loss.

mod listener;
mod request;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client as Nats;

pub use self::listener::RunningServer;
pub(crate) use self::request::contain_panic;
pub use self::request::{Reply, Request};
use crate::error::Error;
use crate::protocol::Limits;
use crate::session::check_service_subject;

/// What a call comes to, later.
pub type ReplyFuture = std::pin::Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// A service that can be called: implemented by generated code, for the handler that it is made from.
pub trait Service: Send + Sync + 'static {
    /// Its name in the IDL.
    fn name(&self) -> &'static str;

    /// Runs a call. What it fails with is answered as a TApplicationException.
    fn call(&self, request: Request) -> ReplyFuture;
}

/// A server to be: where it listens, and its options.
///
/// | option | default |
/// | --- | --- |
/// | [`heartbeat`](Self::heartbeat) | none wanted |
/// | [`chunk_limit`](Self::chunk_limit) | 64 KiB |
/// | [`limits`](Self::limits) | see [`Limits`] |
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `serve` is awaited"]
pub struct Server {
    nats: Nats,
    subject: String,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    heartbeat: Option<Duration>,
    chunk_limit: usize,
    limits: Limits,
}

impl Server {
    /// A server that listens on `subject`, together with all others on that subject: NATS gives each session to one.
    pub fn new(nats: Nats, subject: impl Into<String>) -> Self {
        let options = Options { heartbeat: None, chunk_limit: 64 * 1024, limits: Limits::DEFAULT };
        Self { nats, subject: subject.into(), options }
    }

    /// How long to wait for each heartbeat of a client, in whole milliseconds; zero wants none. A session whose client
    /// misses three in a row is closed.
    pub fn heartbeat(mut self, deadline: Duration) -> Self {
        let millis = Duration::from_millis(deadline.as_millis().try_into().unwrap_or(u64::MAX));
        self.options.heartbeat = (!millis.is_zero()).then_some(millis);
        self
    }

    /// The largest NATS message to publish, in bytes. What the NATS server allows is a bound of its own.
    pub const fn chunk_limit(mut self, bytes: usize) -> Self {
        self.options.chunk_limit = bytes;
        self
    }

    /// The bounds on what is read and written.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Serves `service`; returns once it is listening: a handshake that is sent from then on is answered.
    ///
    /// # Errors
    /// [`Error::InvalidSubject`] where the subject is none; [`Error::Nats`] if NATS cannot be subscribed to, or does not confirm it within 10 s.
    pub async fn serve(self, service: impl Service) -> Result<RunningServer, Error> {
        if let Err(reason) = check_service_subject(&self.subject) {
            return Err(Error::InvalidSubject { subject: self.subject, reason });
        }
        RunningServer::start(self.nats, self.subject, self.options, Arc::new(service)).await
    }
}
