//! The client's side of a session.
//!
//! [`ClientSession`] opens the session, sends requests, matches replies to calls, and says of every call without a reply
//! whether it may have been run. Its states, and the order in which it has to be called, are in the
//! [parent module](super).

mod event;
mod output;
mod phase;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{StatusCode, Subject};

pub(crate) use self::event::{ClientEvent, Incoming, Refused};
use self::phase::{ClientPhase, Closing, OpenSession, Opening, ServerKind};
use super::call_table::CallTable;
use super::close_reason::{CloseReason, DISCONNECT, PeerReason, refusal_or_disconnect};
use super::config::ClientConfig;
use super::handshake::Accept;
use super::inbound::likely_messages;
use super::outbound::Outbound;
use super::outcome::{Outcome, RequestProgress};
use super::queue::Queue;
use super::subject::{drain_acknowledged, is_probe};
use crate::format::Transport;
use crate::shared_error::SharedError;
use crate::transport::{Parts, Receiver};

/// The client's side of a session.
#[derive(Debug)]
pub(crate) struct ClientSession<W> {
    inbox: Subject,
    config: ClientConfig,
    /// Timeout of calls whose request has none.
    call_timeout: Duration,
    /// The service that is called, if the server may have several.
    service: Option<Arc<str>>,
    phase: ClientPhase,
    out: Outbound,
    calls: CallTable<W>,
    events: VecDeque<ClientEvent<W>>,
    /// Other servers that accepted the same handshake, and have to be told that they have no client.
    unwanted: Vec<Subject>,
    late_replies: u64,
}

/// Limit of unwanted servers that wait for a disconnect message. NATS delivers a handshake once; many accepts are the work
/// of a hostile server.
const MAX_UNWANTED: usize = 64;

// The verbs of this side.
impl<W> ClientSession<W> {
    /// Starts a handshake with a server of the subject `subject`. Data will arrive on `inbox`.
    pub(crate) fn open(
        now: Instant,
        subject: Subject,
        inbox: Subject,
        timeout: Duration,
        call_timeout: Duration,
        config: ClientConfig,
    ) -> Self {
        let deadline = now.checked_add(timeout);
        Self {
            inbox,
            config,
            call_timeout,
            service: None,
            phase: ClientPhase::Opening(Opening { service: subject, sent: false, timeout, deadline }),
            out: Outbound::default(),
            calls: CallTable::default(),
            events: VecDeque::new(),
            unwanted: Vec::new(),
            late_replies: 0,
        }
    }

    /// The same, with the name of the service that is called, if the server may have several.
    pub(crate) fn calling(self, service: Option<Arc<str>>) -> Self {
        Self { service, ..self }
    }

    /// Queues the request `message` with the number `seqid`, which no call in flight has. The call expires at `deadline`,
    /// if there is one. The session must be [open](Self::is_open).
    ///
    /// # Errors
    /// A limit would be exceeded. Nothing has changed.
    pub(crate) fn call(
        &mut self,
        seqid: i32,
        oneway: bool,
        message: impl Into<Parts>,
        deadline: Option<Instant>,
        waiter: W,
    ) -> Result<(), Refused> {
        debug_assert!(self.is_open(), "a call on a session that is not open");
        let message = message.into();
        if self.calls.len() >= self.config.max_calls {
            return Err(Refused::TooManyCalls { limit: self.config.max_calls });
        }
        let held = self.phase.session().and_then(OpenSession::held).map_or(0, Queue::bytes);
        let (queued, limit) = (self.out.bytes() + held, self.config.queue_limit);
        if queued.saturating_add(message.len()) > limit {
            return Err(Refused::QueueFull { len: message.len(), queued, limit });
        }
        let progress = match &mut self.phase {
            ClientPhase::Open(OpenSession { server: ServerKind::Legacy { held }, .. }) => {
                RequestProgress::Held(held.push(message, seqid))
            }
            ClientPhase::Opening(_)
            | ClientPhase::Open(OpenSession { server: ServerKind::Current { .. }, .. })
            | ClientPhase::Draining { .. }
            | ClientPhase::Closing(_)
            | ClientPhase::Abandoned
            | ClientPhase::Closed => RequestProgress::Queued(self.out.push_message(message, seqid)),
        };
        self.calls.insert(seqid, oneway, deadline, progress, waiter);
        self.release_held();
        Ok(())
    }

    /// Cancels the call `seqid`. A request of which no byte was sent is not sent; otherwise a server of this crate is told.
    /// Returns the call's waiter, and whether the request may have been run; `None` if the call is complete already.
    pub(crate) fn cancel(&mut self, seqid: i32) -> Option<(W, Outcome)> {
        let progress = self.calls.progress(seqid)?;
        let withdrawn = match progress {
            RequestProgress::Held(place) => match self.phase.session_mut().map(|session| &mut session.server)
            {
                Some(ServerKind::Legacy { held }) => held.remove(place),
                Some(ServerKind::Current { .. }) | None => false,
            },
            RequestProgress::Queued(place) => self.out.cancel(place),
            RequestProgress::Sent(_) => false,
        };
        let waiter = match self.phase.session_mut().map(|session| &mut session.server) {
            Some(ServerKind::Legacy { .. }) if !withdrawn => self.calls.abandon(seqid),
            Some(ServerKind::Current { cancelled }) => {
                if let RequestProgress::Sent(_) = progress {
                    cancelled.push(seqid);
                }
                self.calls.cancel(seqid)
            }
            Some(ServerKind::Legacy { .. }) | None => self.calls.cancel(seqid),
        };
        self.release_held();
        Some((waiter?, if withdrawn { Outcome::NotRun } else { Outcome::Unknown }))
    }

    /// Ends the session, unless it has ended. The reason decides whether the server is told, and whether queued requests are
    /// sent before.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        let phase = match std::mem::replace(&mut self.phase, ClientPhase::Closed) {
            ClientPhase::Opening(_) => ClientPhase::Abandoned,
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                match reason.disconnect_reason() {
                    Some(told) => ClientPhase::Closing(session.closing(told)),
                    None => ClientPhase::Closed,
                }
            }
            ended @ (ClientPhase::Closing(_) | ClientPhase::Abandoned | ClientPhase::Closed) => {
                self.phase = ended;
                return;
            }
        };
        self.end(phase, reason);
    }

    /// Ends the session, which now is in this phase.
    fn end(&mut self, phase: ClientPhase, reason: CloseReason) {
        self.phase = phase;
        if !reason.keeps_queue() {
            self.out = Outbound::default();
        }
        let calls = self.calls.fail_all(&reason);
        self.events.push_back(ClientEvent::Ended { reason, calls });
    }

    /// Queues the next held request, if a legacy server has replied to the one before. Calls that are not held are with the
    /// server.
    fn release_held(&mut self) {
        let Some(ServerKind::Legacy { held }) = self.phase.session_mut().map(|session| &mut session.server)
        else {
            return;
        };
        while self.calls.len() <= held.len()
            && let Some((seqid, message)) = held.pop()
        {
            self.calls.mark_queued(seqid, self.out.push_message(message, seqid));
        }
    }

    /// Sets the size limit of NATS messages, in bytes.
    pub(crate) const fn set_chunk_limit(&mut self, bytes: usize) {
        self.config.chunk_limit = bytes;
    }
}

// Queries.
impl<W> ClientSession<W> {
    /// Whether calls can be made.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, ClientPhase::Open(_))
    }

    /// The reason why no more calls can be made although the session has not ended: the server drains it.
    pub(crate) fn drain_reason(&self) -> Option<CloseReason> {
        match self.phase {
            ClientPhase::Draining { acknowledged, .. } => Some(drained(acknowledged)),
            ClientPhase::Opening(_)
            | ClientPhase::Open(_)
            | ClientPhase::Closing(_)
            | ClientPhase::Abandoned
            | ClientPhase::Closed => None,
        }
    }

    /// Whether the server reads the header transport. A legacy server does not.
    pub(crate) fn reads_header_transport(&self) -> bool {
        self.phase.session().is_some_and(|session| session.reads_header_transport)
    }

    /// The subject where a server of this crate listens for this session, while it lasts.
    pub(crate) fn server(&self) -> Option<&Subject> {
        self.phase.session().filter(|session| !session.is_legacy()).map(|session| &session.listen)
    }

    /// Number of calls in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether a call in flight has this sequence number.
    pub(crate) fn has_call(&self, seqid: i32) -> bool {
        self.calls.contains(seqid)
    }

    /// Number of replies that no caller waited for any more.
    pub(crate) const fn late_replies(&self) -> u64 {
        self.late_replies
    }
}

// Input.
impl<W> ClientSession<W> {
    /// A message arrived on the session's inbox.
    pub(crate) fn handle_message(&mut self, now: Instant, message: Incoming) {
        if let Some(session) = self.phase.session_mut()
            && let Some(accept) = session.another_accept(&message)
        {
            // Several servers got the handshake, or the accept arrived twice.
            if accept.listen != session.listen && self.unwanted.len() < MAX_UNWANTED {
                self.unwanted.push(accept.listen);
            }
            return;
        }
        match &self.phase {
            ClientPhase::Opening(_) => self.handle_answer(now, message),
            ClientPhase::Open(_) | ClientPhase::Draining { .. } => self.handle_data(message),
            ClientPhase::Abandoned => {
                // The server has a session open since its accept.
                if message.reply.as_deref() != Some(DISCONNECT)
                    && let Ok(accept) = Accept::parse(message.reply.as_ref(), &message.payload)
                {
                    let acknowledged = message.versioned.then_some(0);
                    let closing = Closing::new(accept.listen, acknowledged, PeerReason::Closed);
                    self.phase = ClientPhase::Closing(closing);
                }
            }
            ClientPhase::Closing(_) | ClientPhase::Closed => {}
        }
    }

    /// The reply to the handshake.
    fn handle_answer(&mut self, now: Instant, message: Incoming) {
        let Incoming { reply, status, versioned, refuses_header_transport, payload } = message;
        if status == Some(StatusCode::NO_RESPONDERS) {
            return self.close(CloseReason::NoServer);
        }
        if reply.as_deref() == Some(DISCONNECT) {
            return self.close(refusal_or_disconnect(&payload));
        }
        if payload.is_empty() && reply.as_deref().is_some_and(is_probe) {
            // The accept was lost, and the server probes whether this client is there.
            return;
        }
        let closing = |listen, reason: &CloseReason| match reason.disconnect_reason() {
            Some(told) => ClientPhase::Closing(Closing::new(listen, versioned.then_some(0), told)),
            None => ClientPhase::Closed,
        };
        match Accept::parse(reply.as_ref(), &payload) {
            Ok(accept) if !versioned && self.config.format.transport == Transport::Header => {
                let reason = CloseReason::HeaderTransportToLegacy;
                self.end(closing(accept.listen, &reason), reason);
            }
            Ok(accept) => {
                let receiver = Receiver::expecting(self.config.format, self.config.limits);
                let mut session = OpenSession::new(now, accept, versioned, receiver);
                session.reads_header_transport &= !refuses_header_transport;
                self.phase = ClientPhase::Open(session);
                self.events.push_back(ClientEvent::Opened);
            }
            Err(error) => {
                let reason = CloseReason::BadAccept(error);
                // The sender has a session open, and has to be told if it said where it listens.
                let phase = match reply.filter(|reply| !reply.is_empty()) {
                    Some(listen) => closing(listen, &reason),
                    None => ClientPhase::Abandoned,
                };
                self.end(phase, reason);
            }
        }
    }

    /// A message from the server of an open session.
    fn handle_data(&mut self, message: Incoming) {
        let Incoming { reply, payload, .. } = message;
        let reply = reply.as_ref().map(Subject::as_str);
        if reply == Some(DISCONNECT) {
            return self.close(refusal_or_disconnect(&payload));
        }
        let Some(session) = self.phase.session_mut() else { return };
        if payload.is_empty() {
            // Neither data nor a disconnect message.
            let acknowledged = reply.and_then(|reply| drain_acknowledged(&session.listen, reply));
            if let Some(acknowledged) = acknowledged.filter(|_| !session.is_legacy()) {
                self.handle_drain(acknowledged);
            }
            return;
        }
        self.events.reserve_exact(likely_messages(&payload).min(self.calls.len()));
        let (calls, events, late_replies) = (&mut self.calls, &mut self.events, &mut self.late_replies);
        let result = session.inbound.receive(reply, payload, |reply| {
            match reply.seqid().and_then(|seqid| calls.complete(seqid)) {
                Some(waiter) => events.push_back(ClientEvent::Replied { waiter, reply }),
                None => *late_replies += 1,
            }
        });
        match result {
            Ok(()) => self.release_held(),
            Err(reason) => self.close(reason),
        }
    }

    /// The server accepts no request that came after chunk `acknowledged`.
    fn handle_drain(&mut self, acknowledged: u64) {
        self.phase = match std::mem::replace(&mut self.phase, ClientPhase::Closed) {
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                ClientPhase::Draining { session, acknowledged }
            }
            other @ (ClientPhase::Opening(_)
            | ClientPhase::Closing(_)
            | ClientPhase::Abandoned
            | ClientPhase::Closed) => {
                self.phase = other;
                return;
            }
        };
        self.out.clear();
        let not_run = self.calls.fail_unacknowledged(acknowledged);
        self.events.push_back(ClientEvent::Draining { reason: drained(acknowledged), not_run });
    }

    /// NATS reports no responders for something that this session sent: the chunk `chunk`, or a heartbeat.
    pub(crate) fn handle_undelivered(&mut self, chunk: Option<u64>) {
        if self.phase.session().is_some() {
            self.close(CloseReason::PeerGone { chunk });
        }
    }

    /// The last message of [`poll_transmit`](Self::poll_transmit) was not published. It was this chunk, if it was one.
    pub(crate) fn handle_publish_failed(&mut self, chunk: Option<u64>, source: SharedError) {
        self.close(CloseReason::PublishFailed { chunk, source });
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Expires calls, and ends a handshake or sends a heartbeat
    /// if that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let mut unanswered = false;
        while let Some(seqid) = self.calls.next_expired(now) {
            if let Some((waiter, outcome)) = self.cancel(seqid) {
                self.events.push_back(ClientEvent::Expired { waiter, outcome });
            }
            // A legacy server is busy with this call, and accepts no other before its reply, which may never come.
            unanswered |= self.calls.contains(seqid);
        }
        if unanswered {
            return self.close(CloseReason::Unanswered);
        }
        match &mut self.phase {
            ClientPhase::Opening(Opening { deadline: Some(deadline), timeout, .. }) if *deadline <= now => {
                let timeout = *timeout;
                self.close(CloseReason::HandshakeTimeout { timeout });
            }
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                if let Some(timer) = session.heartbeat.as_mut().filter(|timer| timer.next <= now) {
                    timer.due = true;
                    // From now, not from when it was due: a process that was stalled does not make up for heartbeats.
                    timer.next = now + timer.period;
                }
            }
            ClientPhase::Opening(_)
            | ClientPhase::Closing(_)
            | ClientPhase::Abandoned
            | ClientPhase::Closed => {}
        }
    }
}

// Output.
impl<W> ClientSession<W> {
    /// The next event, oldest first.
    pub(crate) fn poll_event(&mut self) -> Option<ClientEvent<W>> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.calls.len() == 0 {
            // An idle session keeps no buffer. A busy one keeps it for the next replies.
            self.events = VecDeque::new();
        }
        event
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) has to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            ClientPhase::Opening(opening) => opening.deadline,
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                let heartbeat = session.heartbeat.as_ref().map(|timer| timer.next);
                heartbeat.into_iter().chain(self.calls.next_deadline()).min()
            }
            ClientPhase::Closing(_) | ClientPhase::Abandoned | ClientPhase::Closed => None,
        }
    }
}

/// The reason with which calls end that a draining server has not acknowledged.
const fn drained(acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(acknowledged) }
}
