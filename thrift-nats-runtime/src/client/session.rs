//! A session of a client: its state, joined to the hub that carries its messages.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use async_nats::{PublishError, Subject};
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::Options;
use super::hub::Hub;
use crate::error::{Error, Outcome, SharedError};
use crate::format::{ProtocolSet, WireFormat};
use crate::link::{Source, Timed, Turn, connects, lock, now, random_token};
use crate::method::Envelope;
use crate::protocol::MessageType;
use crate::session::{
    ClientSession, CloseReason, Ended, Event, Incoming, QueueFull, SessionConfig, Transmit,
};
use crate::transport::{Frame, Headers};

/// What a call comes to: the answer, `None` for a oneway call that has gone, or why there is none.
type CallResult = Result<Option<Frame>, (CloseReason, Outcome)>;

/// A session of a client.
pub(super) struct Session {
    hub: Weak<Hub>,
    token: String,
    state: Mutex<State>,
    turn: Turn,
    /// What it speaks.
    format: WireFormat,
    /// Told when all that was queued before a close has gone.
    flushed: Notify,
    /// How many times the connection had been made when the session was opened: chunks may be gone if it differs.
    connects: u64,
}

struct State {
    session: ClientSession<oneshot::Sender<CallResult>>,
    opening: Option<oneshot::Sender<Result<(), CloseReason>>>,
    /// Why it ended.
    ended: Option<CloseReason>,
    drained: bool,
}

/// Closes a session whose opening is given up.
struct OpeningGuard<'a> {
    hub: &'a Arc<Hub>,
    session: Option<Arc<Session>>,
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close(CloseReason::Closed);
            self.hub.keep_for_late_accepts();
        }
    }
}

impl Session {
    /// Opens a session with whoever listens on `subject`.
    pub(super) async fn open(hub: &Arc<Hub>, subject: &str, options: &Options) -> Result<Arc<Self>, Error> {
        let token = random_token()?;
        let config = SessionConfig {
            chunk_limit: options.chunk_limit.min(hub.nats().max_payload()),
            limits: options.limits,
            format: options.format,
            served: ProtocolSet::ALL,
        };
        let inbox = Subject::from(format!("{}.{token}", hub.base()));
        let service = Subject::from(subject);
        let (opening, opened) = oneshot::channel();
        let session = Arc::new(Self {
            hub: Arc::downgrade(hub),
            token,
            state: Mutex::new(State {
                session: ClientSession::open(
                    now(),
                    service,
                    inbox,
                    options.handshake_timeout,
                    options.queue_limit,
                    config,
                ),
                opening: Some(opening),
                ended: None,
                drained: false,
            }),
            turn: Turn::default(),
            format: options.format,
            flushed: Notify::new(),
            connects: connects(hub.nats()),
        });
        hub.add(&session.token, &session);
        let mut guard = OpeningGuard { hub, session: Some(Arc::clone(&session)) };
        session.keep_time(hub);
        hub.publisher().wake(&session);
        let result = opened.await;
        match result.unwrap_or(Err(CloseReason::NatsClosed)) {
            Ok(()) => {
                guard.session = None;
                Ok(session)
            }
            Err(CloseReason::NoServer) => {
                // Nobody can accept.
                guard.session = None;
                Err(Error::NoServer { subject: subject.to_owned() })
            }
            Err(reason) => Err(Error::Connect { subject: subject.to_owned(), reason }),
        }
    }

    fn keep_time(self: &Arc<Self>, hub: &Hub) {
        let at = lock(&self.state).session.next_timeout();
        if let Some(at) = at {
            let session: Arc<dyn Timed> = Arc::clone(self) as Arc<dyn Timed>;
            hub.timers().add(at, Arc::downgrade(&session));
        }
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.state).session.is_open()
    }

    /// How many calls wait for their answer.
    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).session.in_flight()
    }

    /// How many answers came when nobody waited for them any more.
    pub(super) fn late_replies(&self) -> u64 {
        lock(&self.state).session.late_replies()
    }

    /// Makes a call on this session and waits for its answer, without a bound of its own.
    pub(super) async fn call(
        self: &Arc<Self>,
        method: &str,
        kind: MessageType,
        body: &Bytes,
    ) -> Result<Option<Frame>, Error> {
        let (waiter, answer) = oneshot::channel();
        let (seqid, alone) = {
            let mut state = lock(&self.state);
            if !state.session.is_open() {
                let reason = state.ended.clone().unwrap_or(CloseReason::NatsClosed);
                return Err(Error::SessionEnded { reason, outcome: Outcome::NotRun });
            }
            let alone = state.session.in_flight() == 0;
            let seqid = state.session.next_seqid();
            let headers = Headers::default();
            let envelope = Envelope { format: self.format, headers: &headers, name: method, kind, seqid };
            let message = envelope.seal(body)?;
            let oneway = kind == MessageType::Oneway;
            let queued = state.session.call(seqid, oneway, message.into(), waiter);
            queued.map_err(|QueueFull { len, queued, limit }| Error::QueueFull { len, queued, limit })?;
            (seqid, alone)
        };
        if let Some(hub) = self.hub.upgrade() {
            // Nothing else is on its way: nothing will join it, either, that is worth a wait.
            if alone { hub.publisher().publish_now(self) } else { hub.publisher().wake(self) }
        }
        // Whoever drops the future, or lets its time pass, gives the place of the call back. An answer that comes at the
        // same moment finds either the waiter, whose receiver is gone, or nobody: it is dropped in both cases.
        let mut in_flight = InFlight { session: Some(self), seqid };
        let result = answer.await;
        in_flight.session = None;
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err((reason, outcome))) => Err(Error::SessionEnded { reason, outcome }),
            Err(_) => Err(Error::SessionEnded { reason: CloseReason::NatsClosed, outcome: Outcome::Unknown }),
        }
    }

    fn wake(self: &Arc<Self>) {
        if let Some(hub) = self.hub.upgrade() {
            hub.publisher().wake(self);
        }
    }

    /// Takes a message that came to the session's inbox.
    pub(super) fn receive(self: &Arc<Self>, message: Incoming) {
        let mut state = lock(&self.state);
        let State { session, opening, .. } = &mut *state;
        let mut opened = false;
        let result = session.receive(now(), message, |event| match event {
            Event::Opened => {
                opened = true;
                if let Some(opening) = opening.take() {
                    let _ = opening.send(Ok(()));
                }
            }
            Event::Answered(waiter, answer) => {
                let _ = waiter.send(Ok(Some(answer)));
            }
        });
        let end = result.err().map(|ended| state.end(ended));
        let more = state.session.has_more();
        drop(state);
        if opened && let Some(hub) = self.hub.upgrade() {
            self.keep_time(&hub);
        }
        self.after(end.is_some(), more);
    }

    /// NATS says that what the session sent was not delivered.
    pub(super) fn undelivered(self: &Arc<Self>, chunk: Option<u64>) {
        let mut state = lock(&self.state);
        let result = state.session.undelivered(chunk);
        let end = result.err().map(|ended| state.end(ended));
        drop(state);
        self.after(end.is_some(), false);
    }

    /// Ends the session if the connection is a newer one than the one that it was opened on.
    pub(super) fn check_connection(self: &Arc<Self>, connects: u64) {
        if self.connects < connects {
            self.close(CloseReason::Reconnected);
        }
    }

    /// Ends the session, and every call in flight.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason) {
        let mut state = lock(&self.state);
        if state.ended.is_none() {
            let ended = state.session.close(reason);
            state.end(ended);
        }
        drop(state);
        self.after(true, true);
    }

    /// What follows from a change of the state: that it has ended, or that there is something to be published.
    fn after(self: &Arc<Self>, ended: bool, more: bool) {
        if ended && let Some(hub) = self.hub.upgrade() {
            hub.remove(&self.token);
        }
        if ended || more {
            self.wake();
        }
    }

    /// Waits until all that was queued before the session was closed is handed to NATS.
    pub(super) async fn flushed(&self) {
        let notified = self.flushed.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !lock(&self.state).drained {
            notified.await;
        }
    }
}

impl State {
    /// Tells everybody who waits.
    fn end(&mut self, ended: Ended<oneshot::Sender<CallResult>>) {
        let Ended { reason, calls } = ended;
        for (waiter, outcome) in calls {
            let _ = waiter.send(Err((reason.clone(), outcome)));
        }
        if let Some(opening) = self.opening.take() {
            let _ = opening.send(Err(reason.clone()));
        }
        self.ended = Some(reason);
    }
}

impl Source for Session {
    fn transmit(&self) -> Option<Transmit> {
        let mut state = lock(&self.state);
        let transmit = state.session.transmit(|oneway| {
            let _ = oneway.send(Ok(None));
        });
        if transmit.is_none() && state.ended.is_some() {
            state.drained = true;
            self.flushed.notify_waiters();
        }
        transmit
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }

    fn publish_failed(&self, reply: Option<&str>, error: PublishError) {
        tracing::debug!(session = self.token, %error, "cannot publish");
        let mut state = lock(&self.state);
        if let Err(ended) = state.session.publish_failed(reply, SharedError::new(error)) {
            state.end(ended);
            drop(state);
            // The task that publishes comes back for the farewell by itself: it is the one that tells.
            if let Some(hub) = self.hub.upgrade() {
                hub.remove(&self.token);
            }
        }
    }
}

impl Timed for Session {
    fn on_time(self: Arc<Self>, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        // What was due may have moved: an accept takes the place of the handshake's end.
        if state.session.next_timeout()? > now {
            return if state.session.is_open() { None } else { state.session.next_timeout() };
        }
        let result = state.session.on_timeout(now);
        let ended = result.err().map(|ended| state.end(ended)).is_some();
        let next = state.session.next_timeout();
        drop(state);
        self.after(ended, true);
        next
    }
}

/// A call in flight, which gives its place back when it is dropped.
struct InFlight<'a> {
    session: Option<&'a Arc<Session>>,
    seqid: i32,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            let waiter = lock(&session.state).session.cancel(self.seqid);
            if waiter.is_some() {
                // An original peer may get the next request in its place.
                session.wake();
            }
        }
    }
}
