//! The NATS messages that sessions send.

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use super::close_reason::DISCONNECT;
use super::subject::Tail;

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
    /// A disconnect message to a peer that listens on `subject`.
    pub(super) const fn disconnect(subject: Subject, body: Bytes) -> Self {
        Self { subject, reply: Some(Subject::from_static(DISCONNECT)), headers: None, payload: body }
    }

    /// The number of the message, if it has one.
    pub(crate) fn number(&self) -> Option<u64> {
        self.reply.as_deref().and_then(Tail::of).map(|tail| tail.number)
    }
}

impl From<Transmit> for OutboundMessage {
    fn from(transmit: Transmit) -> Self {
        let Transmit { subject, reply, headers, payload } = transmit;
        Self { subject, reply, headers, payload }
    }
}
