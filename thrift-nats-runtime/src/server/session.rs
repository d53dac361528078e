//! A session of a server: its state, joined to the listener that it belongs to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

use async_nats::{PublishError, Subject};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use super::listener::Listener;
use crate::error::SharedError;
use crate::format::WireFormat;
use crate::link::{Source, Timed, TimerKey, Turn, lock, now};
use crate::session::{
    Announced, CloseReason, ServerSession, SessionConfig, Taken, Transmit, session_subject,
};
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
        // Those that are over by now, as most are, go with the first look when nothing runs.
        if self.session.is_idle() {
            self.given_up = Vec::new();
        } else if self.given_up.len() < GIVEN_UP {
            self.given_up.push(seqid);
        }
    }

    /// Whether the client has given this call up.
    pub(super) fn is_given_up(&mut self, seqid: i32) -> bool {
        let place = self.given_up.iter().position(|given_up| *given_up == seqid);
        place.map(|place| self.given_up.swap_remove(place)).is_some()
    }
}

/// A request that has been run.
pub(super) struct Finished {
    /// How long its message was, in bytes.
    pub(super) len: usize,
    /// What to send, empty where there is nothing.
    pub(super) answer: Parts,
}

/// A session of a server.
pub(super) struct Session {
    listener: Weak<Listener>,
    token: Arc<str>,
    state: Mutex<State>,
    turn: Turn,
    /// How many times the connection had been made when the session was opened: chunks may be gone if it differs.
    connects: u64,
}

impl Session {
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
        let state = State { session, running: FxHashMap::default(), given_up: Vec::new(), timer: None };
        let session = Arc::new(Self {
            listener: Arc::downgrade(listener),
            token: token.into(),
            state: Mutex::new(state),
            turn: Turn::default(),
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

    /// Notes that requests have been run; what may be run now that they are.
    pub(super) fn finished(self: &Arc<Self>, calls: impl IntoIterator<Item = Finished>) -> VecDeque<Taken> {
        let mut state = self.state();
        let mut result = Ok(());
        for Finished { len, answer } in calls {
            result = result.and(state.session.finished(len, answer));
        }
        let next = state.session.take_requests();
        drop(state);
        if let Err(reason) = result {
            self.ended(&reason);
        }
        next
    }

    /// Publishes the answers that are there: at once, if nothing is about to join them. For an original peer, nothing is
    /// before the next handler has run.
    pub(super) fn publish(self: &Arc<Self>, listener: &Listener) {
        let alone = {
            let state = self.state();
            state.session.is_idle() || state.session.is_original()
        };
        if alone { listener.publisher().publish_now(self) } else { listener.publisher().wake(self) }
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

impl Source for Session {
    fn transmit(&self) -> Option<Transmit> {
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

    fn turn(&self) -> &Turn {
        &self.turn
    }

    fn publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        let source = SharedError::new(error);
        let reason = self.state().session.close(CloseReason::PublishFailed { chunk, source });
        // Whoever publishes comes back for the farewell by itself: it is the one that tells.
        tracing::warn!(session = &*self.token, %reason, "session ended");
    }
}

impl Timed for Session {
    fn on_time(self: Arc<Self>, now: Instant, timer: TimerKey) {
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
