//! Serving a service: accepting sessions, running calls, and ending both without loss.

mod accepted_session;
mod accepting;
mod executor;
mod lame_duck;
mod receive_loop;
mod running;
mod server_endpoint;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client as Nats;

pub use self::lame_duck::LameDuck;
pub use self::running::RunningServer;
use crate::error::ServeError;
use crate::format::{Protocol, ProtocolSet};
use crate::proto::check_service_subject;
use crate::protocol::Limits;
pub use crate::service::{Reply, ReplyFuture, Request, Service, Services};

/// How long to wait for each heartbeat, unless told otherwise.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest deadline: the nanoseconds that a legacy peer can count in 64 bits, some 292 years.
const MAX_HEARTBEAT: Duration = Duration::from_millis(i64::MAX as u64 / 1_000_000);

/// A server to be: where it listens, and its options.
///
/// | option | default |
/// | --- | --- |
/// | [`heartbeat`](Self::heartbeat) | 10 s: a client that vanishes is noticed within 30 s |
/// | [`max_sessions`](Self::max_sessions) | 262,144 |
/// | [`max_calls`](Self::max_calls) that run at a time | 65,536 |
/// | [`max_calls_per_session`](Self::max_calls_per_session) | 16,384 |
/// | [`chunk_limit`](Self::chunk_limit) | 64 KiB |
/// | [`queue_limit`](Self::queue_limit) of a session | 64 MiB |
/// | [`limits`](Self::limits) | see [`Limits`] |
/// | [`protocols`](Self::protocols) | all |
///
/// A server finds out by itself which protocol and transport a session speaks, and answers in kind.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `serve` is awaited"]
pub struct Server {
    nats: Nats,
    subject: String,
    options: Options,
    lame_duck: Option<LameDuck>,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    heartbeat: Option<Duration>,
    max_sessions: usize,
    max_calls: usize,
    max_calls_per_session: usize,
    chunk_limit: usize,
    queue_limit: usize,
    limits: Limits,
    protocols: ProtocolSet,
}

impl Server {
    /// A server that listens on `subject`, together with all others on that subject: NATS gives each session to one.
    pub fn new(nats: Nats, subject: impl Into<String>) -> Self {
        let options = Options {
            heartbeat: Some(DEFAULT_HEARTBEAT),
            max_sessions: 1 << 18,
            max_calls: 1 << 16,
            max_calls_per_session: 1 << 14,
            chunk_limit: 64 * 1024,
            queue_limit: 64 << 20,
            limits: Limits::DEFAULT,
            protocols: ProtocolSet::ALL,
        };
        Self { nats, subject: subject.into(), options, lame_duck: None }
    }

    /// How long to wait for each heartbeat of a client, in whole milliseconds (1 at least, and no more than 292 years). A
    /// session whose client misses three in a row is closed. Zero wants none: then a client that vanishes is noticed
    /// only when it is answered, and its session may stay for ever.
    pub fn heartbeat(mut self, deadline: Duration) -> Self {
        let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).max(1);
        let millis = Duration::from_millis(millis).min(MAX_HEARTBEAT);
        self.options.heartbeat = (!deadline.is_zero()).then_some(millis);
        self
    }

    /// How many sessions may be open. A client that wants another is refused: it does not [connect](crate::ClientBuilder::connect),
    /// and one that had a session before tries again as long as its calls may wait. Both fail with [`ConnectError::Handshake`](crate::ConnectError::Handshake) then.
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.options.max_sessions = sessions;
        self
    }

    /// How many calls may run at a time, of all sessions. One more is answered at once with a TApplicationException of the
    /// kind [`LOADSHEDDING`](crate::ApplicationExceptionKind::LOADSHEDDING), and not run. Calls that a handler ends
    /// without waiting for anything do not count.
    pub const fn max_calls(mut self, calls: usize) -> Self {
        self.options.max_calls = calls;
        self
    }

    /// How many calls of a session may run or wait to be run at a time; what is beyond is answered as it is beyond
    /// [`max_calls`](Self::max_calls).
    pub const fn max_calls_per_session(mut self, calls: usize) -> Self {
        self.options.max_calls_per_session = calls;
        self
    }

    /// How many bytes of a session's answers may wait until NATS takes them, and of a legacy client's requests until they
    /// are run; a session with more is closed with [`CloseReason::QueueOverflow`](crate::CloseReason::QueueOverflow). And how
    /// many bytes of requests of a session may be run at a time; what is beyond is answered as it is beyond
    /// [`max_calls`](Self::max_calls).
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
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

    /// Serves these protocols only. A client of this crate that speaks another gets
    /// [`CloseReason::Unsupported`](crate::CloseReason::Unsupported) when it connects, with the names of these; the
    /// session of any other client ends with its first message.
    pub const fn protocols(mut self, protocols: &[Protocol]) -> Self {
        self.options.protocols = ProtocolSet::new(protocols);
        self
    }

    /// Moves away when the NATS server of the connection goes into lame duck mode; see [`LameDuck`].
    pub fn lame_duck(mut self, lame_duck: &LameDuck) -> Self {
        self.lame_duck = Some(lame_duck.clone());
        self
    }

    /// Serves `service`; returns once it is listening: a handshake that is sent from then on is answered. That is, if the
    /// account may subscribe to the subject in the queue group `rpc`: where NATS denies it, only the event callback of
    /// the connection ([`async_nats::ConnectOptions::event_callback`]) is told, and no handshake ever comes.
    ///
    /// # Errors
    /// [`ServeError::InvalidSubject`] where the subject is none; [`ServeError::Nats`] if NATS cannot be subscribed to, or does not confirm it within 10 s.
    pub async fn serve(self, service: impl Service) -> Result<RunningServer, ServeError> {
        if let Err(reason) = check_service_subject(&self.subject) {
            return Err(ServeError::InvalidSubject { subject: self.subject, reason });
        }
        RunningServer::start(self, Arc::new(service)).await
    }
}
