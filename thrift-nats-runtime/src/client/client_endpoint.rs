//! The endpoint that all clients of a connection in a tokio runtime share.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use async_nats::{Client as Nats, Message, StatusCode};
use tokio::runtime::Id;
use tokio::task::AbortHandle;

use super::admission::Admission;
use super::home_runtime::{self, HomeRuntime};
use super::session_handle::{EndpointParts, SessionHandle};
use crate::endpoint::{
    CONNECTION_CHECK, Endpoint, EndpointHandle, ReceiveQueue, SessionTable, connection_key,
};
use crate::error::ConnectError;
use crate::nats_error::NatsError;
use crate::proto::{Additions, Address, CloseReason, Incoming, refuses_header_transport};
use crate::sync::lock;
use crate::time::now;

/// Time for which the endpoint replies to late accepts after the last cancelled handshake. Without a reply, a server that
/// wants no heartbeats would keep the session forever.
const LATE_ACCEPTS: Duration = Duration::from_secs(10);

/// The endpoints of this process. Each runtime has its own, because the tasks of an endpoint end with their runtime.
static ENDPOINTS: LazyLock<Mutex<HashMap<EndpointKey, Weak<ClientEndpoint>>>> = LazyLock::new(Mutex::default);

/// The key of a connection, and a runtime. An endpoint keeps its connection's statistics alive, so that no other connection
/// has the same key while the endpoint exists.
type EndpointKey = (usize, Id);

/// State shared by all clients of a connection in a runtime.
pub(super) struct ClientEndpoint {
    endpoint: Endpoint<SessionHandle>,
    home: Arc<HomeRuntime>,
    admission: Admission,
    /// The task that receives, and the one that runs the timers.
    tasks: OnceLock<[AbortHandle; 2]>,
    late_accepts: Weak<Keeper>,
}

/// Keeps an endpoint without clients alive until a time. Owned by the timer task, and so it ends with the runtime.
type Keeper = Mutex<Option<(Instant, Arc<ClientEndpoint>)>>;

impl ClientEndpoint {
    /// The endpoint of this connection in the current runtime; started if there is none.
    pub(super) async fn of(nats: &Nats) -> Result<Arc<Self>, ConnectError> {
        let runtime = home_runtime::current()?;
        let key = (connection_key(&nats.statistics()), runtime.id());
        // Dropped outside the lock: this may be the last owner, whose drop acquires the lock.
        let existing = lock(&ENDPOINTS).get(&key).and_then(Weak::upgrade);
        if let Some(existing) = existing.filter(|it| it.is_running()) {
            return Ok(existing);
        }
        let endpoint = Endpoint::start(nats)?;
        let subscriber = nats
            .subscribe(endpoint.subscription())
            .await
            .map_err(|error| NatsError::new("cannot subscribe to the inbox of the sessions", error))?;
        let keeper = Arc::new(Keeper::default());
        let late_accepts = Arc::downgrade(&keeper);
        let home = Arc::new(HomeRuntime::new(&runtime));
        let admission = Admission::default();
        let started = Arc::new(Self { endpoint, home, admission, tasks: OnceLock::new(), late_accepts });
        let queue = started.endpoint.receive(subscriber);
        let receive = tokio::spawn(receive_loop(Arc::downgrade(&started), queue));
        let timers = run_timers(Arc::downgrade(&started), started.handle().clone(), keeper);
        let timers = tokio::spawn(timers);
        started.tasks.get_or_init(|| [receive.abort_handle(), timers.abort_handle()]);

        let mut endpoints = lock(&ENDPOINTS);
        let other = endpoints.get(&key).and_then(Weak::upgrade);
        let other_runs = other.as_ref().is_some_and(|other| other.is_running());
        if !other_runs {
            endpoints.insert(key, Arc::downgrade(&started));
        }
        drop(endpoints);
        // If another task was faster, the subscription ends with the receive task of this endpoint.
        Ok(other.filter(|_| other_runs).unwrap_or(started))
    }

    /// Whether its tasks run. They end with their runtime and with the connection.
    pub(super) fn is_running(&self) -> bool {
        self.end_of_tasks().is_none()
    }

    /// The reason why its tasks have ended; `None` while they run.
    pub(super) fn end_of_tasks(&self) -> Option<CloseReason> {
        if !self.handle().publisher().is_running() {
            return Some(CloseReason::RuntimeStopped);
        }
        let ended = self.tasks.get().into_iter().flatten().any(AbortHandle::is_finished);
        ended.then_some(CloseReason::NatsClosed)
    }

    /// Keeps the endpoint for [`LATE_ACCEPTS`], to reply to late accepts even without a client, after a handshake was
    /// cancelled.
    pub(super) fn keep_for_late_accepts(self: &Arc<Self>) {
        if let Some(keeper) = self.late_accepts.upgrade() {
            let before = lock(&keeper).replace((now() + LATE_ACCEPTS, Arc::clone(self)));
            // Dropped outside the lock: it owns an endpoint.
            drop(before);
        }
    }

    pub(super) const fn handle(&self) -> &EndpointHandle {
        self.endpoint.handle()
    }

    pub(super) const fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) const fn sessions(&self) -> &Arc<SessionTable<SessionHandle>> {
        self.endpoint.sessions()
    }

    /// The parts for a new session.
    pub(super) fn parts(&self) -> EndpointParts<'_> {
        EndpointParts { handle: self.handle(), home: &self.home, table: self.sessions() }
    }

    pub(super) fn insert(&self, session: &Arc<SessionHandle>) {
        self.endpoint.insert(session.token(), session);
    }

    /// Waits until everything that was published is written to the connection.
    pub(super) async fn flush(&self) -> Result<(), NatsError> {
        self.handle()
            .nats()
            .flush()
            .await
            .map_err(|error| NatsError::new("cannot flush the connection", error))
    }

    /// Routes a message to its session.
    fn receive(&self, message: Message) {
        self.endpoint.check();
        let Some(address) = self.endpoint.address(&message) else { return };
        let no_responders = message.status == Some(StatusCode::NO_RESPONDERS);
        match address {
            Address::Session { token } => match self.sessions().get(token) {
                Some(session) => {
                    let additions = Additions::parse(message.headers.as_ref());
                    let refuses_header_transport =
                        message.headers.as_ref().is_some_and(refuses_header_transport);
                    let Message { status, reply, payload, .. } = message;
                    session.receive(Incoming { additions, refuses_header_transport, status, reply, payload });
                }
                // A late accept, or data for a session that has ended: the sender has to know.
                None => {
                    let ended = self.sessions().ended();
                    let transmit = ended.reply_to_server(token, message.reply.as_ref(), &message.payload);
                    drop(ended);
                    if let Some(transmit) = transmit {
                        self.handle().publisher().send(transmit);
                    }
                }
            },
            Address::Undelivered { token, number } if no_responders => {
                if let Some(session) = self.sessions().get(token) {
                    session.undelivered(number);
                }
            }
            // Only a legacy client sends heartbeats.
            Address::Undelivered { .. } | Address::Heartbeat { .. } => {}
        }
    }
}

/// Routes messages to the sessions. Never waits for a session.
async fn receive_loop(endpoint: Weak<ClientEndpoint>, mut queue: ReceiveQueue) {
    while let Some(message) = queue.next().await {
        let Some(endpoint) = endpoint.upgrade() else { return };
        endpoint.receive(message);
    }
    // The connection is closed or drained.
    if let Some(endpoint) = endpoint.upgrade() {
        endpoint.endpoint.close_all(&CloseReason::NatsClosed);
    }
}

async fn run_timers(endpoint: Weak<ClientEndpoint>, handle: EndpointHandle, keeper: Arc<Keeper>) {
    let _end = CloseSessions(endpoint.clone());
    let check = || {
        let now = now();
        let kept = lock(&keeper).take_if(|(until, _)| *until <= now);
        drop(kept);
        if let Some(endpoint) = endpoint.upgrade() {
            endpoint.home.tick();
            endpoint.endpoint.check();
        }
    };
    handle.timers().run(CONNECTION_CHECK, check).await;
}

/// Ends the sessions when it is dropped with the timer task, as at the end of the runtime: no deadline would fire any more.
struct CloseSessions(Weak<ClientEndpoint>);

impl Drop for CloseSessions {
    fn drop(&mut self) {
        if let Some(endpoint) = self.0.upgrade() {
            endpoint.endpoint.close_all(&CloseReason::RuntimeStopped);
        }
    }
}

impl Drop for ClientEndpoint {
    fn drop(&mut self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
        let mut endpoints = lock(&ENDPOINTS);
        let key = (self.handle().connection_key(), self.home.id());
        if endpoints.get(&key).is_some_and(|endpoint| endpoint.strong_count() == 0) {
            endpoints.remove(&key);
        }
    }
}
