//! Calling a service: opening sessions, calls in flight, and retries when a session ends.

mod backoff;
mod builder;
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
mod slot;

use std::fmt;
use std::sync::Arc;

pub use self::builder::ClientBuilder;
use self::builder::ClientOptions;
pub use self::call::{Call, CallWithHeaders, Response};
pub use self::events::{SessionEvent, SessionEvents};
use self::prepared_call::PreparedCall;
use self::session_pool::SessionPool;
use crate::arguments::Arguments;
use crate::error::ShutdownError;
use crate::method::{Body, encode_arguments};
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
    kind: Kind,
    /// The service that is called, if the server has several.
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
            Kind::Pool(pool) => {
                f.debug_struct("Client").field("subject", &pool.subject()).finish_non_exhaustive()
            }
            Kind::InProcess(service) => f.debug_tuple("Client").field(&service.name()).finish(),
        }
    }
}

impl Client {
    /// A client of a service in this process: the same encoding and dispatch, without NATS.
    pub fn in_process(service: impl Service) -> Self {
        Self { kind: Kind::InProcess(Arc::new(service)), service: None }
    }

    /// A client of another service of the same server, if it has [several](crate::Services). It shares the sessions.
    #[must_use]
    pub fn for_service(&self, name: impl Into<Arc<str>>) -> Self {
        Self { kind: self.kind.clone(), service: Some(name.into()) }
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

    fn options(&self) -> ClientOptions {
        match &self.kind {
            Kind::Pool(pool) => *pool.options(),
            Kind::InProcess(_) => ClientOptions::default(),
        }
    }

    /// How many calls of all clones are in flight.
    pub fn calls_in_flight(&self) -> usize {
        self.sessions().map(|session| session.in_flight()).sum()
    }

    /// How many replies arrived late on the current sessions: after the call's deadline, or after its future was dropped.
    pub fn late_replies(&self) -> u64 {
        self.sessions().map(|session| session.late_replies()).sum()
    }

    fn sessions(&self) -> impl Iterator<Item = Arc<session_handle::SessionHandle>> {
        let pool = match &self.kind {
            Kind::Pool(pool) => Some(pool),
            Kind::InProcess(_) => None,
        };
        pool.into_iter().flat_map(|pool| pool.sessions())
    }

    /// The events of the sessions of all clones, from now on. They are for observation: the client opens and replaces its
    /// sessions itself. A client within the process has no sessions.
    pub fn events(&self) -> SessionEvents {
        match &self.kind {
            Kind::Pool(pool) => pool.events(),
            Kind::InProcess(_) => events::EventSender::default().subscribe(),
        }
    }

    /// Closes the sessions of all clones, and tells the servers. Calls in flight fail with
    /// [`Error::SessionEnded`](crate::Error::SessionEnded), as does every later call. Oneway calls made before are sent first.
    ///
    /// # Errors
    /// [`ShutdownError::Nats`] if the connection to NATS is gone, or does not take the disconnect messages within the
    /// [timeout](ClientBuilder::timeout) of a call.
    ///
    /// # Cancellation
    /// The client is closed at the first poll. If the future is dropped later, only the wait for NATS ends.
    pub async fn close(&self) -> Result<(), ShutdownError> {
        match &self.kind {
            Kind::Pool(pool) => pool.close().await,
            Kind::InProcess(_) => Ok(()),
        }
    }
}
