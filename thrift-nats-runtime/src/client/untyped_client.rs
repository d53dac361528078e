//! The client that every generated client wraps. It calls methods by name.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::events::{EventSender, SessionEvents};
use super::prepared_call::PreparedCall;
use super::session_handle::SessionHandle;
use super::session_pool::SessionPool;
use super::target::{InProcess, Target, TargetKind};
use crate::arguments::Arguments;
use crate::error::ShutdownError;
use crate::method::encode_arguments;
use crate::protocol::MessageType;
use crate::service::Service;
use crate::transport::Headers;

/// A client of a service, which every generated client wraps. Cheap to clone; all clones share the sessions.
///
/// It opens sessions when it needs them: after a session has ended, the next call opens another.
///
/// ```no_run
/// # async fn example(nats: &thrift_nats_runtime::async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use thrift_nats_runtime::{Call, Client};
///
/// let client = Client::connect(nats, "calculator").await?;
/// // Generated code: `calculator.ping().timeout(…)`.
/// let ping: Call<()> = client.call("ping", &());
/// ping.timeout(Duration::from_secs(1)).await?;
/// client.close().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    target: Target,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target.kind {
            TargetKind::Pool(pool) => {
                f.debug_struct("Client").field("subject", &pool.subject()).finish_non_exhaustive()
            }
            TargetKind::InProcess(local) => f.debug_tuple("Client").field(&local.service.name()).finish(),
        }
    }
}

impl Client {
    /// A client of a service in this process: the same encoding and dispatch, without NATS.
    pub fn in_process(service: impl Service) -> Self {
        let local = InProcess { service: Arc::new(service), closed: CancellationToken::new() };
        Self { target: Target { kind: TargetKind::InProcess(local), service: None } }
    }

    /// A client of a service on the servers of `pool`.
    pub(super) const fn of_pool(pool: Arc<SessionPool>, service: Option<Arc<str>>) -> Self {
        Self { target: Target { kind: TargetKind::Pool(pool), service } }
    }

    /// A client of another service of the same server, if it has [several](crate::Services). It shares the sessions. The
    /// name is not checked, unlike that of [`ClientBuilder::service`](crate::ClientBuilder::service).
    #[must_use]
    pub fn for_service(&self, name: impl Into<Arc<str>>) -> Self {
        Self { target: Target { kind: self.target.kind.clone(), service: Some(name.into()) } }
    }

    /// A two-way call of `method`. For generated code.
    pub fn call<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        Call::new(self.prepare(MessageType::Call, method, arguments))
    }

    /// A oneway call of `method`, which has no reply. It completes once it is handed to NATS, and is lost if the session ends
    /// before the server has received it. If delivery matters, use a two-way call. For generated code.
    pub fn oneway<T, E>(&self, method: &'static str, arguments: &impl Arguments) -> Call<T, E> {
        Call::new(self.prepare(MessageType::Oneway, method, arguments))
    }

    pub(super) fn prepare(
        &self,
        kind: MessageType,
        method: &'static str,
        arguments: &impl Arguments,
    ) -> PreparedCall {
        let options = self.target.options();
        let name = method.len() + self.target.service.as_ref().map_or(0, |service| service.len() + 1);
        let body = encode_arguments(options.format.protocol, name, arguments, options.limits);
        PreparedCall {
            target: self.target.clone(),
            kind,
            method,
            body,
            timeout: options.timeout,
            headers: Headers::new(),
            idempotent: false,
            fail_fast: options.fail_fast,
        }
    }

    /// Number of calls in flight of all clones.
    pub fn calls_in_flight(&self) -> usize {
        self.sessions().map(|session| session.in_flight()).sum()
    }

    /// Number of replies that arrived late on the current sessions: after the call's deadline, or after its future was
    /// dropped.
    pub fn late_replies(&self) -> u64 {
        self.sessions().map(|session| session.late_replies()).sum()
    }

    fn sessions(&self) -> impl Iterator<Item = Arc<SessionHandle>> {
        let pool = match &self.target.kind {
            TargetKind::Pool(pool) => Some(pool),
            TargetKind::InProcess(_) => None,
        };
        pool.into_iter().flat_map(|pool| pool.sessions())
    }

    /// The events of the sessions of all clones, from now on. They are for observation: the client opens and replaces its
    /// sessions itself. A client within the process has no sessions.
    ///
    /// A generated client implements `AsRef<Client>`: `calculator.as_ref().events()`.
    pub fn events(&self) -> SessionEvents {
        match &self.target.kind {
            TargetKind::Pool(pool) => pool.events(),
            TargetKind::InProcess(_) => EventSender::default().subscribe(),
        }
    }

    /// Closes the sessions of all clones, and tells the servers. Calls in flight fail with
    /// [`Error::SessionEnded`](crate::Error::SessionEnded), as does every later call.
    ///
    /// Oneway calls made before are sent first. A legacy server is an exception: it gets one request at a time. Oneway calls
    /// that still wait for its reply to an earlier call are not sent, and fail.
    ///
    /// Only the first call of `close` waits for the disconnect messages. Later ones return at once, even if the first one
    /// has not finished.
    ///
    /// # Errors
    /// [`ShutdownError::Nats`] if the connection to NATS is gone, or the disconnect messages are not written to it within 2 s.
    /// Outside a tokio runtime, the sessions are closed, and the error says that nothing waits for the messages.
    ///
    /// # Cancellation
    /// The client is closed at the first poll. If the future is dropped later, only the wait for NATS ends.
    pub async fn close(&self) -> Result<(), ShutdownError> {
        match &self.target.kind {
            TargetKind::Pool(pool) => pool.close().await,
            TargetKind::InProcess(local) => {
                local.closed.cancel();
                Ok(())
            }
        }
    }
}
