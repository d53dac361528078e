//! The messages that a client's session publishes.

use std::time::Instant;

use async_nats::Subject;
use bytes::Bytes;

use super::ClientSession;
use super::capacity;
use super::event::ClientEvent;
use super::phase::{ClientPhase, Closing, OpenSession};
use crate::proto::call_table::Sent;
use crate::proto::close_reason::PeerReason;
use crate::proto::handshake::Announced;
use crate::proto::inbound::MAX_CONTROL;
use crate::proto::inbox_policy::InboxPolicy;
use crate::proto::outbound::{Chunk, Outbound};
use crate::proto::subject::{Kind, MARKER, Tail};
use crate::proto::transmit::Transmit;

impl<W> ClientSession<W> {
    /// Whether [`poll_transmit`](Self::poll_transmit) has a message.
    pub(crate) fn has_transmit(&self) -> bool {
        if !self.unwanted.is_empty() {
            return true;
        }
        match &self.phase {
            ClientPhase::Opening(opening) => opening.due,
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                session.has_control() || self.out.has_next()
            }
            ClientPhase::Closing(_) => self.out.bytes() == 0 || self.out.has_next(),
            ClientPhase::Abandoned | ClientPhase::Closed => false,
        }
    }

    /// The next message to publish. The messages have to be published in this order. Reads the `clock` only if a time is
    /// needed, because a call costs several messages.
    pub(crate) fn poll_transmit(&mut self, clock: impl FnOnce() -> Instant) -> Option<Transmit> {
        if let Some(listen) = self.unwanted.pop() {
            return Some(Transmit::disconnect(listen, PeerReason::UnknownSession.body(None)));
        }
        match &mut self.phase {
            ClientPhase::Opening(opening) => {
                if !std::mem::take(&mut opening.due) {
                    return None;
                }
                let config = &self.config;
                let headers =
                    Announced::headers(config.format, config.call_timeout, config.service.as_deref());
                Some(Transmit {
                    subject: opening.service.clone(),
                    reply: Some(self.inbox.clone()),
                    headers: Some(headers),
                    payload: Bytes::new(),
                })
            }
            ClientPhase::Open(_) | ClientPhase::Draining { .. } => {
                self.control(clock).or_else(|| self.next_chunk())
            }
            ClientPhase::Closing(closing) => {
                if self.out.bytes() > 0 {
                    return self.next_chunk();
                }
                let Closing { listen, body, cancelled, .. } = closing;
                if !cancelled.is_empty() {
                    // Without it, the server would run their handlers until their deadlines.
                    let body = cancellation(cancelled, self.out.limit());
                    return Some(numbered(&mut self.out, &self.inbox, listen.clone(), Kind::Cancel, body));
                }
                let disconnect = Transmit::disconnect(listen.clone(), body.clone());
                self.phase = ClientPhase::Closed;
                Some(disconnect)
            }
            ClientPhase::Abandoned | ClientPhase::Closed => None,
        }
    }

    /// The next message that is not data. Before data: a long message would delay it.
    fn control(&mut self, clock: impl FnOnce() -> Instant) -> Option<Transmit> {
        let Self { phase, out, inbox, config, share, .. } = self;
        let session = phase.session_mut()?;
        if let Some(server) = session.current_mut()
            && !server.probe_due
            && std::mem::take(&mut server.marker_due)
        {
            // Polled after the probe was handed to the connection.
            let marker = marker(&session.listen, inbox, &config.inboxes);
            if let Some(server) = session.current_mut() {
                server.liveness.sent(clock(), config.liveness_timeout, marker.is_some());
            }
            if marker.is_some() {
                return marker;
            }
        }
        let listen = session.listen.clone();
        let beats = session.heartbeat.as_mut().is_some_and(|timer| std::mem::take(&mut timer.due));
        let OpenSession { heartbeat, inbound, .. } = session;
        if beats && let Some(subject) = heartbeat.as_ref().and_then(|timer| timer.subject.clone()) {
            return Some(Transmit { subject, reply: None, headers: None, payload: Bytes::new() });
        }
        if let Some(body) = inbound.take_window(capacity(config, share)) {
            if beats && let Some(server) = session.current_mut() {
                server.alive_due = true;
            }
            return Some(numbered(out, inbox, listen, Kind::Window, body));
        }
        let server = session.current_mut()?;
        if beats | std::mem::take(&mut server.alive_due) {
            return Some(numbered(out, inbox, listen, Kind::Alive, Bytes::from_static(b"alive")));
        }
        if std::mem::take(&mut server.probe_due) {
            server.marker_due = true;
            return Some(numbered(out, inbox, listen, Kind::Probe, Bytes::from_static(b"probe")));
        }
        if server.cancelled.is_empty() {
            return None;
        }
        let body = cancellation(&mut server.cancelled, out.limit());
        Some(numbered(out, inbox, listen, Kind::Cancel, body))
    }

    /// The next message with data.
    fn next_chunk(&mut self) -> Option<Transmit> {
        let (calls, events) = (&mut self.calls, &mut self.events);
        let mut server = self.phase.session_mut().and_then(OpenSession::current_mut);
        let number = self.out.number() + 1;
        let chunk = self.out.next(|seqid| match calls.mark_sent(seqid, number) {
            Sent::AwaitsReply | Sent::Oneway(None) => {}
            Sent::Oneway(Some(waiter)) => events.push_back(ClientEvent::Sent { waiter }),
            Sent::Cancelled => {
                if let Some(server) = &mut server {
                    server.cancelled.push(seqid);
                }
            }
        })?;
        // A oneway request is complete now, and the next held request may follow.
        self.release_held();
        self.update_limits();
        let subject = match &self.phase {
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => session.listen.clone(),
            ClientPhase::Closing(closing) => closing.listen.clone(),
            ClientPhase::Opening(_) | ClientPhase::Abandoned | ClientPhase::Closed => return None,
        };
        let Chunk { number, kind, payload } = chunk;
        let reply = Tail { number, kind }.reply_subject(&self.inbox);
        Some(Transmit { subject, reply: Some(reply), headers: None, payload })
    }
}

/// The marker of a probe: a message to the base subject of the server's process, which has no subscriber, because all of
/// its subjects are below. A client may publish there if it may publish to any session of the server. The reply subject
/// has the number [`MARKER`]. `None` if the accept names a subject that is not below such a base.
fn marker(listen: &str, inbox: &str, policy: &InboxPolicy) -> Option<Transmit> {
    let (base, _) = listen.rsplit_once('.')?;
    policy.check(base).ok()?;
    let reply = Tail { number: MARKER, kind: Kind::Probe }.reply_subject(inbox);
    let payload = Bytes::from_static(b"marker");
    Some(Transmit { subject: base.into(), reply: Some(reply), headers: None, payload })
}

/// A message that is not data.
fn numbered(out: &mut Outbound, inbox: &str, listen: Subject, kind: Kind, payload: Bytes) -> Transmit {
    let reply = Tail { number: out.next_number(), kind }.reply_subject(inbox);
    Transmit { subject: listen, reply: Some(reply), headers: None, payload }
}

/// The message that names cancelled calls: as many as fit into `limit` bytes and into [`MAX_CONTROL`], at least one. Removes them from `seqids`.
fn cancellation(seqids: &mut Vec<i32>, limit: usize) -> Bytes {
    let limit = limit.min(MAX_CONTROL);
    let mut text = String::new();
    while let Some(seqid) = seqids.last() {
        let seqid = seqid.to_string();
        if !text.is_empty() {
            if text.len() + 1 + seqid.len() > limit {
                break;
            }
            text.push(' ');
        }
        text.push_str(&seqid);
        seqids.pop();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_calls_are_named_in_messages_that_the_server_receives() {
        let mut seqids: Vec<i32> = (1_000_000..1_020_000).collect();
        let mut named = 0;
        while !seqids.is_empty() {
            let body = cancellation(&mut seqids, 1 << 20);
            assert!(body.len() <= MAX_CONTROL, "{} bytes", body.len());
            named += body.split(|byte| *byte == b' ').count();
        }
        assert_eq!(named, 20_000);
    }
}
