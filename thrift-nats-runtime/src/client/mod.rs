//! Calling a service: opening sessions, calls in flight, and what becomes of them when a session ends.

mod backoff;
mod call;
mod client_endpoint;
mod events;
mod opening;
mod outgoing_request;
mod prepared_call;
mod retries;
mod server_process;
mod session_handle;
mod session_pool;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::call::{Call, CallWithHeaders, Response};
pub use self::events::{SessionEvent, SessionEvents};
use self::prepared_call::PreparedCall;
use self::session_pool::SessionPool;
use crate::arguments::Arguments;
use crate::error::{ConnectError, ShutdownError};
use crate::format::{Protocol, Transport, WireFormat};
use crate::method::{Body, encode_arguments};
use crate::proto::check_service_subject;
use crate::protocol::{Limits, MessageType};
use crate::service::Service;
use crate::transport::Headers;
use async_nats::Client as Nats;

/// How a client opens its sessions and makes its calls.
///
/// | option | default |
/// | --- | --- |
/// | [`timeout`](Self::timeout) of a call | 10 s |
/// | [`handshake_timeout`](Self::handshake_timeout) | 2 s |
/// | [`chunk_limit`](Self::chunk_limit) | 64 KiB |
/// | [`queue_limit`](Self::queue_limit) | 64 MiB |
/// | [`max_calls`](Self::max_calls) in flight on a session | 65,536 |
/// | [`sessions`](Self::sessions) | 1 |
/// | [`wait_for_server`](Self::wait_for_server) | 100 ms |
/// | [`limits`](Self::limits) | see [`Limits`] |
/// | [`protocol`](Self::protocol) | binary |
/// | [`transport`](Self::transport) | buffered |
/// | [`zlib`](Self::zlib) | no |
/// | [`service`](Self::service) | none is named |
///
/// A server finds out what a session speaks, and answers in kind; a legacy peer speaks what it is told to, and never the
/// header transport.
///
/// A request has to be within [`Limits::message`] and within the queue: a client that raises one of them for a longer
/// request has to raise both.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `connect` is awaited"]
pub struct ClientBuilder {
    nats: Nats,
    subject: String,
    service: Option<Arc<str>>,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    timeout: Duration,
    handshake_timeout: Duration,
    chunk_limit: usize,
    queue_limit: usize,
    max_calls: usize,
    sessions: usize,
    wait_for_server: Duration,
    limits: Limits,
    format: WireFormat,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(2),
            chunk_limit: 64 * 1024,
            queue_limit: 64 << 20,
            max_calls: 1 << 16,
            sessions: 1,
            wait_for_server: Duration::from_millis(100),
            limits: Limits::DEFAULT,
            format: WireFormat::default(),
        }
    }
}

impl ClientBuilder {
    /// How long a call may take in all, where the call itself does not say.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// How long to wait for a server to accept a session.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.handshake_timeout = timeout;
        self
    }

    /// The largest NATS message to publish, in bytes. What the NATS server allows is a bound of its own.
    pub const fn chunk_limit(mut self, bytes: usize) -> Self {
        self.options.chunk_limit = bytes;
        self
    }

    /// How many bytes of requests a session may hold that NATS has not taken yet. A call that would exceed it fails at once
    /// with [`Error::QueueFull`](crate::Error::QueueFull).
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
        self
    }

    /// How many calls may be in flight on a session. One more fails at once with [`Error::TooManyCalls`](crate::Error::TooManyCalls).
    pub const fn max_calls(mut self, calls: usize) -> Self {
        self.options.max_calls = calls;
        self
    }

    /// How many sessions to open, at least one. NATS gives each to one of the servers at random; a call goes to one of two
    /// that are open, by turns, on which fewer calls are in flight. One that ends is replaced while the others go on; but
    /// [`connect`](Self::connect) fails if one of them cannot be opened.
    pub const fn sessions(mut self, sessions: usize) -> Self {
        self.options.sessions = sessions;
        self
    }

    /// How long a call waits for a server when its session has ended and nobody listens on the subject; then it fails with
    /// [`ConnectError::NoServer`]. Meanwhile opening a session is tried again and again, with pauses that grow from 10 ms to 1 s, or
    /// to this time if it is shorter. [`connect`](Self::connect) does not wait.
    pub const fn wait_for_server(mut self, time: Duration) -> Self {
        self.options.wait_for_server = time;
        self
    }

    /// The bounds on what is read and written.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The protocol to write values and messages in.
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.format.protocol = protocol;
        self
    }

    /// How messages are told apart.
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.options.format.transport = transport;
        self
    }

    /// Compresses every message that goes in the header transport; the server does the same with its answer. Other
    /// transports have no way to tell, and their messages are never compressed.
    pub const fn zlib(mut self, zlib: bool) -> Self {
        self.options.format.zlib = zlib;
        self
    }

    /// Calls the functions of this service, of a server that has [several](crate::server::Services).
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Opens the [sessions](Self::sessions): one round trip. Nothing is tried again, and one session that cannot be opened
    /// fails it as a whole: the others are closed.
    ///
    /// # Errors
    /// [`ConnectError::InvalidFormat`] if the transport cannot carry the protocol; [`ConnectError::InvalidSubject`] if the subject is
    /// none that a service can be called on; [`ConnectError::NoServer`] at once if nobody listens on the subject;
    /// [`ConnectError::Handshake`] if nobody accepts in time, the server refuses (as one that has
    /// [all its sessions](crate::Server::max_sessions) does), or the answer is no accept; [`ConnectError::Nats`] if NATS cannot be
    /// subscribed to.
    ///
    /// # Cancellation
    /// A session that is being opened when the future is dropped is closed again.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let Self { nats, subject, service, options } = self;
        let WireFormat { protocol, transport, .. } = options.format;
        options.format.check().map_err(|reason| ConnectError::InvalidFormat {
            protocol,
            transport,
            reason,
        })?;
        if let Err(reason) = check_subject(&subject) {
            return Err(ConnectError::InvalidSubject { subject, reason });
        }
        let remote = SessionPool::connect(nats, subject, service.clone(), options).await?;
        Ok(Client { kind: Kind::Pool(remote), service })
    }
}

/// Checks the subject of a service that is to be called.
fn check_subject(subject: &str) -> Result<(), &'static str> {
    check_service_subject(subject)?;
    if subject.split('.').any(|token| token == "*" || token == ">") {
        return Err("it has a wildcard in it, and a session is opened with one service");
    }
    Ok(())
}

/// What every generated client is made of: the way to a service. Cheap to clone; all clones share the session.
#[derive(Clone)]
pub struct Client {
    kind: Kind,
    /// The service that is called, where the server has several.
    service: Option<Arc<str>>,
}

#[derive(Clone)]
enum Kind {
    Pool(Arc<SessionPool>),
    InProcess(Arc<dyn Service>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Pool(remote) => {
                f.debug_struct("Client").field("subject", &remote.subject()).finish_non_exhaustive()
            }
            Kind::InProcess(service) => f.debug_tuple("Client").field(&service.name()).finish(),
        }
    }
}

impl Client {
    /// Opens a session with the service that listens on `subject`, with all options at their defaults.
    ///
    /// # Errors
    /// See [`ClientBuilder::connect`].
    pub async fn connect(nats: &Nats, subject: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(nats, subject).connect().await
    }

    /// The options of a client of the service that listens on `subject`.
    pub fn builder(nats: &Nats, subject: impl Into<String>) -> ClientBuilder {
        let options = Options::default();
        ClientBuilder { nats: nats.clone(), subject: subject.into(), service: None, options }
    }

    /// A client of a service in this process: the same encoding and dispatch, without NATS.
    pub fn in_process(service: impl Service) -> Self {
        Self { kind: Kind::InProcess(Arc::new(service)), service: None }
    }

    /// A client of another service of the same server, which has [several](crate::server::Services): it shares the sessions.
    #[must_use]
    pub fn for_service(&self, name: impl Into<Arc<str>>) -> Self {
        Self { kind: self.kind.clone(), service: Some(name.into()) }
    }

    /// A call of `method` that is answered. For generated code.
    pub fn call<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        Call::new(self.prepare(MessageType::Call, method, arguments))
    }

    /// A call of `method` that is never answered: done once it is handed to NATS, and lost if the session ends before the
    /// server has taken it up. For generated code.
    pub fn oneway<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        Call::new(self.prepare(MessageType::Oneway, method, arguments))
    }

    fn prepare(&self, kind: MessageType, method: &'static str, arguments: &impl Arguments) -> PreparedCall {
        let options = self.options();
        let name = method.len() + self.service.as_ref().map_or(0, |service| service.len() + 1);
        let body = encode_arguments(options.format.protocol, name, arguments, options.limits);
        PreparedCall {
            client: self.clone(),
            kind,
            method,
            body: body.map(Body::from),
            timeout: options.timeout,
            headers: Headers::new(),
            idempotent: false,
        }
    }

    fn options(&self) -> Options {
        match &self.kind {
            Kind::Pool(remote) => *remote.options(),
            Kind::InProcess(_) => Options::default(),
        }
    }

    /// How many calls wait for their answer, of all clones.
    pub fn calls_in_flight(&self) -> usize {
        self.sessions().map(|session| session.in_flight()).sum()
    }

    /// How many answers came on the sessions that there are when nobody waited for them any more: after a deadline, or a
    /// dropped future.
    pub fn late_replies(&self) -> u64 {
        self.sessions().map(|session| session.late_replies()).sum()
    }

    fn sessions(&self) -> impl Iterator<Item = Arc<session_handle::SessionHandle>> {
        let remote = match &self.kind {
            Kind::Pool(remote) => Some(remote),
            Kind::InProcess(_) => None,
        };
        remote.into_iter().flat_map(|remote| remote.sessions())
    }

    /// What becomes of the client's sessions from now on, of all clones. There is nothing that has to be done about it: a
    /// client opens its sessions itself. A client within the process has none.
    pub fn events(&self) -> SessionEvents {
        match &self.kind {
            Kind::Pool(remote) => remote.events(),
            Kind::InProcess(_) => events::EventSender::default().subscribe(),
        }
    }

    /// Closes the sessions: the server learns of it at once. Calls in flight fail with [`Error::SessionEnded`](crate::Error::SessionEnded), and so
    /// does every later call, of any clone. Oneway calls that were made before are sent first.
    ///
    /// # Errors
    /// [`ShutdownError::Nats`] if the connection to NATS is gone, or takes nothing for as long as a call may take.
    pub async fn close(&self) -> Result<(), ShutdownError> {
        match &self.kind {
            Kind::Pool(remote) => remote.close().await,
            Kind::InProcess(_) => Ok(()),
        }
    }
}

/// As long as any time may be that is waited for: far enough, and far from an overflow.
const fn far() -> Duration {
    Duration::from_secs(100 * 365 * 24 * 3600)
}
