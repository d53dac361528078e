//! The sessions of a client with a service.
//!
//! The pool owns a fixed number of slots with one session each. It chooses the session of a call, and opens sessions again
//! that have ended. It never makes a call itself and never retries one: see [`retries`](super::retries).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use async_nats::Client as Nats;
use futures_util::future::try_join_all;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::client_endpoint::ClientEndpoint;
use super::events::{EventSender, SessionEvent, SessionEvents};
use super::home_runtime;
use super::opening::open_session;
use super::options::ClientOptions;
use super::session_handle::SessionHandle;
use super::slot::{Attempt, Reopening, Slot};
use super::wait_queue::WaitQueues;
use crate::endpoint::EndpointSession;
use crate::error::{ConnectError, Error, NatsError, Outcome, ShutdownError};
use crate::log_limit::limited;
use crate::proto::{ClientConfig, CloseReason, InboxPolicy};
use crate::sync::lock;
use crate::time::{DISCONNECT_TIMEOUT, FAR_FUTURE, now};

/// The sessions of a client with a service. All clones of the client share it.
pub(super) struct SessionPool {
    opener: Arc<Opener>,
    slots: Box<[Slot]>,
    /// Counts calls, so that they start at different slots.
    next_slot: AtomicUsize,
    closed: AtomicBool,
}

/// Subject and options for opening a session.
struct Opener {
    nats: Nats,
    subject: String,
    /// The service that handshakes name.
    service: Option<Arc<str>>,
    options: ClientOptions,
    events: EventSender,
    /// The calls that wait because no session has capacity for them.
    wait_queues: Arc<WaitQueues>,
    reply_prefixes: Option<Arc<[String]>>,
    /// The configuration of the last session, which the next one of the same endpoint shares.
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl SessionPool {
    /// Opens a session in each slot.
    pub(super) async fn connect(
        nats: Nats,
        subject: String,
        service: Option<Arc<str>>,
        reply_prefixes: Option<Arc<[String]>>,
        options: ClientOptions,
    ) -> Result<Arc<Self>, ConnectError> {
        let events = EventSender::default();
        let pool = Arc::new(Self {
            opener: Arc::new(Opener {
                nats,
                subject,
                service,
                options,
                events,
                wait_queues: Arc::default(),
                reply_prefixes,
                config: Mutex::default(),
            }),
            slots: (0..options.sessions).map(|_| Slot::default()).collect(),
            next_slot: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        try_join_all((0..pool.slots.len()).map(|index| pool.open(index))).await?;
        Ok(pool)
    }

    pub(super) fn subject(&self) -> &str {
        &self.opener.subject
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.opener.options
    }

    /// The calls that wait because no session has capacity for them.
    pub(super) fn wait_queues(&self) -> &WaitQueues {
        &self.opener.wait_queues
    }

    pub(super) fn events(&self) -> SessionEvents {
        self.opener.events.subscribe()
    }

    /// All sessions, and the earlier ones in their slots that have not ended.
    pub(super) fn sessions(&self) -> impl Iterator<Item = Arc<SessionHandle>> {
        self.slots.iter().flat_map(Slot::sessions)
    }

    /// The sessions that are open.
    pub(super) fn open_sessions(&self) -> impl Iterator<Item = Arc<SessionHandle>> {
        self.slots.iter().filter_map(Slot::open_session)
    }

    /// The session to make a call on, if any is open: of the first two open ones, starting at the next slot each time, the
    /// one with fewer calls in flight. Sessions in between that have ended are opened again in the background.
    pub(super) fn current(self: &Arc<Self>) -> Result<Option<Arc<SessionHandle>>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let [slot] = &*self.slots else { return Ok(self.less_loaded()) };
        Ok(slot.open_session())
    }

    fn less_loaded(self: &Arc<Self>) -> Option<Arc<SessionHandle>> {
        let start = self.next_slot.fetch_add(1, Ordering::Relaxed);
        let mut first: Option<Arc<SessionHandle>> = None;
        for offset in 0..self.slots.len() {
            let index = (start + offset) % self.slots.len();
            let Some(session) = self.slots[index].open_session() else {
                self.reopen(index);
                continue;
            };
            match first {
                None => first = Some(session),
                Some(first) if session.in_flight() < first.in_flight() => return Some(session),
                Some(first) => return Some(first),
            }
        }
        first
    }

    /// The session to make a call on, opened if none is open. Failed attempts are repeated with growing pauses if the error
    /// is transient: until `deadline`, but only for [`wait_for_server`](crate::ClientBuilder::wait_for_server) while no
    /// server listens. That time starts again while the previous server still drains, because the next one may not have
    /// started yet.
    pub(super) async fn session(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> Result<Arc<SessionHandle>, Error> {
        let index = self.next_slot.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let wait_for_server = self.options().wait_for_server.min(FAR_FUTURE);
        // From the first error on: before it, the call may have waited for the admission of a handshake.
        let mut no_server_until = None;
        loop {
            if let Some(session) = self.current()? {
                return Ok(session);
            }
            let error = match self.open(index).await {
                Ok(session) => return Ok(session),
                Err(_) if self.closed.load(Ordering::SeqCst) => return Err(closed()),
                Err(error) => error,
            };
            if self.slots[index].is_draining() {
                no_server_until = None;
            }
            let until = matches!(error, ConnectError::NoServer { .. })
                .then(|| *no_server_until.get_or_insert_with(|| now() + wait_for_server));
            // No backoff means that a session has been opened since.
            let next =
                self.reopening(index).backoff.as_ref().map_or_else(now, |backoff| backoff.not_before());
            let in_time = [deadline, until].into_iter().flatten().all(|end| next < end);
            if !error.is_transient() || !in_time {
                return Err(error.into());
            }
            limited!(debug, %error, "cannot open a session; trying again");
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// Closes all sessions, and those that are about to open.
    pub(super) async fn close(&self) -> Result<(), ShutdownError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            let attempts = std::mem::take(&mut self.reopening(index).attempts);
            drop(attempts);
        }
        let sessions: Vec<_> = self.sessions().collect();
        for session in &sessions {
            session.close(CloseReason::Closed);
        }
        if home_runtime::current().is_err() {
            let cause = "no tokio runtime runs here";
            return Err(NatsError::new("cannot wait until the disconnect messages are sent", cause).into());
        }
        let flushed = async {
            // The tasks that send for the others have ended with their runtime.
            for session in sessions.iter().filter(|session| session.has_publisher()) {
                session.flushed().await;
            }
            for slot in &self.slots {
                if let Some(endpoint) = slot.take_endpoint() {
                    endpoint.flush().await?;
                }
            }
            Ok(())
        };
        tokio::time::timeout(DISCONNECT_TIMEOUT, flushed).await.unwrap_or_else(|_| {
            let cause = format!("they were not written to the connection within {DISCONNECT_TIMEOUT:?}");
            Err(NatsError::new("cannot send the disconnect messages", cause).into())
        })
    }

    fn reopening(&self, index: usize) -> MutexGuard<'_, Reopening> {
        lock(&self.slots[index].reopening)
    }

    /// Begins to open a session in this slot, unless one is open, or the backoff forbids it.
    fn reopen(self: &Arc<Self>, index: usize) {
        let mut reopening = self.reopening(index);
        if self.slots[index].open_session().is_none() {
            let _ = self.attempt(index, &mut reopening);
        }
    }

    /// The result of one attempt to open a session in this slot: of the one that runs, or else of a new one, or else, if
    /// the backoff forbids one, of the last.
    async fn open(self: &Arc<Self>, index: usize) -> Result<Arc<SessionHandle>, ConnectError> {
        loop {
            let mut opened = {
                let mut reopening = self.reopening(index);
                if let Some(session) = self.slots[index].open_session() {
                    return Ok(session);
                }
                self.attempt(index, &mut reopening)?.opened.clone()
            };
            // An error means that the task of the attempt was ended, by the client's or its runtime's end.
            let result = opened.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
            if let Some(result) = result {
                return result;
            }
            if self.closed.load(Ordering::SeqCst) {
                return Err(self.closed_while_opening());
            }
        }
    }

    /// The attempt that runs to open a session in this slot, and that this task can wait for; begins one if there is none.
    /// Fails with the last error if the backoff forbids it.
    fn attempt<'a>(
        self: &Arc<Self>,
        index: usize,
        Reopening { attempts, backoff, .. }: &'a mut Reopening,
    ) -> Result<&'a Attempt, ConnectError> {
        let runtime = home_runtime::current()?;
        attempts.retain(Attempt::is_running);
        let place = match (attempts.iter().position(|attempt| attempt.serves(&runtime)), backoff) {
            (Some(place), _) => place,
            (None, Some(backoff)) if now() < backoff.not_before() => return Err(backoff.error().clone()),
            (None, _) => {
                attempts.push(self.begin(index, &runtime));
                attempts.len() - 1
            }
        };
        Ok(&attempts[place])
    }

    fn begin(self: &Arc<Self>, index: usize, runtime: &Handle) -> Attempt {
        let (sender, opened) = watch::channel(None);
        let (opener, pool, id) = (Arc::clone(&self.opener), Arc::downgrade(self), runtime.id());
        let task = runtime.spawn(async move {
            let result = opener.open().await;
            match (pool.upgrade(), result) {
                (Some(pool), result) => drop(sender.send(Some(pool.opened(index, id, result)))),
                // The client was dropped at this moment.
                (None, Ok((_, session))) => session.close(CloseReason::Closed),
                (None, Err(_)) => {}
            }
        });
        Attempt::new(opened, runtime, task.abort_handle())
    }

    /// Stores the result of an attempt in this runtime.
    fn opened(
        &self,
        index: usize,
        runtime: Id,
        result: Result<(Arc<ClientEndpoint>, Arc<SessionHandle>), ConnectError>,
    ) -> Result<Arc<SessionHandle>, ConnectError> {
        let mut reopening = self.reopening(index);
        reopening.finish_attempt(runtime);
        let result = match (result, self.slots[index].open_session()) {
            // An attempt in another runtime was faster.
            (Ok((_, session)), Some(other)) => {
                session.close(CloseReason::Closed);
                Ok(other)
            }
            (Ok((endpoint, session)), None) => {
                self.slots[index].replace(&mut reopening, endpoint, Arc::clone(&session));
                reopening.backoff = None;
                Ok(session)
            }
            (Err(error), _) => {
                let (before, wait) = (reopening.backoff.as_deref(), self.options().wait_for_server);
                reopening.backoff = Some(Box::new(Backoff::after(before, error.clone(), now(), wait)));
                Err(error)
            }
        };
        drop(reopening);
        // Read after the slot is filled: `close` sets the flag before it looks at the slots.
        if self.closed.load(Ordering::SeqCst) {
            if let Ok(session) = result {
                session.close(CloseReason::Closed);
            }
            return Err(self.closed_while_opening());
        }
        result
    }

    /// The error of an attempt during which the client was closed. The calls that wait for it fail with [`closed`].
    fn closed_while_opening(&self) -> ConnectError {
        ConnectError::Handshake { subject: self.subject().to_owned(), reason: CloseReason::Closed }
    }
}

impl Drop for SessionPool {
    fn drop(&mut self) {
        for session in self.sessions() {
            session.close(CloseReason::Closed);
        }
    }
}

impl Opener {
    /// Opens a session.
    async fn open(&self) -> Result<(Arc<ClientEndpoint>, Arc<SessionHandle>), ConnectError> {
        let result = self.admitted().await;
        if let Err(error) = &result {
            self.events.send(|| SessionEvent::OpenFailed { error: error.clone() });
        }
        result
    }

    /// Opens a session once the handshake is admitted.
    async fn admitted(&self) -> Result<(Arc<ClientEndpoint>, Arc<SessionHandle>), ConnectError> {
        let Self { nats, subject, options, events, wait_queues, .. } = self;
        let endpoint = self.in_time(ClientEndpoint::of(nats)).await?;
        endpoint.handle().set_limits(options.endpoint);
        let admitted = endpoint.admission().enter(subject).await;
        let events = events.of_session();
        let wait_queues = Arc::clone(wait_queues);
        let opened = open_session(&endpoint, subject, self.config(&endpoint), events, wait_queues);
        let session = self.in_time(opened).await;
        admitted.finish(&session);
        session.map(|session| (endpoint, session))
    }

    /// The configuration of a session of this endpoint.
    fn config(&self, endpoint: &ClientEndpoint) -> Arc<ClientConfig> {
        let Self { service, options, reply_prefixes, .. } = self;
        let budget = endpoint.handle().budget();
        let mut last = lock(&self.config);
        if let Some(config) = last.as_ref().filter(|config| Arc::ptr_eq(&config.budget, budget)) {
            return Arc::clone(config);
        }
        let config = Arc::new(ClientConfig {
            chunk_limit: options.chunk_limit,
            queue_limit: options.queue_limit,
            max_calls: options.max_calls,
            limits: options.limits,
            format: options.format,
            handshake_timeout: options.handshake_timeout,
            liveness_timeout: options.liveness_timeout,
            call_timeout: options.timeout,
            service: service.clone(),
            inboxes: InboxPolicy::new(endpoint.handle().inbox_prefix(), reply_prefixes.clone())
                .excluding(endpoint.handle().base()),
            budget: Arc::clone(budget),
        });
        *last = Some(Arc::clone(&config));
        config
    }

    /// Waits for a step of the opening within the handshake timeout. The timeout of the handshake itself does not cover the
    /// subscription of a new endpoint, nor an endpoint whose tasks have ended with their runtime.
    async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let timeout = self.options.handshake_timeout;
        tokio::time::timeout(timeout.min(FAR_FUTURE), step).await.unwrap_or_else(|_| {
            let reason = CloseReason::HandshakeTimeout { timeout };
            Err(ConnectError::Handshake { subject: self.subject.clone(), reason })
        })
    }
}

/// The error of a call on a client that was closed.
fn closed() -> Error {
    Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun }
}
