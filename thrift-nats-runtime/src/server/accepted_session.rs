//! A session of a server: its state machine, joined to the endpoint that carries its messages.
//!
//! The session owns the lock of the state machine, and decides which of its requests still run after its end. It never runs
//! a handler: it returns the requests that are to run to its caller, and takes their replies. After every input it applies
//! the events of the state machine, and wakes the publisher if there is something to send.
//!
//! A session that ends with unfinished requests is in the table of lingering sessions until they have finished, or are
//! dropped after the grace period.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use async_nats::{PublishError, Subject};
use bytes::Bytes;
use tokio::task::AbortHandle;

use super::executor::Executor;
use super::fair_share::{ClientShare, Resource, Slot};
use super::options::ServerOptions;
use super::provisional::{ProvisionalPlace, ProvisionalSessions};
use crate::endpoint::{
    Endpoint, EndpointHandle, EndpointSession, PublishLock, SessionTable, Timed, TimerKey, TransmitSource,
};
use crate::error::SharedError;
use crate::log_limit::limited;
use crate::proto::{
    Announced, CloseReason, ReceivedRequest, RequestKey, ServerConfig, ServerEvent, ServerSession,
    SessionLimit, Transmit, session_subject,
};
use crate::service::Origin;
use crate::sync::lock;
use crate::time::{FAR_FUTURE, after, now};
use crate::transport::Parts;

/// The number of the last session that a server of this process has accepted.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A request that has finished.
pub(super) struct Finished {
    pub(super) key: RequestKey,
    /// The reply to send, empty if there is none.
    pub(super) reply: Parts,
}

/// A handshake that is accepted.
pub(super) struct Handshake {
    pub(super) token: String,
    /// The client's inbox.
    pub(super) peer: Subject,
    pub(super) announced: Announced,
    /// The number of the connection that it came on.
    pub(super) connection: u64,
    pub(super) client: Arc<ClientShare>,
}

/// A session of a server.
pub(super) struct AcceptedSession {
    /// Refers to this session.
    this: Weak<Self>,
    endpoint: EndpointHandle,
    /// Runs requests that had to wait until replies were sent.
    executor: Weak<Executor>,
    table: Weak<SessionTable<Self>>,
    lingering: Weak<SessionTable<Self>>,
    /// The secret of the session: whoever knows it can send to the session.
    token: Arc<str>,
    /// For logs and handlers. It has nothing to do with the token.
    number: u64,
    legacy: bool,
    /// The timeout of a call whose request does not name one.
    call_timeout: Option<Duration>,
    /// The longest timeout of a call.
    max_timeout: Duration,
    /// The time that running requests have after the end of the session.
    grace_after_end: Duration,
    /// The option, in bytes.
    chunk_limit: usize,
    client: Arc<ClientShare>,
    state: Mutex<AcceptedState>,
    /// Lock-free copy of whether some requests are not to be started, which every request reads before it starts. Updated
    /// under the mutex.
    restricted: AtomicBool,
    publish_lock: PublishLock,
    /// The number of the connection that the session was opened on.
    connection: u64,
}

struct AcceptedState {
    machine: ServerSession<AbortHandle>,
    timer: Option<TimerKey>,
    /// From the first message of the client to the end of the session.
    slot: Option<Slot>,
    /// Until the client has sent something, or the session has ended.
    provisional: Option<ProvisionalPlace>,
    /// Set when the session has ended.
    end: Option<SessionEnd>,
}

/// The rules for the requests of a session that has ended.
struct SessionEnd {
    /// Whether the requests that have not started are run.
    starts_requests: bool,
    /// When the requests that have not finished are dropped.
    drops_at: Option<Instant>,
}

/// The rest of the work for the events of an input.
struct Changes {
    /// The requests that are to run now.
    requests: VecDeque<ReceivedRequest>,
    /// Whether the session has ended. The publisher then polls it until it has nothing to send, which removes it.
    ended: bool,
}

impl AcceptedSession {
    /// Accepts a handshake. The accept is sent when the publisher polls the session.
    pub(super) fn accept(
        endpoint: &Endpoint<Self>,
        executor: Weak<Executor>,
        provisional: &Arc<ProvisionalSessions>,
        options: &ServerOptions,
        handshake: Handshake,
    ) -> Arc<Self> {
        let Handshake { token, peer, announced, connection, client } = handshake;
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        let (endpoint, table, lingering) = (endpoint.handle(), endpoint.sessions(), endpoint.lingering());
        let config = ServerConfig {
            chunk_limit: endpoint.chunk_limit(options.chunk_limit),
            queue_limit: options.queue_limit,
            max_calls: options.max_calls_per_session,
            limits: options.limits,
            served: options.served,
            budget: Arc::clone(endpoint.budget()),
        };
        let own = session_subject(endpoint.base(), &token);
        let machine = ServerSession::accept(now(), peer, own, &announced, options.heartbeat, &config);
        let session = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            endpoint: endpoint.clone(),
            executor,
            table: Arc::downgrade(table),
            lingering: Arc::downgrade(lingering),
            token: token.into(),
            number,
            legacy: machine.is_legacy(),
            call_timeout: machine.call_timeout(),
            max_timeout: options.max_timeout,
            grace_after_end: options.grace_after_end,
            chunk_limit: options.chunk_limit,
            client: Arc::clone(&client),
            state: Mutex::new(AcceptedState {
                machine,
                timer: None,
                slot: None,
                provisional: Some(provisional.insert(number, Weak::clone(this), &client)),
                end: None,
            }),
            restricted: AtomicBool::new(false),
            publish_lock: PublishLock::default(),
            connection,
        });
        session.set_timer(&mut session.state());
        session
    }

    pub(super) const fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// The share of the client.
    pub(super) const fn client(&self) -> &Arc<ClientShare> {
        &self.client
    }

    /// The origin of a request that was received at this time.
    pub(super) fn origin(&self, received: Instant) -> Origin {
        let Self { number, legacy, call_timeout, max_timeout, .. } = self;
        Origin {
            session: Some(*number),
            legacy: *legacy,
            received,
            timeout: *call_timeout,
            max_timeout: *max_timeout,
        }
    }

    /// Whether this request may start: it is not cancelled, and the session has not ended in a way that drops it.
    pub(super) fn may_start(&self, key: RequestKey) -> bool {
        if !self.restricted.load(Ordering::SeqCst) {
            return true;
        }
        let state = self.state();
        state.end.as_ref().is_none_or(|end| end.starts_requests) && !state.machine.is_cancelled(key)
    }

    #[cfg(test)]
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    #[cfg(test)]
    pub(super) fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }

    /// Number of requests that run or wait to run.
    pub(super) fn unfinished(&self) -> usize {
        self.state().machine.unfinished()
    }

    /// The message of a request was decompressed, which took so many bytes. Returns the limit that the request now exceeds.
    pub(super) fn decompressed(&self, key: RequestKey, bytes: usize) -> Option<SessionLimit> {
        if bytes == 0 {
            return None;
        }
        self.state().machine.handle_decompressed(key, bytes)
    }

    /// Notes the task of a request. Aborts it if the request has finished or was cancelled in the meantime.
    pub(super) fn set_task(&self, key: RequestKey, task: AbortHandle) {
        let aborted = self.state().machine.set_task(key, task);
        if let Some(task) = aborted {
            task.abort();
        }
    }

    /// Handles a message that came to the session's subject. Returns the requests that are to run now.
    pub(super) fn receive(
        self: &Arc<Self>,
        reply: Option<&str>,
        payload: Bytes,
    ) -> VecDeque<ReceivedRequest> {
        let mut state = self.state();
        self.check_share(&mut state);
        state.machine.handle_message(now(), reply, payload);
        let has_transmit = state.machine.has_transmit() || state.machine.is_closed();
        let changes = self.apply_events(state);
        if changes.ended || has_transmit {
            self.wake();
        }
        changes.requests
    }

    /// Queues the replies of requests that have finished, and publishes them. Returns the requests that are to run now.
    pub(super) fn finish(
        self: &Arc<Self>,
        finished: impl IntoIterator<Item = Finished>,
    ) -> VecDeque<ReceivedRequest> {
        let mut state = self.state();
        for Finished { key, reply } in finished {
            state.machine.finish(key, reply);
        }
        // No other reply is about to follow that could be batched. For a legacy client, none does before its next request
        // has run.
        let is_alone = state.machine.is_idle() || self.legacy;
        let changes = self.apply_events(state);
        let publisher = self.endpoint.publisher();
        if is_alone {
            publisher.publish_now(self)
        } else {
            publisher.wake(self)
        }
        changes.requests
    }

    /// A heartbeat of a legacy client arrived.
    pub(super) fn heartbeat(self: &Arc<Self>) {
        self.check_share(&mut self.state());
        self.input(|machine| machine.handle_heartbeat(now()));
    }

    /// Ends the session if it is provisional and its client has as many others as it may have: it may have opened several at
    /// the same time. The message that would confirm the session is its proof that it may be told.
    fn check_share(&self, state: &mut AcceptedState) {
        if state.provisional.is_some() && self.client.exceeded(Resource::Sessions).is_some() {
            state.machine.close(CloseReason::Overloaded);
        }
    }

    /// NATS says that the message `number` of the session, or its accept, had no subscriber.
    pub(super) fn undelivered(self: &Arc<Self>, number: Option<u64>) {
        self.input(|machine| machine.handle_undelivered(number));
    }

    /// Ends the session because the server stops. Replies that are queued are sent first.
    pub(super) fn stop(self: &Arc<Self>) {
        self.input(ServerSession::stop);
    }

    /// Receives no more requests, and ends the session once all that were received have finished.
    pub(super) fn drain(self: &Arc<Self>) {
        self.input(ServerSession::drain);
    }

    /// Ends the session if it is provisional, because another one needs its place.
    pub(super) fn evict(self: &Arc<Self>) {
        self.input(ServerSession::evict);
    }

    fn state(&self) -> MutexGuard<'_, AcceptedState> {
        lock(&self.state)
    }

    fn wake(self: &Arc<Self>) {
        self.endpoint.publisher().wake(self);
    }

    /// Sets the timer to the time that the state machine wants, or to the end of the grace period. Without requests to wait
    /// for, a session that has ended has no timer: it would keep the memory of the session until it fires.
    fn set_timer(&self, state: &mut AcceptedState) {
        let drops_at = state.end.as_ref().and_then(|end| end.drops_at).filter(|_| !state.machine.is_idle());
        let at = [state.machine.poll_timeout(), drops_at].into_iter().flatten().min();
        self.endpoint.timers().set(&mut state.timer, at, || Weak::clone(&self.this) as Weak<dyn Timed>);
    }

    /// Gives the state machine an input, runs the requests that it makes run, and sends what there is to send.
    fn input(self: &Arc<Self>, input: impl FnOnce(&mut ServerSession<AbortHandle>)) {
        let mut state = self.state();
        input(&mut state.machine);
        let has_transmit = state.machine.has_transmit() || state.machine.is_closed();
        let changes = self.apply_events(state);
        self.start(changes.requests);
        if has_transmit || changes.ended {
            self.wake();
        }
    }

    /// Runs requests that had to wait.
    fn start(&self, requests: VecDeque<ReceivedRequest>) {
        if !requests.is_empty()
            && let (Some(executor), Some(session)) = (self.executor.upgrade(), self.this.upgrade())
        {
            executor.start(session, requests);
        }
    }

    /// Applies the events of the last input, and releases the lock.
    fn apply_events(&self, mut state: MutexGuard<'_, AcceptedState>) -> Changes {
        let (mut requests, mut aborted, mut ended) = (VecDeque::new(), Vec::new(), false);
        while let Some(event) = state.machine.poll_event() {
            match event {
                ServerEvent::Requests(next) if requests.is_empty() => requests = next,
                ServerEvent::Requests(next) => requests.extend(next),
                ServerEvent::Confirmed => {
                    state.provisional = None;
                    state.slot = Some(self.client.take(Resource::Sessions));
                    self.set_timer(&mut state);
                }
                ServerEvent::Cancelled { task } => aborted.push(task),
                ServerEvent::Ended { reason } => {
                    self.log_end(&reason, state.provisional.is_some());
                    self.end(&mut state, &reason);
                    ended = true;
                }
            }
        }
        if state.end.is_some() && state.machine.is_idle() {
            self.set_timer(&mut state);
            if let Some(lingering) = self.lingering.upgrade() {
                lingering.remove(&self.token);
            }
        }
        self.restricted.store(state.end.is_some() || state.machine.has_cancelled(), Ordering::SeqCst);
        drop(state);
        aborted.iter().for_each(AbortHandle::abort);
        Changes { requests, ended }
    }

    /// Logs the end of the session, at `warn` if neither side closed it. Anybody can open provisional sessions that end.
    fn log_end(&self, reason: &CloseReason, is_provisional: bool) {
        let (session, client) = (self.number, self.client.prefix());
        if is_provisional || reason.is_ordinary() {
            limited!(debug, session, client, %reason, "session ended");
        } else {
            limited!(warn of self.client.user_key(), session, client, %reason, "session ended");
        }
    }

    /// Notes that the session has ended, and begins the grace period of its requests.
    fn end(&self, state: &mut AcceptedState, reason: &CloseReason) {
        (state.slot, state.provisional) = (None, None);
        let grace = Some(self.grace_after_end).filter(|grace| *grace < FAR_FUTURE);
        state.end = Some(SessionEnd {
            starts_requests: reason.keeps_waiting_requests(),
            drops_at: grace.map(|grace| after(now(), grace)),
        });
        if grace.is_some_and(|grace| grace.is_zero()) {
            state.machine.drop_requests();
        }
        if !state.machine.is_idle()
            && let (Some(lingering), Some(this)) = (self.lingering.upgrade(), self.this.upgrade())
        {
            lingering.insert(&self.token, &this);
        }
        self.set_timer(state);
    }
}

impl EndpointSession for AcceptedSession {
    fn connection(&self) -> u64 {
        self.connection
    }

    fn peer(&self) -> usize {
        self.client.user_key()
    }

    fn held(&self) -> usize {
        let state = self.state();
        if state.machine.has_dropped_all() { 0 } else { state.machine.held() }
    }

    fn close(self: &Arc<Self>, reason: CloseReason) {
        self.input(|machine| machine.close(reason));
    }

    fn shed(self: &Arc<Self>, reason: CloseReason) {
        self.input(|machine| machine.shed(reason));
    }
}

impl TransmitSource for AcceptedSession {
    fn poll_transmit(&self) -> Option<(Transmit, bool)> {
        let mut state = self.state();
        // The limit of the NATS server may have changed.
        state.machine.set_chunk_limit(self.endpoint.chunk_limit(self.chunk_limit));
        let transmit = state.machine.poll_transmit();
        let closed = state.machine.is_closed();
        // A session that has ended is polled until there is nothing left, which removes it.
        let more = state.machine.has_transmit() || closed;
        let over = transmit.is_none() && closed;
        let ended = over.then(|| state.machine.to_ended());
        let changes = self.apply_events(state);
        self.start(changes.requests);
        // Not before the disconnect message is sent: the reply to a message for a session that is not in the table is
        // "unknown session", which tells the client less, and would arrive first.
        if over && let Some(table) = self.table.upgrade() {
            if let Some(ended) = ended {
                table.ended().insert(now(), &self.token, ended);
            }
            table.remove(&self.token);
        }
        transmit.map(|transmit| (transmit, more))
    }

    fn publish_lock(&self) -> &PublishLock {
        &self.publish_lock
    }

    fn handle_publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        limited!(debug, session = self.number, %error, "cannot publish");
        let mut state = self.state();
        state.machine.handle_publish_failed(chunk, SharedError::new(error));
        self.apply_events(state);
    }
}

impl Timed for AcceptedSession {
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey) {
        let mut state = self.state();
        state.timer.take_if(|current| *current == timer);
        state.machine.handle_timeout(now);
        let drops_at = state.end.as_mut().and_then(|end| end.drops_at.take_if(|at| *at <= now));
        if drops_at.is_some() {
            limited!(debug, session = self.number, "requests dropped: the session has ended");
            state.machine.drop_requests();
        }
        self.set_timer(&mut state);
        let has_transmit = state.machine.has_transmit() || state.machine.is_closed();
        let changes = self.apply_events(state);
        self.start(changes.requests);
        if changes.ended || has_transmit {
            self.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fair_share::Clients;
    use super::*;
    use crate::endpoint::EndpointLimits;

    /// An endpoint that never connects.
    async fn endpoint() -> Endpoint<AcceptedSession> {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = options.connect("127.0.0.1:1").await.unwrap();
        Endpoint::start(&nats).unwrap()
    }

    /// A session of a legacy client, in the table of the endpoint.
    fn session(endpoint: &Endpoint<AcceptedSession>, token: &str) -> Arc<AcceptedSession> {
        let (options, announced) = (ServerOptions::default(), Announced::default());
        let client = Clients::new(&options).share("client");
        let (token, peer) = (token.to_owned(), "client".into());
        let handshake = Handshake { token, peer, announced, connection: 0, client };
        let session = AcceptedSession::accept(endpoint, Weak::new(), &Arc::default(), &options, handshake);
        endpoint.insert(session.token(), &session);
        session
    }

    #[tokio::test]
    async fn ended_session_leaves_no_timer_behind() {
        let endpoint = endpoint().await;
        let session = session(&endpoint, "token");
        session.heartbeat();
        assert!(!endpoint.handle().timers().is_empty(), "it waits for heartbeats");
        session.close(CloseReason::Closed);
        assert!(endpoint.handle().timers().is_empty());
    }

    #[tokio::test]
    async fn memory_of_a_session_is_freed_when_it_ends_and_its_requests_have_finished() {
        let endpoint = endpoint().await;
        let session = session(&endpoint, "token");
        let ping = Bytes::from_static(b"\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x07\0");
        let requests = session.receive(None, ping);
        assert_eq!(requests.len(), 1);
        session.close(CloseReason::Closed);
        endpoint.handle().publisher().flush_queue().await;
        assert_eq!((endpoint.sessions().len(), endpoint.lingering().len()), (0, 1), "a request runs");
        assert!(!endpoint.handle().timers().is_empty(), "the grace period has begun");
        for ReceivedRequest { key, .. } in requests {
            session.finish([Finished { key, reply: Parts::default() }]);
        }
        assert!(endpoint.handle().timers().is_empty());
        endpoint.handle().publisher().flush_queue().await;
        let freed = Arc::downgrade(&session);
        drop(session);
        assert_eq!(freed.strong_count(), 0);
    }

    /// A client that sends requests, closes the session and opens another one must not hold more than one that does not.
    #[tokio::test]
    async fn requests_of_ended_sessions_are_dropped_when_too_much_memory_is_held() {
        const LIMIT: usize = 256 << 10;
        const BODY: usize = 60_000;
        let endpoint = endpoint().await;
        endpoint.handle().set_limits(EndpointLimits { memory: Some(LIMIT), in_flight: None });
        let field = [&[11, 0, 1][..], &(BODY as u32).to_be_bytes(), &vec![b'x'; BODY]].concat();
        let request = [&b"\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x07"[..], &field, &[0]].concat();
        let mut running = Vec::new();
        for number in 0..20 {
            let session = session(&endpoint, &format!("token{number}"));
            let requests = session.receive(None, request.clone().into());
            running.extend(requests.into_iter().map(|request| (Arc::clone(&session), request)));
            session.receive(Some("DISCONNECT"), Bytes::new());
            let within_limit = async {
                while endpoint.handle().budget().is_exceeded() {
                    endpoint.check();
                    running.retain(|(session, request)| {
                        let is_kept = session.may_start(request.key);
                        if !is_kept {
                            session.finish([Finished { key: request.key, reply: Parts::default() }]);
                        }
                        is_kept
                    });
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), within_limit).await.expect("memory is freed");
        }
        assert!((1..=LIMIT / BODY).contains(&running.len()), "{} requests still run", running.len());
    }
}
