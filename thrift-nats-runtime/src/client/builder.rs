//! The builder of a client.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client as Nats;

use super::options::{ClientOptions, check_service};
use super::session_pool::SessionPool;
use super::untyped_client::Client;
use crate::error::ConnectError;
use crate::format::{Protocol, Transport};
use crate::proto::{InboxPolicy, check_service_subject, has_wildcard};
use crate::protocol::Limits;

/// The options of a client. Where [`ServerBuilder`](crate::ServerBuilder) has an option of the same name, it limits the
/// same.
///
/// | option | default | range | what it limits |
/// | --- | --- | --- | --- |
/// | [`timeout`](Self::timeout) | 10 s | any | the duration of a call |
/// | [`handshake_timeout`](Self::handshake_timeout) | 2 s | more than 0 | the duration of opening a session |
/// | [`liveness_timeout`](Self::liveness_timeout) | 1 s | more than 0 | the silence of a server that is probed |
/// | [`wait_for_server`](Self::wait_for_server) | 100 ms | any | the wait of a call if no server listens |
/// | [`fail_fast`](Self::fail_fast) | no | | the wait of a call for which no session has capacity |
/// | [`sessions`](Self::sessions) | 1 | 1 or more | open sessions |
/// | [`max_calls_per_session`](Self::max_calls_per_session) | 16,384 | 1 or more | calls in flight of a session |
/// | [`queue_limit`](Self::queue_limit) | 64 MiB | 1 byte or more | bytes that a session holds |
/// | [`memory_limit`](Self::memory_limit) | 1 GiB | 1 byte or more | bytes that all sessions hold |
/// | [`in_flight_limit`](Self::in_flight_limit) | 2 MiB | 1 byte or more | bytes that are not yet written to NATS |
/// | [`chunk_limit`](Self::chunk_limit) | 1 MiB | 1 byte or more | bytes of a NATS message |
/// | [`limits`](Self::limits) | see [`Limits`] | | bytes, elements and depth of messages |
/// | [`protocol`](Self::protocol) | binary | | |
/// | [`transport`](Self::transport) | buffered | | |
/// | [`zlib`](Self::zlib) | no | | |
/// | [`reply_prefixes`](Self::reply_prefixes) | `_INBOX…` | subjects without wildcards | the inboxes of servers |
/// | [`service`](Self::service) | none | a name without a colon | |
///
/// A server detects the protocol and the transport, and replies in the same. A legacy server has to be configured for them,
/// and never supports the header transport.
///
/// These options depend on each other:
///
/// | options | how |
/// | --- | --- |
/// | `limits` and `queue_limit` | a request has to be within both: raise both for longer requests |
/// | `memory_limit`, `queue_limit` and `limits` | a session that may hold more than `memory_limit` ends before it reaches the others |
/// | `chunk_limit` and `max_payload` of NATS | the smaller one is the limit |
/// | `timeout` and `wait_for_server` | a call stops waiting at whichever comes first |
/// | `timeout` and `liveness_timeout` | a call is retried after a server hangs only if its timeout is the longer one, by 1 s or more |
/// | `fail_fast`, `queue_limit` and `max_calls_per_session` | a call above either limit waits, or fails if it is to fail fast |
/// | `protocol` and `transport` | the header transport cannot carry JSON |
/// | `zlib` and `transport` | only messages in the header transport are compressed |
///
/// ```no_run
/// use std::time::Duration;
///
/// use thrift_nats_runtime::{Client, ConnectError, Protocol};
///
/// async fn connect(nats: &async_nats::Client) -> Result<Client, ConnectError> {
///     Client::builder(nats, "calculator")
///         .timeout(Duration::from_secs(1))
///         .sessions(4)
///         .protocol(Protocol::Compact)
///         .connect()
///         .await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `connect` is awaited"]
pub struct ClientBuilder {
    nats: Nats,
    subject: String,
    service: Option<Arc<str>>,
    reply_prefixes: Option<Arc<[String]>>,
    options: ClientOptions,
}

impl ClientBuilder {
    /// The time that a call may take, including opening a session and retries, unless the call
    /// [says otherwise](crate::Call::timeout).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// The time within which a server has to accept a session. The clients of a connection have 512 handshakes with a subject
    /// in flight at most; the time of a further one starts when it is admitted.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.handshake_timeout = timeout;
        self
    }

    /// The time within which a server has to answer a probe, which the client sends while calls are in flight and nothing
    /// arrives from the server. A server that hangs or was paused does not answer: its session ends with
    /// [`CloseReason::Unresponsive`](crate::CloseReason::Unresponsive), and its calls are retried on another session if that
    /// is safe. The time starts when NATS has received the probe, which may have waited for messages before it. If a process
    /// subscribes to all subjects, NATS does not confirm that, and a server has five times as long. A server that a handler
    /// keeps from receiving for this time is taken for one that hangs.
    ///
    /// The sessions of a connection share the rate of probes. The first probe of a silent session follows after 25 ms, or after
    /// 50 µs for each session of the connection if that is longer: after 5 s with 100,000 sessions. The pause is never longer
    /// than five times this timeout.
    pub const fn liveness_timeout(mut self, timeout: Duration) -> Self {
        self.options.liveness_timeout = timeout;
        self
    }

    /// The largest NATS message to publish, in bytes. The `max_payload` of the NATS server is a limit, too.
    pub const fn chunk_limit(mut self, bytes: usize) -> Self {
        self.options.chunk_limit = bytes;
        self
    }

    /// The number of bytes that a session may hold:
    ///
    /// - requests that are not yet handed to the NATS connection. A call above the limit waits, unless it is to
    ///   [fail fast](Self::fail_fast). A request that is longer than the limit fails at once with
    ///   [`Error::QueueFull`](crate::Error::QueueFull).
    /// - replies that have arrived in part. The client lets the server send one long reply to its end, and others while
    ///   they are within the limit.
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
        self
    }

    /// The number of bytes that all sessions on the connection may hold together: messages that were received and not yet
    /// handled, parts of messages, and queued requests. If they hold more, the sessions that hold the most end with
    /// [`CloseReason::MemoryLimit`](crate::CloseReason::MemoryLimit), until 7/8 of the limit are left. A session that has
    /// sent or received anything counts as 1 KiB at least. Clients share the limit of their connection: the last client
    /// that sets it decides.
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.options.endpoint.memory = Some(bytes);
        self
    }

    /// The number of bytes that all clients hand to the NATS connection before they are written to the network. Further
    /// messages wait in the queues of their sessions, where the short message of one session passes the long message of
    /// another. The limit is exceeded by two messages at most. Clients share the limit of their connection: the last client
    /// that sets it decides.
    pub const fn in_flight_limit(mut self, bytes: usize) -> Self {
        self.options.endpoint.in_flight = Some(bytes);
        self
    }

    /// The number of calls of a session that may be in flight. One more waits, unless it is to
    /// [fail fast](Self::fail_fast).
    pub const fn max_calls_per_session(mut self, calls: usize) -> Self {
        self.options.max_calls = calls;
        self
    }

    /// Whether a call for which no open session has capacity fails at once, with
    /// [`Error::QueueFull`](crate::Error::QueueFull) or [`Error::TooManyCalls`](crate::Error::TooManyCalls). By default such
    /// calls wait in line. A call that still waits at its deadline fails with
    /// [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded), and has not run. See also
    /// [`Call::fail_fast`](crate::Call::fail_fast).
    pub const fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.options.fail_fast = fail_fast;
        self
    }

    /// The number of sessions to open. NATS gives each to one of the servers at random. Each call compares two open
    /// sessions, chosen in rotation, and uses the one with fewer calls in flight. A session that ends is replaced while
    /// calls use the others. [`connect`](Self::connect) fails if one of the sessions cannot be opened.
    pub const fn sessions(mut self, sessions: usize) -> Self {
        self.options.sessions = sessions;
        self
    }

    /// The time that a call waits for a server if its session has ended and no server listens on the subject. Then it fails
    /// with [`ConnectError::NoServer`]. Until then the client tries again to open a session, with pauses that grow from 10
    /// ms to 1 s, or to this time if it is shorter. [`connect`](Self::connect) does not wait.
    pub const fn wait_for_server(mut self, time: Duration) -> Self {
        self.options.wait_for_server = time;
        self
    }

    /// The limits on messages that are read and written.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The protocol of messages.
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.options.format.protocol = protocol;
        self
    }

    /// The transport of messages.
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.options.format.transport = transport;
        self
    }

    /// Compresses every message in the header transport; the server compresses its replies to them, too. Other transports
    /// cannot mark a message as compressed, so that theirs never are.
    pub const fn zlib(mut self, zlib: bool) -> Self {
        self.options.format.zlib = zlib;
        self
    }

    /// Calls the functions of this service, of a server that has [several](crate::Services). The name must not be empty or
    /// have a colon, which separates it from the name of the function in messages.
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// The prefixes of the inboxes of servers. An accept that names another subject is refused with
    /// [`CloseReason::BadAccept`](crate::CloseReason::BadAccept).
    ///
    /// An accept names the subjects for requests and heartbeats, and the client publishes there with its own permissions. By
    /// default it accepts only subjects whose first token starts with `_INBOX`, as those of all NATS client libraries do,
    /// and those below the inbox prefix of its own connection. This option replaces the former rule: see also
    /// [`ServerBuilder::reply_prefixes`](crate::ServerBuilder::reply_prefixes).
    pub fn reply_prefixes<S: Into<String>>(mut self, prefixes: impl IntoIterator<Item = S>) -> Self {
        self.reply_prefixes = Some(prefixes.into_iter().map(Into::into).collect());
        self
    }

    /// Opens the [sessions](Self::sessions), in one round trip. It does not retry. If one session cannot be opened, the
    /// others are closed.
    ///
    /// # Runtime
    /// The tasks of a session run in the tokio runtime in which it was opened. If that runtime ends, its sessions end, and
    /// the next call opens one in its own runtime. A call may be made in any tokio runtime, and always ends by its deadline.
    /// A `current_thread` runtime runs its tasks only inside `block_on`: if a call is made in another runtime outside of
    /// it, its session ends after 1 s with [`CloseReason::RuntimeStopped`](crate::CloseReason::RuntimeStopped).
    ///
    /// # Errors
    /// - [`ConnectError::InvalidFormat`], [`ConnectError::InvalidOption`] and [`ConnectError::InvalidSubject`], before
    ///   anything is sent
    /// - [`ConnectError::NoRuntime`] outside a tokio runtime
    /// - [`ConnectError::NoServer`] at once if no server listens on the subject
    /// - [`ConnectError::Handshake`] if no server accepts in time, the server refuses (for one because it has
    ///   [all its sessions](crate::ServerBuilder::max_sessions)), or its reply is malformed
    /// - [`ConnectError::Nats`] if NATS cannot be subscribed to
    ///
    /// # Cancellation
    /// If the future is dropped, sessions that are being opened are closed.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let Self { nats, subject, service, reply_prefixes, options } = self;
        options.check()?;
        InboxPolicy::check_prefixes(reply_prefixes.as_deref())?;
        if let Some(service) = &service {
            check_service(service)?;
        }
        if let Err(reason) = check_subject(&subject) {
            return Err(ConnectError::InvalidSubject { subject, reason });
        }
        let pool = SessionPool::connect(nats, subject, service.clone(), reply_prefixes, options).await?;
        Ok(Client::of_pool(pool, service))
    }
}

/// Checks the subject of a service that is to be called.
fn check_subject(subject: &str) -> Result<(), &'static str> {
    check_service_subject(subject)?;
    if has_wildcard(subject) {
        return Err("it has a wildcard, and a session is opened with one service");
    }
    Ok(())
}

impl Client {
    /// Opens a session with the service that listens on `subject`, with the default options.
    ///
    /// # Errors
    /// See [`ClientBuilder::connect`].
    ///
    /// # Cancellation
    /// If the future is dropped, a session that is being opened is closed.
    pub async fn connect(nats: &Nats, subject: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(nats, subject).connect().await
    }

    /// The options of a client of the service that listens on `subject`.
    pub fn builder(nats: &Nats, subject: impl Into<String>) -> ClientBuilder {
        let options = ClientOptions::default();
        ClientBuilder {
            nats: nats.clone(),
            subject: subject.into(),
            service: None,
            reply_prefixes: None,
            options,
        }
    }
}
