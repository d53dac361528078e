//! The messages that a client's session receives, and the events that it reports.

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use crate::proto::close_reason::CloseReason;
use crate::proto::handshake::Additions;
use crate::proto::outcome::Outcome;
use crate::transport::Frame;

/// An event of a client's session. `W` is what its owner keeps for the caller of a call; each call hands it out once.
#[derive(Debug, PartialEq)]
pub(crate) enum ClientEvent<W> {
    /// The server has accepted the session. Calls can be made.
    Opened,
    /// A call is complete: this is its reply.
    Replied { waiter: W, reply: Frame },
    /// A oneway call is complete: the last byte of its request was given to
    /// [`ClientSession::poll_transmit`](super::ClientSession::poll_transmit).
    Sent { waiter: W },
    /// The deadline of a call has passed.
    Expired { waiter: W, outcome: Outcome },
    /// The server drains the session. No more calls can be made. These were not acknowledged and are known not to have been
    /// run; the others are still replied to.
    Draining { reason: CloseReason, not_run: Vec<W> },
    /// The session has ended. These calls have no reply.
    Ended { reason: CloseReason, calls: Vec<(W, Outcome)> },
}

/// The limit because of which a call was not made. The session continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue of requests would exceed its limit.
    QueueFull {
        /// The length of the request, in bytes.
        len: usize,
        /// Number of queued bytes.
        queued: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// As many calls are in flight as the limit allows.
    TooManyCalls {
        /// The limit.
        limit: usize,
    },
}

impl Refused {
    /// Whether the request is longer than the limit, so that it would never be accepted.
    pub(crate) const fn is_final(&self) -> bool {
        match self {
            Self::QueueFull { len, limit, .. } => *len > *limit,
            Self::TooManyCalls { .. } => false,
        }
    }
}

/// A message that arrived on a subject of the session.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) reply: Option<Subject>,
    pub(crate) status: Option<StatusCode>,
    /// The additions that its headers announce. A legacy peer announces none.
    pub(crate) additions: Option<Additions>,
    /// Whether it is the accept of a server of this crate that does not read the header transport.
    pub(crate) refuses_header_transport: bool,
    pub(crate) payload: Bytes,
}
