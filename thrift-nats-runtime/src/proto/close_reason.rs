//! The reasons for which sessions end, the consequences of each, and the disconnect message that carries it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::handshake::AcceptError;
use super::outcome::{Outcome, RequestProgress};
use crate::format::ServedFormats;
use crate::protocol::DecodeError;
use crate::shared_error::{ErrorChain, SharedError};

/// The reply subject of a disconnect message.
pub(crate) const DISCONNECT: &str = "DISCONNECT";

/// Number of consecutive heartbeats that a client may miss: as in the code of the legacy package, whose README says "more
/// than three".
pub(super) const MISSED_HEARTBEATS: u32 = 3;

/// The reason why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    Closed,
    /// This side is a server that was stopped, or has drained the session.
    Stopped,
    /// The peer sent a disconnect message.
    Disconnected {
        /// The peer's reason. A legacy peer gives none.
        reason: Option<PeerReason>,
        /// The number of the last chunk that the peer acknowledged, if it said so.
        acknowledged: Option<u64>,
    },
    /// NATS reported no responders for a message of this session: the peer's process is gone.
    PeerGone {
        /// The number of the chunk that was not delivered, if the message was a chunk.
        chunk: Option<u64>,
    },
    /// The client missed three heartbeats in a row.
    MissedHeartbeats {
        /// The heartbeat interval of the server.
        interval: Duration,
    },
    /// The client sent nothing after its handshake. The session was provisional, and ended without a message after a few
    /// seconds, or because a new client needed its place.
    Unconfirmed,
    /// A chunk of the peer was lost in transit.
    ChunkLost {
        /// The number of the chunk that was expected.
        expected: u64,
        /// The number of the chunk that arrived instead.
        found: u64,
    },
    /// A peer that numbers its chunks sent one without a number.
    ChunkWithoutNumber,
    /// The peer sent bytes that are not a Thrift message.
    Malformed(DecodeError),
    /// The server's accept is malformed.
    BadAccept(AcceptError),
    /// The server does not serve this client's protocol or transport, or compression.
    Unsupported {
        /// The protocols and transports that the server serves, as it says itself.
        served: String,
    },
    /// The client uses the header transport, and the server is a legacy server, which cannot read it.
    HeaderTransportToLegacy,
    /// NATS reported no responders for the handshake: no server of the service is running.
    NoServer,
    /// The handshake got no reply within its timeout.
    HandshakeTimeout {
        /// The client's handshake timeout.
        timeout: Duration,
    },
    /// A legacy server has not replied to a call by its deadline. It handles one request at a time, so all later calls
    /// would wait for that reply.
    Unanswered,
    /// The connection to NATS was lost, and possibly chunks with it.
    Reconnected,
    /// The connection to NATS is closed.
    NatsClosed,
    /// The tokio runtime in which this side opened the session has ended, or is not driven: no thread runs its tasks.
    RuntimeStopped,
    /// The queue of this side exceeded its limit.
    QueueOverflow {
        /// Number of bytes that were to be queued.
        queued: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The sessions of this process held more memory together than the option `memory_limit` allows, and this one held the
    /// most.
    MemoryLimit {
        /// Number of bytes that this session held.
        held: usize,
        /// The limit of all sessions together, in bytes.
        limit: usize,
    },
    /// The client has as many sessions as the server's limit allows. It opened several at the same time: otherwise the server
    /// refuses the handshake.
    Overloaded,
    /// The server's process did not answer a probe, although NATS has not reported that it is gone: it hangs, or was paused.
    Unresponsive {
        /// The option `liveness_timeout`.
        timeout: Duration,
    },
    /// The peer sent more bytes than this side had allowed.
    WindowExceeded,
    /// The NATS client could not publish a message of the session.
    PublishFailed {
        /// The number of the chunk that was not published, if the message was a chunk.
        chunk: Option<u64>,
        /// The reason why it was not published.
        source: SharedError,
    },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by this side"),
            Self::Stopped => f.write_str("stopped or drained by this server"),
            Self::Disconnected { reason: Some(reason), .. } => write!(f, "closed by the peer: {reason}"),
            Self::Disconnected { reason: None, .. } => f.write_str("closed by the peer"),
            Self::PeerGone { .. } => f.write_str("the peer's process is gone: no responders for a message of the session"),
            Self::MissedHeartbeats { interval } => {
                write!(
                    f,
                    "no heartbeat from the client for {:?}",
                    *interval * MISSED_HEARTBEATS
                )
            }
            Self::Unconfirmed => f.write_str("the client sent nothing after its handshake"),
            Self::ChunkLost { expected, found } => {
                write!(f, "chunk {expected} from the peer was lost: received chunk {found} instead")
            }
            Self::ChunkWithoutNumber => f.write_str("the peer sent a chunk without a number"),
            Self::Malformed(error) => write!(f, "the peer sent a malformed message: {error}"),
            Self::BadAccept(error) => write!(f, "malformed accept of the session: {error}"),
            Self::Unsupported { served } => write!(f, "the server does not serve this format; it serves {served}"),
            Self::HeaderTransportToLegacy => {
                f.write_str("the server is a legacy server, which cannot read the header transport; use another transport")
            }
            Self::NoServer => f.write_str("no server listens on the service's subject"),
            Self::HandshakeTimeout { timeout } => {
                write!(f, "no reply to the handshake within {timeout:?}")
            }
            Self::Unanswered => {
                f.write_str("a legacy server did not reply to a call by its deadline, and handles no other call before")
            }
            Self::Reconnected => f.write_str("the connection to NATS was lost, and possibly chunks with it"),
            Self::NatsClosed => f.write_str("the connection to NATS is closed"),
            Self::RuntimeStopped => {
                f.write_str("the tokio runtime in which the session was opened has ended, or no thread drives it")
            }
            Self::QueueOverflow { queued, limit } => {
                write!(f, "{queued} bytes to be queued exceed the limit of {limit}")
            }
            Self::MemoryLimit { held, limit } => write!(
                f,
                "all sessions together held more than {limit} bytes, and this one the most: {held}; see `memory_limit`"
            ),
            Self::Overloaded => {
                f.write_str("the server has as many sessions of this client as its limits allow; see `max_sessions`")
            }
            Self::Unresponsive { timeout } => {
                write!(f, "the server's process did not answer a probe within {timeout:?}")
            }
            Self::WindowExceeded => f.write_str("the peer sent more bytes than it was allowed to send"),
            Self::PublishFailed { source, .. } => write!(f, "cannot publish to NATS: {}", ErrorChain(source.get())),
        }
    }
}

/// The consequences of the reason. A new variant has to be added to each `match`, and to the table in the tests.
impl CloseReason {
    /// The reason in the disconnect message, or `None` if the peer knows already or cannot be reached.
    pub(super) const fn disconnect_reason(&self) -> Option<PeerReason> {
        Some(match self {
            Self::Closed | Self::HeaderTransportToLegacy | Self::Unanswered | Self::RuntimeStopped => {
                PeerReason::Closed
            }
            Self::Stopped => PeerReason::Stopping,
            Self::MissedHeartbeats { .. } => PeerReason::MissedHeartbeats,
            Self::QueueOverflow { .. } => PeerReason::QueueOverflow,
            Self::ChunkLost { .. } | Self::Reconnected | Self::PublishFailed { .. } => PeerReason::ChunkLost,
            Self::ChunkWithoutNumber | Self::WindowExceeded | Self::Malformed(_) | Self::BadAccept(_) => {
                PeerReason::Malformed
            }
            Self::MemoryLimit { .. } => PeerReason::MemoryLimit,
            Self::Overloaded => PeerReason::Overloaded,
            Self::Unresponsive { .. } => PeerReason::Unresponsive,
            Self::Disconnected { .. }
            | Self::PeerGone { .. }
            | Self::NoServer
            | Self::Unsupported { .. }
            // The client has not proved that it receives on its inbox.
            | Self::Unconfirmed
            // The server's inbox is unknown until its accept arrives. A late accept gets a disconnect message then.
            | Self::HandshakeTimeout { .. }
            | Self::NatsClosed => return None,
        })
    }

    /// Whether the queue is still sent before the disconnect message: a client's requests, or a server's replies.
    pub(super) const fn keeps_queue(&self) -> bool {
        matches!(self, Self::Closed | Self::Stopped)
    }

    /// Whether one side has ended the session as users do, or it was never opened, which the caller is told. Other ends are
    /// worth a warning.
    pub(crate) const fn is_ordinary(&self) -> bool {
        match self {
            Self::Closed
            | Self::Stopped
            | Self::Disconnected { reason: None | Some(PeerReason::Closed | PeerReason::Stopping), .. }
            | Self::Unsupported { .. }
            | Self::HeaderTransportToLegacy
            | Self::NoServer
            | Self::HandshakeTimeout { .. }
            | Self::Unconfirmed
            | Self::NatsClosed
            | Self::RuntimeStopped => true,
            Self::Disconnected {
                reason:
                    Some(
                        PeerReason::MissedHeartbeats
                        | PeerReason::ChunkLost
                        | PeerReason::Malformed
                        | PeerReason::UnknownSession
                        | PeerReason::Unsupported
                        | PeerReason::Overloaded
                        | PeerReason::QueueOverflow
                        | PeerReason::MemoryLimit
                        | PeerReason::Unresponsive,
                    ),
                ..
            }
            | Self::PeerGone { .. }
            | Self::MissedHeartbeats { .. }
            | Self::ChunkLost { .. }
            | Self::ChunkWithoutNumber
            | Self::Malformed(_)
            | Self::BadAccept(_)
            | Self::Unanswered
            | Self::Reconnected
            | Self::QueueOverflow { .. }
            | Self::MemoryLimit { .. }
            | Self::Overloaded
            | Self::Unresponsive { .. }
            | Self::WindowExceeded
            | Self::PublishFailed { .. } => false,
        }
    }

    /// Whether a server still runs the requests that it has received and not started.
    pub(crate) const fn keeps_waiting_requests(&self) -> bool {
        // The disconnect message came after the requests, and oneway requests among them have to be run.
        matches!(self, Self::Disconnected { .. })
    }

    /// Whether a request with this progress may have been run.
    pub(super) const fn outcome(&self, progress: RequestProgress) -> Outcome {
        let chunk = match progress {
            RequestProgress::Held(_) => return Outcome::NotRun,
            RequestProgress::Queued(_) => {
                return if self.keeps_queue() { Outcome::Unknown } else { Outcome::NotRun };
            }
            RequestProgress::Sent(chunk) => chunk,
        };
        let first_not_received = match self {
            Self::Disconnected { acknowledged: Some(acknowledged), .. } => {
                Some(acknowledged.saturating_add(1))
            }
            Self::PeerGone { chunk } | Self::PublishFailed { chunk, .. } => *chunk,
            Self::Disconnected { acknowledged: None, .. }
            | Self::Closed
            | Self::Stopped
            | Self::MissedHeartbeats { .. }
            | Self::Unconfirmed
            | Self::ChunkLost { .. }
            | Self::ChunkWithoutNumber
            | Self::Malformed(_)
            | Self::BadAccept(_)
            | Self::Unsupported { .. }
            | Self::HeaderTransportToLegacy
            | Self::NoServer
            | Self::HandshakeTimeout { .. }
            | Self::Unanswered
            | Self::Reconnected
            | Self::NatsClosed
            | Self::RuntimeStopped
            | Self::QueueOverflow { .. }
            | Self::MemoryLimit { .. }
            | Self::Overloaded
            | Self::Unresponsive { .. }
            | Self::WindowExceeded => None,
        };
        match first_not_received {
            Some(first) if chunk >= first => Outcome::NotRun,
            Some(_) | None => Outcome::Unknown,
        }
    }

    /// Whether a call that this reason ended may be sent again on another session, if its outcome allows it.
    ///
    /// A call is not retried after a reason that the call itself may have caused: one of the requests of the session, or
    /// its reply, is what a peer could not read. On the next session it would end all other calls, too.
    pub(crate) const fn is_retryable(&self) -> bool {
        match self {
            Self::Closed
            | Self::Stopped
            | Self::Malformed(_)
            | Self::ChunkWithoutNumber
            | Self::WindowExceeded
            | Self::Unsupported { .. }
            | Self::HeaderTransportToLegacy
            | Self::Disconnected { reason: Some(PeerReason::Malformed), .. } => false,
            Self::Disconnected {
                reason:
                    None
                    | Some(
                        PeerReason::Closed
                        | PeerReason::Stopping
                        | PeerReason::MissedHeartbeats
                        | PeerReason::ChunkLost
                        | PeerReason::UnknownSession
                        | PeerReason::Unsupported
                        | PeerReason::Overloaded
                        | PeerReason::QueueOverflow
                        | PeerReason::MemoryLimit
                        | PeerReason::Unresponsive,
                    ),
                ..
            }
            | Self::PeerGone { .. }
            | Self::MissedHeartbeats { .. }
            | Self::Unconfirmed
            | Self::ChunkLost { .. }
            | Self::BadAccept(_)
            | Self::NoServer
            | Self::HandshakeTimeout { .. }
            | Self::Unanswered
            | Self::Reconnected
            | Self::NatsClosed
            | Self::RuntimeStopped
            | Self::QueueOverflow { .. }
            | Self::MemoryLimit { .. }
            | Self::Overloaded
            | Self::Unresponsive { .. }
            | Self::PublishFailed { .. } => true,
        }
    }

    /// Whether a session that could not be opened for this reason may open if the handshake is repeated after a pause.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::Closed
            | Self::Stopped
            | Self::Unsupported { .. }
            | Self::HeaderTransportToLegacy
            | Self::BadAccept(_)
            | Self::Malformed(_)
            | Self::ChunkWithoutNumber
            | Self::WindowExceeded
            | Self::NatsClosed
            | Self::Disconnected { reason: Some(PeerReason::Malformed | PeerReason::Unsupported), .. } => {
                false
            }
            Self::Disconnected {
                reason:
                    None
                    | Some(
                        PeerReason::Closed
                        | PeerReason::Stopping
                        | PeerReason::MissedHeartbeats
                        | PeerReason::ChunkLost
                        | PeerReason::UnknownSession
                        | PeerReason::Overloaded
                        | PeerReason::QueueOverflow
                        | PeerReason::MemoryLimit
                        | PeerReason::Unresponsive,
                    ),
                ..
            }
            | Self::PeerGone { .. }
            | Self::MissedHeartbeats { .. }
            | Self::Unconfirmed
            | Self::ChunkLost { .. }
            | Self::NoServer
            | Self::HandshakeTimeout { .. }
            | Self::Unanswered
            | Self::Reconnected
            | Self::RuntimeStopped
            | Self::QueueOverflow { .. }
            | Self::MemoryLimit { .. }
            | Self::Overloaded
            | Self::Unresponsive { .. }
            | Self::PublishFailed { .. } => true,
        }
    }
}

/// The reason that a peer gives in its disconnect message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerReason {
    /// It closed the session.
    Closed,
    /// It is being stopped.
    Stopping,
    /// It missed three heartbeats in a row.
    MissedHeartbeats,
    /// A chunk from this side was lost in transit.
    ChunkLost,
    /// It received bytes that are not a Thrift message.
    Malformed,
    /// It does not have this session, or not any more.
    UnknownSession,
    /// It does not serve this side's protocol or transport.
    Unsupported,
    /// It has as many sessions as its limit allows.
    Overloaded,
    /// Its queue exceeded its limit.
    QueueOverflow,
    /// Its sessions held more memory than its limit allows, and this one held the most.
    MemoryLimit,
    /// It got no answer from this side, which hangs or was paused.
    Unresponsive,
}

impl PeerReason {
    const ALL: [Self; 11] = [
        Self::Closed,
        Self::Stopping,
        Self::MissedHeartbeats,
        Self::ChunkLost,
        Self::Malformed,
        Self::UnknownSession,
        Self::Unsupported,
        Self::Overloaded,
        Self::QueueOverflow,
        Self::MemoryLimit,
        Self::Unresponsive,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Stopping => "stopping",
            Self::MissedHeartbeats => "missed-heartbeats",
            Self::ChunkLost => "chunk-lost",
            Self::Malformed => "malformed",
            Self::UnknownSession => "unknown-session",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::QueueOverflow => "queue-overflow",
            Self::MemoryLimit => "memory-limit",
            Self::Unresponsive => "unresponsive",
        }
    }

    /// The body of a disconnect message: the number of the last acknowledged chunk, if it is known, and the reason.
    pub(crate) fn body(self, acknowledged: Option<u64>) -> Bytes {
        match acknowledged {
            Some(acknowledged) => Bytes::from(format!("{acknowledged} {}", self.word())),
            None => Bytes::from_static(self.word().as_bytes()),
        }
    }

    /// The body of a server's disconnect message. It names the server's session: several servers may have accepted the same
    /// handshake, and all of them know the client's inbox.
    pub(super) fn body_of_server(self, acknowledged: Option<u64>, session: &str) -> Bytes {
        let acknowledged = acknowledged.map_or_else(String::new, |acknowledged| format!("{acknowledged} "));
        Bytes::from(format!("{acknowledged}{} {session}", self.word()))
    }

    /// Reads the body of a disconnect message. The body of a legacy peer, or of a newer version, is not an error.
    pub(super) fn parse(body: &[u8]) -> (Option<Self>, Option<u64>) {
        let mut words = str::from_utf8(body).unwrap_or_default().split(' ');
        let first = words.next().unwrap_or_default();
        let (acknowledged, word) = match first.parse() {
            Ok(acknowledged) => (Some(acknowledged), words.next().unwrap_or_default()),
            Err(_) => (None, first),
        };
        (Self::ALL.into_iter().find(|reason| reason.word() == word), acknowledged)
    }
}

/// The body of a disconnect message that refuses a handshake: the reason, and what the server serves.
pub(super) fn unsupported(served: ServedFormats) -> Bytes {
    Bytes::from(format!("{} {served}", PeerReason::Unsupported.word()))
}

/// Whether this is the body of a disconnect message of the server's session `session`.
pub(super) fn is_of_session(body: &[u8], session: &str) -> bool {
    body.strip_suffix(session.as_bytes()).is_some_and(|rest| rest.ends_with(b" "))
}

/// The reason in the body of a peer's disconnect message, which ends a session or refuses to open it.
pub(super) fn refusal_or_disconnect(body: &[u8]) -> CloseReason {
    let text = str::from_utf8(body).ok().and_then(|text| text.strip_prefix(PeerReason::Unsupported.word()));
    match text {
        // The text is the server's.
        Some(served) => CloseReason::Unsupported { served: served.trim_start().chars().take(256).collect() },
        None => {
            let (reason, acknowledged) = PeerReason::parse(body);
            CloseReason::Disconnected { reason, acknowledged }
        }
    }
}

impl fmt::Display for PeerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "it has closed the session",
            Self::Stopping => "it is being stopped",
            Self::MissedHeartbeats => "it received no heartbeats",
            Self::ChunkLost => "a chunk to it was lost",
            Self::Malformed => "it received a malformed message",
            Self::UnknownSession => "it does not have this session",
            Self::Unsupported => "it does not serve this protocol or transport",
            Self::Overloaded => "it has as many sessions as its limit allows",
            Self::QueueOverflow => "its queue exceeded its limit",
            Self::MemoryLimit => "its sessions exceeded its memory limit, and this one held the most",
            Self::Unresponsive => "it got no answer to a probe",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{NotRun, Unknown};
    use super::*;
    use crate::format::Protocol;
    use crate::proto::queue::Place;
    use crate::protocol::DecodeErrorKind;

    /// Every variant with its consequences. The request was held, was queued, or its last byte was in chunk 7.
    #[test]
    fn consequences_of_every_reason() {
        type Reason = CloseReason;
        let disconnected = |reason, acknowledged| Reason::Disconnected { reason, acknowledged };
        let failed = |chunk| Reason::PublishFailed {
            chunk,
            source: SharedError::new(std::io::Error::other("refused")),
        };
        let (yes, no) = (true, false);
        let peer = |reason| disconnected(Some(reason), None);
        let table = [
            // reason, disconnect reason, retryable, transient, [held, queued, sent]
            (Reason::Closed, Some("closed"), no, no, [NotRun, Unknown, Unknown]),
            (Reason::Stopped, Some("stopping"), no, no, [NotRun, Unknown, Unknown]),
            (disconnected(None, None), None, yes, yes, [NotRun, NotRun, Unknown]),
            (disconnected(None, Some(6)), None, yes, yes, [NotRun, NotRun, NotRun]),
            (disconnected(None, Some(7)), None, yes, yes, [NotRun, NotRun, Unknown]),
            (disconnected(None, Some(u64::MAX)), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Closed), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Stopping), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::MissedHeartbeats), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::ChunkLost), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Malformed), None, no, no, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::UnknownSession), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Unsupported), None, yes, no, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Overloaded), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::QueueOverflow), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::MemoryLimit), None, yes, yes, [NotRun, NotRun, Unknown]),
            (peer(PeerReason::Unresponsive), None, yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::PeerGone { chunk: None }, None, yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::PeerGone { chunk: Some(7) }, None, yes, yes, [NotRun, NotRun, NotRun]),
            (Reason::PeerGone { chunk: Some(8) }, None, yes, yes, [NotRun, NotRun, Unknown]),
            (
                Reason::MissedHeartbeats { interval: Duration::ZERO },
                Some("missed-heartbeats"),
                yes,
                yes,
                [NotRun, NotRun, Unknown],
            ),
            (Reason::Unconfirmed, None, yes, yes, [NotRun, NotRun, Unknown]),
            (
                Reason::ChunkLost { expected: 1, found: 2 },
                Some("chunk-lost"),
                yes,
                yes,
                [NotRun, NotRun, Unknown],
            ),
            (Reason::ChunkWithoutNumber, Some("malformed"), no, no, [NotRun, NotRun, Unknown]),
            (
                Reason::Malformed(DecodeErrorKind::InvalidUtf8.into()),
                Some("malformed"),
                no,
                no,
                [NotRun, NotRun, Unknown],
            ),
            (Reason::BadAccept(AcceptError::Body), Some("malformed"), yes, no, [NotRun, NotRun, Unknown]),
            (Reason::Unsupported { served: String::new() }, None, no, no, [NotRun, NotRun, Unknown]),
            (Reason::HeaderTransportToLegacy, Some("closed"), no, no, [NotRun, NotRun, Unknown]),
            (Reason::NoServer, None, yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::HandshakeTimeout { timeout: Duration::ZERO }, None, yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::Unanswered, Some("closed"), yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::Reconnected, Some("chunk-lost"), yes, yes, [NotRun, NotRun, Unknown]),
            (Reason::NatsClosed, None, yes, no, [NotRun, NotRun, Unknown]),
            (Reason::RuntimeStopped, Some("closed"), yes, yes, [NotRun, NotRun, Unknown]),
            (
                Reason::QueueOverflow { queued: 2, limit: 1 },
                Some("queue-overflow"),
                yes,
                yes,
                [NotRun, NotRun, Unknown],
            ),
            (
                Reason::MemoryLimit { held: 2, limit: 1 },
                Some("memory-limit"),
                yes,
                yes,
                [NotRun, NotRun, Unknown],
            ),
            (Reason::Overloaded, Some("overloaded"), yes, yes, [NotRun, NotRun, Unknown]),
            (
                Reason::Unresponsive { timeout: Duration::ZERO },
                Some("unresponsive"),
                yes,
                yes,
                [NotRun, NotRun, Unknown],
            ),
            (Reason::WindowExceeded, Some("malformed"), no, no, [NotRun, NotRun, Unknown]),
            (failed(None), Some("chunk-lost"), yes, yes, [NotRun, NotRun, Unknown]),
            (failed(Some(7)), Some("chunk-lost"), yes, yes, [NotRun, NotRun, NotRun]),
            (failed(Some(8)), Some("chunk-lost"), yes, yes, [NotRun, NotRun, Unknown]),
        ];
        for (reason, told, retryable, transient, outcomes) in table {
            assert_eq!(reason.disconnect_reason().map(PeerReason::word), told, "{reason:?}");
            assert_eq!(reason.is_retryable(), retryable, "{reason:?}");
            assert_eq!(reason.is_transient(), transient, "{reason:?}");
            let progress = [
                RequestProgress::Held(0),
                RequestProgress::Queued(Place::Short(0)),
                RequestProgress::Sent(7),
            ];
            assert_eq!(progress.map(|progress| reason.outcome(progress)), outcomes, "{reason:?}");
            let on_purpose = matches!(reason, Reason::Closed | Reason::Stopped);
            assert_eq!(reason.keeps_queue(), on_purpose, "{reason:?}");
            let by_peer = matches!(reason, Reason::Disconnected { .. });
            assert_eq!(reason.keeps_waiting_requests(), by_peer, "{reason:?}");
        }
    }

    #[test]
    fn the_end_of_a_session_that_neither_side_wanted_is_not_ordinary() {
        let disconnected = |reason| CloseReason::Disconnected { reason, acknowledged: None };
        for reason in [
            CloseReason::Closed,
            CloseReason::Stopped,
            disconnected(None),
            disconnected(Some(PeerReason::Closed)),
            disconnected(Some(PeerReason::Stopping)),
            CloseReason::Unconfirmed,
            CloseReason::NatsClosed,
        ] {
            assert!(reason.is_ordinary(), "{reason:?}");
        }
        for reason in [
            disconnected(Some(PeerReason::Malformed)),
            CloseReason::PeerGone { chunk: None },
            CloseReason::ChunkWithoutNumber,
            CloseReason::Malformed(DecodeErrorKind::InvalidUtf8.into()),
            CloseReason::Reconnected,
            CloseReason::MemoryLimit { held: 2, limit: 1 },
        ] {
            assert!(!reason.is_ordinary(), "{reason:?}");
        }
    }

    #[test]
    fn every_reason_round_trips() {
        for reason in PeerReason::ALL {
            assert_eq!(PeerReason::parse(&reason.body(Some(17))), (Some(reason), Some(17)));
            assert_eq!(PeerReason::parse(&reason.body(None)), (Some(reason), None));
            for acknowledged in [None, Some(0)] {
                let body = reason.body_of_server(acknowledged, "server.s");
                assert_eq!(PeerReason::parse(&body), (Some(reason), acknowledged));
                assert!(is_of_session(&body, "server.s"));
                assert!(!is_of_session(&body, "server.s2") && !is_of_session(&body, "s"));
            }
        }
    }

    #[test]
    fn a_refusal_names_the_served_protocols_and_transports() {
        let served = "protocols: binary; transports: buffered, framed, header".to_owned();
        let body = unsupported(ServedFormats::ALL.with_protocols(&[Protocol::Binary]));
        assert_eq!(refusal_or_disconnect(&body), CloseReason::Unsupported { served });
    }

    #[test]
    fn the_body_of_a_legacy_or_newer_peer_is_accepted() {
        assert_eq!(PeerReason::parse(b""), (None, None));
        assert_eq!(PeerReason::parse(b"3 something-new"), (None, Some(3)));
        assert_eq!(PeerReason::parse(b"3 closed something-new"), (Some(PeerReason::Closed), Some(3)));
        assert_eq!(PeerReason::parse(b"\xff \xff"), (None, None));
    }
}
