//! The messages that a client's session publishes.

use bytes::Bytes;

use super::ClientSession;
use super::event::ClientEvent;
use super::phase::{ClientPhase, Closing, ServerKind};
use crate::proto::call_table::Sent;
use crate::proto::close_reason::PeerReason;
use crate::proto::handshake::Announced;
use crate::proto::subject::{cancellation_subject, chunk_reply, heartbeat_reply};
use crate::proto::transmit::Transmit;

impl<W> ClientSession<W> {
    /// Whether [`poll_transmit`](Self::poll_transmit) has a message, once the session was opened.
    pub(crate) fn has_transmit(&self) -> bool {
        if !self.unwanted.is_empty() {
            return true;
        }
        match &self.phase {
            ClientPhase::Opening(_) => false,
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                let heartbeat = session.heartbeat.as_ref().is_some_and(|timer| timer.due);
                let cancelled = match &session.server {
                    ServerKind::Current { cancelled } => !cancelled.is_empty(),
                    ServerKind::Legacy { .. } => false,
                };
                heartbeat || cancelled || self.out.bytes() > 0
            }
            ClientPhase::Closing(_) => true,
            ClientPhase::Abandoned | ClientPhase::Closed => false,
        }
    }

    /// The next message to publish. The messages have to be published in this order.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(listen) = self.unwanted.pop() {
            return Some(Transmit::disconnect(listen, PeerReason::UnknownSession.body(None)));
        }
        let message = |subject, reply, payload| Transmit { subject, reply, headers: None, payload };
        match &mut self.phase {
            ClientPhase::Opening(opening) => {
                if std::mem::replace(&mut opening.sent, true) {
                    return None;
                }
                let service = self.service.as_deref();
                let headers = Announced::headers(self.config.format, self.call_timeout, service);
                Some(Transmit {
                    subject: opening.service.clone(),
                    reply: Some(self.inbox.clone()),
                    headers: Some(headers),
                    payload: Bytes::new(),
                })
            }
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                // Before data: only heartbeats keep the session alive, and a long message would delay them.
                if let Some(timer) = session.heartbeat.as_mut().filter(|timer| timer.due) {
                    timer.due = false;
                    let reply = heartbeat_reply(&self.inbox, self.out.number());
                    return Some(message(timer.subject.clone(), Some(reply), Bytes::new()));
                }
                if let ServerKind::Current { cancelled } = &mut session.server
                    && !cancelled.is_empty()
                {
                    let subject = cancellation_subject(&session.listen);
                    return Some(message(subject, None, cancellation(cancelled, self.config.chunk_limit)));
                }
                let listen = session.listen.clone();
                let (number, payload) = self.next_chunk()?;
                Some(message(listen, Some(chunk_reply(&self.inbox, number)), payload))
            }
            ClientPhase::Closing(Closing { listen, cancelled, .. })
                if self.out.bytes() == 0 && !cancelled.is_empty() =>
            {
                // Without it, the server would run their handlers until their deadlines.
                let subject = cancellation_subject(listen);
                Some(message(subject, None, cancellation(cancelled, self.config.chunk_limit)))
            }
            ClientPhase::Closing(Closing { listen, body, .. }) => {
                let (listen, body) = (listen.clone(), body.clone());
                if let Some((number, payload)) = self.next_chunk() {
                    return Some(message(listen, Some(chunk_reply(&self.inbox, number)), payload));
                }
                self.phase = ClientPhase::Closed;
                Some(Transmit::disconnect(listen, body))
            }
            ClientPhase::Abandoned | ClientPhase::Closed => None,
        }
    }

    /// The next chunk: its number and its bytes.
    fn next_chunk(&mut self) -> Option<(u64, Bytes)> {
        let number = self.out.number() + 1;
        let (calls, events) = (&mut self.calls, &mut self.events);
        let mut server = self.phase.session_mut().map(|session| &mut session.server);
        let chunk = self.out.next(self.config.chunk_limit, |seqid| match calls.mark_sent(seqid, number) {
            Sent::AwaitsReply | Sent::Oneway(None) => {}
            Sent::Oneway(Some(waiter)) => events.push_back(ClientEvent::Sent { waiter }),
            Sent::Cancelled => {
                if let Some(ServerKind::Current { cancelled }) = &mut server {
                    cancelled.push(seqid);
                }
            }
        })?;
        // A oneway request is complete now, and the next held request may follow.
        self.release_held();
        Some((chunk.number, chunk.payload))
    }
}

/// The message that names cancelled calls: as many as fit into `limit` bytes, at least one. Removes them from `seqids`.
fn cancellation(seqids: &mut Vec<i32>, limit: usize) -> Bytes {
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
