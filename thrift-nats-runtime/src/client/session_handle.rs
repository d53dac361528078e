//! A session of a client: its state machine, joined to the endpoint that carries its messages and to the calls that wait.
//!
//! The handle owns the lock of the state machine and the channels to the waiting calls. It never decides what a session
//! does: it feeds [`ClientSession`] with what happens, applies the events that come out, and then wakes the publisher.
//! Waiting calls are woken after the lock is released, because each of them acquires it for its next call.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use async_nats::PublishError;
use async_nats::connection::State;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{Notify, oneshot};

use super::events::OneSession;
use super::home_runtime::{Caller, HomeRuntime};
use super::outgoing_request::OutgoingRequest;
use super::wait_queue::WaitQueues;
use crate::endpoint::{
    EndpointHandle, EndpointSession, PublishLock, SessionTable, Timed, TimerKey, TransmitSource,
};
use crate::error::{Outcome, SharedError};
use crate::log_limit::limited;
use crate::method::Envelope;
use crate::proto::{ClientEvent, ClientSession, CloseReason, Incoming, Refused, Transmit, likely_messages};
use crate::protocol::{EncodeError, MessageType};
use crate::sync::lock;
use crate::time::now;
use crate::transport::Frame;

/// How often a call that is made in another runtime looks whether the session's runtime is driven.
const RUNTIME_CHECK: Duration = Duration::from_millis(200);

/// The reason why a call has no reply.
pub(super) enum Failure {
    /// The session refused it.
    Refused(Refused),
    /// It has headers, which cannot be sent: the reason.
    Headers(&'static str),
    /// Its message cannot be encoded.
    Encode(EncodeError),
    /// It was made outside a tokio runtime, and the runtime of the session may not be driven.
    NoRuntime,
    /// The session had ended, or was draining, before the call was made.
    NotOpen(CloseReason),
    /// The session has ended.
    Ended(CloseReason, Outcome),
    /// Its deadline has passed.
    Expired(Outcome),
}

/// The result of a call: its reply, or `None` for a oneway call that was sent.
pub(super) type CallResult = Result<Option<Frame>, Failure>;

/// Sends its result to a call that waits for it.
type Waiter = oneshot::Sender<CallResult>;

/// Wakes the task that waits until a session is open.
pub(super) type OpenedSender = oneshot::Sender<Result<(), CloseReason>>;

/// The parts of a client's endpoint that a session uses.
pub(super) struct EndpointParts<'a> {
    pub(super) handle: &'a EndpointHandle,
    pub(super) home: &'a Arc<HomeRuntime>,
    pub(super) table: &'a Arc<SessionTable<SessionHandle>>,
}

/// A session of a client.
pub(super) struct SessionHandle {
    endpoint: EndpointHandle,
    home: Arc<HomeRuntime>,
    table: Weak<SessionTable<Self>>,
    wait_queues: Arc<WaitQueues>,
    token: Arc<str>,
    state: Mutex<HandleState>,
    snapshot: Snapshot,
    publish_lock: PublishLock,
    last_seqid: AtomicI32,
    /// The option, in bytes.
    chunk_limit: usize,
    /// Notified when everything that was queued before the end has been handed to the connection.
    flushed: Notify,
    /// The number of the connection that the session was opened on.
    connection: u64,
}

/// Lock-free copy of the fields that every call reads. Updated under the mutex, before waiters are woken.
#[derive(Debug, Default)]
struct Snapshot {
    open: AtomicBool,
    /// Whether the server reads the header transport.
    reads_header_transport: AtomicBool,
    in_flight: AtomicU32,
}

struct HandleState {
    machine: ClientSession<Waiter>,
    lifecycle: Lifecycle,
    timer: Option<TimerKey>,
    events: OneSession,
}

enum Lifecycle {
    Opening(OpenedSender),
    Open,
    /// `flushed`: everything that was queued has been handed to the connection.
    Ended {
        reason: CloseReason,
        flushed: bool,
    },
}

/// The rest of the work for the events of an input, to be done after the lock is released.
struct Completions {
    results: Vec<(Waiter, CallResult)>,
    opened: bool,
    ended: bool,
}

impl Completions {
    /// Wakes the calls.
    fn deliver(self) {
        for (waiter, result) in self.results {
            let _ = waiter.send(result);
        }
    }
}

impl SessionHandle {
    /// A session whose handshake [`start`](Self::start) sends. `opened` is told when the server has accepted, or when the
    /// session has ended before that.
    pub(super) fn new(
        endpoint: &EndpointParts<'_>,
        token: String,
        machine: ClientSession<Waiter>,
        chunk_limit: usize,
        events: OneSession,
        wait_queues: Arc<WaitQueues>,
        opened: OpenedSender,
    ) -> Arc<Self> {
        let lifecycle = Lifecycle::Opening(opened);
        let session = Arc::new(Self {
            endpoint: endpoint.handle.clone(),
            home: Arc::clone(endpoint.home),
            table: Arc::downgrade(endpoint.table),
            wait_queues,
            token: token.into(),
            state: Mutex::new(HandleState { machine, lifecycle, timer: None, events }),
            snapshot: Snapshot::default(),
            publish_lock: PublishLock::default(),
            last_seqid: AtomicI32::new(0),
            chunk_limit,
            flushed: Notify::new(),
            connection: endpoint.handle.connection(),
        });
        session.set_timer(&mut session.state());
        session
    }

    /// Sends the handshake.
    pub(super) fn start(self: &Arc<Self>) {
        self.endpoint.publisher().publish_now(self);
    }

    pub(super) const fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// Whether calls can be made. While the server drains, they cannot, but calls in flight may still be replied to.
    pub(super) fn is_open(&self) -> bool {
        self.snapshot.open.load(Ordering::SeqCst)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended()
    }

    /// Whether the task runs that sends what this session queues.
    pub(super) fn has_publisher(&self) -> bool {
        self.endpoint.publisher().is_running()
    }

    /// Number of calls in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.snapshot.in_flight.load(Ordering::Relaxed) as usize
    }

    /// Number of replies for calls that were no longer in flight.
    pub(super) fn late_replies(&self) -> u64 {
        self.state().machine.late_replies()
    }

    /// Makes a call on this session, which expires at `deadline`, if there is one. It is sent even if its result is not
    /// awaited.
    pub(super) fn call(
        self: &Arc<Self>,
        request: &OutgoingRequest<'_>,
        deadline: Option<Instant>,
    ) -> Result<CallInFlight<'_>, Failure> {
        if !self.is_open() {
            return Err(self.state().not_open());
        }
        let caller = self.home.caller();
        match caller {
            Caller::Home => {}
            Caller::Elsewhere if self.home.is_stalled() => {
                self.close(CloseReason::RuntimeStopped);
                return Err(Failure::NotOpen(CloseReason::RuntimeStopped));
            }
            Caller::Elsewhere => {}
            Caller::Outside => return Err(Failure::NoRuntime),
        }
        let reads_header_transport = self.snapshot.reads_header_transport.load(Ordering::SeqCst);
        let (format, headers) = request.wrapping(reads_header_transport).map_err(Failure::Headers)?;
        let OutgoingRequest { name, kind, body, limits, .. } = *request;
        let (waiter, result) = oneshot::channel();
        let (seqid, is_alone) = loop {
            let seqid = self.last_seqid.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            // Encoded before the lock is acquired, so that other calls can do the same at the same time.
            let envelope = Envelope { format, headers: &headers, name, kind, seqid };
            let message = envelope.seal(body, limits).map_err(Failure::Encode)?;
            let mut state = self.state();
            if !state.machine.is_open() {
                return Err(state.not_open());
            }
            if state.machine.has_call(seqid) {
                // The numbers have wrapped around to those of a call that is still in flight.
                continue;
            }
            let is_alone = state.machine.in_flight() == 0;
            if is_alone {
                state.machine.becomes_busy(now());
            }
            let oneway = kind == MessageType::Oneway;
            state.machine.call(seqid, oneway, message, deadline, waiter).map_err(Failure::Refused)?;
            // The deadline of another call is not before the time of the next probe, which is set already.
            let due = if is_alone { state.machine.poll_timeout() } else { deadline };
            if let Some(due) = due {
                self.set_timer_by(&mut state, due);
            }
            self.note_calls(&state);
            break (seqid, is_alone);
        };
        // With no other call in flight, nothing is about to be batched with this one.
        if is_alone {
            self.endpoint.publisher().publish_now(self)
        } else {
            self.endpoint.publisher().wake(self)
        }
        Ok(CallInFlight { session: self, seqid, caller, deadline, result, is_complete: false })
    }

    /// Waits for the result of a call in another runtime than the endpoint's. That one may not be driven, so that this task
    /// does the work of its timers for the call.
    async fn result_elsewhere(
        self: &Arc<Self>,
        result: &mut oneshot::Receiver<CallResult>,
        deadline: Option<Instant>,
    ) -> Result<CallResult, RecvError> {
        loop {
            let next = now() + RUNTIME_CHECK;
            let next = deadline.map_or(next, |deadline| deadline.min(next));
            if let Ok(result) = tokio::time::timeout_at(next.into(), &mut *result).await {
                return result;
            }
            let now = now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.handle_timeout(now, None);
                return result.await;
            }
            if self.home.is_stalled() {
                self.close(CloseReason::RuntimeStopped);
            }
        }
    }

    /// Does the work that is due. `fired` is the timer that fired, if one did.
    fn handle_timeout(self: &Arc<Self>, now: Instant, fired: Option<TimerKey>) {
        let mut state = self.state();
        state.timer.take_if(|current| Some(*current) == fired);
        if self.endpoint.nats().connection_state() != State::Connected {
            state.machine.handle_connection_down(now);
        }
        let sessions = self.table.upgrade().map_or(0, |table| table.len());
        state.machine.share_probes(sessions);
        state.machine.handle_timeout(now);
        let completions = self.apply_events(&mut state, 0);
        self.set_timer(&mut state);
        let wake = completions.ended || state.machine.has_transmit() || state.machine.is_closed();
        drop(state);
        completions.deliver();
        if wake {
            self.wake();
        }
    }

    /// Handles a message that came to the session's inbox.
    pub(super) fn receive(self: &Arc<Self>, message: Incoming) {
        let now = now();
        let mut state = self.state();
        let replies = likely_messages(&message.payload).min(state.machine.in_flight());
        state.machine.handle_message(now, message);
        let completions = self.apply_events(&mut state, replies);
        if completions.opened {
            self.opened(&mut state);
        }
        let wake = completions.ended || state.machine.has_transmit() || state.machine.is_closed();
        drop(state);
        completions.deliver();
        if wake {
            self.wake();
        }
    }

    /// NATS says that a chunk, or another message of the session, had no subscriber.
    pub(super) fn undelivered(self: &Arc<Self>, number: u64) {
        let mut state = self.state();
        state.machine.handle_undelivered(now(), number);
        let completions = self.apply_events(&mut state, 0);
        if !state.has_ended() {
            // The answer to a marker starts the time of a server.
            self.set_timer(&mut state);
        }
        drop(state);
        if completions.ended {
            self.wake();
        }
        completions.deliver();
    }

    /// Waits until the session has ended, and everything that was queued before has been handed to the connection.
    pub(super) async fn flushed(&self) {
        let flushed = self.flushed.notified();
        tokio::pin!(flushed);
        flushed.as_mut().enable();
        if !matches!(self.state().lifecycle, Lifecycle::Ended { flushed: true, .. }) {
            flushed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, HandleState> {
        lock(&self.state)
    }

    fn wake(self: &Arc<Self>) {
        self.endpoint.publisher().wake(self);
    }

    /// Sets the timer to the time that the state machine wants.
    fn set_timer(self: &Arc<Self>, state: &mut HandleState) {
        let at = state.machine.poll_timeout();
        self.endpoint.timers().set(&mut state.timer, at, || Arc::downgrade(self) as Weak<dyn Timed>);
    }

    /// Sets the timer to `at`, unless it fires earlier: a timer that fires too early finds nothing to do.
    fn set_timer_by(self: &Arc<Self>, state: &mut HandleState, at: Instant) {
        if state.timer.is_none_or(|(timer, _)| at < timer) {
            let timed = || Arc::downgrade(self) as Weak<dyn Timed>;
            self.endpoint.timers().set(&mut state.timer, Some(at), timed);
        }
    }

    /// The server has accepted.
    fn opened(self: &Arc<Self>, state: &mut HandleState) {
        let reads_header_transport = state.machine.reads_header_transport();
        self.snapshot.reads_header_transport.store(reads_header_transport, Ordering::SeqCst);
        self.snapshot.open.store(true, Ordering::SeqCst);
        state.events.opened();
        self.set_timer(state);
        if let Lifecycle::Opening(opened) = std::mem::replace(&mut state.lifecycle, Lifecycle::Open) {
            let _ = opened.send(Ok(()));
        }
    }

    /// Applies the events of the last input. `expected` is how many calls are likely to have a result.
    fn apply_events(&self, state: &mut HandleState, expected: usize) -> Completions {
        let mut completions =
            Completions { results: Vec::with_capacity(expected), opened: false, ended: false };
        let results = &mut completions.results;
        while let Some(event) = state.machine.poll_event() {
            match event {
                ClientEvent::Opened => completions.opened = true,
                ClientEvent::Replied { waiter, reply } => results.push((waiter, Ok(Some(reply)))),
                ClientEvent::Sent { waiter } => results.push((waiter, Ok(None))),
                ClientEvent::Expired { waiter, outcome } => {
                    results.push((waiter, Err(Failure::Expired(outcome))));
                }
                ClientEvent::Draining { reason, not_run } => {
                    self.snapshot.open.store(false, Ordering::SeqCst);
                    let failure = || Err(Failure::Ended(reason.clone(), Outcome::NotRun));
                    results.extend(not_run.into_iter().map(|waiter| (waiter, failure())));
                }
                ClientEvent::Ended { reason, calls } => {
                    completions.ended = true;
                    let failure = |outcome| Err(Failure::Ended(reason.clone(), outcome));
                    results.extend(calls.into_iter().map(|(waiter, outcome)| (waiter, failure(outcome))));
                    self.ended(state, reason);
                }
            }
        }
        self.note_calls(state);
        completions
    }

    /// Notes the end.
    fn ended(&self, state: &mut HandleState, reason: CloseReason) {
        self.snapshot.open.store(false, Ordering::SeqCst);
        self.endpoint.timers().remove(&mut state.timer);
        let ended = Lifecycle::Ended { reason: reason.clone(), flushed: false };
        match std::mem::replace(&mut state.lifecycle, ended) {
            Lifecycle::Opening(opened) => drop(opened.send(Err(reason))),
            Lifecycle::Open | Lifecycle::Ended { .. } => state.events.ended(&reason),
        }
    }

    /// Notes that the calls or the queue have changed. Called under the lock.
    fn note_calls(&self, state: &HandleState) {
        // There are at most 2^32 sequence numbers.
        self.snapshot.in_flight.store(state.machine.in_flight() as u32, Ordering::Relaxed);
        self.wait_queues.changed();
    }
}

impl HandleState {
    const fn has_ended(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Ended { .. })
    }

    /// The reason why no call can be made on a session that is not open.
    fn not_open(&self) -> Failure {
        let reason = match &self.lifecycle {
            Lifecycle::Ended { reason, .. } => Some(reason.clone()),
            Lifecycle::Opening(_) | Lifecycle::Open => self.machine.drain_reason(),
        };
        Failure::NotOpen(reason.unwrap_or(CloseReason::NatsClosed))
    }
}

impl EndpointSession for SessionHandle {
    fn connection(&self) -> u64 {
        self.connection
    }

    /// That of the service, as this client sees it.
    fn peer(&self) -> usize {
        Arc::as_ptr(&self.wait_queues).addr()
    }

    fn held(&self) -> usize {
        let state = self.state();
        if state.has_ended() { 0 } else { state.machine.held() }
    }

    fn close(self: &Arc<Self>, reason: CloseReason) {
        let mut state = self.state();
        state.machine.close(reason);
        let completions = self.apply_events(&mut state, 0);
        // Queued requests that may not be sent yet must not wait forever.
        self.set_timer(&mut state);
        drop(state);
        completions.deliver();
        self.wake();
    }
}

impl TransmitSource for SessionHandle {
    fn poll_transmit(&self) -> Option<(Transmit, bool)> {
        let mut state = self.state();
        // The limit of the NATS server may have changed, or the connection may be to another server.
        state.machine.set_chunk_limit(self.endpoint.chunk_limit(self.chunk_limit));
        let transmit = state.machine.poll_transmit(now);
        let completions = self.apply_events(&mut state, 0);
        // A session that has ended is polled until there is nothing left, which removes it.
        let over = transmit.is_none() && state.machine.is_closed();
        let more = state.machine.has_transmit() || state.machine.is_closed();
        if let (true, Lifecycle::Ended { flushed, .. }) = (over, &mut state.lifecycle) {
            *flushed = true;
        }
        let ended = over.then(|| state.machine.to_ended());
        drop(state);
        completions.deliver();
        if let Some(ended) = ended {
            self.flushed.notify_waiters();
            // Not before the disconnect message is sent: the reply to a message for a session that is not in the table is
            // "unknown session", which would overtake the requests that are still queued.
            if let Some(table) = self.table.upgrade() {
                table.ended().insert(now(), &self.token, ended);
                table.remove(&self.token);
            }
        }
        transmit.map(|transmit| (transmit, more))
    }

    fn publish_lock(&self) -> &PublishLock {
        &self.publish_lock
    }

    fn handle_publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        limited!(debug, %error, "cannot publish");
        let mut state = self.state();
        state.machine.handle_publish_failed(chunk, SharedError::new(error));
        let completions = self.apply_events(&mut state, 0);
        drop(state);
        completions.deliver();
    }
}

impl Timed for SessionHandle {
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey) {
        self.handle_timeout(now, Some(timer));
    }
}

/// A call that was made. Dropping it cancels the call. A reply that comes at the same moment is dropped, too.
pub(super) struct CallInFlight<'a> {
    session: &'a Arc<SessionHandle>,
    seqid: i32,
    caller: Caller,
    deadline: Option<Instant>,
    result: oneshot::Receiver<CallResult>,
    /// Whether the call has its result.
    is_complete: bool,
}

impl CallInFlight<'_> {
    /// Waits for the result.
    ///
    /// # Cancellation
    /// Cancels the call.
    pub(super) async fn result(mut self) -> CallResult {
        let receiver = &mut self.result;
        let result = match self.caller {
            Caller::Home | Caller::Outside => receiver.await,
            // Boxed, because it is rare, and would make the future of every call larger.
            Caller::Elsewhere => Box::pin(self.session.result_elsewhere(receiver, self.deadline)).await,
        };
        self.is_complete = true;
        result.unwrap_or(Err(Failure::Ended(CloseReason::NatsClosed, Outcome::Unknown)))
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let session = self.session;
        let mut state = session.state();
        let was_waiting = state.machine.cancel(self.seqid).is_some();
        session.note_calls(&state);
        drop(state);
        if was_waiting {
            // The server is told, or a legacy server gets the next request instead.
            session.wake();
        }
    }
}
