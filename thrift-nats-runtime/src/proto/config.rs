//! The limits and formats of a session, on either side.

use crate::format::{ServedFormats, WireFormat};
use crate::protocol::Limits;

/// The limits and the format of a client's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientConfig {
    /// The size limit of a NATS message, in bytes.
    pub(crate) chunk_limit: usize,
    /// Limit of queued requests, in bytes.
    pub(crate) queue_limit: usize,
    /// Limit of calls in flight.
    pub(crate) max_calls: usize,
    /// The limits on messages.
    pub(crate) limits: Limits,
    /// The protocol and transport.
    pub(crate) format: WireFormat,
}

/// The limits and the formats of a server's session.
#[derive(Clone, Copy, Debug)]
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
}
