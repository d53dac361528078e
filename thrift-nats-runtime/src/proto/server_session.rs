//! The server's side of a session.
//!
//! [`ServerSession`] accepts the session, admits requests, sends replies, and ends the session when its client is gone. Its
//! states, and the order in which it has to be called, are in the [parent module](super).

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::close_reason::{CloseReason, DISCONNECT, PeerReason};
use super::config::ServerConfig;
use super::handshake::{Accept, Announced, accept_headers};
use super::heartbeat_monitor::HeartbeatMonitor;
use super::inbound::{Inbound, likely_messages};
use super::outbound::Outbound;
use super::request_table::{RequestKey, RequestTable};
use super::subject::{chunk_reply, drain_notice, heartbeat_subject, probe};
use super::transmit::Transmit;
use crate::error::SharedError;
use crate::format::ServedFormats;
use crate::time::after;
use crate::transport::{Frame, Parts, Receiver};

/// A timer that is late by more than this part of a heartbeat interval means that this process was stalled.
const LATE: u32 = 8;

/// An event of a server's session. `T` stands for the task of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum ServerEvent<T> {
    /// These requests are to be run now, and each to be [finished](ServerSession::finish) once. Those that a legacy client
    /// sent before it closed the session follow after its end.
    Requests(VecDeque<ReceivedRequest>),
    /// The client has cancelled a request: its task is to be aborted, and the request to be finished.
    Cancelled { task: T },
    /// The session has ended. No reply is sent any more.
    Ended { reason: CloseReason },
}

/// A request that was received.
#[derive(Debug, PartialEq)]
pub(crate) struct ReceivedRequest {
    pub(crate) key: RequestKey,
    pub(crate) frame: Frame,
    /// When its last byte was received: its deadline counts from here.
    pub(crate) received: Instant,
    /// The limit that the request exceeds, if any. Such a request is not run, and the reply says why.
    pub(crate) exceeds: Option<SessionLimit>,
}

/// A limit of the session that a request exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionLimit {
    /// As many requests are unfinished as the limit allows.
    Calls {
        /// The limit.
        limit: usize,
    },
    /// The unfinished requests would hold more bytes than the limit allows.
    Bytes {
        /// The length of the unfinished requests, in bytes.
        unfinished: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl fmt::Display for SessionLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls { limit } => {
                write!(f, "the session has {limit} unfinished calls; see `max_calls_per_session`")
            }
            Self::Bytes { unfinished, limit } => write!(
                f,
                "the session has unfinished requests of {unfinished} bytes, and this one would exceed {limit}; see \
                 `queue_limit`"
            ),
        }
    }
}

/// The states of a server's session. The diagram is in the [parent module](super).
#[derive(Debug)]
enum ServerPhase {
    /// `None`: the server wants no heartbeats.
    Open(Option<HeartbeatMonitor>),
    /// No more requests are received. The session ends when the received ones have finished.
    Draining {
        heartbeats: Option<HeartbeatMonitor>,
        /// Whether the client still has to be told. A legacy client never is.
        notice: bool,
    },
    /// The session has ended. Queued replies are still sent, and then this reason.
    Closing(PeerReason),
    /// The session has ended, and nothing is left to be sent.
    Closed,
}

impl ServerPhase {
    const fn has_ended(&self) -> bool {
        match self {
            Self::Open(_) | Self::Draining { .. } => false,
            Self::Closing(_) | Self::Closed => true,
        }
    }

    const fn heartbeats(&self) -> Option<&HeartbeatMonitor> {
        match self {
            Self::Open(heartbeats) | Self::Draining { heartbeats, .. } => heartbeats.as_ref(),
            Self::Closing(_) | Self::Closed => None,
        }
    }

    const fn heartbeats_mut(&mut self) -> Option<&mut HeartbeatMonitor> {
        match self {
            Self::Open(heartbeats) | Self::Draining { heartbeats, .. } => heartbeats.as_mut(),
            Self::Closing(_) | Self::Closed => None,
        }
    }
}

/// Requests that were received and not handed out yet.
#[derive(Debug, Default)]
struct WaitingRequests {
    requests: VecDeque<ReceivedRequest>,
    /// The length of the requests together, in bytes.
    bytes: usize,
}

impl WaitingRequests {
    /// Removes the first request. An idle session keeps no buffer.
    fn pop(&mut self) -> Option<ReceivedRequest> {
        let request = self.requests.pop_front()?;
        self.bytes -= request.frame.payload.len();
        if self.requests.is_empty() {
            self.requests = VecDeque::new();
        }
        Some(request)
    }
}

/// The server's side of a session. `T` is the separate task of a request, if it has one.
#[derive(Debug)]
pub(crate) struct ServerSession<T> {
    /// The client's inbox.
    peer: Subject,
    /// The subject of this side.
    own: Subject,
    chunk_limit: usize,
    queue_limit: usize,
    max_calls: usize,
    /// Timeout of calls whose request has none, if the client's handshake has one.
    call_timeout: Option<Duration>,
    /// The formats that are served.
    served: ServedFormats,
    /// A legacy client's requests run one at a time, in order.
    legacy: bool,
    phase: ServerPhase,
    /// Until it is sent. Even a session that ends before sends it: the client opens, and learns of the end.
    accept: Option<Accept>,
    requests: RequestTable<T>,
    waiting: WaitingRequests,
    inbound: Inbound,
    out: Outbound,
    events: VecDeque<ServerEvent<T>>,
}

// The verbs of this side.
impl<T> ServerSession<T> {
    /// Accepts a handshake from the client at `peer`, which announced this. `interval` is how long to wait for each
    /// heartbeat; `None` asks for none.
    pub(crate) fn accept(
        now: Instant,
        peer: Subject,
        own: Subject,
        announced: &Announced,
        interval: Option<Duration>,
        config: ServerConfig,
    ) -> Self {
        let legacy = !announced.versioned;
        let heartbeat = heartbeat_subject(&own);
        let heartbeats = interval.map(|interval| HeartbeatMonitor::new(now, interval, legacy));
        Self {
            accept: Some(Accept { listen: own.clone(), heartbeat, interval }),
            peer,
            own,
            chunk_limit: config.chunk_limit,
            queue_limit: config.queue_limit,
            max_calls: config.max_calls,
            call_timeout: announced.timeout,
            served: config.served,
            legacy,
            phase: ServerPhase::Open(heartbeats),
            requests: RequestTable::default(),
            waiting: WaitingRequests::default(),
            inbound: Inbound::new(!legacy, Receiver::detecting(config.served, config.limits)),
            out: Outbound::default(),
            events: VecDeque::new(),
        }
    }

    /// A request has finished: `reply` is empty if the request has no reply.
    pub(crate) fn finish(&mut self, key: RequestKey, reply: impl Into<Parts>) {
        let reply = reply.into();
        self.requests.remove(key);
        if !self.has_ended() && !reply.is_empty() {
            let queued = self.out.bytes() + reply.len();
            // A reply is sent however long it is, if no other is queued.
            if self.out.bytes() > 0 && queued > self.queue_limit {
                return self.close(CloseReason::QueueOverflow { queued, limit: self.queue_limit });
            }
            self.out.push_message(reply, 0);
        }
        self.end_if_drained();
    }

    /// Notes the task of a request. Returns it if it has to be aborted: the request was cancelled, or has finished.
    pub(crate) fn set_task(&mut self, key: RequestKey, task: T) -> Option<T> {
        self.requests.set_task(key, task)
    }

    /// Receives no more requests, and ends the session once all that were received have finished. The disconnect message
    /// says which were received. A client of this crate is told at once, because its other calls need not wait for that.
    pub(crate) fn drain(&mut self) {
        if let ServerPhase::Open(heartbeats) = &mut self.phase {
            let heartbeats = heartbeats.take();
            self.phase = ServerPhase::Draining { heartbeats, notice: !self.legacy };
        }
        self.end_if_drained();
    }

    fn end_if_drained(&mut self) {
        if matches!(self.phase, ServerPhase::Draining { .. }) && self.requests.is_empty() {
            self.stop();
        }
    }

    /// Ends the session because the server stops. Replies that are queued are sent before.
    pub(crate) fn stop(&mut self) {
        self.close(CloseReason::Stopped);
    }

    /// Ends the session, unless it has ended. The reason decides whether the client is told, whether queued replies are
    /// sent before, and whether requests that wait to run are still run.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.has_ended() {
            return;
        }
        self.phase = reason.disconnect_reason().map_or(ServerPhase::Closed, ServerPhase::Closing);
        if !reason.keeps_waiting_requests() {
            self.drop_waiting();
        }
        if !reason.keeps_queue() {
            self.out = Outbound::default();
        }
        self.events.push_back(ServerEvent::Ended { reason });
    }

    fn drop_waiting(&mut self) {
        for request in std::mem::take(&mut self.waiting).requests {
            self.requests.remove(request.key);
        }
    }

    /// Cancels every request that has not finished. The requests that a legacy client has sent and that wait to run have
    /// finished with this.
    pub(crate) fn drop_requests(&mut self) {
        self.drop_waiting();
        let tasks = self.requests.cancel_all();
        self.events.extend(tasks.into_iter().map(|task| ServerEvent::Cancelled { task }));
    }

    /// Sets the size limit of NATS messages, in bytes.
    pub(crate) const fn set_chunk_limit(&mut self, bytes: usize) {
        self.chunk_limit = bytes;
    }
}

// Queries.
impl<T> ServerSession<T> {
    /// Whether the client is a legacy client.
    pub(crate) const fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Timeout of calls whose request has none, if the client's handshake has one.
    pub(crate) const fn call_timeout(&self) -> Option<Duration> {
        self.call_timeout
    }

    /// Whether the session has ended. Its last messages may still have to be sent.
    pub(crate) const fn has_ended(&self) -> bool {
        self.phase.has_ended()
    }

    /// Whether no request is running or waiting: no other reply is about to follow those that are queued.
    pub(crate) const fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Number of requests that run or wait to run.
    pub(crate) const fn unfinished(&self) -> usize {
        self.requests.len()
    }

    /// Whether the client has cancelled this request, which has not finished.
    pub(crate) fn is_cancelled(&self, key: RequestKey) -> bool {
        self.requests.is_cancelled(key)
    }

    /// Whether the client has cancelled any request that has not finished.
    pub(crate) const fn has_cancelled(&self) -> bool {
        self.requests.has_cancelled()
    }
}

// Input.
impl<T> ServerSession<T> {
    /// A message arrived on the session's subject.
    pub(crate) fn handle_message(&mut self, now: Instant, reply: Option<&str>, payload: Bytes) {
        if self.has_ended() {
            return;
        }
        if reply == Some(DISCONNECT) {
            let (reason, acknowledged) = PeerReason::parse(&payload);
            return self.close(CloseReason::Disconnected { reason, acknowledged });
        }
        if payload.is_empty() || matches!(self.phase, ServerPhase::Draining { .. }) {
            return;
        }
        let (requests, waiting) = (&mut self.requests, &mut self.waiting);
        let likely = likely_messages(&payload);
        requests.reserve(likely);
        waiting.requests.reserve(likely);
        let (max_calls, queue_limit) = (self.max_calls, self.queue_limit);
        let result = self.inbound.receive(reply, payload, |frame| {
            let len = frame.payload.len();
            let unfinished = requests.bytes();
            let exceeds = if requests.len() >= max_calls {
                Some(SessionLimit::Calls { limit: max_calls })
            } else if unfinished > 0 && unfinished + len > queue_limit {
                // A request is run however long it is, if no other is unfinished.
                Some(SessionLimit::Bytes { unfinished, limit: queue_limit })
            } else {
                None
            };
            let key = requests.insert(frame.seqid(), len);
            waiting.bytes += len;
            waiting.requests.push_back(ReceivedRequest { key, frame, received: now, exceeds });
        });
        match result {
            // Only requests of a legacy client wait for long. All others are handed out with the next event.
            Ok(()) if self.legacy && self.waiting.bytes > self.queue_limit => {
                let (queued, limit) = (self.waiting.bytes, self.queue_limit);
                self.close(CloseReason::QueueOverflow { queued, limit });
            }
            Ok(()) => {}
            Err(reason) => self.close(reason),
        }
    }

    /// The message of a request was decompressed, which took so many bytes more. They count against the limit of bytes until
    /// the request has finished. Returns the limit if they exceed it: then the request is not to be run.
    pub(crate) fn handle_decompressed(&mut self, key: RequestKey, bytes: usize) -> Option<SessionLimit> {
        let len = self.requests.grow(key, bytes)?;
        let (unfinished, limit) = (self.requests.bytes() - len, self.queue_limit);
        // As when it is received: it is run however long it is, if no other is unfinished.
        (unfinished > 0 && unfinished + len > limit).then_some(SessionLimit::Bytes { unfinished, limit })
    }

    /// A heartbeat arrived.
    pub(crate) fn handle_heartbeat(&mut self, now: Instant) {
        let legacy = self.legacy;
        if let Some(heartbeats) = self.phase.heartbeats_mut() {
            *heartbeats = HeartbeatMonitor::new(now, heartbeats.interval, legacy);
        }
    }

    /// The client does not wait for the calls with these sequence numbers any more: numbers with spaces between them.
    pub(crate) fn handle_cancellation(&mut self, payload: &[u8]) {
        let seqids = str::from_utf8(payload).unwrap_or_default().split(' ');
        let seqids = seqids.filter_map(|seqid| seqid.parse().ok()).collect();
        let tasks = self.requests.cancel(seqids);
        self.events.extend(tasks.into_iter().map(|task| ServerEvent::Cancelled { task }));
    }

    /// NATS reports no responders for something that this session sent: the chunk `chunk`, its accept, or a probe.
    pub(crate) fn handle_undelivered(&mut self, chunk: Option<u64>) {
        self.close(CloseReason::PeerGone { chunk });
    }

    /// The last message of [`poll_transmit`](Self::poll_transmit) was not published. It was this chunk, if it was one.
    pub(crate) fn handle_publish_failed(&mut self, chunk: Option<u64>, source: SharedError) {
        self.close(CloseReason::PublishFailed { chunk, source });
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Ends the session if too many heartbeats in a row were
    /// missed. A call that is late means that this process was stalled, and heartbeats that arrived in the meantime may
    /// wait to be read: the client is given one more interval, once.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let Some(heartbeats) = self.phase.heartbeats_mut() else { return };
        let interval = heartbeats.interval;
        if let Some(probe) = heartbeats.probe.as_mut().filter(|probe| probe.next <= now) {
            probe.due = true;
            probe.next = after(now, interval);
        }
        if heartbeats.expires > now {
            return;
        }
        if !heartbeats.extended && now - heartbeats.expires > interval / LATE {
            heartbeats.extended = true;
            heartbeats.expires = now + interval;
            return;
        }
        self.close(CloseReason::MissedHeartbeats { interval });
    }
}

// Output.
impl<T> ServerSession<T> {
    /// The next event: requests first, and then the oldest.
    pub(crate) fn poll_event(&mut self) -> Option<ServerEvent<T>> {
        if let Some(requests) = self.next_requests() {
            return Some(ServerEvent::Requests(requests));
        }
        let event = self.events.pop_front();
        if self.events.is_empty() {
            // An idle session keeps no buffer.
            self.events = VecDeque::new();
        }
        event
    }

    /// The requests to run next: all waiting ones, or for a legacy client one, if none runs.
    fn next_requests(&mut self) -> Option<VecDeque<ReceivedRequest>> {
        if self.waiting.requests.is_empty() {
            return None;
        }
        if !self.legacy {
            return Some(std::mem::take(&mut self.waiting).requests);
        }
        let running = self.requests.len() - self.waiting.requests.len();
        let next = if running == 0 { self.waiting.pop() } else { None };
        next.map(|request| [request].into())
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) has to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let heartbeats = self.phase.heartbeats()?;
        Some(heartbeats.probe.as_ref().map_or(heartbeats.expires, |probe| probe.next.min(heartbeats.expires)))
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has a message.
    pub(crate) fn has_transmit(&self) -> bool {
        let probe = |heartbeats: &Option<HeartbeatMonitor>| {
            heartbeats.as_ref().and_then(|it| it.probe.as_ref()).is_some_and(|probe| probe.due)
        };
        let control = match &self.phase {
            ServerPhase::Open(heartbeats) => probe(heartbeats),
            ServerPhase::Draining { heartbeats, notice } => *notice || probe(heartbeats),
            ServerPhase::Closing(_) => true,
            ServerPhase::Closed => false,
        };
        control || self.accept.is_some() || self.out.bytes() > 0
    }

    /// The next message to publish. The messages have to be published in this order.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        let peer = self.peer.clone();
        if let Some(accept) = self.accept.take() {
            let headers = (!self.legacy).then(|| accept_headers(self.served));
            let payload = accept.body();
            return Some(Transmit { subject: peer, reply: Some(accept.listen), headers, payload });
        }
        let message = |reply, payload| {
            Some(Transmit { subject: self.peer.clone(), reply: Some(reply), headers: None, payload })
        };
        let probe_timer = self.phase.heartbeats_mut().and_then(|heartbeats| heartbeats.probe.as_mut());
        if let Some(timer) = probe_timer.filter(|timer| timer.due) {
            timer.due = false;
            // A client ignores an empty message. If the client is gone, NATS sends a `503` to the reply subject.
            return message(probe(&self.own), Bytes::new());
        }
        if let ServerPhase::Draining { notice, .. } = &mut self.phase
            && std::mem::take(notice)
        {
            return message(drain_notice(&self.own, self.inbound.acknowledged()), Bytes::new());
        }
        if let Some(chunk) = self.out.next(self.chunk_limit, |_| ()) {
            return message(chunk_reply(&self.own, chunk.number), chunk.payload);
        }
        let ServerPhase::Closing(reason) = self.phase else { return None };
        self.phase = ServerPhase::Closed;
        let acknowledged = self.inbound.acknowledged();
        Some(Transmit::disconnect(
            peer,
            if self.legacy { Bytes::new() } else { reason.body(Some(acknowledged)) },
        ))
    }
}
