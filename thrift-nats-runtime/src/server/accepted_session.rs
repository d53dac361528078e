//! A session of a server: its state, joined to the listener that it belongs to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use async_nats::{PublishError, Subject};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use super::listener::Listener;
use crate::endpoint::{PublishLock, Timed, TimerKey, TransmitSource, now};
use crate::error::SharedError;
use crate::format::WireFormat;
use crate::proto::{Announced, CloseReason, ServerSession, SessionConfig, Taken, Transmit, session_subject};
use crate::service::Origin;
use crate::sync::lock;
use crate::transport::Parts;

/// How many calls that were given up are remembered; any more run to their deadlines.
const GIVEN_UP: usize = 64;

/// What a session of a server is at the moment.
pub(super) struct State {
    pub(super) session: ServerSession,
    /// The calls that did not end at once, by their sequence numbers.
    pub(super) running: FxHashMap<i32, Option<AbortHandle>>,
    /// Calls that the client has given up and that are not among those: they may be about to be begun, in a task that has
    /// not come so far.
    given_up: Vec<i32>,
    timer: Option<TimerKey>,
}

impl State {
    fn gave_up(&mut self, seqid: i32) {
        if self.given_up.len() < GIVEN_UP {
            self.given_up.push(seqid);
        }
        self.forget_given_up();
    }

    /// Forgets those, most of which are over by now, as soon as no call is about to be begun.
    fn forget_given_up(&mut self) {
        if !self.given_up.is_empty() && self.session.running() <= self.running.len() {
            self.given_up = Vec::new();
        }
    }

    /// Whether this call is among those; takes it out.
    fn take_given_up(&mut self, seqid: i32) -> bool {
        let place = self.given_up.iter().position(|given_up| *given_up == seqid);
        place.map(|place| self.given_up.swap_remove(place)).is_some()
    }
}

/// A request that has finished.
#[derive(Default)]
pub(super) struct Finished {
    /// The length of the request, in bytes.
    pub(super) len: usize,
    /// The reply to send, empty if there is none.
    pub(super) reply: Parts,
}

/// A session of a server.
pub(super) struct AcceptedSession {
    listener: Weak<Listener>,
    token: Arc<str>,
    subject: Subject,
    /// Whether the client is a legacy peer.
    legacy: bool,
    /// How long a call may take whose request does not say.
    timeout: Option<Duration>,
    state: Mutex<State>,
    /// Whether there are calls among those given up, for those who do not hold the lock of the state: each request would
    /// take it. Follows the state while the lock is held.
    any_given_up: AtomicBool,
    publish_lock: PublishLock,
    /// How many times the connection had been made when the session was opened: chunks may be gone if it differs.
    connects: u64,
}

impl AcceptedSession {
    /// Accepts the handshake of the client at `peer`.
    pub(super) fn accept(
        listener: &Arc<Listener>,
        token: String,
        peer: Subject,
        announced: &Announced,
        connects: u64,
    ) -> Arc<Self> {
        let options = listener.options();
        let config = SessionConfig {
            chunk_limit: listener.chunk_limit(),
            queue_limit: options.queue_limit,
            max_calls: options.max_calls_per_session,
            limits: options.limits,
            format: WireFormat::default(),
            served: options.protocols,
        };
        let own = session_subject(listener.base(), &token);
        let session = ServerSession::accept(now(), peer, own, announced, options.heartbeat, config);
        let (subject, legacy, timeout) = (session.subject().clone(), session.is_legacy(), session.timeout());
        let state = State { session, running: FxHashMap::default(), given_up: Vec::new(), timer: None };
        let session = Arc::new(Self {
            listener: Arc::downgrade(listener),
            token: token.into(),
            subject,
            legacy,
            timeout,
            state: Mutex::new(state),
            any_given_up: AtomicBool::new(false),
            publish_lock: PublishLock::default(),
            connects,
        });
        session.keep_time(&mut session.state(), listener);
        session
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has the session woken when its state wants it.
    fn keep_time(self: &Arc<Self>, state: &mut State, listener: &Listener) {
        let at = state.session.next_timeout();
        listener.timers().set(&mut state.timer, at, || Arc::downgrade(self) as Weak<dyn Timed>);
    }

    /// Where a request comes from that is taken up now.
    pub(super) fn origin(&self, now: Instant) -> Origin {
        let Self { subject, legacy, timeout, .. } = self;
        Origin { session: Some(subject.clone()), legacy: *legacy, received: now, timeout: *timeout }
    }

    /// Whether the client has cancelled this call, which is about to start. Says so once.
    pub(super) fn take_cancelled(&self, seqid: i32) -> bool {
        self.any_given_up.load(Ordering::SeqCst) && self.take_given_up(&mut self.state(), seqid)
    }

    /// Notes that a call is about to continue in a task of its own; false if the client has cancelled it.
    pub(super) fn insert_pending(&self, seqid: i32) -> bool {
        let mut state = self.state();
        let wanted = !self.take_given_up(&mut state, seqid);
        if wanted {
            state.running.insert(seqid, None);
        }
        wanted
    }

    /// Notes the task of a pending call; aborts it if the call has finished or was cancelled in the meantime.
    pub(super) fn set_task(&self, seqid: i32, task: AbortHandle) {
        match self.state().running.get_mut(&seqid) {
            Some(pending) => *pending = Some(task),
            None => task.abort(),
        }
    }

    /// Notes that the task of a pending call has ended.
    pub(super) fn remove_pending(&self, seqid: i32) {
        self.state().running.remove(&seqid);
    }

    fn take_given_up(&self, state: &mut State, seqid: i32) -> bool {
        let taken = state.take_given_up(seqid);
        self.any_given_up.store(!state.given_up.is_empty(), Ordering::SeqCst);
        taken
    }

    pub(super) fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// Takes a message that came to the session's subject; the requests that are to be run now.
    pub(super) fn receive(self: &Arc<Self>, reply: Option<&str>, payload: Bytes) -> VecDeque<Taken> {
        let (requests, result) = {
            let mut state = self.state();
            let result = state.session.receive(reply, payload);
            let requests = state.session.take_requests();
            (requests, result)
        };
        if let Err(reason) = result {
            self.ended(&reason);
        }
        requests
    }

    /// Takes the replies of requests that have finished, and publishes them. Returns the requests that may run now.
    pub(super) fn finish(self: &Arc<Self>, finished: impl IntoIterator<Item = Finished>) -> VecDeque<Taken> {
        let mut state = self.state();
        let mut result = Ok(());
        for Finished { len, reply } in finished {
            result = result.and(state.session.finished(len, reply));
        }
        if !state.given_up.is_empty() {
            state.forget_given_up();
            self.any_given_up.store(!state.given_up.is_empty(), Ordering::SeqCst);
        }
        let next = state.session.take_requests();
        // Nothing is about to join them; for a legacy peer, nothing is before the next handler has run.
        let alone = state.session.is_idle() || self.legacy;
        drop(state);
        if let Err(reason) = result {
            self.ended(&reason);
        }
        if let Some(listener) = self.listener.upgrade() {
            if alone { listener.publisher().publish_now(self) } else { listener.publisher().wake(self) }
        }
        next
    }

    /// The client does not wait any more for the calls whose numbers these are.
    pub(super) fn cancelled(&self, seqids: &[u8]) {
        let seqids = str::from_utf8(seqids).unwrap_or_default().split(' ');
        let mut state = self.state();
        for seqid in seqids.filter_map(|seqid| seqid.parse().ok()) {
            match state.running.remove(&seqid) {
                Some(Some(call)) => call.abort(),
                Some(None) => {}
                None => state.gave_up(seqid),
            }
        }
        self.any_given_up.store(!state.given_up.is_empty(), Ordering::SeqCst);
    }

    pub(super) fn heartbeat(&self) {
        self.state().session.heartbeat(now());
    }

    /// NATS says that nobody listens at the client's any more.
    pub(super) fn undelivered(self: &Arc<Self>, chunk: Option<u64>) {
        self.close(CloseReason::PeerGone { chunk });
    }

    /// Ends the session if the connection is a later one than that which it was opened on.
    pub(super) fn check_connection(self: &Arc<Self>, connects: u64) {
        if self.connects < connects {
            self.close(CloseReason::Reconnected);
        }
    }

    /// Ends the session.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason) {
        let reason = self.state().session.close(reason);
        self.ended(&reason);
    }

    /// Ends the session because the server stops; what is answered already goes first.
    pub(super) fn stop(self: &Arc<Self>) {
        self.state().session.stop();
        self.wake();
    }

    /// Takes nothing new up, and ends the session once all that was taken up is answered.
    pub(super) fn drain(self: &Arc<Self>) {
        self.state().session.drain();
        self.wake();
    }

    fn ended(self: &Arc<Self>, reason: &CloseReason) {
        tracing::debug!(session = &*self.token, %reason, "session ended");
        self.wake();
    }

    fn wake(self: &Arc<Self>) {
        if let Some(listener) = self.listener.upgrade() {
            listener.publisher().wake(self);
        }
    }
}

impl TransmitSource for AcceptedSession {
    fn poll_transmit(&self) -> Option<Transmit> {
        let listener = self.listener.upgrade();
        let mut state = self.state();
        if let Some(listener) = &listener {
            // A NATS server's configuration may have been changed since.
            state.session.set_chunk_limit(listener.chunk_limit());
        }
        let transmit = state.session.transmit();
        let over = transmit.is_none() && !state.session.is_open();
        drop(state);
        if let (true, Some(listener)) = (over, listener) {
            // Not before its disconnect has gone: until then, what comes is not for a stranger, who would be told first, and
            // less, than the disconnect tells.
            listener.remove(&self.token);
        }
        transmit
    }

    fn publish_lock(&self) -> &PublishLock {
        &self.publish_lock
    }

    fn handle_publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        let source = SharedError::new(error);
        let reason = self.state().session.close(CloseReason::PublishFailed { chunk, source });
        // Whoever publishes comes back for the farewell by itself: it is the one that tells.
        tracing::warn!(session = &*self.token, %reason, "session ended");
    }
}

impl Timed for AcceptedSession {
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey) {
        let Some(listener) = self.listener.upgrade() else { return };
        let (result, more) = {
            let mut state = self.state();
            state.timer.take_if(|current| *current == timer);
            let result = state.session.on_timeout(now);
            self.keep_time(&mut state, &listener);
            (result, state.session.has_more())
        };
        if let Err(reason) = result {
            self.ended(&reason);
        } else if more {
            self.wake();
        }
    }
}
