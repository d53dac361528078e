//! Calling a service: opening sessions, calls in flight, and what becomes of them when a session ends.

mod call;
mod hub;
mod session;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client as Nats;
use tokio::time::Instant;

pub use self::call::Call;
use self::hub::Hub;
use self::session::Session;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::format::{Protocol, Transport, WireFormat};
use crate::link::lock;
use crate::method::encode_arguments;
use crate::protocol::{Limits, MessageType};
use crate::server::Service;
use crate::session::{CloseReason, check_service_subject};

/// How a client opens its sessions and makes its calls.
///
/// | option | default |
/// | --- | --- |
/// | [`timeout`](Self::timeout) of a call | 10 s |
/// | [`handshake_timeout`](Self::handshake_timeout) | 2 s |
/// | [`chunk_limit`](Self::chunk_limit) | 64 KiB |
/// | [`queue_limit`](Self::queue_limit) | 64 MiB |
/// | [`limits`](Self::limits) | see [`Limits`] |
/// | [`protocol`](Self::protocol) | binary |
/// | [`transport`](Self::transport) | buffered |
/// | [`zlib`](Self::zlib) | no |
///
/// A server finds out what a session speaks, and answers in kind; an original one speaks what it is told to, and never the
/// header transport.
///
/// A request has to be within [`Limits::message`] and within the queue: a client that raises one of them for a longer
/// request has to raise both.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `connect` is awaited"]
pub struct ClientBuilder {
    nats: Nats,
    subject: String,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    timeout: Duration,
    handshake_timeout: Duration,
    chunk_limit: usize,
    queue_limit: usize,
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
    /// with [`Error::QueueFull`].
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
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

    /// Opens a session: one round trip.
    ///
    /// # Errors
    /// [`Error::InvalidFormat`] if the transport cannot carry the protocol; [`Error::InvalidSubject`] if the subject is none that a service can be called on; [`Error::NoServer`] at once if nobody listens on the subject; [`Error::Connect`] if nobody accepts in time or the
    /// answer is no accept; [`Error::Nats`] if NATS cannot be subscribed to.
    ///
    /// # Cancellation
    /// A session that is being opened when the future is dropped is closed again.
    pub async fn connect(self) -> Result<Client, Error> {
        let Self { nats, subject, options } = self;
        let WireFormat { protocol, transport, .. } = options.format;
        options.format.check().map_err(|reason| Error::InvalidFormat { protocol, transport, reason })?;
        if let Err(reason) = check_subject(&subject) {
            return Err(Error::InvalidSubject { subject, reason });
        }
        let (hub, session) = open(&nats, &subject, &options).await?;
        let remote = Remote {
            nats,
            hub: Mutex::new(hub),
            subject,
            options,
            session: Mutex::new(Some(session)),
            opening: tokio::sync::Mutex::new(()),
        };
        Ok(Client { kind: Kind::Remote(Arc::new(remote)) })
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

/// Opens a session, within the time that a handshake may take: nothing else bounds what NATS takes to subscribe, and
/// what is waited for does not come if the tasks of the hub end with another runtime.
async fn open(nats: &Nats, subject: &str, options: &Options) -> Result<(Arc<Hub>, Arc<Session>), Error> {
    let timeout = options.handshake_timeout;
    let opened = async {
        let hub = Hub::of(nats).await?;
        let session = Session::open(&hub, subject, options).await?;
        Ok((hub, session))
    };
    tokio::time::timeout_at(deadline(timeout), opened).await.unwrap_or_else(|_| {
        let reason = CloseReason::HandshakeTimeout { timeout };
        Err(Error::Connect { subject: subject.to_owned(), reason })
    })
}

/// What every generated client is made of: the way to a service. Cheap to clone; all clones share the session.
#[derive(Clone)]
pub struct Client {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Remote(Arc<Remote>),
    InProcess(Arc<dyn Service>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Remote(remote) => {
                f.debug_struct("Client").field("subject", &remote.subject).finish_non_exhaustive()
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
    pub async fn connect(nats: &Nats, subject: impl Into<String>) -> Result<Self, Error> {
        Self::builder(nats, subject).connect().await
    }

    /// The options of a client of the service that listens on `subject`.
    pub fn builder(nats: &Nats, subject: impl Into<String>) -> ClientBuilder {
        ClientBuilder { nats: nats.clone(), subject: subject.into(), options: Options::default() }
    }

    /// A client of a service in this process: the same encoding and dispatch, without NATS.
    pub fn in_process(service: impl Service) -> Self {
        Self { kind: Kind::InProcess(Arc::new(service)) }
    }

    /// A call of `method` that is answered. For generated code.
    pub fn call<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        self.request(MessageType::Call, method, arguments)
    }

    /// A call of `method` that is never answered: done once it is handed to NATS. For generated code.
    pub fn oneway<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        self.request(MessageType::Oneway, method, arguments)
    }

    fn request<T, E>(
        &self,
        kind: MessageType,
        method: &'static str,
        arguments: &impl Arguments,
    ) -> Call<T, E> {
        let options = self.options();
        let body = encode_arguments(options.format.protocol, method, arguments, options.limits);
        Call::new(self.clone(), kind, method, body, options.timeout)
    }

    fn options(&self) -> Options {
        match &self.kind {
            Kind::Remote(remote) => remote.options,
            Kind::InProcess(_) => Options::default(),
        }
    }

    /// How many calls wait for their answer on the session, of all clones.
    pub fn calls_in_flight(&self) -> usize {
        self.open_session().map_or(0, |session| session.in_flight())
    }

    /// How many answers came on the session when nobody waited for them any more: after a deadline, or a dropped future.
    pub fn late_replies(&self) -> u64 {
        self.open_session().map_or(0, |session| session.late_replies())
    }

    fn open_session(&self) -> Option<Arc<Session>> {
        match &self.kind {
            Kind::Remote(remote) => remote.current().ok().flatten(),
            Kind::InProcess(_) => None,
        }
    }

    /// Closes the session: the server learns of it at once. Calls in flight fail with [`Error::SessionEnded`], and so
    /// does every later call, of any clone. Oneway calls that were made before are sent first.
    ///
    /// # Errors
    /// [`Error::Nats`] if the connection to NATS is gone, or takes nothing for as long as a call may take.
    pub async fn close(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Remote(remote) => remote.close().await,
            Kind::InProcess(_) => Ok(()),
        }
    }
}

/// The way to a service over NATS.
struct Remote {
    nats: Nats,
    /// The hub of the last session.
    hub: Mutex<Arc<Hub>>,
    subject: String,
    options: Options,
    /// `None` once the client is closed.
    session: Mutex<Option<Arc<Session>>>,
    /// Held by the one who opens the next session.
    opening: tokio::sync::Mutex<()>,
}

impl Remote {
    /// The session to make calls on; opens another if the last one has ended.
    async fn session(&self) -> Result<Arc<Session>, Error> {
        if let Some(session) = self.current()? {
            return Ok(session);
        }
        let _opening = self.opening.lock().await;
        if let Some(session) = self.current()? {
            return Ok(session);
        }
        let (hub, opened) = open(&self.nats, &self.subject, &self.options).await?;
        let before = std::mem::replace(&mut *lock(&self.hub), hub);
        drop(before);
        let mut session = lock(&self.session);
        if session.is_none() {
            opened.close(CloseReason::Closed);
            return Err(closed());
        }
        *session = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The session, if it is open.
    fn current(&self) -> Result<Option<Arc<Session>>, Error> {
        let session = lock(&self.session);
        let session = session.as_ref().ok_or_else(closed)?;
        if !lock(&self.hub).is_running() {
            // Nobody carries its messages any more: the runtime that it was opened in is gone.
            session.close(CloseReason::NatsClosed);
        }
        Ok(session.is_open().then(|| Arc::clone(session)))
    }

    async fn close(&self) -> Result<(), Error> {
        let Some(session) = lock(&self.session).take() else { return Ok(()) };
        session.close(CloseReason::Closed);
        let flushed = async {
            session.flushed().await;
            let hub = Arc::clone(&lock(&self.hub));
            hub.flush().await
        };
        let timeout = self.options.timeout;
        tokio::time::timeout(timeout, flushed).await.unwrap_or_else(|elapsed| {
            Err(Error::nats("the connection to NATS does not take the end of the session", elapsed))
        })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(session) = lock(&self.session).take() {
            session.close(CloseReason::Closed);
        }
    }
}

fn closed() -> Error {
    Error::SessionEnded { reason: CloseReason::Closed, outcome: crate::error::Outcome::NotRun }
}

/// The instant `timeout` from now, or as far away as there is one.
fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    // A century is far enough, and far from an overflow.
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 24 * 3600))
}
