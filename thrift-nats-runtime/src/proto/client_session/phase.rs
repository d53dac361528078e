//! The phases of a client's session, each with its data.

use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::event::Incoming;
use crate::proto::close_reason::{DISCONNECT, PeerReason};
use crate::proto::handshake::Accept;
use crate::proto::inbound::Inbound;
use crate::proto::queue::Queue;
use crate::transport::Receiver;

/// The states of a client's session. The diagram is in the [parent module](super).
#[derive(Debug)]
pub(super) enum ClientPhase {
    Opening(Opening),
    Open(OpenSession),
    /// The server accepts no request that came after this chunk.
    Draining {
        session: OpenSession,
        acknowledged: u64,
    },
    /// The session has ended, and the server still has to be told.
    Closing(Closing),
    /// The session ended before the server accepted it. If the accept still arrives, the server has to be told.
    Abandoned,
    /// The session has ended, and nothing is left to be sent.
    Closed,
}

/// A handshake without a reply.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) service: Subject,
    /// Whether the handshake was given to `poll_transmit`.
    pub(super) sent: bool,
    pub(super) timeout: Duration,
    /// `None`: the handshake never times out.
    pub(super) deadline: Option<Instant>,
}

/// A session that the server has accepted.
#[derive(Debug)]
pub(super) struct OpenSession {
    /// The subject on which the server receives data.
    pub(super) listen: Subject,
    pub(super) inbound: Inbound,
    /// `None`: the server wants no heartbeats.
    pub(super) heartbeat: Option<HeartbeatTimer>,
    pub(super) server: ServerKind,
    /// Whether the server reads the header transport.
    pub(super) reads_header_transport: bool,
}

/// The kind of server, and the state that only this kind needs.
#[derive(Debug)]
pub(super) enum ServerKind {
    /// A server of this crate runs requests concurrently. The numbers of calls that were cancelled after they were sent are
    /// still to be sent.
    Current { cancelled: Vec<i32> },
    /// A legacy server gets one request at a time. The other requests are held until it has replied.
    Legacy { held: Queue },
}

/// The timer of heartbeats.
#[derive(Debug)]
pub(super) struct HeartbeatTimer {
    pub(super) subject: Subject,
    /// Three quarters of the interval that the accept names.
    pub(super) period: Duration,
    pub(super) next: Instant,
    /// Whether a heartbeat is to be sent now.
    pub(super) due: bool,
}

/// The messages that are left to be sent after the end, after any queued data: the cancelled calls, then the disconnect
/// message.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) listen: Subject,
    /// The body of the disconnect message.
    pub(super) body: Bytes,
    /// Cancelled calls of which the server was not told.
    pub(super) cancelled: Vec<i32>,
}

impl OpenSession {
    pub(super) fn new(now: Instant, accept: Accept, versioned: bool, receiver: Receiver) -> Self {
        let reads_header_transport = versioned;
        let heartbeat = accept.interval.map(|interval| {
            // As the legacy package computes it, in whole milliseconds.
            let millis = interval.as_millis() as u64;
            let period = Duration::from_millis(millis - millis / 4);
            HeartbeatTimer { subject: accept.heartbeat, period, next: now + period, due: false }
        });
        let server = if versioned {
            ServerKind::Current { cancelled: Vec::new() }
        } else {
            ServerKind::Legacy { held: Queue::default() }
        };
        let inbound = Inbound::new(versioned, receiver);
        Self { listen: accept.listen, inbound, heartbeat, server, reads_header_transport }
    }

    pub(super) const fn is_legacy(&self) -> bool {
        matches!(self.server, ServerKind::Legacy { .. })
    }

    pub(super) const fn held(&self) -> Option<&Queue> {
        match &self.server {
            ServerKind::Current { .. } => None,
            ServerKind::Legacy { held } => Some(held),
        }
    }

    /// The accept in this message, if it is one. A server of this crate sends the version header in an accept only, and
    /// data only from below the subject where it listens. The data of a legacy server has no reply subject.
    pub(super) fn another_accept(&self, message: &Incoming) -> Option<Accept> {
        let is_data = || message.reply.as_deref()?.strip_prefix(&*self.listen)?.strip_prefix('.');
        if !self.is_legacy() && !message.versioned && is_data().is_some() {
            return None;
        }
        let accept = Accept::parse(message.reply.as_ref(), &message.payload).ok()?;
        (accept.listen.as_str() != DISCONNECT).then_some(accept)
    }

    /// The disconnect message with this reason.
    pub(super) fn closing(self, reason: PeerReason) -> Closing {
        let acknowledged = self.inbound.acknowledged();
        let closing = Closing::new(self.listen, self.server.is_versioned().then_some(acknowledged), reason);
        match self.server {
            ServerKind::Current { cancelled } => Closing { cancelled, ..closing },
            ServerKind::Legacy { .. } => closing,
        }
    }
}

impl ServerKind {
    pub(super) const fn is_versioned(&self) -> bool {
        match self {
            Self::Current { .. } => true,
            Self::Legacy { .. } => false,
        }
    }
}

impl Closing {
    /// `acknowledged` is `None` for a legacy server, which gets an empty disconnect message.
    pub(super) fn new(listen: Subject, acknowledged: Option<u64>, reason: PeerReason) -> Self {
        let body = acknowledged.map_or_else(Bytes::new, |acknowledged| reason.body(Some(acknowledged)));
        Self { listen, body, cancelled: Vec::new() }
    }
}

impl ClientPhase {
    /// The session with the server, until it ends.
    pub(super) const fn session(&self) -> Option<&OpenSession> {
        match self {
            Self::Open(session) | Self::Draining { session, .. } => Some(session),
            Self::Opening(_) | Self::Closing(_) | Self::Abandoned | Self::Closed => None,
        }
    }

    pub(super) const fn session_mut(&mut self) -> Option<&mut OpenSession> {
        match self {
            Self::Open(session) | Self::Draining { session, .. } => Some(session),
            Self::Opening(_) | Self::Closing(_) | Self::Abandoned | Self::Closed => None,
        }
    }
}
