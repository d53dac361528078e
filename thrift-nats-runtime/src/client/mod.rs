//! Calling a service: opening sessions, calls in flight, and what becomes of them when a session ends.

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
    /// A client of a service in this process: the same encoding and dispatch, without NATS.
    pub fn in_process(service: impl Service) -> Self {
        Self { kind: Kind::InProcess(Arc::new(service)), service: None }
    }

    /// A client of another service of the same server, which has [several](crate::Services): it shares the sessions.
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

    fn options(&self) -> ClientOptions {
        match &self.kind {
            Kind::Pool(remote) => *remote.options(),
            Kind::InProcess(_) => ClientOptions::default(),
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
