//! The server's side of a session.
//!
//! [`ServerSession`] accepts the session, admits requests, sends replies, and ends the session when its client is gone. Its
//! states, and the order in which it has to be called, are in the [parent module](super).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::budget::Share;
use super::close_reason::{CloseReason, DISCONNECT, PeerReason};
use super::closing_timer::{ClosingTimer, STOPPING};
use super::config::ServerConfig;
use super::ended_sessions::EndedSession;
use super::handshake::{Accept, Announced, accept_headers};
use super::heartbeat_monitor::HeartbeatMonitor;
use super::inbound::{Capacity, Control, Inbound, likely_messages, parse_numbers};
use super::outbound::{Chunk, Outbound};
use super::request_table::{Grown, REQUEST_OVERHEAD, RequestKey, RequestTable};
use super::subject::{Kind, Tail, heartbeat_subject};
use super::transmit::Transmit;
use super::window::MESSAGE_WINDOW;
use crate::error::SharedError;
use crate::format::ServedFormats;
use crate::time::after;
use crate::transport::{Frame, Parts, Receiver};

/// A timer that is late by more than this part of a heartbeat interval means that this process was stalled.
const LATE: u32 = 8;

/// The time within which a client of this crate has to send its first message, which proves that it receives on its inbox.
const PROVISIONAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a session that ends before the first message of its client waits for that message.
const UNCONFIRMED_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which a session that was drained waits until it may send its queued replies.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(10);

/// What the session holds is noted whenever this many bytes of replies have been queued, and not for each reply.
const NOTED: usize = 1024;

/// The number of queue limits that long replies may take before requests wait for them.
const LONG_REPLIES: usize = 4;

/// An event of a server's session. `T` stands for the task of a request.
#[derive(Debug, PartialEq)]
pub(crate) enum ServerEvent<T> {
    /// These requests are to be run now, and each to be [finished](ServerSession::finish) once. Those that a legacy client
    /// sent before it closed the session follow after its end.
    Requests(VecDeque<ReceivedRequest>),
    /// The client has proved that it receives on its inbox: the session is not provisional any more.
    Confirmed,
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
    /// The client has not proved that it receives on its inbox: nothing but the accept is sent there. Otherwise anybody who
    /// may send a handshake could have this process publish to a subject of another process.
    Provisional {
        /// `None`: it never expires. The client is a legacy client, and the server wants no heartbeats.
        expires: Option<Instant>,
        /// Whether the client was given more time, because this process was stalled.
        extended: bool,
    },
    /// `None`: the server wants no heartbeats.
    Open(Option<HeartbeatMonitor>),
    /// The session has ended before the client has proved that it receives on its inbox. If it still does, it is told this
    /// reason.
    Unconfirmed {
        reason: PeerReason,
        /// The time until which this side waits for that; `None` until the next timeout.
        deadline: Option<Instant>,
    },
    /// No more requests are received. The session ends when the received ones have finished.
    Draining {
        heartbeats: Option<HeartbeatMonitor>,
        /// The number of the last message whose requests are run.
        acknowledged: u64,
        /// Whether the client still has to be told. A legacy client never is.
        notice: bool,
    },
    /// The session has ended. Queued replies are still sent, and then this reason.
    Closing {
        reason: PeerReason,
        /// The number of the last message whose requests were run.
        acknowledged: u64,
        /// The time until which queued replies may wait for the client to allow them.
        timer: ClosingTimer,
    },
    /// The session has ended, and nothing is left to be sent.
    Closed,
}

impl ServerPhase {
    const fn has_ended(&self) -> bool {
        match self {
            Self::Provisional { .. } | Self::Open(_) | Self::Draining { .. } => false,
            Self::Unconfirmed { .. } | Self::Closing { .. } | Self::Closed => true,
        }
    }

    const fn heartbeats(&self) -> Option<&HeartbeatMonitor> {
        match self {
            Self::Open(heartbeats) | Self::Draining { heartbeats, .. } => heartbeats.as_ref(),
            Self::Provisional { .. } | Self::Unconfirmed { .. } | Self::Closing { .. } | Self::Closed => None,
        }
    }

    const fn heartbeats_mut(&mut self) -> Option<&mut HeartbeatMonitor> {
        match self {
            Self::Open(heartbeats) | Self::Draining { heartbeats, .. } => heartbeats.as_mut(),
            Self::Provisional { .. } | Self::Unconfirmed { .. } | Self::Closing { .. } | Self::Closed => None,
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
    /// Number of bytes that the requests occupy.
    fn held(&self) -> usize {
        self.bytes + self.requests.len() * REQUEST_OVERHEAD
    }

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
    queue_limit: usize,
    max_calls: usize,
    /// Timeout of calls whose request has none, if the client's handshake has one.
    call_timeout: Option<Duration>,
    /// The formats that are served.
    served: ServedFormats,
    /// The heartbeat interval; `None` without heartbeats.
    interval: Option<Duration>,
    /// A legacy client's requests run one at a time, in order.
    legacy: bool,
    /// Whether the client has proved that it receives on its inbox.
    is_proven: bool,
    phase: ServerPhase,
    /// Until it is sent.
    accept: Option<Accept>,
    /// Whether the client has asked whether this server is alive.
    alive_due: bool,
    requests: RequestTable<T>,
    waiting: WaitingRequests,
    inbound: Inbound,
    out: Outbound,
    events: VecDeque<ServerEvent<T>>,
    share: Share,
    /// When it was made. A time in the past is due at once.
    made: Instant,
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
        config: &ServerConfig,
    ) -> Self {
        let heartbeat = heartbeat_subject(&own);
        let receiver = Receiver::detecting(config.served, config.limits);
        let (inbound, out, expires) = match announced.additions {
            Some(additions) => (
                Inbound::numbered(receiver),
                Outbound::numbered(config.chunk_limit, additions.window),
                Some(after(now, PROVISIONAL_TIMEOUT)),
            ),
            None => {
                // A legacy client may send nothing until its first heartbeat.
                let expires = interval.map(|interval| HeartbeatMonitor::new(now, interval, true).expires);
                (Inbound::legacy(receiver), Outbound::legacy(config.chunk_limit), expires)
            }
        };
        Self {
            accept: Some(Accept { listen: own.clone(), heartbeat, interval }),
            peer,
            own,
            queue_limit: config.queue_limit,
            max_calls: config.max_calls,
            call_timeout: announced.timeout,
            served: config.served,
            interval,
            legacy: announced.additions.is_none(),
            is_proven: false,
            phase: ServerPhase::Provisional { expires, extended: false },
            alive_due: false,
            requests: RequestTable::default(),
            waiting: WaitingRequests::default(),
            inbound,
            out,
            events: VecDeque::new(),
            share: Share::new(Arc::clone(&config.budget)),
            made: now,
        }
    }

    /// The client has proved that it receives on its inbox: it knows the subject of the session.
    fn confirm(&mut self, now: Instant) {
        self.is_proven = true;
        match self.phase {
            ServerPhase::Provisional { .. } => {
                let heartbeats =
                    self.interval.map(|interval| HeartbeatMonitor::new(now, interval, self.legacy));
                self.phase = ServerPhase::Open(heartbeats);
                self.events.push_back(ServerEvent::Confirmed);
            }
            ServerPhase::Unconfirmed { reason, .. } => {
                self.phase = ServerPhase::Closing {
                    reason,
                    acknowledged: 0,
                    timer: ClosingTimer::new(CLOSING_TIMEOUT),
                };
            }
            ServerPhase::Open(_)
            | ServerPhase::Draining { .. }
            | ServerPhase::Closing { .. }
            | ServerPhase::Closed => {}
        }
    }

    /// Whether a message proves that the client receives on its inbox. Something that replies to whatever it receives, and
    /// so to the accept, does not know that a client of this crate numbers its messages below its inbox.
    fn is_proof(&self, reply: Option<&str>, payload: &[u8]) -> bool {
        let is_numbered = || {
            let tail = reply?.strip_prefix(&*self.peer)?;
            Some(tail.starts_with('.') && Tail::of(tail).is_some())
        };
        !payload.is_empty() && (self.legacy || is_numbered() == Some(true))
    }

    /// A request has finished: `reply` is empty if the request has no reply.
    pub(crate) fn finish(&mut self, key: RequestKey, reply: impl Into<Parts>) {
        let reply = reply.into();
        let before = self.out.bytes();
        self.requests.remove(key);
        if !self.has_ended() && !reply.is_empty() {
            let queued = self.out.bytes() + reply.len();
            // A legacy client does not say how much it can receive. A reply is sent however long it is, if no other is
            // queued.
            if self.legacy && self.out.bytes() > 0 && queued > self.queue_limit {
                return self.close(CloseReason::QueueOverflow { queued, limit: self.queue_limit });
            }
            self.out.push_message(reply, 0);
        }
        self.end_if_drained();
        // The next chunk notes what short replies change, if the client lets this side send one.
        let queued = self.out.bytes();
        if queued / NOTED != before / NOTED || queued == 0 {
            self.update_limits();
        }
    }

    /// Notes what the session holds, and looks whether the client is to be told that it may send more.
    fn update_limits(&mut self) {
        self.share.set(self.requests.held() + self.inbound.held() + self.out.held());
        if !self.legacy && !self.has_ended() {
            self.inbound.update_window(self.capacity());
        }
    }

    /// How much the session may hold.
    fn capacity(&self) -> Capacity {
        Capacity {
            limit: self.queue_limit,
            unfinished: self.requests.bytes(),
            unfinished_short: self.requests.short_bytes(),
            // For another window of a long message.
            has_memory: self.share.budget().room() as u64 >= MESSAGE_WINDOW,
        }
    }

    /// Notes the task of a request. Returns it if it has to be aborted: the request was cancelled, or has finished.
    pub(crate) fn set_task(&mut self, key: RequestKey, task: T) -> Option<T> {
        self.requests.set_task(key, task)
    }

    /// Receives no more requests, and ends the session once all that were received have finished. The disconnect message
    /// says which were received. A client of this crate is told at once, because its other calls need not wait for that.
    pub(crate) fn drain(&mut self) {
        match &mut self.phase {
            // The client has sent nothing that was received.
            ServerPhase::Provisional { .. } => return self.stop(),
            ServerPhase::Open(heartbeats) => {
                let (heartbeats, acknowledged) = (heartbeats.take(), self.inbound.acknowledged());
                self.phase = ServerPhase::Draining { heartbeats, acknowledged, notice: !self.legacy };
            }
            ServerPhase::Unconfirmed { .. }
            | ServerPhase::Draining { .. }
            | ServerPhase::Closing { .. }
            | ServerPhase::Closed => {}
        }
        self.end_if_drained();
    }

    fn end_if_drained(&mut self) {
        if matches!(self.phase, ServerPhase::Draining { .. }) && self.requests.is_empty() {
            self.close(CloseReason::Stopped);
        }
    }

    /// Ends the session because the server stops. Replies that are queued are sent before, if the client allows it soon. The
    /// same holds for a session that has ended before.
    pub(crate) fn stop(&mut self) {
        self.close(CloseReason::Stopped);
        if let ServerPhase::Closing { timer, .. } = &mut self.phase {
            *timer = ClosingTimer::new(STOPPING);
        }
    }

    /// Ends the session, unless it has ended. The reason decides whether the client is told, whether queued replies are
    /// sent before, and whether requests that wait to run are still run.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.has_ended() {
            return;
        }
        let acknowledged = match self.phase {
            ServerPhase::Draining { acknowledged, .. } => acknowledged,
            ServerPhase::Provisional { .. }
            | ServerPhase::Unconfirmed { .. }
            | ServerPhase::Open(_)
            | ServerPhase::Closing { .. }
            | ServerPhase::Closed => self.inbound.acknowledged(),
        };
        self.phase = match (&self.phase, reason.disconnect_reason()) {
            (_, None) => ServerPhase::Closed,
            (ServerPhase::Provisional { .. }, Some(reason)) => {
                ServerPhase::Unconfirmed { reason, deadline: None }
            }
            (_, Some(reason)) => {
                let timer = ClosingTimer::new(CLOSING_TIMEOUT);
                ServerPhase::Closing { reason, acknowledged, timer }
            }
        };
        if !reason.keeps_waiting_requests() {
            self.drop_waiting();
        }
        if !reason.keeps_queue() {
            self.out.clear();
        }
        self.inbound.clear();
        self.events.push_back(ServerEvent::Ended { reason });
        self.update_limits();
    }

    /// Ends the session at once if it is provisional, because another one needs its place.
    pub(crate) fn evict(&mut self) {
        if let ServerPhase::Provisional { .. } = self.phase {
            self.close(CloseReason::Unconfirmed);
        }
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
        self.update_limits();
    }

    /// Frees memory: ends the session, or if it has ended, drops its requests and the replies that it has not sent.
    pub(crate) fn shed(&mut self, reason: CloseReason) {
        if !self.has_ended() {
            return self.close(reason);
        }
        self.out.clear();
        self.drop_requests();
    }

    /// Sets the size limit of NATS messages, in bytes.
    pub(crate) const fn set_chunk_limit(&mut self, bytes: usize) {
        self.out.set_limit(bytes);
    }
}

// Queries.
impl<T> ServerSession<T> {
    /// The inbox of the client.
    #[cfg(test)]
    pub(crate) const fn peer(&self) -> &Subject {
        &self.peer
    }

    /// The part of the session that is remembered after its end.
    pub(crate) fn to_ended(&self) -> EndedSession {
        let (own, client) = (self.own.clone(), self.peer.clone());
        if self.is_proven {
            EndedSession::OfServer { own, client }
        } else {
            EndedSession::Unconfirmed { own, client }
        }
    }

    /// Number of bytes that the session holds.
    pub(crate) const fn held(&self) -> usize {
        self.share.held()
    }

    /// Number of requests for which memory is reserved.
    #[cfg(test)]
    pub(crate) fn reserved(&self) -> usize {
        self.requests.reserved().max(self.waiting.requests.capacity())
    }

    /// Whether the client has not proved yet that it receives on its inbox.
    #[cfg(test)]
    pub(crate) const fn is_provisional(&self) -> bool {
        matches!(self.phase, ServerPhase::Provisional { .. })
    }

    /// Whether the session has ended, and nothing is left to be sent.
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.phase, ServerPhase::Closed)
    }

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

    /// Whether [`shed`](Self::shed) would free nothing: the session has ended, and its requests are cancelled.
    pub(crate) fn has_dropped_all(&self) -> bool {
        self.has_ended() && self.requests.all_cancelled() && self.out.bytes() == 0
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
        if reply == Some(DISCONNECT) {
            if let ServerPhase::Unconfirmed { .. } = self.phase {
                self.phase = ServerPhase::Closed;
            }
            if self.has_ended() {
                // The client does not read the queued replies.
                return self.out.clear();
            }
            let (reason, acknowledged) = PeerReason::parse(&payload);
            return self.close(CloseReason::Disconnected { reason, acknowledged });
        }
        if let ServerPhase::Provisional { .. } | ServerPhase::Unconfirmed { .. } = self.phase {
            if !self.is_proof(reply, &payload) {
                return;
            }
            self.confirm(now);
        }
        if self.has_ended() {
            if reply.and_then(Tail::of).is_some_and(|tail| tail.kind == Kind::Window) {
                self.out.extend_window(&payload);
            }
            return;
        }
        if !self.legacy && !reply.is_some_and(|reply| is_below(reply, &self.peer)) {
            // An accept or a refusal that another process was made to send here, for example.
            return;
        }
        if payload.is_empty() || (self.legacy && self.is_draining()) {
            return;
        }
        if let Some(heartbeats) = self.phase.heartbeats_mut().filter(|_| !self.legacy) {
            heartbeats.heard(now);
        }
        let (is_draining, runs_none) = (self.is_draining(), self.has_too_many_replies());
        let (requests, waiting) = (&mut self.requests, &mut self.waiting);
        // Only messages with requests: the memory budget does not see memory that is reserved without one.
        if self.legacy || reply.and_then(Tail::of).is_some_and(|tail| tail.kind == Kind::Messages) {
            let likely = likely_messages(&payload);
            requests.reserve(likely);
            waiting.requests.reserve(likely);
        }
        let (legacy, max_calls, queue_limit) = (self.legacy, self.max_calls, self.queue_limit);
        let result = self.inbound.receive(reply, payload, |frame, was_granted| {
            if is_draining {
                // The client sends it to another server: it knows from which message on requests are not run.
                return;
            }
            let len = frame.payload.len();
            // Long messages have a limit of their own: they wait for it before they arrive.
            let unfinished = requests.short_bytes();
            let exceeds = if requests.len() >= max_calls {
                Some(SessionLimit::Calls { limit: max_calls })
            } else if unfinished > 0 && unfinished + len > queue_limit && !was_granted {
                // A request is run however long it is, if no other is unfinished or if it was allowed to arrive.
                Some(SessionLimit::Bytes { unfinished, limit: queue_limit })
            } else {
                None
            };
            let key = requests.insert(frame.seqid(), len);
            let waits = runs_none || (legacy && requests.len() > 1);
            let frame = if waits { frame.detached() } else { frame };
            if was_granted {
                requests.mark_granted(key);
            }
            waiting.bytes += len;
            waiting.requests.push_back(ReceivedRequest { key, frame, received: now, exceeds });
        });
        if self.requests.is_empty() {
            // A duplicate, for example.
            self.requests.clear();
            self.waiting.requests = VecDeque::new();
        }
        match result {
            // Only requests of a legacy client wait for long. All others are handed out with the next event.
            Ok(_) if self.legacy && self.waiting.held() > self.queue_limit => {
                let (queued, limit) = (self.waiting.held(), self.queue_limit);
                self.close(CloseReason::QueueOverflow { queued, limit });
            }
            Ok(None) => self.update_limits(),
            Ok(Some(control)) => self.handle_control(&control),
            Err(reason) => self.close(reason),
        }
    }

    /// The message of a request was decompressed, which took so many bytes more. They count against the limit of bytes until
    /// the request has finished. Returns the limit if they exceed it: then the request is not to be run.
    pub(crate) fn handle_decompressed(&mut self, key: RequestKey, bytes: usize) -> Option<SessionLimit> {
        let Grown { len, others: unfinished } = self.requests.grow(key, bytes)?;
        self.update_limits();
        let limit = self.queue_limit;
        // As when it is received: it is run however long it is, if no other is unfinished.
        (unfinished > 0 && unfinished + len > limit).then_some(SessionLimit::Bytes { unfinished, limit })
    }

    const fn is_draining(&self) -> bool {
        matches!(self.phase, ServerPhase::Draining { .. })
    }

    /// A message of the client that is not data.
    fn handle_control(&mut self, Control { kind, body }: &Control) {
        match kind {
            Kind::Window => self.out.extend_window(body),
            Kind::Cancel => {
                let tasks = self.requests.cancel(parse_numbers(body).collect());
                self.events.extend(tasks.into_iter().map(|task| ServerEvent::Cancelled { task }));
            }
            Kind::Probe => self.alive_due = true,
            // A heartbeat, or the answer to a probe. A client does not drain.
            Kind::Alive | Kind::Drain | Kind::Messages | Kind::Part { .. } | Kind::Abandon => {}
        }
        self.update_limits();
    }

    /// A heartbeat of a legacy client arrived.
    pub(crate) fn handle_heartbeat(&mut self, now: Instant) {
        self.confirm(now);
        if let Some(heartbeats) = self.phase.heartbeats_mut() {
            heartbeats.heard(now);
        }
    }

    /// NATS reports no responders for the message `number` of this session, or for its accept.
    pub(crate) fn handle_undelivered(&mut self, number: Option<u64>) {
        if self.has_ended() {
            self.out.clear();
            self.phase = ServerPhase::Closed;
        }
        self.close(CloseReason::PeerGone { chunk: number });
    }

    /// The last message of [`poll_transmit`](Self::poll_transmit) was not published. It had this number, if it had one.
    pub(crate) fn handle_publish_failed(&mut self, chunk: Option<u64>, source: SharedError) {
        self.close(CloseReason::PublishFailed { chunk, source });
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. Ends the session if too many heartbeats in a row were
    /// missed. A call that is late means that this process was stalled, and heartbeats that arrived in the meantime may
    /// wait to be read: the client is given one more interval, once.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            ServerPhase::Provisional { expires: Some(expires), extended } if *expires <= now => {
                let timeout = self.interval.filter(|_| self.legacy).unwrap_or(PROVISIONAL_TIMEOUT);
                if !*extended && now - *expires > timeout / LATE {
                    *extended = true;
                    *expires = after(now, timeout);
                    return;
                }
                self.close(CloseReason::Unconfirmed);
                return;
            }
            ServerPhase::Unconfirmed { deadline, .. } => match *deadline {
                None => *deadline = Some(now + UNCONFIRMED_TIMEOUT),
                Some(deadline) if deadline <= now => self.phase = ServerPhase::Closed,
                Some(_) => {}
            },
            ServerPhase::Closing { timer, .. } => {
                if timer.check(now, self.out.has_next()) {
                    self.out.clear();
                }
            }
            ServerPhase::Provisional { .. }
            | ServerPhase::Open(_)
            | ServerPhase::Draining { .. }
            | ServerPhase::Closed => {}
        }
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

    /// Whether requests have to wait until replies were sent. Long replies alone are no reason before there are many: short
    /// calls pass them.
    fn has_too_many_replies(&self) -> bool {
        self.out.short_bytes() > self.queue_limit
            || self.out.bytes() > self.queue_limit.saturating_mul(LONG_REPLIES)
    }

    /// The requests to run next: all waiting ones, or for a legacy client one, if none runs. None while more replies are
    /// queued than the limit allows: the client reads them more slowly than it makes calls.
    fn next_requests(&mut self) -> Option<VecDeque<ReceivedRequest>> {
        if self.waiting.requests.is_empty() || (!self.has_ended() && self.has_too_many_replies()) {
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
        match &self.phase {
            ServerPhase::Provisional { expires, .. } => *expires,
            ServerPhase::Open(heartbeats) | ServerPhase::Draining { heartbeats, .. } => {
                heartbeats.as_ref().map(HeartbeatMonitor::timeout)
            }
            // Replies that may not be sent yet must not wait forever.
            ServerPhase::Closing { timer, .. } if self.out.bytes() > 0 => Some(timer.due(self.made)),
            ServerPhase::Unconfirmed { deadline, .. } => Some(deadline.unwrap_or(self.made)),
            ServerPhase::Closing { .. } | ServerPhase::Closed => None,
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has a message.
    pub(crate) fn has_transmit(&self) -> bool {
        let is_probed = || {
            let heartbeats = self.phase.heartbeats();
            heartbeats.and_then(|heartbeats| heartbeats.probe.as_ref()).is_some_and(|probe| probe.due)
        };
        self.accept.is_some()
            || match &self.phase {
                ServerPhase::Provisional { .. } | ServerPhase::Unconfirmed { .. } | ServerPhase::Closed => {
                    false
                }
                ServerPhase::Open(_) => is_probed() || self.has_control() || self.out.has_next(),
                ServerPhase::Draining { notice, .. } => {
                    *notice || is_probed() || self.has_control() || self.out.has_next()
                }
                ServerPhase::Closing { .. } => self.out.bytes() == 0 || self.out.has_next(),
            }
    }

    fn has_control(&self) -> bool {
        self.alive_due || self.inbound.has_window()
    }

    /// The next message to publish. The messages have to be published in this order.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if let Some(accept) = self.accept.take() {
            let headers = (!self.legacy).then(|| accept_headers(self.served));
            let payload = accept.body();
            return Some(Transmit {
                subject: self.peer.clone(),
                reply: Some(accept.listen),
                headers,
                payload,
            });
        }
        match &mut self.phase {
            ServerPhase::Provisional { .. } | ServerPhase::Unconfirmed { .. } | ServerPhase::Closed => None,
            ServerPhase::Open(_) | ServerPhase::Draining { .. } => {
                self.control().or_else(|| self.next_chunk())
            }
            ServerPhase::Closing { reason, acknowledged, .. } => {
                if self.out.bytes() > 0 {
                    return self.next_chunk();
                }
                let body = if self.legacy {
                    Bytes::new()
                } else {
                    reason.body_of_server(Some(*acknowledged), &self.own)
                };
                self.phase = ServerPhase::Closed;
                Some(Transmit::disconnect(self.peer.clone(), body))
            }
        }
    }

    /// The next message that is not data. Before data: a long message would delay it.
    fn control(&mut self) -> Option<Transmit> {
        if self.legacy {
            return None;
        }
        if std::mem::take(&mut self.alive_due) {
            return Some(self.numbered(Kind::Alive, Bytes::from_static(b"alive")));
        }
        let probe = self.phase.heartbeats_mut().and_then(|heartbeats| heartbeats.probe.as_mut());
        if let Some(probe) = probe
            && std::mem::take(&mut probe.due)
        {
            return Some(self.numbered(Kind::Probe, Bytes::from_static(b"probe")));
        }
        if let ServerPhase::Draining { notice, acknowledged, .. } = &mut self.phase
            && std::mem::take(notice)
        {
            let body = acknowledged.to_string().into();
            return Some(self.numbered(Kind::Drain, body));
        }
        let capacity = self.capacity();
        let body = self.inbound.take_window(capacity)?;
        Some(self.numbered(Kind::Window, body))
    }

    /// A message that is not data.
    fn numbered(&mut self, kind: Kind, payload: Bytes) -> Transmit {
        let reply = Tail { number: self.out.next_number(), kind }.reply_subject(&self.own);
        Transmit { subject: self.peer.clone(), reply: Some(reply), headers: None, payload }
    }

    /// The next message with data.
    fn next_chunk(&mut self) -> Option<Transmit> {
        let Chunk { number, kind, payload } = self.out.next(|_| ())?;
        self.update_limits();
        let reply = Tail { number, kind }.reply_subject(&self.own);
        Some(Transmit { subject: self.peer.clone(), reply: Some(reply), headers: None, payload })
    }
}

/// Whether a subject is below another one.
fn is_below(subject: &str, other: &str) -> bool {
    subject.strip_prefix(other).is_some_and(|tail| tail.starts_with('.'))
}
