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
use super::budget::Share;
use super::call_table::CallTable;
use super::close_reason::{CloseReason, DISCONNECT, PeerReason, is_of_session, refusal_or_disconnect};
use super::config::ClientConfig;
use super::ended_sessions::EndedSession;
use super::handshake::{Accept, AcceptError};
use super::inbound::{Capacity, Control, likely_messages, parse_numbers};
use super::liveness::Verdict;
use super::outbound::{CHUNK, Outbound};
use super::outcome::{Outcome, RequestProgress};
use super::queue::Queue;
use super::subject::{Kind, MARKER, Tail};
use super::window::MESSAGE_WINDOW;
use crate::format::Transport;
use crate::shared_error::SharedError;
use crate::transport::{Parts, Receiver};

/// The client's side of a session.
#[derive(Debug)]
pub(crate) struct ClientSession<W> {
    inbox: Subject,
    /// The subject of the server's session, once it has accepted.
    server: Option<Subject>,
    config: Arc<ClientConfig>,
    phase: ClientPhase,
    out: Outbound,
    calls: CallTable<W>,
    events: VecDeque<ClientEvent<W>>,
    /// Other servers that accepted the same handshake, and have to be told that they have no client.
    unwanted: Vec<Subject>,
    /// Number of legacy servers among them that have not echoed the disconnect message. An echo does not name its session.
    echoes: usize,
    late_replies: u64,
    share: Share,
    /// The shortest pause between probes: the sessions of a process share the rate of probes.
    pace: Duration,
    /// When it was made. A time in the past is due at once.
    made: Instant,
}

/// The shortest pause between the probes of a session, for each session of the process: all sessions together send at most
/// 20,000 probes a second, unless there are so many that [`LONGEST_PACE`] is shorter.
const PROBE_SHARE: Duration = Duration::from_micros(50);
/// The longest pause for that reason, in liveness timeouts.
const LONGEST_PACE: u32 = 5;
/// The time after which a handshake without a reply is sent again.
const REPEAT_HANDSHAKE: Duration = Duration::from_millis(200);
/// What the session holds is noted whenever this many bytes of requests have been queued, and not for each call.
const NOTED: usize = 1024;

/// Limit of unwanted servers that wait for a disconnect message. NATS delivers a handshake once; many accepts are the work
/// of a hostile server.
const MAX_UNWANTED: usize = 64;

// The verbs of this side.
impl<W> ClientSession<W> {
    /// Starts a handshake with a server of the subject `subject`. Data will arrive on `inbox`.
    pub(crate) fn open(now: Instant, subject: Subject, inbox: Subject, config: Arc<ClientConfig>) -> Self {
        let deadline = now.checked_add(config.handshake_timeout);
        let repeat = now + REPEAT_HANDSHAKE;
        Self {
            inbox,
            server: None,
            phase: ClientPhase::Opening(Opening { service: subject, due: true, repeat, deadline }),
            out: Outbound::legacy(config.chunk_limit),
            calls: CallTable::default(),
            events: VecDeque::new(),
            unwanted: Vec::new(),
            echoes: 0,
            late_replies: 0,
            share: Share::new(Arc::clone(&config.budget)),
            pace: Duration::ZERO,
            made: now,
            config,
        }
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
        let (all_queued, limit) = (self.queued(), self.config.queue_limit);
        let queued = all_queued - self.passed_by(message.len());
        if queued.saturating_add(message.len()) > limit {
            return Err(Refused::QueueFull { len: message.len(), queued, limit });
        }
        let progress = match &mut self.phase {
            ClientPhase::Open(OpenSession { server: ServerKind::Legacy { held }, .. }) => {
                RequestProgress::Held(held.push(message, seqid))
            }
            ClientPhase::Opening(_)
            | ClientPhase::Open(OpenSession { server: ServerKind::Current(_), .. })
            | ClientPhase::Draining { .. }
            | ClientPhase::Closing(_)
            | ClientPhase::Abandoned
            | ClientPhase::Closed => RequestProgress::Queued(self.out.push_message(message, seqid)),
        };
        self.calls.insert(seqid, oneway, deadline, progress, waiter);
        self.release_held();
        self.update_limits_after_call(all_queued);
        Ok(())
    }

    /// To be called with a call while no other is in flight: the silence of the server counts from now.
    pub(crate) fn becomes_busy(&mut self, now: Instant) {
        if let Some(server) = self.phase.session_mut().and_then(OpenSession::current_mut) {
            server.liveness.restart(now);
        }
    }

    /// Cancels the call `seqid`. A request of which no byte was sent is not sent; otherwise a server of this crate is told.
    /// Returns the call's waiter, and whether the request may have been run; `None` if the call is complete already.
    pub(crate) fn cancel(&mut self, seqid: i32) -> Option<(W, Outcome)> {
        let progress = self.calls.progress(seqid)?;
        let withdrawn = match progress {
            RequestProgress::Held(place) => match self.phase.session_mut().map(|session| &mut session.server)
            {
                Some(ServerKind::Legacy { held }) => held.remove(place),
                Some(ServerKind::Current(_)) | None => false,
            },
            RequestProgress::Queued(place) => self.out.cancel(place),
            RequestProgress::Sent(_) => false,
        };
        let waiter = match self.phase.session_mut().map(|session| &mut session.server) {
            Some(ServerKind::Legacy { .. }) if !withdrawn => self.calls.abandon(seqid),
            Some(ServerKind::Current(server)) => {
                if let RequestProgress::Sent(_) = progress {
                    server.cancelled.push(seqid);
                }
                self.calls.cancel(seqid)
            }
            Some(ServerKind::Legacy { .. }) | None => self.calls.cancel(seqid),
        };
        self.release_held();
        self.update_limits();
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
            self.out.clear();
        }
        let calls = self.calls.fail_all(&reason);
        self.events.push_back(ClientEvent::Ended { reason, calls });
        self.update_limits();
    }

    /// Number of bytes of requests that are queued.
    fn queued(&self) -> usize {
        self.out.bytes() + self.phase.session().and_then(OpenSession::held).map_or(0, Queue::bytes)
    }

    /// Number of queued bytes that a message of `len` bytes does not wait for: a short message passes long ones.
    fn passed_by(&self, len: usize) -> usize {
        if len > CHUNK { 0 } else { self.out.bytes() - self.out.short_bytes() }
    }

    /// The same as [`update_limits`](Self::update_limits), if the bytes that are queued, `before` a call was, reach another
    /// step. The next chunk notes what short calls change, if the server lets this side send one.
    fn update_limits_after_call(&mut self, before: usize) {
        if self.queued() / NOTED != before / NOTED {
            self.update_limits();
        }
    }

    /// Notes what the session holds, and looks whether the server is to be told that it may send more.
    fn update_limits(&mut self) {
        let mut held = self.out.held();
        if let Some(session) = self.phase.session_mut() {
            held += session.inbound.held() + session.held().map_or(0, Queue::bytes);
            session.inbound.update_window(capacity(&self.config, &self.share));
        }
        self.share.set(held);
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
        self.out.set_limit(bytes);
    }

    /// Sets the shortest pause between probes.
    #[cfg(test)]
    pub(crate) const fn set_pace(&mut self, pace: Duration) {
        self.pace = pace;
    }

    /// Sets the shortest pause between probes for a process with so many sessions. It is bounded, so that a server that hangs
    /// is noticed however many sessions there are.
    pub(crate) fn share_probes(&mut self, sessions: usize) {
        let pace = PROBE_SHARE.saturating_mul(u32::try_from(sessions).unwrap_or(u32::MAX));
        self.pace = pace.min(self.config.liveness_timeout.saturating_mul(LONGEST_PACE));
    }
}

// Queries.
impl<W> ClientSession<W> {
    /// The part of the session that is remembered after its end.
    pub(crate) fn to_ended(&self) -> EndedSession {
        EndedSession::OfClient { server: self.server.clone(), inboxes: self.config.inboxes.clone() }
    }

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

    /// Whether the session has ended, and nothing is left to be sent.
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.phase, ClientPhase::Abandoned | ClientPhase::Closed)
    }

    /// Number of bytes that the session holds.
    pub(crate) const fn held(&self) -> usize {
        self.share.held()
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
            && let Some(accept) = session.another_accept(&message, &self.config.inboxes)
        {
            // Several servers got the handshake, or the accept arrived twice.
            if accept.listen != session.listen && self.unwanted.len() < MAX_UNWANTED {
                self.unwanted.push(accept.listen);
                self.echoes += usize::from(message.additions.is_none());
            }
            return;
        }
        match &mut self.phase {
            ClientPhase::Opening(_) => self.handle_answer(now, message),
            ClientPhase::Open(_) | ClientPhase::Draining { .. } => {
                self.handle_data(now, message);
                self.update_limits();
            }
            ClientPhase::Abandoned => {
                // The server has a session open since its accept.
                if message.reply.as_deref() != Some(DISCONNECT)
                    && let Ok(accept) =
                        Accept::read(message.reply.as_ref(), &message.payload, &self.config.inboxes)
                {
                    let acknowledged = message.additions.map(|_| 0);
                    let closing = Closing::new(accept.listen, acknowledged, PeerReason::Closed);
                    self.phase = ClientPhase::Closing(closing);
                }
            }
            ClientPhase::Closing(closing) => {
                let reply = message.reply.as_deref();
                if reply == Some(DISCONNECT) {
                    if is_of_session(&message.payload, &closing.listen) {
                        // It does not read the queued requests.
                        self.out.clear();
                    }
                } else if reply.and_then(Tail::of).is_some_and(|tail| tail.kind == Kind::Window) {
                    self.out.extend_window(&message.payload);
                }
            }
            ClientPhase::Closed => {}
        }
    }

    /// The reply to the handshake.
    fn handle_answer(&mut self, now: Instant, message: Incoming) {
        let Incoming { reply, status, additions, refuses_header_transport, payload } = message;
        if status == Some(StatusCode::NO_RESPONDERS) {
            return self.close(CloseReason::NoServer);
        }
        if reply.as_deref() == Some(DISCONNECT) {
            return self.close(refusal_or_disconnect(&payload));
        }
        let closing = |listen, reason: &CloseReason| match reason.disconnect_reason() {
            Some(told) => ClientPhase::Closing(Closing::new(listen, additions.map(|_| 0), told)),
            None => ClientPhase::Closed,
        };
        let policy = &self.config.inboxes;
        let accept = match Accept::read(reply.as_ref(), &payload, policy) {
            Ok(_) if additions.is_some_and(|additions| !additions.are_supported()) => {
                Err(AcceptError::Version)
            }
            result => result,
        };
        match (accept, additions) {
            (Ok(accept), None) if self.config.format.transport == Transport::Header => {
                let reason = CloseReason::HeaderTransportToLegacy;
                self.end(closing(accept.listen, &reason), reason);
            }
            (Ok(accept), _) => {
                let receiver = Receiver::expecting(self.config.format, self.config.limits);
                if let Some(additions) = additions {
                    self.out = Outbound::numbered(self.out.limit(), additions.window);
                }
                self.server = Some(accept.listen.clone());
                let mut session = OpenSession::new(now, accept, additions.is_none(), receiver);
                session.reads_header_transport &= !refuses_header_transport;
                self.phase = ClientPhase::Open(session);
                self.events.push_back(ClientEvent::Opened);
            }
            (Err(error), _) => {
                let reason = CloseReason::BadAccept(error);
                // The sender has a session open, and has to be told if it said where it listens.
                let phase = match reply.filter(|reply| policy.check(reply).is_ok()) {
                    Some(listen) => closing(listen, &reason),
                    None => ClientPhase::Abandoned,
                };
                self.end(phase, reason);
            }
        }
    }

    /// A message from the server of an open session.
    fn handle_data(&mut self, now: Instant, message: Incoming) {
        let Incoming { reply, payload, .. } = message;
        let reply = reply.as_ref().map(Subject::as_str);
        let Some(session) = self.phase.session_mut() else { return };
        if reply == Some(DISCONNECT) {
            if self.echoes > 0 && session.is_legacy() {
                self.echoes -= 1;
            } else if session.is_legacy() || is_of_session(&payload, &session.listen) {
                self.close(refusal_or_disconnect(&payload));
            }
            return;
        }
        let tail = reply.and_then(|reply| reply.strip_prefix(&*session.listen));
        if !session.is_legacy() && !tail.is_some_and(|tail| tail.starts_with('.')) {
            // Another server that got the handshake knows the inbox, too.
            return;
        }
        if payload.is_empty() {
            // Neither data nor a disconnect message: the 503 for a repeated handshake, for example.
            return;
        }
        self.events.reserve_exact(likely_messages(&payload).min(self.calls.len()));
        let (calls, events, late_replies) = (&mut self.calls, &mut self.events, &mut self.late_replies);
        let result = session.inbound.receive(reply, payload, |reply, _| {
            match reply.seqid().and_then(|seqid| calls.complete(seqid)) {
                Some(waiter) => events.push_back(ClientEvent::Replied { waiter, reply }),
                None => *late_replies += 1,
            }
        });
        if let Some(server) = session.current_mut() {
            server.liveness.heard(now, matches!(result, Ok(None)));
        }
        match result {
            Ok(None) => self.release_held(),
            Ok(Some(control)) => self.handle_control(&control),
            Err(reason) => self.close(reason),
        }
    }

    /// A message of the server that is not data.
    fn handle_control(&mut self, Control { kind, body }: &Control) {
        match kind {
            Kind::Window => self.out.extend_window(body),
            Kind::Drain => {
                if let Some(acknowledged) = parse_numbers(body).next() {
                    self.handle_drain(acknowledged);
                }
            }
            Kind::Probe => {
                if let Some(server) = self.phase.session_mut().and_then(OpenSession::current_mut) {
                    server.alive_due = true;
                }
            }
            // The answer to a probe. A server cancels nothing.
            Kind::Alive | Kind::Cancel | Kind::Messages | Kind::Part { .. } | Kind::Abandon => {}
        }
    }

    /// The server accepts no request that came after message `acknowledged`.
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

    /// NATS reports no responders for the message `number` of this session.
    pub(crate) fn handle_undelivered(&mut self, now: Instant, number: u64) {
        if number == MARKER {
            let timeout = self.config.liveness_timeout;
            if let Some(server) = self.phase.session_mut().and_then(OpenSession::current_mut) {
                server.liveness.reached(now, timeout);
            }
            return;
        }
        if self.phase.session().is_some() {
            self.close(CloseReason::PeerGone { chunk: Some(number) });
        } else if let ClientPhase::Closing(_) = self.phase {
            self.phase = ClientPhase::Closed;
            self.out.clear();
        }
    }

    /// The last message of [`poll_transmit`](Self::poll_transmit) was not published. It had this number, if it had one.
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
            ClientPhase::Opening(opening) => {
                if opening.deadline.is_some_and(|deadline| deadline <= now) {
                    let timeout = self.config.handshake_timeout;
                    return self.close(CloseReason::HandshakeTimeout { timeout });
                }
                if opening.repeat <= now {
                    opening.due = true;
                    opening.repeat = now + REPEAT_HANDSHAKE;
                }
            }
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                if let Some(timer) = session.heartbeat.as_mut().filter(|timer| timer.next <= now) {
                    timer.due = true;
                    // From now, not from when it was due: a process that was stalled does not make up for heartbeats.
                    timer.next = now + timer.period;
                }
                let timeout = self.config.liveness_timeout;
                let Some(server) = session.current_mut().filter(|_| self.calls.len() > 0) else { return };
                match server.liveness.check(now, timeout, self.pace) {
                    Verdict::Wait => {}
                    Verdict::Probe => server.probe_due = true,
                    Verdict::Unresponsive => self.close(CloseReason::Unresponsive { timeout }),
                }
            }
            ClientPhase::Closing(closing) => {
                if closing.timer.check(now, self.out.has_next()) {
                    self.out.clear();
                }
            }
            ClientPhase::Abandoned | ClientPhase::Closed => {}
        }
    }

    /// The connection to NATS is down: the server cannot answer, and is not probed.
    pub(crate) fn handle_connection_down(&mut self, now: Instant) {
        if let Some(server) = self.phase.session_mut().and_then(OpenSession::current_mut) {
            server.liveness.restart(now);
            server.probe_due = false;
            server.marker_due = false;
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
            ClientPhase::Opening(opening) => {
                Some(opening.deadline.map_or(opening.repeat, |deadline| deadline.min(opening.repeat)))
            }
            ClientPhase::Open(session) | ClientPhase::Draining { session, .. } => {
                let heartbeat = session.heartbeat.as_ref().map(|timer| timer.next);
                let busy = session.current().filter(|_| self.calls.len() > 0);
                let probe = busy.map(|server| server.liveness.timeout(self.pace));
                heartbeat.into_iter().chain(self.calls.next_deadline()).chain(probe).min()
            }
            // Data that may not be sent yet must not wait forever.
            ClientPhase::Closing(closing) if self.out.bytes() > 0 => Some(closing.timer.due(self.made)),
            ClientPhase::Closing(_) | ClientPhase::Abandoned | ClientPhase::Closed => None,
        }
    }
}

/// How much a session may hold. Replies are handed out at once.
fn capacity(config: &ClientConfig, share: &Share) -> Capacity {
    Capacity {
        limit: config.queue_limit,
        unfinished: 0,
        unfinished_short: 0,
        // For another window of a long message.
        has_memory: share.budget().room() as u64 >= MESSAGE_WINDOW,
    }
}

/// The reason with which calls end that a draining server has not acknowledged.
const fn drained(acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(acknowledged) }
}
