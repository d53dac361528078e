//! The client's side of a session.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::close_reason::{CloseReason, DISCONNECT, PeerReason, disconnected};
use super::handshake::{Accept, Announced};
use super::in_flight::{Call, Calls, Outcome, Request};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::queue::Queue;
use super::subject::drains_behind;
use super::{SessionConfig, Transmit};
use crate::error::SharedError;
use crate::format::Transport;
use crate::transport::{Frame, Parts, Receiver};

/// What comes out of a session for those who wait for it. `W` stands for whoever waits for a call.
#[derive(Debug, PartialEq)]
pub(crate) enum Event<W> {
    /// The server has accepted.
    Opened,
    /// A call is answered, with this message.
    Answered(W, Frame),
    /// The server is drained, and will not take this call up.
    NotTakenUp(W),
    /// Another server has accepted, too: this is what it has to be told.
    Unwanted(Transmit),
}

/// A session that has ended, with every call that was not answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended<W> {
    pub(crate) reason: CloseReason,
    pub(crate) calls: Vec<(W, Outcome)>,
}

/// Why a call cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The request does not fit into what may wait to be sent.
    QueueFull {
        /// The length of the request.
        len: usize,
        /// How many bytes wait to be sent.
        queued: usize,
        /// How many may.
        limit: usize,
    },
    /// There are as many calls in flight as there may be.
    TooManyCalls {
        /// How many may be.
        limit: usize,
    },
}

/// A message that came in on a subject of the session.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) reply: Option<Subject>,
    pub(crate) status: Option<StatusCode>,
    /// Whether it has the header of a peer that speaks this project's additions.
    pub(crate) versioned: bool,
    pub(crate) payload: Bytes,
}

#[derive(Debug)]
enum Phase {
    /// The handshake is under way.
    Opening {
        service: Subject,
        sent: bool,
        timeout: Duration,
        /// `None`: longer than the clock goes.
        until: Option<Instant>,
    },
    Open(Open),
    /// It has ended. What is still to be told to the peer is in `farewell`.
    Closed {
        open: Option<Open>,
        farewell: Option<PeerReason>,
    },
}

#[derive(Debug)]
struct Open {
    listen: Subject,
    inbound: Inbound,
    beat: Option<Beat>,
    /// A legacy peer: one request at a time.
    legacy: bool,
    /// The first chunk that the server does not take up, once it has said that it is drained.
    drained_from: Option<NonZeroU64>,
}

impl Open {
    /// The accept that this message is, and no data. Only one of a server of ours has its header, and only data of one comes
    /// from below the subject that it listens on; a legacy peer's data comes from nowhere.
    fn another_accept(&self, message: &Incoming) -> Option<Accept> {
        let below = || message.reply.as_deref()?.strip_prefix(&*self.listen)?.strip_prefix('.');
        if !self.legacy && !message.versioned && below().is_some() {
            return None;
        }
        let accept = Accept::parse(message.reply.as_ref(), &message.payload).ok()?;
        (accept.listen.as_str() != DISCONNECT).then_some(accept)
    }
}

#[derive(Debug)]
struct Beat {
    subject: Subject,
    every: Duration,
    next: Instant,
    due: bool,
}

/// The client's side of a session.
#[derive(Debug)]
pub(crate) struct ClientSession<W> {
    inbox: Subject,
    config: SessionConfig,
    phase: Phase,
    out: Outbound,
    calls: Calls<W>,
    /// Requests that wait for the answer to the one before: only for a legacy peer, and until the accept says.
    held: Queue,
    /// Calls that were sent and given up since: the server is to be told.
    cancelled: Vec<i32>,
    /// How long a call may take that does not say.
    call_timeout: Duration,
    /// The service that is called, where the server may have several.
    called: Option<Arc<str>>,
    /// Answers that nobody waited for any more.
    late: u64,
}

impl<W> ClientSession<W> {
    /// Starts a handshake with whoever listens on `service`; data will come to `inbox`.
    pub(crate) fn open(
        now: Instant,
        service: Subject,
        inbox: Subject,
        timeout: Duration,
        call_timeout: Duration,
        config: SessionConfig,
    ) -> Self {
        Self {
            inbox,
            config,
            phase: Phase::Opening { service, sent: false, timeout, until: now.checked_add(timeout) },
            out: Outbound::default(),
            calls: Calls::default(),
            held: Queue::default(),
            cancelled: Vec::new(),
            call_timeout,
            called: None,
            late: 0,
        }
    }

    /// Whether calls can be made.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(Open { drained_from: None, .. }))
    }

    /// Why no more calls can be made though it has not ended: the server is drained, and answers what it has taken up.
    pub(crate) fn drains(&self) -> Option<CloseReason> {
        let Phase::Open(Open { drained_from: Some(from), .. }) = &self.phase else { return None };
        Some(CloseReason::Disconnected {
            reason: Some(PeerReason::Stopping),
            acknowledged: Some(from.get() - 1),
        })
    }

    /// The largest NATS message to publish from now on, in bytes.
    pub(crate) const fn set_chunk_limit(&mut self, bytes: usize) {
        self.config.chunk_limit = bytes;
    }

    /// How many calls are waiting for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is something to be published.
    pub(crate) fn has_more(&self) -> bool {
        // An accept that finds its handshake given up may come when all else has gone, and nobody else wakes whoever sends.
        let farewell = matches!(self.phase, Phase::Closed { open: Some(_), farewell: Some(_) });
        let beats = matches!(&self.phase, Phase::Open(Open { beat: Some(Beat { due: true, .. }), .. }));
        farewell || beats || self.out.bytes() > 0 || !self.cancelled.is_empty()
    }

    /// The subject where the server listens for this session, once it is open, if it is one of ours.
    pub(crate) fn server(&self) -> Option<&Subject> {
        match &self.phase {
            Phase::Open(open) if !open.legacy => Some(&open.listen),
            Phase::Open(_) | Phase::Opening { .. } | Phase::Closed { .. } => None,
        }
    }

    /// How many answers came when nobody waited for them any more.
    pub(crate) const fn late_replies(&self) -> u64 {
        self.late
    }

    /// Whether a call in flight has this sequence number.
    pub(crate) fn has_call(&self, seqid: i32) -> bool {
        self.calls.contains(seqid)
    }

    /// Queues the request `message` with the number `seqid`, which no call in flight has. It is given up at `deadline`, if
    /// there is one. The session must be open.
    ///
    /// # Errors
    /// There are too many calls, or bytes of requests that have not gone.
    pub(crate) fn call(
        &mut self,
        seqid: i32,
        oneway: bool,
        message: impl Into<Parts>,
        deadline: Option<Instant>,
        waiter: W,
    ) -> Result<(), Refused> {
        let message = message.into();
        if self.calls.len() >= self.config.max_calls {
            return Err(Refused::TooManyCalls { limit: self.config.max_calls });
        }
        let (queued, limit) = (self.out.bytes() + self.held.bytes(), self.config.queue_limit);
        if queued.saturating_add(message.len()) > limit {
            return Err(Refused::QueueFull { len: message.len(), queued, limit });
        }
        let hold = self.is_legacy();
        let request = if hold {
            Request::Held(self.held.push(message, seqid))
        } else {
            Request::Queued(self.out.push_message(message, seqid))
        };
        self.calls.insert(seqid, Call { waiter: Some(waiter), oneway, request, deadline });
        if hold {
            self.release();
        }
        Ok(())
    }

    /// Whoever waits for the call `seqid` has gone: it is not sent, if no byte of it has gone; else a server of ours is told
    /// that nobody waits. Returns the one who waited, if the answer is not there yet, and whether the call was certainly
    /// not run.
    pub(crate) fn cancel(&mut self, seqid: i32) -> Option<(W, Outcome)> {
        let legacy = self.is_legacy();
        let call = self.calls.get_mut(seqid)?;
        let waiter = call.waiter.take();
        if let (Request::Sent(_), false) = (call.request, legacy) {
            self.cancelled.push(seqid);
        }
        let dropped = match call.request {
            Request::Held(place) => self.held.remove(place),
            Request::Queued(place) => self.out.cancel(place),
            Request::Sent(_) => false,
        };
        // A legacy peer is still busy with what has gone: the next request has to wait for its answer all the same.
        if dropped || !legacy {
            self.calls.remove(seqid);
            self.release();
        }
        waiter.map(|waiter| (waiter, if dropped { Outcome::NotRun } else { Outcome::Unknown }))
    }

    /// The same, with the name of the service that is called, where the server may have several.
    pub(crate) fn calling(self, service: Option<Arc<str>>) -> Self {
        Self { called: service, ..self }
    }

    /// Whether the server is a legacy peer.
    pub(crate) const fn is_legacy(&self) -> bool {
        matches!(&self.phase, Phase::Open(Open { legacy: true, .. }))
    }

    /// Lets the next held request go, if the one before is answered. Those in `calls` that are not held are on their way.
    fn release(&mut self) {
        while self.calls.len() <= self.held.len()
            && let Some((seqid, message)) = self.held.pop()
        {
            let request = Request::Queued(self.out.push_message(message, seqid));
            if let Some(call) = self.calls.get_mut(seqid) {
                call.request = request;
            }
        }
    }

    /// Takes a message that came to the session's inbox.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        message: Incoming,
        mut deliver: impl FnMut(Event<W>),
    ) -> Result<(), Ended<W>> {
        let reply = message.reply.as_ref().map(Subject::as_str);
        if let Phase::Open(open) = &self.phase
            && let Some(accept) = open.another_accept(&message)
        {
            // The handshake came to several, or the accept came twice.
            if accept.listen != open.listen {
                deliver(Event::Unwanted(super::stranger(accept.listen, None)));
            }
            return Ok(());
        }
        match &mut self.phase {
            Phase::Opening { .. } => {
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    return Err(self.close(CloseReason::NoServer));
                }
                if reply == Some(DISCONNECT) {
                    return Err(self.close(disconnected(&message.payload)));
                }
                if message.payload.is_empty() && reply.is_some_and(super::subject::is_question) {
                    // The accept was lost, and the server asks whether this side is there: no answer to the handshake.
                    return Ok(());
                }
                match Accept::parse(message.reply.as_ref(), &message.payload) {
                    Ok(accept) if !message.versioned && self.config.format.transport == Transport::Header => {
                        let ended = self.close(CloseReason::HeaderTransportToLegacy);
                        let open = Some(self.opened(now, accept, false));
                        self.phase = Phase::Closed { open, farewell: ended.reason.to_peer() };
                        Err(ended)
                    }
                    Ok(accept) => {
                        self.phase = Phase::Open(self.opened(now, accept, message.versioned));
                        deliver(Event::Opened);
                        Ok(())
                    }
                    Err(error) => {
                        let ended = self.close(CloseReason::BadAccept(error));
                        // Whoever has a session now where it says is not to keep it.
                        if let Some(listen) = message.reply.filter(|reply| !reply.is_empty()) {
                            let accept = Accept { heartbeat: listen.clone(), listen, deadline: None };
                            let open = Some(self.opened(now, accept, message.versioned));
                            self.phase = Phase::Closed { open, farewell: ended.reason.to_peer() };
                        }
                        Err(ended)
                    }
                }
            }
            Phase::Open(_) if reply == Some(DISCONNECT) => Err(self.close(disconnected(&message.payload))),
            // Nothing in it: no data, and no disconnect.
            Phase::Open(open) if message.payload.is_empty() => {
                let acknowledged = reply.and_then(|reply| drains_behind(&open.listen, reply));
                if let Some(acknowledged) = acknowledged.filter(|_| !open.legacy) {
                    open.drained_from = Some(NonZeroU64::MIN.saturating_add(acknowledged));
                    self.out.clear();
                    self.calls
                        .behind(acknowledged)
                        .into_iter()
                        .for_each(|waiter| deliver(Event::NotTakenUp(waiter)));
                }
                Ok(())
            }
            Phase::Open(open) => {
                let (calls, late) = (&mut self.calls, &mut self.late);
                let result = open.inbound.receive(reply, message.payload, |answer| {
                    let call = answer.seqid().and_then(|seqid| calls.answered(seqid));
                    match call.and_then(|call| call.waiter) {
                        Some(waiter) => deliver(Event::Answered(waiter, answer)),
                        None => *late += 1,
                    }
                });
                self.release();
                result.map_err(|reason| self.close(reason))
            }
            Phase::Closed { open: None, .. } => {
                // The handshake was given up, but the process still finds the session here: the server has one open.
                if reply != Some(DISCONNECT)
                    && let Ok(accept) = Accept::parse(message.reply.as_ref(), &message.payload)
                {
                    let open = Some(self.opened(now, accept, message.versioned));
                    self.phase = Phase::Closed { open, farewell: Some(PeerReason::Closed) };
                }
                Ok(())
            }
            Phase::Closed { open: Some(_), .. } => Ok(()),
        }
    }

    fn opened(&self, now: Instant, accept: Accept, versioned: bool) -> Open {
        let beat = accept.deadline.map(|deadline| {
            // As the legacy package computes it, in whole milliseconds.
            let millis = deadline.as_millis() as u64;
            let every = Duration::from_millis(millis - millis / 4);
            Beat { subject: accept.heartbeat, every, next: now + every, due: false }
        });
        let inbound = Inbound::new(versioned, Receiver::of(self.config.format, self.config.limits));
        Open { listen: accept.listen, inbound, beat, legacy: !versioned, drained_from: None }
    }

    /// NATS says that nobody listens to what this session sent: the chunk `chunk`, or a heartbeat.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn undelivered(&mut self, chunk: Option<u64>) -> Result<(), Ended<W>> {
        match &self.phase {
            Phase::Open(_) => Err(self.close(CloseReason::PeerGone { chunk })),
            Phase::Opening { .. } | Phase::Closed { .. } => Ok(()),
        }
    }

    /// What [`transmit`](Self::transmit) gave out last cannot be published; it was this chunk, if it was one.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn publish_failed(&mut self, chunk: Option<u64>, source: SharedError) -> Result<(), Ended<W>> {
        match &self.phase {
            Phase::Opening { .. } | Phase::Open(_) => {
                Err(self.close(CloseReason::PublishFailed { chunk, source }))
            }
            Phase::Closed { .. } => Ok(()),
        }
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { until, .. } => *until,
            Phase::Open(open) => {
                let beat = open.beat.as_ref().map(|beat| beat.next);
                beat.into_iter().chain(self.calls.next_deadline()).min()
            }
            Phase::Closed { .. } => None,
        }
    }

    /// Does what is due: gives a handshake up, or beats, or gives calls up, of which `expired` is told.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        mut expired: impl FnMut(W, Outcome),
    ) -> Result<(), Ended<W>> {
        let mut unanswered = false;
        while let Some(seqid) = self.calls.next_due(now) {
            if let Some((waiter, outcome)) = self.cancel(seqid) {
                expired(waiter, outcome);
            }
            // It keeps its place: no other would be sent before its answer, which may never come.
            unanswered |= self.calls.contains(seqid);
        }
        if unanswered {
            return Err(self.close(CloseReason::Unanswered));
        }
        self.calls.forget_deadlines();
        match &mut self.phase {
            Phase::Opening { until: Some(until), timeout, .. } if *until <= now => {
                let timeout = *timeout;
                Err(self.close(CloseReason::HandshakeTimeout { timeout }))
            }
            Phase::Open(Open { beat: Some(beat), .. }) if beat.next <= now => {
                beat.due = true;
                // From now, not from when it was due: beats that a stalled process missed are of no use.
                beat.next = now + beat.every;
                Ok(())
            }
            Phase::Opening { .. } | Phase::Open(_) | Phase::Closed { .. } => Ok(()),
        }
    }

    /// Ends the session. Says so to the peer, after all that is queued if this side closes it on purpose.
    pub(crate) fn close(&mut self, reason: CloseReason) -> Ended<W> {
        let farewell = reason.to_peer();
        let phase = std::mem::replace(&mut self.phase, Phase::Closed { open: None, farewell: None });
        self.phase = match phase {
            Phase::Open(open) => Phase::Closed { open: Some(open), farewell },
            Phase::Opening { .. } => Phase::Closed { open: None, farewell: None },
            closed @ Phase::Closed { .. } => closed,
        };
        self.held = Queue::default();
        self.cancelled = Vec::new();
        let calls = self.calls.end(&reason);
        if reason != CloseReason::Closed {
            self.out = Outbound::default();
        }
        Ended { reason, calls }
    }

    /// What is to be published next. `sent` is told of oneway calls that have gone.
    pub(crate) fn transmit(&mut self, mut sent: impl FnMut(W)) -> Option<Transmit> {
        let is_open = matches!(self.phase, Phase::Open(_));
        let open = match &mut self.phase {
            Phase::Opening { service, sent, .. } => {
                return (!std::mem::replace(sent, true)).then(|| Transmit {
                    subject: service.clone(),
                    reply: Some(self.inbox.clone()),
                    headers: Some(Announced::headers(
                        self.config.format,
                        self.call_timeout,
                        self.called.as_deref(),
                    )),
                    payload: Bytes::new(),
                });
            }
            Phase::Open(open) => {
                // Before data: only a heartbeat keeps the session, and behind a long message it would come too late.
                if let Some(beat) = open.beat.as_mut().filter(|beat| beat.due) {
                    beat.due = false;
                    return Some(Transmit {
                        subject: beat.subject.clone(),
                        // Not a chunk's number: what NATS answers must not be taken for the loss of that chunk.
                        reply: Some(Subject::from(format!("{}.h{}", self.inbox, self.out.number()))),
                        headers: None,
                        payload: Bytes::new(),
                    });
                }
                if !self.cancelled.is_empty() {
                    return Some(Transmit {
                        subject: Subject::from(format!("{}.c", open.listen)),
                        reply: None,
                        headers: None,
                        payload: cancellation(&mut self.cancelled, self.config.chunk_limit),
                    });
                }
                open
            }
            Phase::Closed { open: Some(open), .. } => open,
            Phase::Closed { open: None, .. } => return None,
        };
        let number = self.out.number() + 1;
        let (calls, cancelled) = (&mut self.calls, &mut self.cancelled);
        let told = is_open && !open.legacy;
        let chunk = self.out.next(self.config.chunk_limit, |seqid| {
            let Some(call) = calls.get_mut(seqid) else {
                // It was given up when a part of it had gone already.
                if told {
                    cancelled.push(seqid);
                }
                return;
            };
            call.request = Request::Sent(number);
            if call.oneway
                && let Some(waiter) = calls.remove(seqid).and_then(|call| call.waiter)
            {
                sent(waiter);
            }
        });
        if let Some(chunk) = chunk {
            let transmit = Transmit {
                subject: open.listen.clone(),
                reply: Some(super::subject::chunk_reply(&self.inbox, chunk.number)),
                headers: None,
                payload: chunk.payload,
            };
            // A oneway request is done when it has gone: the next one held may follow.
            self.release();
            return Some(transmit);
        }
        let Phase::Closed { open: Some(open), farewell } = &mut self.phase else { return None };
        let reason = farewell.take()?;
        Some(Transmit {
            subject: open.listen.clone(),
            reply: Some(Subject::from_static(DISCONNECT)),
            headers: None,
            payload: if open.legacy { Bytes::new() } else { reason.body(Some(open.inbound.acknowledged())) },
        })
    }
}

/// The sequence numbers that a server is told of, as many as fit into `limit` bytes, or one; takes them out.
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
