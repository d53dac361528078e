//! The disconnect messages that refuse a handshake.

use async_nats::Subject;
use bytes::Bytes;

use super::close_reason::{DISCONNECT, PeerReason, unsupported as unsupported_body};
use super::handshake::version_headers;
use super::transmit::Transmit;
use crate::format::ServedFormats;

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
