//! The state of a session, on either side.
//!
//! [`ClientSession`] and [`ServerSession`] own the handshake, heartbeats, chunk numbers, message boundaries and calls in
//! flight. They contain no clock (`now` is a parameter), no socket, no task and no lock. `client` and `server` connect them
//! to tokio and NATS.
//!
//! # States
//!
//! A client's session. "Tell" means that the [`CloseReason`] has a disconnect reason:
//!
//! ```text
//!             accept              drain notice
//!  Opening -------------> Open ------------------> Draining
//!   |   |                  |                          |
//!   |   |                  +------------+-------------+
//!   |   | unusable         |            | end,
//!   |   | accept           | end, tell  | nothing to tell
//!   |   |                  v            |
//!   |   +--------------> Closing        |
//!   | end                 ^  |          |
//!   v                     |  | disconnect message sent
//!  Abandoned -------------+  |          |
//!             late accept    v          v
//!                          Closed <-----+
//! ```
//!
//! A server's session:
//!
//! ```text
//!   handshake           drain()
//!  -----------> Open -------------> Draining
//!                |                     |
//!                +----------+----------+ last request finished
//!      end, tell |          | end, nothing to tell
//!                v          v
//!             Closing ---> Closed
//!               disconnect message sent
//! ```
//!
//! In `Closing`, a client that closed the session on purpose first sends its queued requests, and a server that stopped or
//! drained the session its queued replies. After any other end, the queue is dropped. Then the disconnect message follows.
//!
//! # Contract
//!
//! Both types have the same shape, which is that of `quinn_proto::Connection`. Their owner
//!
//! 1. gives the session an input: a verb of its side (`call`, `cancel`, `finish`, `drain`, `close`, ...), or `handle_*` for
//!    something that arrived or is due;
//! 2. then calls `poll_event` until it returns `None`. The end of a session is an event as any other, and is reported once;
//! 3. then calls `poll_timeout`, and `handle_timeout` at that time;
//! 4. then, if `has_transmit` or the session has ended, calls `poll_transmit` until it returns `None`, and publishes the
//!    messages in that order. `poll_transmit` is an input, too: steps 2 and 3 follow. If a message cannot be published, the
//!    owner calls `handle_publish_failed` before it calls `poll_transmit` again;
//! 5. drops the session when it has ended and `poll_transmit` has returned `None`. Until then it keeps giving it what arrives:
//!    the peer must not get the reply for an unknown session before the disconnect message.
//!
//! An input after the end changes nothing, with three exceptions: a late accept of an abandoned client's session is replied
//! to, `poll_transmit` completes the end, and finished requests of a legacy client make room for those that it had sent
//! before it disconnected.

mod client_session;
mod close_reason;
mod deadlines;
mod handshake;
mod in_flight;
mod inbound;
mod outbound;
mod outcome;
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
pub use self::outcome::Outcome;
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
use crate::time::FAR_FUTURE;

/// The limits and formats of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionConfig {
    /// The size limit of a NATS message, in bytes.
    pub(crate) chunk_limit: usize,
    /// How many bytes may be queued: on a client, of requests; on a server, of replies, and of unfinished requests.
    pub(crate) queue_limit: usize,
    /// How many calls may be in flight.
    pub(crate) max_calls: usize,
    /// The limits on messages.
    pub(crate) limits: crate::protocol::Limits,
    /// The client's protocol and transport.
    pub(crate) format: WireFormat,
    /// The server's protocols.
    pub(crate) served: ProtocolSet,
}

/// A NATS message to be published for a session. Its subjects are not checked when it is published: they are the process's
/// own, or were checked when they arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transmit {
    pub(crate) subject: Subject,
    pub(crate) reply: Option<Subject>,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

impl Transmit {
    /// The chunk number, if the message is a chunk.
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

/// A guess of how many messages a chunk contains, to reserve memory once.
pub(crate) fn likely_messages(chunk: &[u8]) -> usize {
    (chunk.len() / 32).min(64)
}

/// The disconnect message for the sender of a message to an unknown session, or `None` if there is nowhere to send it.
/// `reply` is the message's reply subject: the sender's session, followed by a number if the sender is a peer of this crate.
pub(crate) fn unknown_session(reply: &str) -> Option<Transmit> {
    if reply.is_empty() || reply == close_reason::DISCONNECT {
        return None;
    }
    let (session, acknowledged) = match reply.rsplit_once('.') {
        Some((session, tail)) => match (tail.parse::<u64>(), tail.strip_prefix('h').map(str::parse::<u64>)) {
            // This chunk was not received, nor any after it. About the chunks before it nothing is known any more.
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

/// The disconnect message for the sender of a message to an unknown session of a client: a late accept, or data of a server
/// that has not learnt of the end. The reply subject of an accept is the server's session, whatever it looks like. Only the
/// reply subject of data is followed by a number.
pub(crate) fn late_message(reply: Option<&Subject>, payload: &[u8]) -> Option<Transmit> {
    let reply = reply?;
    match handshake::Accept::parse(Some(reply), payload) {
        Ok(accept) if reply.as_str() != close_reason::DISCONNECT => {
            Some(disconnect(accept.listen, PeerReason::UnknownSession.body(None)))
        }
        Ok(_) | Err(_) => unknown_session(reply),
    }
}

/// A server's refusal of a handshake from `peer` whose protocol or transport it does not serve.
pub(crate) fn unsupported(peer: Subject, served: ProtocolSet) -> Transmit {
    refusal(peer, close_reason::unsupported(served))
}

/// A server's refusal of a handshake from `peer` because it has as many sessions as its limit allows. To a legacy client it
/// is a malformed accept, and its opening fails.
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
    now.checked_add(time).unwrap_or_else(|| now + FAR_FUTURE)
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
