//! The way to a service over NATS: the sessions of a client, and how the next ones are opened.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use async_nats::Client as Nats;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::backoff::Backoff;
use super::client_endpoint::ClientEndpoint;
use super::events::{EventSender, SessionEvent, SessionEvents};
use super::opening::open_session;
use super::session_handle::SessionHandle;
use super::{ClientOptions, far};
use crate::endpoint::{EndpointSession, now};
use crate::error::{ConnectError, Error, NatsError, Outcome, ShutdownError};
use crate::proto::CloseReason;
use crate::sync::lock;

/// The sessions of a client with a service. All clones of the client share it.
pub(super) struct SessionPool {
    opener: Arc<Opener>,
    slots: Box<[Slot]>,
    /// Which slot is the next call's first choice.
    turn: AtomicUsize,
    closed: AtomicBool,
}

/// What it takes to open a session.
struct Opener {
    nats: Nats,
    subject: String,
    /// The service that handshakes name.
    service: Option<Arc<str>>,
    options: ClientOptions,
    events: EventSender,
}

/// The place of one session.
struct Slot {
    current: Mutex<Option<(Arc<ClientEndpoint>, Arc<SessionHandle>)>>,
    opening: Mutex<Opening>,
}

/// How the next session of a slot comes to be.
#[derive(Default)]
struct Opening {
    attempt: Option<Attempt>,
    /// Of the attempts that failed since a session was open.
    backoff: Option<Box<Backoff>>,
    /// In a box: most slots never have any.
    before: Option<Box<Before>>,
}

/// The sessions that others have taken the place of: where their servers are drained, calls may wait for answers there.
#[derive(Default)]
struct Before(Vec<Weak<SessionHandle>>);

/// What has come of an attempt to open a session; `None` as long as it is under way.
type Opened = Option<Result<Arc<SessionHandle>, ConnectError>>;

/// An attempt to open a session, in a task of its own: the calls that wait for it come and go, and one that goes takes
/// nothing from those that come. It ends with its slot.
struct Attempt {
    opened: watch::Receiver<Opened>,
    task: AbortHandle,
}

impl Attempt {
    /// Not if its runtime has gone.
    fn is_under_way(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SessionPool {
    /// Opens all sessions.
    pub(super) async fn connect(
        nats: Nats,
        subject: String,
        service: Option<Arc<str>>,
        options: ClientOptions,
    ) -> Result<Arc<Self>, ConnectError> {
        let slot = || Slot { current: Mutex::default(), opening: Mutex::default() };
        let events = EventSender::default();
        let remote = Arc::new(Self {
            opener: Arc::new(Opener { nats, subject, service, options, events }),
            slots: (0..options.sessions).map(|_| slot()).collect(),
            turn: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        try_join_all((0..remote.slots.len()).map(|index| remote.open(index))).await?;
        Ok(remote)
    }

    pub(super) fn subject(&self) -> &str {
        &self.opener.subject
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.opener.options
    }

    pub(super) fn events(&self) -> SessionEvents {
        self.opener.events.subscribe()
    }

    /// The current sessions, and those before them that have not ended yet.
    pub(super) fn sessions(&self) -> impl Iterator<Item = Arc<SessionHandle>> {
        self.slots.iter().flat_map(|slot| slot.before().into_iter().chain(slot.session()))
    }

    /// The session to make a call on, if one is open: of two, the one with fewer calls in flight. A session that has ended is
    /// replaced meanwhile, where there are others.
    pub(super) fn current(self: &Arc<Self>) -> Result<Option<Arc<SessionHandle>>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let [slot] = &*self.slots else { return Ok(self.best()) };
        Ok(slot.open())
    }

    fn best(self: &Arc<Self>) -> Option<Arc<SessionHandle>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut best: Option<Arc<SessionHandle>> = None;
        for index in 0..self.slots.len() {
            let index = (first + index) % self.slots.len();
            let Some(session) = self.slots[index].open() else {
                self.replace(index);
                continue;
            };
            match best {
                None => best = Some(session),
                Some(other) if session.in_flight() < other.in_flight() => return Some(session),
                Some(other) => return Some(other),
            }
        }
        best
    }

    /// Opens a session where one has ended, unless it is too soon after one that could not be opened.
    fn replace(self: &Arc<Self>, index: usize) {
        let mut opening = lock(&self.slots[index].opening);
        if self.slots[index].open().is_none() {
            let _ = self.attempt(index, &mut opening);
        }
    }

    /// The attempt that is under way to open a session for this slot, which is begun where there is none; or why there is
    /// none before some time has passed.
    fn attempt<'a>(
        self: &Arc<Self>,
        index: usize,
        Opening { attempt, backoff, .. }: &'a mut Opening,
    ) -> Result<&'a Attempt, &'a ConnectError> {
        let under_way = match (attempt.take().filter(Attempt::is_under_way), backoff) {
            (Some(under_way), _) => under_way,
            (None, Some(backoff)) if now() < backoff.not_before() => return Err(backoff.error()),
            (None, _) => self.begin(index),
        };
        Ok(attempt.insert(under_way))
    }

    fn begin(self: &Arc<Self>, index: usize) -> Attempt {
        let (sender, opened) = watch::channel(None);
        let (opener, remote) = (Arc::clone(&self.opener), Arc::downgrade(self));
        let task = tokio::spawn(async move {
            let result = opener.open().await;
            match (remote.upgrade(), result) {
                (Some(remote), result) => drop(sender.send(Some(remote.opened(index, result)))),
                // The client has gone at this moment.
                (None, Ok((_, session))) => session.close(CloseReason::Closed),
                (None, Err(_)) => {}
            }
        });
        Attempt { opened, task: task.abort_handle() }
    }

    /// Takes what has come of an attempt to open a session for this slot.
    fn opened(
        &self,
        index: usize,
        result: Result<(Arc<ClientEndpoint>, Arc<SessionHandle>), ConnectError>,
    ) -> Result<Arc<SessionHandle>, ConnectError> {
        let slot = &self.slots[index];
        let mut opening = lock(&slot.opening);
        let result = result.map(|(endpoint, session)| {
            let before = lock(&slot.current).replace((endpoint, Arc::clone(&session)));
            if let Some((_, before)) = before.filter(|(_, before)| !before.has_ended()) {
                opening.keep(&before);
            }
            session
        });
        opening.attempt = None;
        opening.backoff = match &result {
            Ok(_) => None,
            Err(error) => {
                let (before, wait) = (opening.backoff.as_deref(), self.options().wait_for_server);
                Some(Box::new(Backoff::after(before, error.clone(), now(), wait)))
            }
        };
        drop(opening);
        // Whoever closes the client looks at the slots after it has said so.
        if self.closed.load(Ordering::SeqCst) {
            if let Ok(session) = result {
                session.close(CloseReason::Closed);
            }
            return Err(self.closed_while_opening());
        }
        result
    }

    /// What comes of one attempt to open a session for this slot: the one that is under way, or else one that is begun, or,
    /// where it is too soon for that, the last one.
    async fn open(self: &Arc<Self>, index: usize) -> Result<Arc<SessionHandle>, ConnectError> {
        let slot = &self.slots[index];
        loop {
            let mut opened = {
                let mut opening = lock(&slot.opening);
                if let Some(session) = slot.open() {
                    return Ok(session);
                }
                self.attempt(index, &mut opening).map_err(Clone::clone)?.opened.clone()
            };
            // An error means that the attempt was ended, by the client's or its runtime's end.
            let result = opened.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
            if let Some(result) = result {
                return result;
            }
            if self.closed.load(Ordering::SeqCst) {
                return Err(self.closed_while_opening());
            }
        }
    }

    /// The session to make a call on; opens one if none is open. Tries again where that may help, with pauses that grow:
    /// until `deadline`, but where nobody listens only for a moment, and as long as the server before is still drained:
    /// whoever comes after it need not be there yet.
    pub(super) async fn session(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> Result<Arc<SessionHandle>, Error> {
        let index = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let wait_for_server = self.options().wait_for_server.min(far());
        let mut no_server_until = now() + wait_for_server;
        loop {
            if let Some(session) = self.current()? {
                return Ok(session);
            }
            let error = match self.open(index).await {
                Ok(session) => return Ok(session),
                Err(_) if self.closed.load(Ordering::SeqCst) => return Err(closed()),
                Err(error) => error,
            };
            if self.slots[index].is_drained() {
                no_server_until = now() + wait_for_server;
            }
            let until = match &error {
                ConnectError::NoServer { .. } => Some(no_server_until),
                _ => None,
            };
            // None if a session has been opened since.
            let next = lock(&self.slots[index].opening).backoff.as_ref().map(|backoff| backoff.not_before());
            let next = next.unwrap_or_else(now);
            let in_time = [deadline, until].into_iter().flatten().all(|end| next < end);
            if !error.is_transient() || !in_time {
                return Err(error.into());
            }
            tracing::debug!(%error, "a session could not be opened, which is tried again");
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// The error of an opening during which the client was closed. The calls that wait for it fail with [`closed`].
    fn closed_while_opening(&self) -> ConnectError {
        ConnectError::Handshake { subject: self.subject().to_owned(), reason: CloseReason::Closed }
    }

    /// Closes all sessions, and every later one.
    pub(super) async fn close(&self) -> Result<(), ShutdownError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        for slot in &self.slots {
            let attempt = lock(&slot.opening).attempt.take();
            drop(attempt);
        }
        let sessions: Vec<_> = self.sessions().collect();
        for session in &sessions {
            session.close(CloseReason::Closed);
        }
        let flushed = async {
            for session in &sessions {
                session.flushed().await;
            }
            for slot in &self.slots {
                let current = lock(&slot.current).take();
                if let Some((endpoint, _)) = current {
                    endpoint.flush().await?;
                }
            }
            Ok(())
        };
        tokio::time::timeout(self.options().timeout.min(far()), flushed).await.unwrap_or_else(|elapsed| {
            Err(NatsError::new("NATS did not take the disconnect messages in time", elapsed).into())
        })
    }
}

impl Opener {
    /// Opens a session, within the time that a handshake may take: nothing else bounds what NATS takes to subscribe, and
    /// what is waited for does not come if the tasks of the endpoint end with another runtime.
    async fn open(&self) -> Result<(Arc<ClientEndpoint>, Arc<SessionHandle>), ConnectError> {
        let Self { nats, subject, service, options, events } = self;
        let timeout = options.handshake_timeout;
        let opened = async {
            let endpoint = ClientEndpoint::of(nats).await?;
            let events = events.of_session();
            let session = open_session(&endpoint, subject, service.as_ref(), options, events).await?;
            Ok((endpoint, session))
        };
        let result = tokio::time::timeout(timeout.min(far()), opened).await.unwrap_or_else(|_| {
            let reason = CloseReason::HandshakeTimeout { timeout };
            Err(ConnectError::Handshake { subject: subject.clone(), reason })
        });
        if let Err(error) = &result {
            events.send(|| SessionEvent::OpenFailed { error: error.clone() });
        }
        result
    }
}

impl Opening {
    /// Keeps a session in mind that another has taken the place of.
    fn keep(&mut self, session: &Arc<SessionHandle>) {
        let Before(sessions) = &mut **self.before.get_or_insert_default();
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }
}

impl Slot {
    /// The sessions before the current one that have not ended yet.
    fn before(&self) -> Vec<Arc<SessionHandle>> {
        let opening = lock(&self.opening);
        opening.before.iter().flat_map(|before| &before.0).filter_map(Weak::upgrade).collect()
    }

    /// Its session, whatever has become of it.
    fn session(&self) -> Option<Arc<SessionHandle>> {
        lock(&self.current).as_ref().map(|(_, session)| Arc::clone(session))
    }

    /// Whether the server of its session is drained, and has not ended it.
    fn is_drained(&self) -> bool {
        self.session().is_some_and(|session| !session.is_open() && !session.has_ended())
    }

    /// Its session, if it is open.
    fn open(&self) -> Option<Arc<SessionHandle>> {
        let current = lock(&self.current);
        let (endpoint, session) = current.as_ref()?;
        if !endpoint.is_running() {
            // Nobody carries its messages any more: the runtime that it was opened in is gone.
            session.close(CloseReason::NatsClosed);
        }
        session.is_open().then(|| Arc::clone(session))
    }
}

impl Drop for SessionPool {
    fn drop(&mut self) {
        for session in self.sessions() {
            session.close(CloseReason::Closed);
        }
    }
}

fn closed() -> Error {
    Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun }
}
