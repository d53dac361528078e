//! The client's side of a session.
//!
//! [`ClientSession`] opens the session, sends requests, matches replies to calls, and says of every call without a reply
//! whether it may have been run. Its states, and the order in which it has to be called, are in the
//! [parent module](super).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::close_reason::{CloseReason, DISCONNECT, PeerReason, refusal_or_disconnect};
use super::handshake::{Accept, Announced};
use super::in_flight::{CallTable, Outcome, RequestProgress, Sent};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::queue::Queue;
use super::subject::{chunk_reply, drain_acknowledged, is_probe};
use super::{SessionConfig, Transmit, disconnect, likely_messages};
use crate::format::Transport;
use crate::shared_error::SharedError;
use crate::transport::{Frame, Parts, Receiver};

/// What happened in a client's session. `W` is what its owner keeps for the caller of a call; each call hands it out once.
#[derive(Debug, PartialEq)]
pub(crate) enum ClientEvent<W> {
    /// The server has accepted the session. Calls can be made.
    Opened,
    /// A call is complete: this is its reply.
    Replied { waiter: W, reply: Frame },
    /// A oneway call is complete: the last byte of its request was given to [`ClientSession::poll_transmit`].
    Sent { waiter: W },
    /// The deadline of a call has passed.
    Expired { waiter: W, outcome: Outcome },
    /// The server drains the session. No more calls can be made. These were not acknowledged and are known not to have been
    /// run; the others are still replied to.
    Draining { reason: CloseReason, not_run: Vec<W> },
    /// The session has ended. These calls have no reply.
    Ended { reason: CloseReason, calls: Vec<(W, Outcome)> },
}

/// Why a call was not made. The session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue of requests would exceed its limit.
    QueueFull {
        /// The length of the request, in bytes.
        len: usize,
        /// How many bytes are queued.
        queued: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// As many calls are in flight as the limit allows.
    TooManyCalls {
        /// The limit.
        limit: usize,
    },
}

/// A message that arrived on a subject of the session.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) reply: Option<Subject>,
    pub(crate) status: Option<StatusCode>,
    /// Whether it has the version header, which a legacy peer never sends.
    pub(crate) versioned: bool,
    pub(crate) payload: Bytes,
}

/// The states of a client's session. The diagram is in the [parent module](super).
#[derive(Debug)]
enum ClientPhase {
    Opening(Opening),
    Open(OpenSession),
    /// The server accepts no request that came after this chunk.
    Draining {
        session: OpenSession,
        acknowledged: u64,
    },
    /// The session has ended, and the server still has to be told.
    Closing(Closing),
    /// The session ended before the server accepted it. If the accept still arrives, the server has to be told.
    Abandoned,
    /// The session has ended, and nothing is left to be sent.
    Closed,
}

/// A handshake without an answer.
#[derive(Debug)]
struct Opening {
    service: Subject,
    /// Whether the handshake was given to `poll_transmit`.
    sent: bool,
    timeout: Duration,
    /// `None`: the handshake never times out.
    deadline: Option<Instant>,
}

/// A session that the server has accepted.
#[derive(Debug)]
struct OpenSession {
    /// Where the server receives data.
    listen: Subject,
    inbound: Inbound,
    /// `None`: the server wants no heartbeats.
    heartbeat: Option<HeartbeatTimer>,
    server: ServerKind,
}

/// The kind of server, and the state that only this kind needs.
#[derive(Debug)]
enum ServerKind {
    /// A server of this crate runs requests concurrently. The numbers of calls that were cancelled after they were sent are
    /// still to be sent.
    Current { cancelled: Vec<i32> },
    /// A legacy server gets one request at a time. The other requests are held until it has replied.
    Legacy { held: Queue },
}

/// When heartbeats are due.
#[derive(Debug)]
struct HeartbeatTimer {
    subject: Subject,
    interval: Duration,
    next: Instant,
    /// Whether a heartbeat is to be sent now.
    due: bool,
}

/// The disconnect message that is left to be sent after the end, after any queued data.
#[derive(Debug)]
struct Closing {
    listen: Subject,
    body: Bytes,
}

impl OpenSession {
    fn new(now: Instant, accept: Accept, versioned: bool, receiver: Receiver) -> Self {
        let heartbeat = accept.deadline.map(|deadline| {
            // As the legacy package computes it, in whole milliseconds.
            let millis = deadline.as_millis() as u64;
            let interval = Duration::from_millis(millis - millis / 4);
            HeartbeatTimer { subject: accept.heartbeat, interval, next: now + interval, due: false }
        });
        let server = if versioned {
            ServerKind::Current { cancelled: Vec::new() }
        } else {
            ServerKind::Legacy { held: Queue::default() }
        };
        let inbound = Inbound::new(versioned, receiver);
        Self { listen: accept.listen, inbound, heartbeat, server }
    }

    const fn is_legacy(&self) -> bool {
        matches!(self.server, ServerKind::Legacy { .. })
    }

    const fn held(&self) -> Option<&Queue> {
        match &self.server {
            ServerKind::Current { .. } => None,
            ServerKind::Legacy { held } => Some(held),
        }
    }

    /// The accept in this message, if it is one. A server of this crate sends the version header in an accept only, and data
    /// only from below the subject where it listens. The data of a legacy server has no reply subject.
    fn another_accept(&self, message: &Incoming) -> Option<Accept> {
        let is_data = || message.reply.as_deref()?.strip_prefix(&*self.listen)?.strip_prefix('.');
        if !self.is_legacy() && !message.versioned && is_data().is_some() {
            return None;
        }
        let accept = Accept::parse(message.reply.as_ref(), &message.payload).ok()?;
        (accept.listen.as_str() != DISCONNECT).then_some(accept)
    }

    /// The disconnect message with this reason.
    fn closing(self, reason: PeerReason) -> Closing {
        let acknowledged = self.inbound.acknowledged();
        Closing::new(self.listen, self.server.is_versioned().then_some(acknowledged), reason)
    }
}

impl ServerKind {
    const fn is_versioned(&self) -> bool {
        match self {
            Self::Current { .. } => true,
            Self::Legacy { .. } => false,
        }
    }
}

impl Closing {
    /// `acknowledged` is `None` for a legacy server, which gets an empty disconnect message.
    fn new(listen: Subject, acknowledged: Option<u64>, reason: PeerReason) -> Self {
        let body = acknowledged.map_or_else(Bytes::new, |acknowledged| reason.body(Some(acknowledged)));
        Self { listen, body }
    }
}

impl ClientPhase {
    /// The session with the server, until it ends.
    const fn session(&self) -> Option<&OpenSession> {
        match self {
            Self::Open(session) | Self::Draining { session, .. } => Some(session),
            Self::Opening(_) | Self::Closing(_) | Self::Abandoned | Self::Closed => None,
        }
    }

    const fn session_mut(&mut self) -> Option<&mut OpenSession> {
        match self {
            Self::Open(session) | Self::Draining { session, .. } => Some(session),
            Self::Opening(_) | Self::Closing(_) | Self::Abandoned | Self::Closed => None,
        }
    }
}

/// The client's side of a session.
#[derive(Debug)]
pub(crate) struct ClientSession<W> {
    inbox: Subject,
    config: SessionConfig,
    /// How long a call may take whose request does not say.
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

/// How many unwanted servers may wait to be told. NATS delivers a handshake once; many accepts are the work of a hostile
/// server.
const MAX_UNWANTED: usize = 64;

/// How many events the buffer of an idle session has room for: a single call then allocates none.
const IDLE_EVENTS: usize = 1;

// The verbs of this side.
impl<W> ClientSession<W> {
    /// Starts a handshake with a server of the subject `subject`. Data will arrive on `inbox`.
    pub(crate) fn open(
        now: Instant,
        subject: Subject,
        inbox: Subject,
        timeout: Duration,
        call_timeout: Duration,
        config: SessionConfig,
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

    /// Queues the request `message` with the number `seqid`, which no call in flight has. The call expires at `deadline`, if
    /// there is one. The session must be [open](Self::is_open).
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

    /// Ends the session, unless it has ended. The server is told; if this side closes the session on purpose, all that is
    /// queued is sent before.
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
        if reason != CloseReason::Closed {
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

    /// Why no more calls can be made although the session has not ended: the server drains it.
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

    /// Whether the server is a legacy server.
    pub(crate) fn is_legacy(&self) -> bool {
        self.phase.session().is_some_and(OpenSession::is_legacy)
    }

    /// The subject where a server of this crate listens for this session, while it lasts.
    pub(crate) fn server(&self) -> Option<&Subject> {
        self.phase.session().filter(|session| !session.is_legacy()).map(|session| &session.listen)
    }

    /// How many calls are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether a call in flight has this sequence number.
    pub(crate) fn has_call(&self, seqid: i32) -> bool {
        self.calls.contains(seqid)
    }

    /// How many replies arrived that no caller waited for any more.
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

    /// The answer to the handshake.
    fn handle_answer(&mut self, now: Instant, message: Incoming) {
        let Incoming { reply, status, versioned, payload } = message;
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
                self.phase = ClientPhase::Open(OpenSession::new(now, accept, versioned, receiver));
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
        while let Some(seqid) = self.calls.expire(now) {
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
                    timer.next = now + timer.interval;
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
    /// What happened, oldest first.
    pub(crate) fn poll_event(&mut self) -> Option<ClientEvent<W>> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > IDLE_EVENTS {
            self.events.shrink_to(IDLE_EVENTS);
        }
        event
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
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

    /// What to publish next. The messages have to be published in this order.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(listen) = self.unwanted.pop() {
            return Some(disconnect(listen, PeerReason::UnknownSession.body(None)));
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
                    // Not the number of a chunk: no responders for a heartbeat does not mean that a chunk was lost.
                    let reply = Subject::from(format!("{}.h{}", self.inbox, self.out.number()));
                    return Some(message(timer.subject.clone(), Some(reply), Bytes::new()));
                }
                if let ServerKind::Current { cancelled } = &mut session.server
                    && !cancelled.is_empty()
                {
                    let subject = Subject::from(format!("{}.c", session.listen));
                    return Some(message(subject, None, cancellation(cancelled, self.config.chunk_limit)));
                }
                let listen = session.listen.clone();
                let (number, payload) = self.next_chunk()?;
                Some(message(listen, Some(chunk_reply(&self.inbox, number)), payload))
            }
            ClientPhase::Closing(Closing { listen, body }) => {
                let (listen, body) = (listen.clone(), body.clone());
                if let Some((number, payload)) = self.next_chunk() {
                    return Some(message(listen, Some(chunk_reply(&self.inbox, number)), payload));
                }
                self.phase = ClientPhase::Closed;
                Some(disconnect(listen, body))
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

/// Why calls that a draining server has not acknowledged end.
const fn drained(acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(acknowledged) }
}

/// The message that names cancelled calls: as many as fit into `limit` bytes, at least one. Takes them out of `seqids`.
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
