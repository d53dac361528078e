//! The phases of a client's session, each with its data.

use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::event::Incoming;
use crate::proto::close_reason::{DISCONNECT, PeerReason};
use crate::proto::closing_timer::{ClosingTimer, STOPPING};
use crate::proto::handshake::Accept;
use crate::proto::inbound::Inbound;
use crate::proto::inbox_policy::InboxPolicy;
use crate::proto::liveness::Liveness;
use crate::proto::queue::Queue;
use crate::transport::Receiver;

/// The shortest time between two heartbeats to a legacy server. The subject of the heartbeats may be the inbox of a third
/// party, which the server names together with an interval of 1 ms.
const SHORTEST_LEGACY_PERIOD: Duration = Duration::from_millis(50);

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
    /// Whether the handshake is to be sent now.
    pub(super) due: bool,
    /// The time at which it is repeated: NATS gives it to a server at random, and this one may hang.
    pub(super) repeat: Instant,
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
    /// A server of this crate runs requests concurrently.
    Current(CurrentServer),
    /// A legacy server gets one request at a time. The other requests are held until it has replied.
    Legacy { held: Queue },
}

/// The state of a session with a server of this crate.
#[derive(Debug)]
pub(super) struct CurrentServer {
    /// The numbers of calls that were cancelled after they were sent, and of which the server has not been told.
    pub(super) cancelled: Vec<i32>,
    pub(super) liveness: Liveness,
    pub(super) probe_due: bool,
    /// Whether the marker of a probe is to be sent, which is the next message after it.
    pub(super) marker_due: bool,
    /// Whether the server is to be told that this client is alive: it has asked for it, or the session has just opened.
    pub(super) alive_due: bool,
}

/// The timer of heartbeats.
#[derive(Debug)]
pub(super) struct HeartbeatTimer {
    /// The subject of a legacy server. A server of this crate gets heartbeats where it gets everything else.
    pub(super) subject: Option<Subject>,
    /// Three quarters of the interval that the accept names, and at least [`SHORTEST_LEGACY_PERIOD`] with a legacy server.
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
    /// The time until which queued data may wait for the server to allow it.
    pub(super) timer: ClosingTimer,
}

impl OpenSession {
    /// `legacy`: the server announced no additions.
    pub(super) fn new(now: Instant, accept: Accept, legacy: bool, receiver: Receiver) -> Self {
        let reads_header_transport = !legacy;
        let heartbeat = accept.interval.map(|interval| {
            // As the legacy package computes it, in whole milliseconds.
            let millis = interval.as_millis() as u64;
            let period = Duration::from_millis(millis - millis / 4);
            let period = if legacy { period.max(SHORTEST_LEGACY_PERIOD) } else { period };
            let subject = legacy.then_some(accept.heartbeat);
            HeartbeatTimer { subject, period, next: now + period, due: false }
        });
        let (server, inbound) = if legacy {
            (ServerKind::Legacy { held: Queue::default() }, Inbound::legacy(receiver))
        } else {
            let server = CurrentServer {
                cancelled: Vec::new(),
                liveness: Liveness::new(now),
                probe_due: false,
                marker_due: false,
                // It proves that this client receives on its inbox. Until then the server sends nothing else there.
                alive_due: true,
            };
            (ServerKind::Current(server), Inbound::numbered(receiver))
        };
        Self { listen: accept.listen, inbound, heartbeat, server, reads_header_transport }
    }

    pub(super) const fn is_legacy(&self) -> bool {
        matches!(self.server, ServerKind::Legacy { .. })
    }

    pub(super) const fn held(&self) -> Option<&Queue> {
        match &self.server {
            ServerKind::Current(_) => None,
            ServerKind::Legacy { held } => Some(held),
        }
    }

    pub(super) const fn current(&self) -> Option<&CurrentServer> {
        match &self.server {
            ServerKind::Current(server) => Some(server),
            ServerKind::Legacy { .. } => None,
        }
    }

    pub(super) const fn current_mut(&mut self) -> Option<&mut CurrentServer> {
        match &mut self.server {
            ServerKind::Current(server) => Some(server),
            ServerKind::Legacy { .. } => None,
        }
    }

    /// Whether something other than data is to be sent.
    pub(super) fn has_control(&self) -> bool {
        let current = self.current().is_some_and(|server| {
            server.probe_due || server.marker_due || server.alive_due || !server.cancelled.is_empty()
        });
        current || self.inbound.has_window() || self.heartbeat.as_ref().is_some_and(|timer| timer.due)
    }

    /// The accept in this message, if it is one. A server of this crate announces its additions in an accept only, and
    /// sends everything else with a reply subject below the subject where it listens. The data of a legacy server has no
    /// reply subject.
    pub(super) fn another_accept(&self, message: &Incoming, policy: &InboxPolicy) -> Option<Accept> {
        let is_data = || message.reply.as_deref()?.strip_prefix(&*self.listen)?.strip_prefix('.');
        if !self.is_legacy() && message.additions.is_none() && is_data().is_some() {
            return None;
        }
        let accept = Accept::read(message.reply.as_ref(), &message.payload, policy).ok()?;
        (accept.listen.as_str() != DISCONNECT).then_some(accept)
    }

    /// The disconnect message with this reason.
    pub(super) fn closing(self, reason: PeerReason) -> Closing {
        let acknowledged = self.inbound.acknowledged();
        match self.server {
            ServerKind::Current(CurrentServer { cancelled, .. }) => {
                Closing { cancelled, ..Closing::new(self.listen, Some(acknowledged), reason) }
            }
            ServerKind::Legacy { .. } => Closing::new(self.listen, None, reason),
        }
    }
}

impl Closing {
    /// `acknowledged` is `None` for a legacy server, which gets an empty disconnect message.
    pub(super) fn new(listen: Subject, acknowledged: Option<u64>, reason: PeerReason) -> Self {
        let body = acknowledged.map_or_else(Bytes::new, |acknowledged| reason.body(Some(acknowledged)));
        Self { listen, body, cancelled: Vec::new(), timer: ClosingTimer::new(STOPPING) }
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
