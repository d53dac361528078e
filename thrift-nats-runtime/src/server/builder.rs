//! The builder of a server.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client as Nats;

use super::lame_duck::LameDuck;
use super::options::ServerOptions;
use super::running::Server;
use crate::error::ServeError;
use crate::format::{Protocol, Transport};
use crate::proto::check_service_subject;
use crate::protocol::Limits;
use crate::service::Service;

/// The options of a server. Where [`ClientBuilder`](crate::ClientBuilder) has an option of the same name, it limits the
/// same.
///
/// | option | default | range | what it limits |
/// | --- | --- | --- | --- |
/// | [`heartbeat`](Self::heartbeat) | 10 s | whole ms, 1 ms to 292 years, or `None` | the time between heartbeats of a client |
/// | [`max_sessions`](Self::max_sessions) | 262,144 | 0 or more | open sessions |
/// | [`max_calls`](Self::max_calls) | 65,536 | 0 or more | running calls of all sessions |
/// | [`max_calls_per_session`](Self::max_calls_per_session) | 16,384 | 1 or more | running and waiting calls of a session |
/// | [`max_timeout`](Self::max_timeout) | 10 minutes | more than 0 | the timeout of a call |
/// | [`grace_after_end`](Self::grace_after_end) | 5 s | 0 or more | the time that calls run on after the end of their session |
/// | [`queue_limit`](Self::queue_limit) | 64 MiB | 1 byte or more | bytes that a session holds |
/// | [`memory_limit`](Self::memory_limit) | 1 GiB | 1 byte or more | bytes that all sessions hold |
/// | [`in_flight_limit`](Self::in_flight_limit) | 2 MiB | 1 byte or more | bytes that are not yet written to NATS |
/// | [`chunk_limit`](Self::chunk_limit) | 1 MiB | 1 byte or more | bytes of a NATS message |
/// | [`limits`](Self::limits) | see [`Limits`] | | bytes, elements and depth of messages |
/// | [`protocols`](Self::protocols) | all | at least one | the protocols of clients |
/// | [`transports`](Self::transports) | all | at least one | the transports of clients |
/// | [`compression`](Self::compression) | accepted | | whether messages of clients may be compressed |
/// | [`reply_prefixes`](Self::reply_prefixes) | `_INBOX…` | subjects without wildcards | the inboxes of clients |
/// | [`lame_duck`](Self::lame_duck) | none | | |
///
/// A server detects the protocol and transport of each session, and replies in the same.
///
/// These options depend on each other:
///
/// | options | how |
/// | --- | --- |
/// | `limits` and `queue_limit` | a request above `queue_limit` runs only while no other request of its session does |
/// | `memory_limit`, `queue_limit` and `limits` | a session that may hold more than `memory_limit` ends before it reaches the others |
/// | `max_calls` and `max_calls_per_session` | a call above either is rejected with `LOADSHEDDING` |
/// | `chunk_limit` and `max_payload` of NATS | the smaller one is the limit |
/// | `protocols` and `transports` | JSON is not served if the header transport is the only one |
///
/// Clients share `max_sessions` and `max_calls`: one may take more only while it has less than the free part. A single client
/// therefore gets half, and there is always capacity for another one. Sessions belong to one client if the subjects of their
/// inboxes differ in the last token only, as those of one connection do. Inboxes of two tokens, `_INBOX.<random>`, which many
/// legacy clients have, count as one client.
///
/// ```no_run
/// use std::time::Duration;
///
/// use thrift_nats_runtime::{ServeError, Server, Service};
///
/// async fn serve(nats: &async_nats::Client, calculator: impl Service) -> Result<Server, ServeError> {
///     Server::builder(nats, "calculator")
///         .heartbeat(Duration::from_secs(5))
///         .max_calls(1000)
///         .serve(calculator)
///         .await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `serve` is awaited"]
pub struct ServerBuilder {
    nats: Nats,
    subject: String,
    options: ServerOptions,
    lame_duck: Option<LameDuck>,
}

impl ServerBuilder {
    /// The time within which a client has to send each heartbeat: a session whose client misses three in a row ends. `None`
    /// disables heartbeats: then the server notices that a client has vanished only when it sends to it.
    pub fn heartbeat(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.options.heartbeat = interval.into();
        self
    }

    /// The number of sessions that may be open, shared by all clients. The handshake of one more is refused: the client gets
    /// [`ConnectError::Handshake`](crate::ConnectError::Handshake) with
    /// [`PeerReason::Overloaded`](crate::PeerReason::Overloaded). A session counts from the first message of its client on.
    /// Of those whose client has not sent anything yet, the server keeps the newest 16,384, and the newest 8,192 of each client.
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.options.max_sessions = sessions;
        self
    }

    /// The number of calls that may run at a time, shared by all clients. One more is rejected at once with the exception
    /// [`LOADSHEDDING`](crate::ApplicationExceptionKind::LOADSHEDDING), and does not run. A call whose handler completes
    /// without waiting does not count.
    pub const fn max_calls(mut self, calls: usize) -> Self {
        self.options.max_calls = calls;
        self
    }

    /// The number of calls of a session that may run or wait to run at a time. One more is rejected as with
    /// [`max_calls`](Self::max_calls).
    pub const fn max_calls_per_session(mut self, calls: usize) -> Self {
        self.options.max_calls_per_session = calls;
        self
    }

    /// The longest timeout of a call. A call whose client announces a longer one ends at this one, and so does a call of a
    /// legacy client, which announces none: the handler is dropped, and the client gets the exception
    /// [`TIMEOUT`](crate::ApplicationExceptionKind::TIMEOUT). [`Context::deadline`](crate::Context::deadline) reflects it.
    /// `Duration::MAX` means no limit: a client then decides for how long its calls occupy the server.
    pub const fn max_timeout(mut self, timeout: Duration) -> Self {
        self.options.max_timeout = timeout;
        self
    }

    /// The time for which running calls continue after their session has ended, because no client waits for them any more.
    /// Then their handlers are dropped. `Duration::ZERO` drops them at once, and `Duration::MAX` runs them to their end or
    /// their deadline.
    ///
    /// Requests that have not started do not start any more, with one exception: if the client itself has closed the session,
    /// they start within this time, because oneway requests may be among them.
    pub const fn grace_after_end(mut self, grace: Duration) -> Self {
        self.options.grace_after_end = grace;
        self
    }

    /// The number of bytes that a session may hold:
    ///
    /// - requests that run, and parts of requests. A request above the limit is rejected as with
    ///   [`max_calls`](Self::max_calls).
    /// - of a legacy client: replies that are not yet handed to the NATS connection, and requests that wait to run. If there
    ///   are more, the session ends with [`CloseReason::QueueOverflow`](crate::CloseReason::QueueOverflow).
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
        self
    }

    /// The number of bytes that all sessions may hold together: messages that were received and not yet handled, requests
    /// without a reply, parts of messages, and queued replies. If they hold more, the sessions that hold the most end with
    /// [`CloseReason::MemoryLimit`](crate::CloseReason::MemoryLimit), until 7/8 of the limit are left. A session that has
    /// sent or received anything counts as 1 KiB at least.
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.options.endpoint.memory = Some(bytes);
        self
    }

    /// The number of bytes that the server hands to the NATS connection before they are written to the network. Further
    /// messages wait in the queues of their sessions, where the short message of one session passes the long message of
    /// another. The limit is exceeded by two messages at most.
    pub const fn in_flight_limit(mut self, bytes: usize) -> Self {
        self.options.endpoint.in_flight = Some(bytes);
        self
    }

    /// The largest NATS message to publish, in bytes. The `max_payload` of the NATS server is a limit, too.
    pub const fn chunk_limit(mut self, bytes: usize) -> Self {
        self.options.chunk_limit = bytes;
        self
    }

    /// The limits on messages that are read and written.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The protocols to serve. A client of this crate that uses another fails to connect with
    /// [`CloseReason::Unsupported`](crate::CloseReason::Unsupported), which names these protocols. The session of any other
    /// client ends with its first message.
    pub const fn protocols(mut self, protocols: &[Protocol]) -> Self {
        self.options.served = self.options.served.with_protocols(protocols);
        self
    }

    /// The transports to serve, as with [`protocols`](Self::protocols). Without [`Transport::Header`], clients cannot send
    /// headers, nor a timeout that differs from that of their handshake.
    pub const fn transports(mut self, transports: &[Transport]) -> Self {
        self.options.served = self.options.served.with_transports(transports);
        self
    }

    /// Whether to accept messages that are compressed, which only the header transport supports. A client of this crate that
    /// [compresses](crate::ClientBuilder::zlib) its messages fails to connect otherwise, as with
    /// [`protocols`](Self::protocols).
    ///
    /// A message is decompressed in the task that runs its call. It may then be 128 times as long as it was sent, within
    /// [`Limits::message`], and counts against [`queue_limit`](Self::queue_limit). Compression costs more time than it saves
    /// unless the network is slow, so a server that does not need it should refuse it.
    pub const fn compression(mut self, accepted: bool) -> Self {
        self.options.served = self.options.served.with_compression(accepted);
        self
    }

    /// The prefixes of the inboxes of clients. A handshake whose reply subject is not below one of them is dropped.
    ///
    /// A handshake names the subject to reply to, and the server publishes there with its own permissions. By default it
    /// replies only to subjects whose first token starts with `_INBOX`, as those of all NATS client libraries do, and to
    /// those below the inbox prefix of its own connection. This option replaces the former rule: set it if clients have
    /// other prefixes, or to allow fewer. Subjects that start with `$`, those with wildcards, and those longer than 256
    /// bytes are refused in any case.
    ///
    /// Name the prefix that the inboxes of all users have in common. The token after it identifies the user: all clients of a
    /// user together have one share of [`max_sessions`](Self::max_sessions) and [`max_calls`](Self::max_calls), and count as
    /// one client for [`memory_limit`](Self::memory_limit). Without the option, each inbox prefix has a share of its own, so
    /// that a user that may receive on many can use up these limits.
    ///
    /// ```no_run
    /// # async fn example(nats: async_nats::Client, calculator: impl thrift_nats_runtime::Service) -> Result<(), Box<dyn std::error::Error>> {
    /// use thrift_nats_runtime::Server;
    ///
    /// // The clients connect with the custom inbox prefixes `inbox.web` and `inbox.jobs`.
    /// let server = Server::builder(&nats, "calculator").reply_prefixes(["inbox"]);
    /// let server = server.serve(calculator).await?;
    /// # Ok(()) }
    /// ```
    pub fn reply_prefixes<S: Into<String>>(mut self, prefixes: impl IntoIterator<Item = S>) -> Self {
        self.options.reply_prefixes = Some(prefixes.into_iter().map(Into::into).collect());
        self
    }

    /// Connects the server to another NATS server when the one of its connection enters lame duck mode: see [`LameDuck`].
    pub fn lame_duck(mut self, lame_duck: &LameDuck) -> Self {
        self.lame_duck = Some(lame_duck.clone());
        self
    }

    /// Serves `service`. Returns once the server is listening: it accepts every handshake that is sent from then on.
    ///
    /// NATS reports denied permissions only to the event callback of the connection
    /// ([`async_nats::ConnectOptions::event_callback`]). If the account may not subscribe to the subject in the queue group
    /// `rpc`, this function succeeds, and no handshake ever arrives.
    ///
    /// # Errors
    /// - [`ServeError::InvalidSubject`] and [`ServeError::InvalidOption`], before anything is sent
    /// - [`ServeError::NoRuntime`] outside a tokio runtime
    /// - [`ServeError::Nats`] if NATS cannot be subscribed to, or does not confirm it within 10 s
    ///
    /// # Cancellation
    /// If the future is dropped, the server does not listen.
    pub async fn serve(self, service: impl Service) -> Result<Server, ServeError> {
        let Self { nats, subject, options, lame_duck } = self;
        if let Err(reason) = check_service_subject(&subject) {
            return Err(ServeError::InvalidSubject { subject, reason });
        }
        options.check()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ServeError::NoRuntime);
        }
        Server::start(nats, subject, Arc::new(service), options, lame_duck).await
    }
}

impl Server {
    /// The options of a server that listens on `subject`. NATS gives each session to one of the servers on the same
    /// subject.
    pub fn builder(nats: &Nats, subject: impl Into<String>) -> ServerBuilder {
        let options = ServerOptions::default();
        ServerBuilder { nats: nats.clone(), subject: subject.into(), options, lame_duck: None }
    }
}
