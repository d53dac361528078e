//! A session of a client: its state, joined to the hub that carries its messages.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use async_nats::{PublishError, Subject};
use tokio::sync::{Notify, oneshot};

use super::Options;
use super::events::OneSession;
use super::hub::Hub;
use super::peer::Peer;
use crate::context::CLIENT_TIMEOUT;
use crate::endpoint::{PublishLock, Timed, TimerKey, TransmitSource, connects, now, random_token};
use crate::error::{ConnectError, Outcome, SharedError};
use crate::format::{ProtocolSet, Transport, WireFormat};
use crate::method::{Body, Envelope};
use crate::proto::{
    ClientEvent, ClientSession, CloseReason, Incoming, Refused, SessionConfig, Transmit, likely_messages,
    millis, session_subject,
};
use crate::protocol::{EncodeError, Limits, MessageType};
use crate::sync::lock;
use crate::transport::{Frame, Headers};

/// Why a call has no answer.
pub(super) enum Failure {
    /// It was not made.
    Refused(Refused),
    /// It has headers, which cannot be sent; it says why.
    Headers(&'static str),
    /// Its message cannot be written.
    Encode(EncodeError),
    /// The session had ended before it was made.
    NotOpen(CloseReason),
    /// The session has ended.
    Ended(CloseReason, Outcome),
    /// Its deadline has passed.
    Expired(Outcome),
}

/// What a call comes to: the answer, `None` for a oneway call that has gone, or why there is none.
type CallResult = Result<Option<Frame>, Failure>;

/// The way to a caller who waits for the result of a call.
type Waiter = oneshot::Sender<CallResult>;

/// What an input has changed.
struct Changes {
    /// For the callers, once the lock is released: each of them takes it for its next call.
    results: Vec<(Waiter, CallResult)>,
    opened: bool,
    ended: bool,
}

impl Changes {
    /// Wakes the callers. Called without the lock.
    fn deliver(self) {
        for (waiter, result) in self.results {
            let _ = waiter.send(result);
        }
    }
}

/// A session of a client.
pub(super) struct SessionHandle {
    hub: Weak<Hub>,
    token: Arc<str>,
    state: Mutex<State>,
    at_a_glance: AtAGlance,
    publish_lock: PublishLock,
    /// The last sequence number that was given out.
    last_seqid: AtomicI32,
    /// The option.
    chunk_limit: usize,
    /// Told when all that was queued before a close has gone.
    flushed: Notify,
    /// How many times the connection had been made when the session was opened: chunks may be gone if it differs.
    connects: u64,
}

/// What every call wants to know of the state, for those who do not hold its lock: each call would hold up all others. Follows
/// the state while the lock is held, and before anybody is woken.
#[derive(Debug, Default)]
struct AtAGlance {
    open: AtomicBool,
    /// Whether the server is a legacy peer.
    legacy: AtomicBool,
    in_flight: AtomicU32,
}

struct State {
    session: ClientSession<Waiter>,
    opening: Option<oneshot::Sender<Result<(), CloseReason>>>,
    /// Why it ended.
    ended: Option<CloseReason>,
    drained: bool,
    timer: Option<TimerKey>,
    /// The process that it is a session with, once it is open, if it is one of ours.
    peer: Option<Arc<Peer>>,
    /// Whether the peer knows that calls are in flight.
    busy: bool,
    events: OneSession,
}

/// A request that is to be sent.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    /// The function, with its service where the server has several.
    pub(super) name: &'a str,
    pub(super) kind: MessageType,
    pub(super) body: &'a Body,
    pub(super) headers: &'a Headers,
    /// What the session's messages are written in, but for headers.
    pub(super) format: WireFormat,
    pub(super) limits: Limits,
    /// How long the answer is waited for, where that is not what the session's handshake said.
    pub(super) timeout: Option<Duration>,
}

impl Outgoing<'_> {
    /// What to send it in, and with which headers.
    fn wrapping(&self, legacy: bool) -> Result<(WireFormat, Cow<'_, Headers>), Failure> {
        let format = self.format;
        if self.headers.is_empty() && self.timeout.is_none() {
            return Ok((format, Cow::Borrowed(self.headers)));
        }
        let wrapped = WireFormat { transport: Transport::Header, ..format };
        let reason = if legacy {
            "the server is a legacy peer, which cannot read the header transport"
        } else if let Err(reason) = wrapped.check() {
            reason
        } else {
            let mut headers = Cow::Borrowed(self.headers);
            if let Some(timeout) = self.timeout {
                headers.to_mut().insert(CLIENT_TIMEOUT, millis(timeout).to_string());
            }
            return Ok((wrapped, headers));
        };
        if self.headers.is_empty() {
            // The server need not know how long it is waited for.
            return Ok((format, Cow::Borrowed(self.headers)));
        }
        Err(Failure::Headers(reason))
    }
}

/// Closes a session whose opening is given up.
struct OpeningGuard<'a> {
    hub: &'a Arc<Hub>,
    session: Option<Arc<SessionHandle>>,
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close(CloseReason::Closed);
            self.hub.keep_for_late_accepts();
        }
    }
}

impl SessionHandle {
    /// Opens a session with whoever listens on `subject`.
    pub(super) async fn open(
        hub: &Arc<Hub>,
        subject: &str,
        called: Option<&Arc<str>>,
        options: &Options,
        events: OneSession,
    ) -> Result<Arc<Self>, ConnectError> {
        let token = random_token()?;
        let config = SessionConfig {
            chunk_limit: options.chunk_limit,
            queue_limit: options.queue_limit,
            max_calls: options.max_calls,
            limits: options.limits,
            format: options.format,
            served: ProtocolSet::ALL,
        };
        let inbox = session_subject(hub.base(), &token);
        let service = Subject::from(subject);
        let (opening, opened) = oneshot::channel();
        let (timeout, call_timeout) = (options.handshake_timeout, options.timeout);
        let session = ClientSession::open(now(), service, inbox, timeout, call_timeout, config)
            .calling(called.cloned());
        let session = Arc::new(Self {
            hub: Arc::downgrade(hub),
            token: token.into(),
            state: Mutex::new(State {
                session,
                opening: Some(opening),
                ended: None,
                drained: false,
                timer: None,
                peer: None,
                busy: false,
                events,
            }),
            at_a_glance: AtAGlance::default(),
            publish_lock: PublishLock::default(),
            last_seqid: AtomicI32::new(0),
            chunk_limit: options.chunk_limit,
            flushed: Notify::new(),
            connects: connects(hub.nats()),
        });
        hub.add(&session.token, &session);
        let mut guard = OpeningGuard { hub, session: Some(Arc::clone(&session)) };
        session.keep_time(&mut session.state(), hub);
        hub.publisher().publish_now(&session);
        let result = opened.await;
        match result.unwrap_or(Err(CloseReason::NatsClosed)) {
            Ok(()) => {
                guard.session = None;
                Ok(session)
            }
            Err(CloseReason::NoServer) => {
                // Nobody can accept.
                guard.session = None;
                Err(ConnectError::NoServer { subject: subject.to_owned() })
            }
            Err(reason) => Err(ConnectError::Handshake { subject: subject.to_owned(), reason }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has the session woken when its state wants it.
    fn keep_time(self: &Arc<Self>, state: &mut State, hub: &Hub) {
        let at = state.session.poll_timeout();
        hub.timers().set(&mut state.timer, at, || Arc::downgrade(self) as Weak<dyn Timed>);
    }

    /// The same, where it can only have become earlier: a timer that is too early finds nothing to do.
    fn keep_time_at_least(self: &Arc<Self>, state: &mut State, hub: &Hub, at: Instant) {
        if state.timer.is_none_or(|(timer, _)| at < timer) {
            hub.timers().set(&mut state.timer, Some(at), || Arc::downgrade(self) as Weak<dyn Timed>);
        }
    }

    /// Whether calls can be made. Where not, those that were made may still be answered, if the server is drained.
    pub(super) fn is_open(&self) -> bool {
        self.at_a_glance.open.load(Ordering::SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    /// How many calls wait for their answer.
    pub(super) fn in_flight(&self) -> usize {
        self.at_a_glance.in_flight.load(Ordering::Relaxed) as usize
    }

    /// How many answers came when nobody waited for them any more.
    pub(super) fn late_replies(&self) -> u64 {
        self.state().session.late_replies()
    }

    /// Makes a call on this session and waits for its answer, until `deadline` if there is one.
    pub(super) async fn call(
        self: &Arc<Self>,
        outgoing: &Outgoing<'_>,
        deadline: Option<Instant>,
    ) -> CallResult {
        let Some(hub) = self.hub.upgrade() else {
            return Err(Failure::NotOpen(CloseReason::NatsClosed));
        };
        if !self.is_open() {
            return Err(self.state().not_open());
        }
        let legacy = self.at_a_glance.legacy.load(Ordering::SeqCst);
        let (format, headers) = outgoing.wrapping(legacy)?;
        let Outgoing { name, kind, body, limits, .. } = *outgoing;
        let (waiter, answer) = oneshot::channel();
        let (seqid, alone) = loop {
            let seqid = self.last_seqid.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            // Before the lock is taken, since others can do the same meanwhile.
            let envelope = Envelope { format, headers: &headers, name, kind, seqid };
            let message = envelope.seal(body, limits).map_err(Failure::Encode)?;
            let mut state = self.state();
            if !state.session.is_open() {
                return Err(state.not_open());
            }
            if state.session.has_call(seqid) {
                // After 2^32 others.
                continue;
            }
            let alone = state.session.in_flight() == 0;
            let oneway = kind == MessageType::Oneway;
            state.session.call(seqid, oneway, message, deadline, waiter).map_err(Failure::Refused)?;
            if let Some(deadline) = deadline {
                self.keep_time_at_least(&mut state, &hub, deadline);
            }
            self.note_calls(&mut state, Some(&hub));
            break (seqid, alone);
        };
        // Nothing else is on its way: nothing will join it, either, that is worth a wait.
        if alone {
            hub.publisher().publish_now(self)
        } else {
            hub.publisher().wake(self)
        }
        drop(hub);
        // Whoever drops the future gives the place of the call back. An answer that comes at the same moment finds either the
        // waiter, whose receiver is gone, or nobody: it is dropped in both cases.
        let mut in_flight = InFlight { session: Some(self), seqid };
        let result = answer.await;
        in_flight.session = None;
        result.unwrap_or(Err(Failure::Ended(CloseReason::NatsClosed, Outcome::Unknown)))
    }

    fn wake(self: &Arc<Self>) {
        if let Some(hub) = self.hub.upgrade() {
            hub.publisher().wake(self);
        }
    }

    /// Takes a message that came to the session's inbox.
    pub(super) fn receive(self: &Arc<Self>, hub: &Arc<Hub>, message: Incoming) {
        let now = now();
        let mut state = self.state();
        if let Some(peer) = &state.peer {
            peer.heard(now);
        }
        let replies = likely_messages(&message.payload).min(state.session.in_flight());
        state.session.handle_message(now, message);
        let changes = self.apply_events(&mut state, Some(hub), replies);
        if changes.opened {
            self.at_a_glance.legacy.store(state.session.is_legacy(), Ordering::SeqCst);
            self.at_a_glance.open.store(true, Ordering::SeqCst);
            state.peer = state.session.server().map(|server| hub.join_peer(server, &self.token, self));
            state.events.opened();
            self.keep_time(&mut state, hub);
            if let Some(opening) = state.opening.take() {
                let _ = opening.send(Ok(()));
            }
        }
        let wake = changes.ended || state.session.has_transmit();
        drop(state);
        changes.deliver();
        if wake {
            self.wake();
        }
    }

    /// NATS says that what the session sent was not delivered.
    pub(super) fn undelivered(self: &Arc<Self>, hub: &Hub, chunk: Option<u64>) {
        let mut state = self.state();
        state.session.handle_undelivered(chunk);
        let changes = self.apply_events(&mut state, Some(hub), 0);
        drop(state);
        if changes.ended {
            self.wake();
        }
        changes.deliver();
    }

    /// Ends the session if the connection is a newer one than the one that it was opened on.
    pub(super) fn check_connection(self: &Arc<Self>, connects: u64) {
        if self.connects < connects {
            self.close(CloseReason::Reconnected);
        }
    }

    /// Ends the session, and every call in flight.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason) {
        let hub = self.hub.upgrade();
        let mut state = self.state();
        state.session.close(reason);
        let changes = self.apply_events(&mut state, hub.as_deref(), 0);
        drop(state);
        changes.deliver();
        self.wake();
    }

    /// Takes it from its peer, if it has one.
    pub(super) fn left(&self) -> Option<Arc<Peer>> {
        self.state().peer.take()
    }

    /// Waits until all that was queued before the session was closed is handed to NATS.
    pub(super) async fn flushed(&self) {
        let notified = self.flushed.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.state().drained {
            notified.await;
        }
    }
}

impl SessionHandle {
    /// Applies what happened in the session since its last input; `expected` is how many calls are likely to have a result.
    fn apply_events(&self, state: &mut State, hub: Option<&Hub>, expected: usize) -> Changes {
        let mut changes = Changes { results: Vec::with_capacity(expected), opened: false, ended: false };
        let results = &mut changes.results;
        while let Some(event) = state.session.poll_event() {
            match event {
                ClientEvent::Opened => changes.opened = true,
                ClientEvent::Replied { waiter, reply } => results.push((waiter, Ok(Some(reply)))),
                ClientEvent::Sent { waiter } => results.push((waiter, Ok(None))),
                ClientEvent::Expired { waiter, outcome } => {
                    results.push((waiter, Err(Failure::Expired(outcome))));
                }
                ClientEvent::Draining { reason, not_run } => {
                    self.at_a_glance.open.store(false, Ordering::SeqCst);
                    let failure = || Err(Failure::Ended(reason.clone(), Outcome::NotRun));
                    results.extend(not_run.into_iter().map(|waiter| (waiter, failure())));
                }
                ClientEvent::Ended { reason, calls } => {
                    changes.ended = true;
                    self.at_a_glance.open.store(false, Ordering::SeqCst);
                    let failure = |outcome| Err(Failure::Ended(reason.clone(), outcome));
                    results.extend(calls.into_iter().map(|(waiter, outcome)| (waiter, failure(outcome))));
                    match state.opening.take() {
                        Some(opening) => drop(opening.send(Err(reason.clone()))),
                        None => state.events.ended(&reason),
                    }
                    state.ended = Some(reason);
                    if let Some(hub) = hub {
                        hub.timers().remove(&mut state.timer);
                    }
                }
            }
        }
        self.note_calls(state, hub);
        changes
    }

    /// Notes how many calls are in flight, and tells the peer when the first one is made, and when the last one is over.
    fn note_calls(&self, state: &mut State, hub: Option<&Hub>) {
        let in_flight = state.session.in_flight();
        // No more than there are sequence numbers.
        self.at_a_glance.in_flight.store(in_flight as u32, Ordering::Relaxed);
        let busy = in_flight > 0;
        let Some(hub) = hub else { return };
        if let Some(peer) = state.peer.as_ref().filter(|_| busy != state.busy) {
            if busy {
                peer.busier(hub)
            } else {
                peer.idler()
            }
            state.busy = busy;
        }
    }
}

impl State {
    /// Why no call can be made on a session that is not open.
    fn not_open(&self) -> Failure {
        let reason = self.ended.clone().or_else(|| self.session.drain_reason());
        Failure::NotOpen(reason.unwrap_or(CloseReason::NatsClosed))
    }
}

impl TransmitSource for SessionHandle {
    fn poll_transmit(&self) -> Option<Transmit> {
        let hub = self.hub.upgrade();
        let mut state = self.state();
        if let Some(hub) = &hub {
            // A server's configuration may have been changed since, or this may be another server.
            state.session.set_chunk_limit(self.chunk_limit.min(hub.nats().max_payload()));
        }
        let transmit = state.session.poll_transmit();
        let over = transmit.is_none() && state.ended.is_some();
        if over {
            state.drained = true;
            self.flushed.notify_waiters();
        }
        let changes = self.apply_events(&mut state, hub.as_deref(), 0);
        drop(state);
        changes.deliver();
        if let (true, Some(hub)) = (over, hub) {
            // Not before its disconnect has gone: what comes until then is not for a stranger, who would be told of before
            // the requests that go first.
            hub.remove(&self.token);
        }
        transmit
    }

    fn publish_lock(&self) -> &PublishLock {
        &self.publish_lock
    }

    fn handle_publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        tracing::debug!(session = &*self.token, %error, "cannot publish");
        let Some(hub) = self.hub.upgrade() else { return };
        let mut state = self.state();
        state.session.handle_publish_failed(chunk, SharedError::new(error));
        let changes = self.apply_events(&mut state, Some(&hub), 0);
        drop(state);
        // The publisher polls the session again for its disconnect message.
        changes.deliver();
    }
}

impl Timed for SessionHandle {
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey) {
        let Some(hub) = self.hub.upgrade() else { return };
        let mut state = self.state();
        state.timer.take_if(|current| *current == timer);
        state.session.handle_timeout(now);
        let changes = self.apply_events(&mut state, Some(&hub), 0);
        self.keep_time(&mut state, &hub);
        drop(state);
        changes.deliver();
        self.wake();
    }
}

/// A call in flight, which gives its place back when it is dropped.
struct InFlight<'a> {
    session: Option<&'a Arc<SessionHandle>>,
    seqid: i32,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session else { return };
        let Some(hub) = session.hub.upgrade() else { return };
        let mut state = session.state();
        let waiter = state.session.cancel(self.seqid);
        session.note_calls(&mut state, Some(&hub));
        drop(state);
        if waiter.is_some() {
            // The server is told; a legacy peer may get the next request in its place.
            hub.publisher().wake(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Protocol;

    fn headers() -> Headers {
        let mut headers = Headers::new();
        headers.insert("name", "value");
        headers
    }

    fn wrapping(
        headers: &Headers,
        timeout: Option<Duration>,
        protocol: Protocol,
        legacy: bool,
    ) -> Option<(Transport, Headers)> {
        let format = WireFormat::new(protocol, Transport::Buffered);
        let body = &Body::from(Vec::new());
        let (kind, limits) = (MessageType::Call, Limits::DEFAULT);
        let outgoing = Outgoing { name: "f", kind, body, headers, format, limits, timeout };
        let (format, headers) = outgoing.wrapping(legacy).ok()?;
        Some((format.transport, headers.into_owned()))
    }

    #[test]
    fn a_call_goes_with_headers_only_where_it_has_any_and_the_server_can_read_them() {
        let (some, none) = (headers(), Headers::new());
        let second = Some(Duration::from_millis(1500));
        for protocol in [Protocol::Binary, Protocol::Compact] {
            assert_eq!(wrapping(&none, None, protocol, false), Some((Transport::Buffered, none.clone())));
            assert_eq!(wrapping(&some, None, protocol, false), Some((Transport::Header, some.clone())));
            let mut both = some.clone();
            both.insert(CLIENT_TIMEOUT, "1500");
            assert_eq!(wrapping(&some, second, protocol, false), Some((Transport::Header, both)));
        }
        // A legacy server, and one that is spoken to in JSON, need not know of the time.
        for (protocol, legacy) in [(Protocol::Binary, true), (Protocol::Json, false)] {
            let plain = Some((Transport::Buffered, none.clone()));
            assert_eq!(wrapping(&none, second, protocol, legacy), plain);
            assert_eq!(wrapping(&some, None, protocol, legacy), None, "they cannot be sent");
        }
    }
}
