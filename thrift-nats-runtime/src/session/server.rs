//! The server's side of a session.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::accept::{Accept, version_headers};
use super::disconnect::{CloseReason, DISCONNECT, PeerReason};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::{SessionConfig, Transmit};
use crate::transport::{Frame, Receiver};

/// How many heartbeats in a row a client may miss: as in the code of the original, whose README says "more than three".
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
    /// An original peer: requests are run one at a time, in order.
    original: bool,
    /// How many requests are being run.
    running: usize,
    /// Nothing new is taken up; the session ends when what was taken up is answered.
    draining: bool,
    /// Requests that wait to be run.
    waiting: VecDeque<Frame>,
    inbound: Inbound,
    out: Outbound,
    heartbeats: Option<Heartbeats>,
    /// What is still to be said besides data.
    accept: Option<Accept>,
    end: End,
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
}

/// When a session ends if no heartbeat comes from `now` on, or as far away as there is a time.
fn expiry(now: Instant, deadline: Duration) -> Instant {
    let all = deadline.saturating_mul(MISSED_HEARTBEATS);
    // A century is far enough, and far from an overflow.
    now.checked_add(all).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 24 * 3600))
}

impl ServerSession {
    /// Accepts a handshake from the client at `peer`, whose header said whether it is an original one. `deadline` is how
    /// long to wait for each heartbeat; `None` asks for none.
    pub(crate) fn accept(
        now: Instant,
        peer: Subject,
        own: Subject,
        original: bool,
        deadline: Option<Duration>,
        config: SessionConfig,
    ) -> Self {
        let heartbeat = Subject::from(format!("{own}.h"));
        Self {
            accept: Some(Accept { listen: own.clone(), heartbeat, deadline }),
            peer,
            own,
            chunk_limit: config.chunk_limit,
            original,
            running: 0,
            draining: false,
            waiting: VecDeque::new(),
            inbound: Inbound::new(!original, Receiver::detecting(config.served, config.limits)),
            out: Outbound::default(),
            heartbeats: deadline.map(|deadline| Heartbeats {
                deadline,
                expires: expiry(now, deadline),
                extended: false,
            }),
            end: End::Open,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Takes a message that came to the session's subject; [`next_request`](Self::next_request) has what is in it.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn receive(&mut self, reply: Option<&str>, payload: Bytes) -> Result<(), CloseReason> {
        if !self.is_open() {
            return Ok(());
        }
        if reply == Some(DISCONNECT) {
            let (reason, taken) = PeerReason::parse(&payload);
            return Err(self.close(CloseReason::Disconnected { reason, taken }));
        }
        if payload.is_empty() || self.draining {
            return Ok(());
        }
        let waiting = &mut self.waiting;
        let result = self.inbound.receive(reply, payload, |message| waiting.push_back(message));
        result.map_err(|reason| self.close(reason))
    }

    /// The next request to run: for an original peer, not before [`finished`](Self::finished) for the one before.
    pub(crate) fn next_request(&mut self) -> Option<Frame> {
        if self.original && self.running > 0 {
            return None;
        }
        let request = self.waiting.pop_front();
        self.running += usize::from(request.is_some());
        if self.waiting.is_empty() {
            // An idle session keeps no buffer.
            self.waiting = VecDeque::new();
        }
        request
    }

    /// A request has been run; `answer` is what to send, empty for a oneway one.
    pub(crate) fn finished(&mut self, answer: &[u8]) {
        self.running -= 1;
        if self.is_open() && !answer.is_empty() {
            self.out.push(answer, 0);
        }
        self.end_if_drained();
    }

    /// Whether nothing runs, and no more than one answer waits to be sent: nothing is about to join it.
    pub(crate) fn is_alone(&self) -> bool {
        self.running == 0 && self.out.len() <= 1
    }

    /// Takes nothing new up, and ends the session once all that was taken up is answered. The disconnect says what was.
    pub(crate) fn drain(&mut self) {
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
            heartbeats.expires = expiry(now, heartbeats.deadline);
            heartbeats.extended = false;
        }
    }

    /// When [`on_timeout`](Self::on_timeout) wants to be called.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.heartbeats.as_ref().filter(|_| self.is_open()).map(|heartbeats| heartbeats.expires)
    }

    /// Ends the session if too many heartbeats in a row were missed. Where it is called late, this process was held up,
    /// and heartbeats that came meanwhile may wait to be read: the client is given one more window, once.
    ///
    /// # Errors
    /// The session has ended with it.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Result<(), CloseReason> {
        let open = self.is_open();
        let Some(heartbeats) = self.heartbeats.as_mut().filter(|it| open && it.expires <= now) else {
            return Ok(());
        };
        let deadline = heartbeats.deadline;
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
            self.end = reason.to_peer().map_or(End::Closed, End::Farewell);
            // A disconnect comes behind the requests that were sent before it, and oneway ones count on being run.
            if !matches!(reason, CloseReason::Disconnected { .. }) {
                self.waiting.clear();
            }
            self.out = Outbound::default();
        }
        reason
    }

    /// Ends the session because the server stops; answers that are queued go first.
    pub(crate) fn stop(&mut self) {
        if self.is_open() {
            self.end = End::Farewell(PeerReason::Stopping);
            self.waiting.clear();
        }
    }

    /// What is to be published next.
    pub(crate) fn transmit(&mut self) -> Option<Transmit> {
        if let Some(accept) = self.accept.take() {
            let headers = (!self.original).then(version_headers);
            let (subject, payload) = (self.peer.clone(), accept.body());
            return Some(Transmit { subject, reply: Some(accept.listen), headers, payload });
        }
        if let Some(chunk) = self.out.next(self.chunk_limit, |_| ()) {
            return Some(Transmit {
                subject: self.peer.clone(),
                reply: Some(Subject::from(format!("{}.{}", self.own, chunk.number))),
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
            payload: if self.original { Bytes::new() } else { reason.body(Some(self.inbound.taken())) },
        })
    }
}
