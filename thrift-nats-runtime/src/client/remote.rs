//! The way to a service over NATS: the sessions of a client, and how the next ones are opened.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_nats::Client as Nats;

use super::backoff::{Backoff, helps_to_wait};
use super::events::{EventSender, SessionEvent, SessionEvents};
use super::hub::Hub;
use super::session::Session;
use super::{Options, far};
use crate::error::{Error, Outcome};
use crate::link::{lock, now};
use crate::session::CloseReason;

/// The sessions of a client with a service. All clones of the client share it.
pub(super) struct Remote {
    nats: Nats,
    subject: String,
    /// The service that handshakes name.
    service: Option<Arc<str>>,
    pub(super) options: Options,
    slots: Box<[Slot]>,
    /// Which slot is the next call's first choice.
    turn: AtomicUsize,
    closed: AtomicBool,
    events: EventSender,
}

/// The place of one session.
struct Slot {
    current: Mutex<Option<(Arc<Hub>, Arc<Session>)>>,
    /// Held by the one who opens the next session.
    opening: tokio::sync::Mutex<Backoff>,
}

impl Remote {
    /// Opens all sessions.
    pub(super) async fn connect(
        nats: Nats,
        subject: String,
        service: Option<Arc<str>>,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        let slot = || Slot { current: Mutex::new(None), opening: tokio::sync::Mutex::default() };
        let remote = Arc::new(Self {
            nats,
            subject,
            service,
            options,
            slots: (0..options.sessions.max(1)).map(|_| slot()).collect(),
            turn: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            events: EventSender::default(),
        });
        let opened = futures_util::future::join_all(remote.slots.iter().map(|slot| remote.fill(slot))).await;
        match opened.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(_) => Ok(remote),
            Err(error) => Err(error),
        }
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn events(&self) -> SessionEvents {
        self.events.subscribe()
    }

    /// The sessions that are open.
    pub(super) fn open_sessions(&self) -> impl Iterator<Item = Arc<Session>> {
        self.slots.iter().filter_map(Slot::open)
    }

    /// The session to make a call on, if one is open: of two, the one with fewer calls in flight. A session that has ended is
    /// replaced meanwhile, where there are others.
    pub(super) fn current(self: &Arc<Self>) -> Result<Option<Arc<Session>>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let [slot] = &*self.slots else { return Ok(self.best()) };
        Ok(slot.open())
    }

    fn best(self: &Arc<Self>) -> Option<Arc<Session>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut best: Option<Arc<Session>> = None;
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

    /// Opens a session where one has ended, unless somebody does, or it is too soon after one that could not be opened.
    fn replace(self: &Arc<Self>, index: usize) {
        match self.slots[index].opening.try_lock() {
            Ok(backoff) if backoff.is_due(now()) => {}
            Ok(_) | Err(_) => return,
        }
        let remote = Arc::downgrade(self);
        tokio::spawn(async move {
            let Some(remote) = remote.upgrade() else { return };
            let slot = &remote.slots[index];
            // Many calls may have found it so before the first of these tasks runs.
            let Ok(mut backoff) = slot.opening.try_lock() else { return };
            if slot.open().is_some() || !backoff.is_due(now()) {
                return;
            }
            match remote.fill(slot).await {
                Ok(_) => *backoff = Backoff::default(),
                Err(error) => {
                    backoff.failed(now());
                    tracing::debug!(%error, "cannot replace a session");
                }
            }
        });
    }

    /// The session to make a call on; opens one if none is open. Tries again where that may help, with pauses that grow:
    /// until `deadline`, but where nobody listens only for a moment.
    pub(super) async fn session(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Arc<Session>, Error> {
        if let Some(session) = self.current()? {
            return Ok(session);
        }
        let slot = &self.slots[self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len()];
        let no_server_until = now() + self.options.wait_for_server.min(far());
        let mut backoff = slot.opening.lock().await;
        loop {
            if let Some(session) = self.current()? {
                return Ok(session);
            }
            let error = match self.fill(slot).await {
                Ok(session) => {
                    *backoff = Backoff::default();
                    return Ok(session);
                }
                Err(error) => error,
            };
            let next = backoff.failed(now());
            let until = match &error {
                Error::NoServer { .. } => Some(no_server_until),
                _ => None,
            };
            let in_time = [deadline, until].into_iter().flatten().all(|end| next < end);
            if !helps_to_wait(&error) || !in_time {
                return Err(error);
            }
            tracing::debug!(%error, "a session could not be opened, which is tried again");
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// Opens a session for this slot.
    async fn fill(&self, slot: &Slot) -> Result<Arc<Session>, Error> {
        let (hub, session) = match self.open().await {
            Ok(opened) => opened,
            Err(error) => {
                self.events.send(|| SessionEvent::OpenFailed { error: error.clone() });
                return Err(error);
            }
        };
        let before = lock(&slot.current).replace((hub, Arc::clone(&session)));
        drop(before);
        // Whoever closes the client looks at the slots after it has said so.
        if self.closed.load(Ordering::SeqCst) {
            session.close(CloseReason::Closed);
            return Err(closed());
        }
        Ok(session)
    }

    /// Opens a session, within the time that a handshake may take: nothing else bounds what NATS takes to subscribe, and
    /// what is waited for does not come if the tasks of the hub end with another runtime.
    async fn open(&self) -> Result<(Arc<Hub>, Arc<Session>), Error> {
        let timeout = self.options.handshake_timeout;
        let opened = async {
            let hub = Hub::of(&self.nats).await?;
            let Self { subject, service, options, events, .. } = self;
            let session = Session::open(&hub, subject, service.as_ref(), options, events.clone()).await?;
            Ok((hub, session))
        };
        tokio::time::timeout(timeout.min(far()), opened).await.unwrap_or_else(|_| {
            let reason = CloseReason::HandshakeTimeout { timeout };
            Err(Error::Connect { subject: self.subject.clone(), reason })
        })
    }

    /// Closes all sessions, and every later one.
    pub(super) async fn close(&self) -> Result<(), Error> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let sessions: Vec<_> = self.slots.iter().filter_map(|slot| lock(&slot.current).take()).collect();
        for (_, session) in &sessions {
            session.close(CloseReason::Closed);
        }
        let flushed = async {
            for (hub, session) in &sessions {
                session.flushed().await;
                hub.flush().await?;
            }
            Ok(())
        };
        tokio::time::timeout(self.options.timeout.min(far()), flushed).await.unwrap_or_else(|elapsed| {
            Err(Error::nats("the connection to NATS does not take the end of the session", elapsed))
        })
    }
}

impl Slot {
    /// Its session, if it is open.
    fn open(&self) -> Option<Arc<Session>> {
        let current = lock(&self.current);
        let (hub, session) = current.as_ref()?;
        if !hub.is_running() {
            // Nobody carries its messages any more: the runtime that it was opened in is gone.
            session.close(CloseReason::NatsClosed);
        }
        session.is_open().then(|| Arc::clone(session))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        for slot in &self.slots {
            if let Some((_, session)) = lock(&slot.current).take() {
                session.close(CloseReason::Closed);
            }
        }
    }
}

fn closed() -> Error {
    Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun }
}
