//! The limits and formats of a session, on either side.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::inbox_policy::InboxPolicy;
use crate::format::{ServedFormats, WireFormat};
use crate::protocol::Limits;

/// The limits and the format of a client's sessions.
#[derive(Clone, Debug)]
pub(crate) struct ClientConfig {
    /// The size limit of a NATS message, in bytes.
    pub(crate) chunk_limit: usize,
    /// Limit of queued requests, in bytes, and of long replies that are not complete.
    pub(crate) queue_limit: usize,
    /// Limit of calls in flight.
    pub(crate) max_calls: usize,
    /// The limits on messages.
    pub(crate) limits: Limits,
    /// The protocol and transport.
    pub(crate) format: WireFormat,
    /// The timeout of a handshake.
    pub(crate) handshake_timeout: Duration,
    /// The time within which a server has to answer a probe.
    pub(crate) liveness_timeout: Duration,
    /// Timeout of calls whose request has none.
    pub(crate) call_timeout: Duration,
    /// The service that is called, if the server may have several.
    pub(crate) service: Option<Arc<str>>,
    /// The subjects that a server may name in its accept.
    pub(crate) inboxes: InboxPolicy,
    /// The memory of all sessions of the endpoint.
    pub(crate) budget: Arc<Budget>,
}

/// The limits and the formats of a server's sessions.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// The size limit of a NATS message, in bytes.
    pub(crate) chunk_limit: usize,
    /// Limit of queued replies, and of unfinished requests, in bytes.
    pub(crate) queue_limit: usize,
    /// Limit of unfinished requests.
    pub(crate) max_calls: usize,
    /// The limits on messages.
    pub(crate) limits: Limits,
    /// The formats that are served.
    pub(crate) served: ServedFormats,
    /// The memory of all sessions of the server.
    pub(crate) budget: Arc<Budget>,
}
