//! A session of a server: its state, joined to the listener that it belongs to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use async_nats::{PublishError, Subject};
use bytes::Bytes;
use tokio::task::AbortHandle;

use super::listener::Listener;
use crate::endpoint::{PublishLock, Timed, TimerKey, TransmitSource, now};
use crate::error::SharedError;
use crate::format::WireFormat;
use crate::proto::{
    Announced, CloseReason, ReceivedRequest, RequestKey, ServerEvent, ServerSession, SessionConfig, Transmit,
    session_subject,
};
use crate::service::Origin;
use crate::sync::lock;
use crate::transport::Parts;

struct State {
    session: ServerSession<AbortHandle>,
    timer: Option<TimerKey>,
}

/// What an input has changed.
struct Changes {
    /// The requests that are to be run now.
    requests: VecDeque<ReceivedRequest>,
    /// Whether the session has ended: the publisher has to poll it until there is nothing left, which removes it.
    ended: bool,
}

/// A request that has finished.
pub(super) struct Finished {
    pub(super) key: RequestKey,
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
    /// Whether any request is cancelled: a copy of the state, so that starting a request takes no lock. Updated with the
    /// lock held.
    any_cancelled: AtomicBool,
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
        let (subject, legacy, timeout) =
            (session.subject().clone(), session.is_legacy(), session.call_timeout());
        let session = Arc::new(Self {
            listener: Arc::downgrade(listener),
            token: token.into(),
            subject,
            legacy,
            timeout,
            state: Mutex::new(State { session, timer: None }),
            any_cancelled: AtomicBool::new(false),
            publish_lock: PublishLock::default(),
            connects,
        });
        session.keep_time(&mut session.state(), listener);
        session
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Has the session woken when its state wants it.
    fn keep_time(self: &Arc<Self>, state: &mut State, listener: &Listener) {
        let at = state.session.poll_timeout();
        listener.timers().set(&mut state.timer, at, || Arc::downgrade(self) as Weak<dyn Timed>);
    }

    /// Where a request comes from that is taken up now.
    pub(super) fn origin(&self, now: Instant) -> Origin {
        let Self { subject, legacy, timeout, .. } = self;
        Origin { session: Some(subject.clone()), legacy: *legacy, received: now, timeout: *timeout }
    }

    /// Whether the client has cancelled this request, which is about to start.
    pub(super) fn is_cancelled(&self, key: RequestKey) -> bool {
        self.any_cancelled.load(Ordering::SeqCst) && self.state().session.is_cancelled(key)
    }

    /// Notes the task of a request; aborts it if the request has finished or was cancelled in the meantime.
    pub(super) fn set_task(&self, key: RequestKey, task: AbortHandle) {
        let aborted = self.state().session.set_task(key, task);
        if let Some(task) = aborted {
            task.abort();
        }
    }

    pub(super) fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// Takes a message that came to the session's subject; the requests that are to be run now.
    pub(super) fn receive(
        self: &Arc<Self>,
        reply: Option<&str>,
        payload: Bytes,
    ) -> VecDeque<ReceivedRequest> {
        let mut state = self.state();
        state.session.handle_message(reply, payload);
        let changes = self.apply_events(state);
        if changes.ended {
            self.wake();
        }
        changes.requests
    }

    /// Takes the replies of requests that have finished, and publishes them. Returns the requests that may run now.
    pub(super) fn finish(
        self: &Arc<Self>,
        finished: impl IntoIterator<Item = Finished>,
    ) -> VecDeque<ReceivedRequest> {
        let mut state = self.state();
        for Finished { key, reply } in finished {
            state.session.finish(key, reply);
        }
        // No other reply is about to follow; for a legacy client, none does before its next request has run.
        let alone = state.session.is_idle() || self.legacy;
        let next = self.apply_events(state).requests;
        if let Some(listener) = self.listener.upgrade() {
            if alone { listener.publisher().publish_now(self) } else { listener.publisher().wake(self) }
        }
        next
    }

    /// The client does not wait any more for the calls whose numbers these are.
    pub(super) fn cancelled(self: &Arc<Self>, seqids: &[u8]) {
        self.input(|session| session.handle_cancellation(seqids));
    }

    pub(super) fn heartbeat(&self) {
        self.state().session.handle_heartbeat(now());
    }

    /// NATS says that nobody listens at the client's any more.
    pub(super) fn undelivered(self: &Arc<Self>, chunk: Option<u64>) {
        self.input(|session| session.handle_undelivered(chunk));
    }

    /// Ends the session if the connection is a later one than that which it was opened on.
    pub(super) fn check_connection(self: &Arc<Self>, connects: u64) {
        if self.connects < connects {
            self.close(CloseReason::Reconnected);
        }
    }

    /// Ends the session.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason) {
        self.input(|session| session.close(reason));
    }

    /// Ends the session because the server stops; replies that are queued are sent before.
    pub(super) fn stop(self: &Arc<Self>) {
        self.input(ServerSession::stop);
    }

    /// Receives no more requests, and ends the session once all that were received have finished.
    pub(super) fn drain(self: &Arc<Self>) {
        self.input(ServerSession::drain);
    }

    /// Gives the session an input after which no request is to be run, and has sent what it has to send.
    fn input(self: &Arc<Self>, input: impl FnOnce(&mut ServerSession<AbortHandle>)) {
        let mut state = self.state();
        input(&mut state.session);
        let wake = state.session.has_transmit();
        let changes = self.apply_events(state);
        debug_assert!(changes.requests.is_empty(), "only a message or a finished request makes others run");
        if wake || changes.ended {
            self.wake();
        }
    }

    /// Applies what happened in the session since its last input, and releases the lock.
    fn apply_events(&self, mut state: MutexGuard<'_, State>) -> Changes {
        let (mut requests, mut aborted, mut ended) = (VecDeque::new(), Vec::new(), false);
        while let Some(event) = state.session.poll_event() {
            match event {
                ServerEvent::Requests(next) if requests.is_empty() => requests = next,
                ServerEvent::Requests(next) => requests.extend(next),
                ServerEvent::Cancelled { task } => aborted.push(task),
                ServerEvent::Ended { reason } => {
                    tracing::debug!(session = &*self.token, %reason, "session ended");
                    ended = true;
                }
            }
        }
        self.any_cancelled.store(state.session.has_cancelled(), Ordering::SeqCst);
        drop(state);
        aborted.iter().for_each(AbortHandle::abort);
        Changes { requests, ended }
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
        let transmit = state.session.poll_transmit();
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
        tracing::warn!(session = &*self.token, %error, "cannot publish");
        let mut state = self.state();
        state.session.handle_publish_failed(chunk, SharedError::new(error));
        // The publisher polls the session again for its disconnect message.
        self.apply_events(state);
    }
}

impl Timed for AcceptedSession {
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey) {
        let Some(listener) = self.listener.upgrade() else { return };
        let mut state = self.state();
        state.timer.take_if(|current| *current == timer);
        state.session.handle_timeout(now);
        self.keep_time(&mut state, &listener);
        let wake = state.session.has_transmit();
        if self.apply_events(state).ended || wake {
            self.wake();
        }
    }
}
