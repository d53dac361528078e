//! The limits and formats of a session, on either side.

use crate::format::{ProtocolSet, WireFormat};
use crate::protocol::Limits;

/// The limits and the format of a client's session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientConfig {
    /// The size limit of a NATS message, in bytes.
    pub(crate) chunk_limit: usize,
    /// How many bytes of requests may be queued.
    pub(crate) queue_limit: usize,
    /// How many calls may be in flight.
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
    /// How many bytes may be queued of replies, and held of unfinished requests.
    pub(crate) queue_limit: usize,
    /// How many requests may be unfinished.
    pub(crate) max_calls: usize,
    /// The limits on messages.
    pub(crate) limits: Limits,
    /// The protocols that are served.
    pub(crate) served: ProtocolSet,
}
