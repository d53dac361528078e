//! The place of one session in a pool.

use std::sync::{Arc, Mutex, Weak};

use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::backoff::Backoff;
use super::client_endpoint::ClientEndpoint;
use super::home_runtime::has_workers;
use super::session_handle::SessionHandle;
use crate::endpoint::EndpointSession;
use crate::error::ConnectError;
use crate::sync::lock;

/// The place of one session in a pool.
#[derive(Default)]
pub(super) struct Slot {
    current: Mutex<Option<(Arc<ClientEndpoint>, Arc<SessionHandle>)>>,
    pub(super) reopening: Mutex<Reopening>,
}

/// The attempts to open the next session of the slot.
#[derive(Default)]
pub(super) struct Reopening {
    /// The attempts that run. One serves all callers, except that a runtime without workers may stop driving an attempt,
    /// so that callers in other runtimes cannot wait for it, and begin their own.
    pub(super) attempts: Vec<Attempt>,
    /// Set by the attempts that failed since a session was last open.
    pub(super) backoff: Option<Box<Backoff>>,
    /// Earlier sessions of the slot. If their servers drain, calls may still wait for replies there. Boxed, because most
    /// slots never have any.
    earlier: Option<Box<EarlierSessions>>,
}

#[derive(Default)]
struct EarlierSessions(Vec<Weak<SessionHandle>>);

/// The result of an attempt to open a session; `None` while the attempt runs.
pub(super) type Opened = Option<Result<Arc<SessionHandle>, ConnectError>>;

/// An attempt to open a session. It runs in a task of its own, so that a call that waits for it can be cancelled without
/// ending it for the others. Dropping it ends the task, unless the task has finished the attempt.
pub(super) struct Attempt {
    pub(super) opened: watch::Receiver<Opened>,
    /// The runtime of the task.
    runtime: Id,
    /// Whether that runtime runs its tasks as long as it exists.
    has_workers: bool,
    /// `None` once the task has taken the attempt out of the slot itself.
    task: Option<AbortHandle>,
}

impl Attempt {
    /// An attempt by `task`, which runs in `runtime`.
    pub(super) fn new(opened: watch::Receiver<Opened>, runtime: &Handle, task: AbortHandle) -> Self {
        Self { opened, runtime: runtime.id(), has_workers: has_workers(runtime), task: Some(task) }
    }

    /// Whether a caller in `runtime` can wait for it.
    pub(super) fn serves(&self, runtime: &Handle) -> bool {
        self.has_workers || self.runtime == runtime.id()
    }

    /// Whether the task still runs. It also ends with its runtime.
    pub(super) fn is_running(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Reopening {
    /// Takes the attempt out that has its result, and runs in this runtime. Called by its own task, which still has to hand
    /// the result to the calls that wait for it, and is therefore not ended.
    pub(super) fn finish_attempt(&mut self, runtime: Id) {
        if let Some(place) = self.attempts.iter().position(|attempt| attempt.runtime == runtime) {
            self.attempts.swap_remove(place).task = None;
        }
    }
}

impl Slot {
    /// Puts a session in, and remembers the one before if it has not ended.
    pub(super) fn replace(
        &self,
        reopening: &mut Reopening,
        endpoint: Arc<ClientEndpoint>,
        session: Arc<SessionHandle>,
    ) {
        let before = lock(&self.current).replace((endpoint, session));
        if let Some((_, before)) = before.filter(|(_, before)| !before.has_ended()) {
            let EarlierSessions(earlier) = &mut **reopening.earlier.get_or_insert_default();
            earlier.retain(|session| session.strong_count() > 0);
            earlier.push(Arc::downgrade(&before));
        }
    }

    /// Removes the session. Returns its endpoint.
    pub(super) fn take_endpoint(&self) -> Option<Arc<ClientEndpoint>> {
        lock(&self.current).take().map(|(endpoint, _)| endpoint)
    }

    /// The session, if it is open.
    pub(super) fn open_session(&self) -> Option<Arc<SessionHandle>> {
        let current = lock(&self.current);
        let (endpoint, session) = current.as_ref()?;
        if let Some(reason) = endpoint.end_of_tasks() {
            session.close(reason);
        }
        session.is_open().then(|| Arc::clone(session))
    }

    /// Whether the server of the session drains it: it is not open, and has not ended.
    pub(super) fn is_draining(&self) -> bool {
        self.session().is_some_and(|session| !session.is_open() && !session.has_ended())
    }

    /// The session and the earlier ones that still exist.
    pub(super) fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        let reopening = lock(&self.reopening);
        let earlier = reopening.earlier.iter().flat_map(|earlier| &earlier.0).filter_map(Weak::upgrade);
        earlier.chain(self.session()).collect()
    }

    fn session(&self) -> Option<Arc<SessionHandle>> {
        lock(&self.current).as_ref().map(|(_, session)| Arc::clone(session))
    }
}
