//! The disconnect messages to peers that have no session here: unknown sessions, and refused handshakes.

use async_nats::Subject;
use bytes::Bytes;

use super::close_reason::{DISCONNECT, PeerReason, unsupported as unsupported_body};
use super::handshake::{Accept, version_headers};
use super::subject::Tail;
use super::transmit::Transmit;
use crate::format::ServedFormats;

/// The disconnect message for the sender of a message to an unknown session, or `None` if there is nowhere to send it.
/// `reply` is the message's reply subject: the sender's session, followed by a number if the sender is a peer of this crate.
pub(crate) fn unknown_session(reply: &str) -> Option<Transmit> {
    if reply.is_empty() || reply == DISCONNECT {
        return None;
    }
    let (session, acknowledged) = match (Tail::of(reply), reply.rsplit_once('.')) {
        // This message was not received, nor any after it. About those before it nothing is known any more.
        (Some(tail), Some((session, _))) => (session, tail.number.checked_sub(1)),
        (Some(_), None) | (None, _) => (reply, None),
    };
    if session.is_empty() {
        return None;
    }
    Some(Transmit::disconnect(session.into(), PeerReason::UnknownSession.body(acknowledged)))
}

/// The disconnect message for the sender of a message to an unknown session of a client: a late accept, or data of a server
/// that has not learnt of the end. The reply subject of an accept is the server's session, whatever it looks like. Only the
/// reply subject of data is followed by a number.
pub(crate) fn late_message(reply: Option<&Subject>, payload: &[u8]) -> Option<Transmit> {
    let reply = reply?;
    match Accept::parse(Some(reply), payload) {
        Ok(accept) if reply.as_str() != DISCONNECT => {
            Some(Transmit::disconnect(accept.listen, PeerReason::UnknownSession.body(None)))
        }
        Ok(_) | Err(_) => unknown_session(reply),
    }
}

/// A server's refusal of a handshake from `peer` whose protocol or transport it does not serve.
pub(crate) fn unsupported(peer: Subject, served: ServedFormats) -> Transmit {
    refusal(peer, unsupported_body(served))
}

/// A server's refusal of a handshake from `peer` because it has as many sessions as its limit allows. To a legacy client it
/// is a malformed accept, and its opening fails.
pub(crate) fn overloaded(peer: Subject) -> Transmit {
    refusal(peer, PeerReason::Overloaded.body(None))
}

fn refusal(peer: Subject, payload: Bytes) -> Transmit {
    Transmit {
        subject: peer,
        reply: Some(Subject::from_static(DISCONNECT)),
        headers: Some(version_headers()),
        payload,
    }
}
