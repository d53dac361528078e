//! The server's side of a session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::close_reason::{CloseReason, DISCONNECT, PeerReason};
use super::handshake::{Accept, Announced, version_headers};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::{SessionConfig, Transmit, likely_messages};
use crate::transport::{Frame, Parts, Receiver};

/// How many heartbeats in a row a client may miss: as in the code of the legacy package, whose README says "more than three".
pub(crate) const MISSED_HEARTBEATS: u32 = 3;

/// Which part of a deadline its timer may be late before that is taken for a process that was held up.
const LATE: u32 = 8;

/// The server's side of a session.
#[derive(Debug)]
pub(crate) struct ServerSession {
    /// The client's inbox.
    peer: Subject,
    /// The subject of this side.
    own: Subject,
    chunk_limit: usize,
    queue_limit: usize,
    max_calls: usize,
    /// How long a call may take whose request does not say, where the client's handshake did.
    timeout: Option<Duration>,
    /// A legacy peer: requests are run one at a time, in order.
    legacy: bool,
    /// How many requests are being run.
    running: usize,
    /// The length of the messages of those together.
    running_bytes: usize,
    /// Nothing new is taken up; the session ends when what was taken up is answered.
    draining: bool,
    /// The client is to be told of that.
    tells_of_drain: bool,
    /// Requests that wait to be run.
    waiting: VecDeque<Taken>,
    /// The length of their messages together.
    waiting_bytes: usize,
    inbound: Inbound,
    out: Outbound,
    heartbeats: Option<Heartbeats>,
    /// What is still to be said besides data.
    accept: Option<Accept>,
    end: End,
}

/// A request that was taken up.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) request: Frame,
    /// Whether it may be run; else it is to be answered that there are too many.
    pub(crate) admitted: bool,
}

impl Taken {
    /// The length of its message, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.request.payload.len()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Open,
    /// The peer is to be told.
    Farewell(PeerReason),
    Closed,
}

#[derive(Debug)]
struct Heartbeats {
    deadline: Duration,
    expires: Instant,
    /// Whether the client was given another window since its last heartbeat.
    extended: bool,
    /// When to ask NATS whether the client is still there, after a heartbeat that was missed: nobody is told when it goes.
    ask: Option<Instant>,
    /// Whether that is due.
    asks: bool,
}

impl Heartbeats {
    fn new(now: Instant, deadline: Duration, legacy: bool) -> Self {
        let ask = (!legacy).then(|| after(now, deadline));
        let expires = after(now, deadline.saturating_mul(MISSED_HEARTBEATS));
        Self { deadline, expires, extended: false, ask, asks: false }
    }
}

/// So long after `now`, or as far away as there is a time.
fn after(now: Instant, time: Duration) -> Instant {
    // A century is far enough, and far from an overflow.
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 24 * 3600))
}

impl ServerSession {
    /// Accepts a handshake from the client at `peer`, which announced this of itself. `deadline` is how long to wait for each
    /// heartbeat; `None` asks for none.
    pub(crate) fn accept(
        now: Instant,
        peer: Subject,
        own: Subject,
        announced: &Announced,
        deadline: Option<Duration>,
        config: SessionConfig,
    ) -> Self {
        let legacy = !announced.versioned;
        let heartbeat = Subject::from(format!("{own}.h"));
        Self {
            accept: Some(Accept { listen: own.clone(), heartbeat, deadline }),
            peer,
            own,
            chunk_limit: config.chunk_limit,
            queue_limit: config.queue_limit,
            max_calls: config.max_calls,
            timeout: announced.timeout,
            legacy,
            running: 0,
            running_bytes: 0,
            draining: false,
            tells_of_drain: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            inbound: Inbound::new(!legacy, Receiver::detecting(config.served, config.limits)),
            out: Outbound::default(),
            heartbeats: deadline.map(|deadline| Heartbeats::new(now, deadline, legacy)),
            end: End::Open,
        }
    }

    /// The largest NATS message to publish from now on, in bytes.
    pub(crate) const fn set_chunk_limit(&mut self, bytes: usize) {
        self.chunk_limit = bytes;
    }

    /// The subject of this side.
    pub(crate) const fn subject(&self) -> &Subject {
        &self.own
    }

    /// Whether the client is a legacy peer.
    pub(crate) const fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// How long a call may take whose request does not say; `None`: for ever.
    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Takes a message that came to the session's subject; [`take_requests`](Self::take_requests) has what is in it.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn receive(&mut self, reply: Option<&str>, payload: Bytes) -> Result<(), CloseReason> {
        if !self.is_open() {
            return Ok(());
        }
        if reply == Some(DISCONNECT) {
            let (reason, acknowledged) = PeerReason::parse(&payload);
            return Err(self.close(CloseReason::Disconnected { reason, acknowledged }));
        }
        if payload.is_empty() || self.draining {
            return Ok(());
        }
        let (waiting, bytes) = (&mut self.waiting, &mut self.waiting_bytes);
        waiting.reserve(likely_messages(&payload));
        let (running, running_bytes) = (self.running, self.running_bytes);
        let (max_calls, queue_limit) = (self.max_calls, self.queue_limit);
        let result = self.inbound.receive(reply, payload, |request| {
            let before = running_bytes + *bytes;
            *bytes += request.payload.len();
            // One that is alone is run, however long it is.
            let fits = before == 0 || running_bytes + *bytes <= queue_limit;
            let admitted = running + waiting.len() < max_calls && fits;
            waiting.push_back(Taken { request, admitted });
        });
        // All but what a legacy peer has to wait for is about to be taken from here.
        if result.is_ok() && self.legacy && self.waiting_bytes > self.queue_limit {
            return Err(self.overflow(self.waiting_bytes));
        }
        result.map_err(|reason| self.close(reason))
    }

    fn overflow(&mut self, queued: usize) -> CloseReason {
        self.close(CloseReason::QueueOverflow { queued, limit: self.queue_limit })
    }

    /// The requests to run next, all that there are: for a legacy peer one, and none before
    /// [`finished`](Self::finished) for the one before.
    pub(crate) fn take_requests(&mut self) -> VecDeque<Taken> {
        if self.legacy {
            return self.next_request().into_iter().collect();
        }
        self.running += self.waiting.len();
        self.running_bytes += std::mem::take(&mut self.waiting_bytes);
        std::mem::take(&mut self.waiting)
    }

    /// The next request to run: for a legacy peer, not before [`finished`](Self::finished) for the one before.
    pub(super) fn next_request(&mut self) -> Option<Taken> {
        if self.legacy && self.running > 0 {
            return None;
        }
        let request = self.waiting.pop_front();
        self.running += usize::from(request.is_some());
        let len = request.as_ref().map_or(0, Taken::len);
        self.waiting_bytes -= len;
        self.running_bytes += len;
        if self.waiting.is_empty() {
            // An idle session keeps no buffer.
            self.waiting = VecDeque::new();
        }
        request
    }

    /// A request whose message was `len` bytes long has been run; `answer` is what to send, empty where there is none.
    ///
    /// # Errors
    /// The session has ended with it: too much waits to be sent.
    pub(crate) fn finished(&mut self, len: usize, answer: impl Into<Parts>) -> Result<(), CloseReason> {
        let answer = answer.into();
        self.running -= 1;
        self.running_bytes -= len;
        if self.is_open() && !answer.is_empty() {
            // One that is alone goes, however long it is.
            if self.out.bytes() > 0 && self.out.bytes() + answer.len() > self.queue_limit {
                return Err(self.overflow(self.out.bytes() + answer.len()));
            }
            self.out.push_message(answer, 0);
        }
        self.end_if_drained();
        Ok(())
    }

    /// How many requests run, or are about to.
    pub(crate) const fn running(&self) -> usize {
        self.running
    }

    /// Whether nothing runs: nothing is about to join the answers that are there.
    pub(crate) const fn is_idle(&self) -> bool {
        self.running == 0
    }

    /// Takes nothing new up, and ends the session once all that was taken up is answered. The disconnect says what was; a
    /// client of ours is told at once, since its other calls need not wait for that.
    pub(crate) fn drain(&mut self) {
        self.tells_of_drain |= !self.draining && !self.legacy;
        self.draining = true;
        self.end_if_drained();
    }

    fn end_if_drained(&mut self) {
        if self.draining && self.running == 0 && self.waiting.is_empty() {
            self.stop();
        }
    }

    /// A heartbeat came.
    pub(crate) fn heartbeat(&mut self, now: Instant) {
        if let Some(heartbeats) = &mut self.heartbeats {
            *heartbeats = Heartbeats::new(now, heartbeats.deadline, self.legacy);
        }
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let heartbeats = self.heartbeats.as_ref().filter(|_| self.is_open())?;
        Some(heartbeats.ask.map_or(heartbeats.expires, |ask| ask.min(heartbeats.expires)))
    }

    /// Ends the session if too many heartbeats in a row were missed. Where it is called late, this process was held up,
    /// and heartbeats that came meanwhile may wait to be read: the client is given one more window, once.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Result<(), CloseReason> {
        let open = self.is_open();
        let Some(heartbeats) = self.heartbeats.as_mut().filter(|_| open) else { return Ok(()) };
        let deadline = heartbeats.deadline;
        if heartbeats.ask.is_some_and(|ask| ask <= now) {
            heartbeats.asks = true;
            heartbeats.ask = Some(after(now, deadline));
        }
        if heartbeats.expires > now {
            return Ok(());
        }
        if !heartbeats.extended && now - heartbeats.expires > deadline / LATE {
            heartbeats.extended = true;
            heartbeats.expires = now + deadline;
            return Ok(());
        }
        Err(self.close(CloseReason::MissedHeartbeats { deadline }))
    }

    /// Ends the session; answers that are queued are dropped. Returns the reason.
    pub(crate) fn close(&mut self, reason: CloseReason) -> CloseReason {
        if self.is_open() {
            self.end = reason.disconnect_reason().map_or(End::Closed, End::Farewell);
            // A disconnect comes behind the requests that were sent before it, and oneway ones count on being run.
            if !matches!(reason, CloseReason::Disconnected { .. }) {
                self.drop_waiting();
            }
            self.out = Outbound::default();
        }
        reason
    }

    /// Ends the session because the server stops; answers that are queued go first.
    pub(crate) fn stop(&mut self) {
        if self.is_open() {
            self.end = End::Farewell(PeerReason::Stopping);
            self.drop_waiting();
        }
    }

    fn drop_waiting(&mut self) {
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }

    /// Whether there is something to be published.
    pub(crate) fn has_more(&self) -> bool {
        let asks = self.heartbeats.as_ref().is_some_and(|heartbeats| heartbeats.asks);
        let tells = self.tells_of_drain && self.is_open();
        asks || tells || self.accept.is_some() || self.out.bytes() > 0 || matches!(self.end, End::Farewell(_))
    }

    /// What is to be published next.
    pub(crate) fn transmit(&mut self) -> Option<Transmit> {
        if let Some(accept) = self.accept.take() {
            let headers = (!self.legacy).then(version_headers);
            let (subject, payload) = (self.peer.clone(), accept.body());
            return Some(Transmit { subject, reply: Some(accept.listen), headers, payload });
        }
        let open = self.is_open();
        if let Some(heartbeats) = self.heartbeats.as_mut().filter(|it| open && it.asks) {
            heartbeats.asks = false;
            // An empty message is nothing to a client; without one, NATS answers to the reply subject.
            return Some(Transmit {
                subject: self.peer.clone(),
                reply: Some(super::subject::probe(&self.own)),
                headers: None,
                payload: Bytes::new(),
            });
        }
        if std::mem::take(&mut self.tells_of_drain) && open {
            return Some(Transmit {
                subject: self.peer.clone(),
                reply: Some(super::subject::drains(&self.own, self.inbound.acknowledged())),
                headers: None,
                payload: Bytes::new(),
            });
        }
        if let Some(chunk) = self.out.next(self.chunk_limit, |_| ()) {
            return Some(Transmit {
                subject: self.peer.clone(),
                reply: Some(super::subject::chunk_reply(&self.own, chunk.number)),
                headers: None,
                payload: chunk.payload,
            });
        }
        let End::Farewell(reason) = self.end else { return None };
        self.end = End::Closed;
        Some(Transmit {
            subject: self.peer.clone(),
            reply: Some(Subject::from_static(DISCONNECT)),
            headers: None,
            payload: if self.legacy { Bytes::new() } else { reason.body(Some(self.inbound.acknowledged())) },
        })
    }
}
