//! The state of a session, on either side.
//!
//! Handshake, heartbeats, chunk numbers, messages and calls in flight are plain values here. No clock (`now` is a
//! parameter), no socket, no task and no lock: what joins them to tokio and NATS is `client` and `server`.

mod client_session;
mod close_reason;
mod deadlines;
mod handshake;
mod in_flight;
mod inbound;
mod outbound;
mod queue;
mod request_table;
mod server_session;
#[cfg(test)]
mod simulation;
mod subject;

pub(crate) use self::client_session::{ClientEvent, ClientSession, Incoming, Refused};
pub(crate) use self::close_reason::DISCONNECT;
pub use self::close_reason::{CloseReason, PeerReason};
pub use self::handshake::AcceptError;
pub(crate) use self::handshake::{Announced, VERSION_HEADER, millis};
pub use self::in_flight::Outcome;
pub(crate) use self::request_table::RequestKey;
pub(crate) use self::server_session::{ReceivedRequest, ServerEvent, ServerSession};
pub(crate) use self::subject::{
    Address, check_service_subject, probe_reply, probe_subject, random_token, session_subject,
};

use std::time::{Duration, Instant};

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use crate::format::{ProtocolSet, WireFormat};

/// What both sides of a session are told when they are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionConfig {
    /// The largest NATS message to publish, in bytes.
    pub(crate) chunk_limit: usize,
    /// How many bytes of messages may wait: on a client, to be sent; on a server, to be sent, and to be run.
    pub(crate) queue_limit: usize,
    /// How many calls may be unanswered at a time.
    pub(crate) max_calls: usize,
    /// The bounds on messages.
    pub(crate) limits: crate::protocol::Limits,
    /// What a client speaks.
    pub(crate) format: WireFormat,
    /// The protocols that a server serves.
    pub(crate) served: ProtocolSet,
}

/// A NATS message to be published for a session. Its subjects are not checked again when it is: they are the process's own,
/// or have been checked where they came in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transmit {
    pub(crate) subject: Subject,
    pub(crate) reply: Option<Subject>,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

impl Transmit {
    /// The number of the chunk that it is, if it is one.
    pub(crate) fn chunk(&self) -> Option<u64> {
        self.reply.as_deref().and_then(subject::chunk_number)
    }
}

impl From<Transmit> for OutboundMessage {
    fn from(transmit: Transmit) -> Self {
        let Transmit { subject, reply, headers, payload } = transmit;
        Self { subject, reply, headers, payload }
    }
}

/// How many messages a chunk may hold: a guess, so that what they are put into need not grow step by step.
pub(crate) fn likely_messages(chunk: &[u8]) -> usize {
    (chunk.len() / 32).min(64)
}

/// The answer to a message for a session that is not there (any more): `reply` is the message's reply subject, which is
/// the sender's session, with a number behind it if the sender is one of ours. `None` where there is nothing to answer.
pub(crate) fn unknown_session(reply: &str) -> Option<Transmit> {
    if reply.is_empty() || reply == close_reason::DISCONNECT {
        return None;
    }
    let (session, acknowledged) = match reply.rsplit_once('.') {
        Some((session, tail)) => match (tail.parse::<u64>(), tail.strip_prefix('h').map(str::parse::<u64>)) {
            // Neither this chunk nor any behind it was taken up. Of those before it, nobody knows any more.
            (Ok(number), _) => (session, number.checked_sub(1)),
            (Err(_), Some(Ok(_))) => (session, None),
            (Err(_), Some(Err(_)) | None) => (reply, None),
        },
        None => (reply, None),
    };
    if session.is_empty() {
        return None;
    }
    Some(disconnect(session.into(), PeerReason::UnknownSession.body(acknowledged)))
}

/// The answer of a client's process to a message for a session that it does not have (any more): an accept that comes too
/// late, or data of a server that has not learnt of the end. The reply subject of an accept is the server's session as it
/// is, whatever it looks like: only data has a number behind it.
pub(crate) fn late_message(reply: Option<&Subject>, payload: &[u8]) -> Option<Transmit> {
    let reply = reply?;
    match handshake::Accept::parse(Some(reply), payload) {
        Ok(accept) if reply.as_str() != close_reason::DISCONNECT => {
            Some(disconnect(accept.listen, PeerReason::UnknownSession.body(None)))
        }
        Ok(_) | Err(_) => unknown_session(reply),
    }
}

/// The answer of a server to a handshake from `peer` in what it does not speak.
pub(crate) fn unsupported(peer: Subject, served: ProtocolSet) -> Transmit {
    refusal(peer, close_reason::unsupported(served))
}

/// The answer of a server to a handshake from `peer` when it has all the sessions that it may have. A legacy client
/// takes it for an accept that it cannot read, and fails to open.
pub(crate) fn overloaded(peer: Subject) -> Transmit {
    refusal(peer, PeerReason::Overloaded.body(None))
}

fn refusal(peer: Subject, payload: Bytes) -> Transmit {
    Transmit {
        subject: peer,
        reply: Some(Subject::from_static(close_reason::DISCONNECT)),
        headers: Some(handshake::version_headers()),
        payload,
    }
}

/// This long after `now`; a hundred years if the clock does not reach that far.
fn far_future(now: Instant, time: Duration) -> Instant {
    const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(time).unwrap_or_else(|| now + HUNDRED_YEARS)
}

/// A disconnect message to a peer that listens on `subject`.
fn disconnect(subject: Subject, body: Bytes) -> Transmit {
    Transmit {
        subject,
        reply: Some(Subject::from_static(close_reason::DISCONNECT)),
        headers: None,
        payload: body,
    }
}
