//! The part of a NATS connection that clients and servers share: base subject, publisher, timers and session table.
//!
//! An endpoint also ends its sessions when the connection was lost, and the largest ones when all together hold too much
//! memory. It never looks into a message: `client` and `server` route messages, and the state machines in `proto` handle
//! them.
//!
//! 1. [`Endpoint::start`] starts the publisher. The endpoint's owner subscribes to
//!    [`subscription`](Endpoint::subscription), and spawns one task that receives from [`Endpoint::receive`] and one that runs
//!    the [`Timers`].
//! 2. The owner makes a session with the [`EndpointHandle`], and adds it to the table with [`Endpoint::insert`].
//! 3. The owner calls [`Endpoint::check`] before it handles a message, and every [`CONNECTION_CHECK`] (50 ms).
//! 4. A session that has ended, and has sent its last message, removes itself from the [`SessionTable`].

mod publish_lock;
mod publisher;
mod receive_queue;
mod session_table;
mod shedding;
mod timers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Client as Nats, Message, Statistics, Subject, Subscriber};

pub(crate) use self::publish_lock::PublishLock;
use self::publisher::IN_FLIGHT_LIMIT;
pub(crate) use self::publisher::{Publisher, TransmitSource};
pub(crate) use self::receive_queue::{ReceiveQueue, Senders};
pub(crate) use self::session_table::SessionTable;
use self::shedding::{Holder, Shedding};
pub(crate) use self::timers::{Timed, TimerKey, Timers};
use crate::error::InvalidOption;
use crate::log_limit::limited;
use crate::nats_error::NatsError;
use crate::proto::{self, Address, Budget, CloseReason, INBOX_PREFIX_MAX, Share, session_subject};
use crate::time::now;

/// How often the connection is checked if no message arrives: the client library has no signal to wait for.
pub(crate) const CONNECTION_CHECK: Duration = Duration::from_millis(50);

/// Default limit of the memory that all sessions of an endpoint may hold, in bytes.
const MEMORY_LIMIT: usize = 1 << 30;
/// The part of the memory that messages may take that were received and not yet handled: one in this many bytes.
const RECEIVED_PART: usize = 4;

/// The limits of an endpoint. `None` leaves the limit as it is: the default, or the value that a client on the
/// connection has set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndpointLimits {
    /// Memory that all sessions may hold, in bytes.
    pub(crate) memory: Option<usize>,
    /// Bytes that are handed to the connection and not yet written.
    pub(crate) in_flight: Option<usize>,
}

impl EndpointLimits {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), InvalidOption> {
        InvalidOption::check_bytes("memory_limit", self.memory.unwrap_or(MEMORY_LIMIT))?;
        InvalidOption::check_bytes("in_flight_limit", self.in_flight.unwrap_or(IN_FLIGHT_LIMIT))
    }
}

/// A session, as its endpoint sees it.
pub(crate) trait EndpointSession: Send + Sync + 'static {
    /// The number of the connection that the session was opened on: see [`EndpointHandle::connection`].
    fn connection(&self) -> u64;

    /// A number that the sessions with the same peer share.
    fn peer(&self) -> usize;

    /// Number of bytes that the session holds, 0 if [`shed`](Self::shed) would free none of them.
    fn held(&self) -> usize;

    /// Ends the session, unless it has ended.
    fn close(self: &Arc<Self>, reason: CloseReason);

    /// Ends the session because it holds too much. If it has ended, drops what it still holds.
    fn shed(self: &Arc<Self>, reason: CloseReason) {
        self.close(reason);
    }
}

/// The parts of an endpoint that its sessions use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EndpointHandle(Arc<EndpointShared>);

struct EndpointShared {
    nats: Nats,
    statistics: Arc<Statistics>,
    base: String,
    /// The inbox prefix of the connection.
    inbox_prefix: String,
    budget: Arc<Budget>,
    publisher: Publisher,
    timers: Timers,
}

impl EndpointHandle {
    pub(crate) fn nats(&self) -> &Nats {
        &self.0.nats
    }

    /// The subject that all sessions are below.
    pub(crate) fn base(&self) -> &str {
        &self.0.base
    }

    /// A subject below the base that no other process can guess, and that no session has.
    pub(crate) fn new_subject(&self) -> Result<Subject, NatsError> {
        Ok(session_subject(self.base(), &random_token()?))
    }

    /// The inbox prefix of the connection, without a dot at the end.
    pub(crate) fn inbox_prefix(&self) -> &str {
        &self.0.inbox_prefix
    }

    /// The memory of all sessions of the endpoint.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// A new share of this memory.
    pub(crate) fn new_share(&self) -> Share {
        Share::new(Arc::clone(self.budget()))
    }

    /// Sets limits.
    pub(crate) fn set_limits(&self, limits: EndpointLimits) {
        if let Some(memory) = limits.memory {
            self.budget().set_limit(memory);
        }
        if let Some(in_flight) = limits.in_flight {
            self.publisher().set_in_flight_limit(in_flight);
        }
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.0.publisher
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    /// The number of the connection: how many times it has been established. The number changes before the new connection
    /// delivers a message: `Connector::try_connect_to_server` of async-nats 0.51 counts the connection before it returns
    /// it to the task that reads messages.
    pub(crate) fn connection(&self) -> u64 {
        self.0.statistics.connects.load(Ordering::SeqCst)
    }

    /// The largest payload to publish, in bytes: `limit`, or what the NATS server accepts now if that is less.
    pub(crate) fn chunk_limit(&self, limit: usize) -> usize {
        limit.min(self.0.nats.max_payload())
    }

    /// Identifies the connection among all of this process as long as the handle exists: clones of a connection share it.
    pub(crate) fn connection_key(&self) -> usize {
        connection_key(&self.0.statistics)
    }
}

/// The address of a connection's statistics, which clones of the connection share.
pub(crate) fn connection_key(statistics: &Arc<Statistics>) -> usize {
    Arc::as_ptr(statistics) as usize
}

/// An endpoint with sessions of type `S`.
pub(crate) struct Endpoint<S> {
    handle: EndpointHandle,
    sessions: Arc<SessionTable<S>>,
    /// The sessions that have ended and still hold something.
    lingering: Arc<SessionTable<S>>,
    connection: LatestConnection,
    shedding: Shedding,
}

impl<S> Endpoint<S> {
    /// Starts the publisher. The base subject is random, so that no other process can guess it, and below the inbox prefix
    /// of the connection, so that permissions that allow the prefix allow this subject.
    pub(crate) fn start(nats: &Nats) -> Result<Self, NatsError> {
        let inbox = nats.new_inbox();
        let prefix = inbox.rsplit_once('.').map_or(inbox.as_str(), |(prefix, _)| prefix);
        if prefix.len() > INBOX_PREFIX_MAX {
            let len = prefix.len();
            let cause = format!("it has {len} bytes; use at most {INBOX_PREFIX_MAX}");
            return Err(NatsError::new("cannot use the inbox prefix of the connection", cause));
        }
        let base = format!("{prefix}.{}", random_token()?);
        let handle = EndpointHandle(Arc::new(EndpointShared {
            nats: nats.clone(),
            statistics: nats.statistics(),
            base,
            inbox_prefix: prefix.to_owned(),
            budget: Budget::new(MEMORY_LIMIT),
            publisher: Publisher::start(nats.clone()),
            timers: Timers::default(),
        }));
        let connection = LatestConnection(AtomicU64::new(handle.connection()));
        let (sessions, lingering, shedding) = (Arc::default(), Arc::default(), Shedding::new(now()));
        Ok(Self { handle, sessions, lingering, connection, shedding })
    }

    pub(crate) const fn handle(&self) -> &EndpointHandle {
        &self.handle
    }

    pub(crate) const fn sessions(&self) -> &Arc<SessionTable<S>> {
        &self.sessions
    }

    /// The sessions that have ended and still hold something. Sessions add and remove themselves.
    pub(crate) const fn lingering(&self) -> &Arc<SessionTable<S>> {
        &self.lingering
    }

    /// All open sessions, and all that have ended and still hold something.
    pub(crate) fn all(&self) -> Vec<Arc<S>> {
        let mut sessions = self.sessions.all();
        sessions.extend(self.lingering.all());
        // A session that has ended and has not sent its disconnect message is in both tables.
        sessions.sort_unstable_by_key(Arc::as_ptr);
        sessions.dedup_by(|one, other| Arc::ptr_eq(one, other));
        sessions
    }

    /// The subject of the one subscription that covers all sessions. Opening a session therefore costs no subscription, and
    /// no wait until NATS knows of it.
    pub(crate) fn subscription(&self) -> String {
        format!("{}.>", self.handle.base())
    }

    /// The address of a message to the [`subscription`](Self::subscription); `None` if its subject has no meaning.
    pub(crate) fn address<'m>(&self, message: &'m Message) -> Option<Address<'m>> {
        message.subject.get(self.handle.base().len() + 1..).and_then(Address::parse)
    }
}

impl<S: EndpointSession> Endpoint<S> {
    /// Adds a session to the table.
    pub(crate) fn insert(&self, token: &Arc<str>, session: &Arc<S>) {
        self.sessions.insert(token, session);
        // Another task may have noticed a new connection, and have closed the sessions in the table, just before. If this task
        // is the first to notice it, the other sessions end here.
        if session.connection() < self.check_connection() {
            session.close(CloseReason::Reconnected);
        }
    }

    /// Ends the sessions that cannot continue: those of an earlier connection, and those of the peers that hold the most memory
    /// if all together hold more than they may. Sessions that have ended before count, and lose their requests.
    pub(crate) fn check(&self) {
        self.check_connection();
        let budget = self.handle.budget();
        // Before the clock is read: this is done for every message.
        if !budget.is_exceeded() {
            return;
        }
        let with_held = |session: Arc<S>| {
            let (peer, held) = (session.peer(), session.held());
            Holder { session, peer, held }
        };
        let all = || self.all().into_iter().map(with_held).collect();
        for Holder { session, held, .. } in self.shedding.choose(now(), budget, all) {
            session.shed(CloseReason::MemoryLimit { held, limit: budget.limit() });
        }
    }

    /// Ends the sessions that were opened on an earlier connection, on which chunks may have been lost. Returns the number
    /// of the latest connection.
    pub(crate) fn check_connection(&self) -> u64 {
        let (latest, is_new) = self.connection.observe(self.handle.connection());
        if is_new {
            for session in self.sessions.all() {
                if session.connection() < latest {
                    session.close(CloseReason::Reconnected);
                }
            }
        }
        latest
    }

    /// Receives from `subscriber`, which is subscribed to the [`subscription`](Self::subscription). If the messages that wait
    /// to be handled take more than their [part](RECEIVED_PART) of the memory, sessions of the peers that have the most of them
    /// end.
    pub(crate) fn receive(&self, subscriber: Subscriber) -> ReceiveQueue {
        let senders =
            SessionSenders { start: self.handle.base().len() + 1, sessions: Arc::downgrade(&self.sessions) };
        ReceiveQueue::new(subscriber, self.handle.new_share(), senders)
    }

    /// Ends all sessions.
    pub(crate) fn close_all(&self, reason: &CloseReason) {
        for session in self.sessions.all() {
            session.close(reason.clone());
        }
    }
}

/// The sessions that messages come for. Messages of no session have the name `""`: each process that knows the base can send
/// to any token.
struct SessionSenders<S> {
    /// The length of the base and its dot.
    start: usize,
    sessions: Weak<SessionTable<S>>,
}

impl<S: EndpointSession> Senders for SessionSenders<S> {
    fn name<'m>(&self, message: &'m Message) -> &'m str {
        let rest = message.subject.get(self.start..).unwrap_or_default();
        let token = rest.split_once('.').map_or(rest, |(token, _)| token);
        let is_known = self.sessions.upgrade().and_then(|sessions| sessions.with(token, |_| ())).is_some();
        if is_known { token } else { "" }
    }

    fn peer(&self, name: &str) -> usize {
        self.sessions.upgrade().and_then(|sessions| sessions.with(name, S::peer)).unwrap_or_default()
    }

    fn dropped(&self, name: &str, held: usize, limit: usize) {
        match self.sessions.upgrade().and_then(|sessions| sessions.get(name)) {
            Some(session) => session.close(CloseReason::MemoryLimit { held, limit }),
            None => limited!(debug, bytes = held, "messages to unknown sessions dropped: too many wait"),
        }
    }
}

/// A token that no other process can guess, for a session.
pub(crate) fn random_token() -> Result<String, NatsError> {
    proto::random_token()
        .map_err(|error| NatsError::new("cannot read random bytes from the operating system", error))
}

/// The number of the latest connection that any task has seen. Several tasks look, and one may come late with an old
/// number, so that the number only grows.
struct LatestConnection(AtomicU64);

impl LatestConnection {
    /// Notes a number. Returns the latest, and whether this call was the first to see it.
    fn observe(&self, seen: u64) -> (u64, bool) {
        let before = self.0.fetch_max(seen, Ordering::SeqCst);
        (before.max(seen), before < seen)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct TestSession {
        connection: u64,
        held: usize,
        closed: Mutex<Option<CloseReason>>,
    }

    impl TestSession {
        fn new(connection: u64) -> Arc<Self> {
            Self::holding(connection, 0)
        }

        fn holding(connection: u64, held: usize) -> Arc<Self> {
            Arc::new(Self { connection, held, closed: Mutex::default() })
        }
    }

    impl EndpointSession for TestSession {
        fn connection(&self) -> u64 {
            self.connection
        }

        fn peer(&self) -> usize {
            std::ptr::from_ref(self).addr()
        }

        fn held(&self) -> usize {
            self.held
        }

        fn close(self: &Arc<Self>, reason: CloseReason) {
            *self.closed.lock().unwrap() = Some(reason);
        }
    }

    #[test]
    fn a_connection_is_new_once_and_an_old_number_does_not_replace_it() {
        let latest = LatestConnection(AtomicU64::new(1));
        assert_eq!(latest.observe(1), (1, false));
        assert_eq!(latest.observe(2), (2, true));
        assert_eq!(latest.observe(1), (2, false), "seen before another task saw 2");
        assert_eq!(latest.observe(2), (2, false), "only the first is told");
    }

    #[tokio::test]
    async fn sessions_of_an_earlier_connection_end_also_if_a_new_session_notices_first() {
        // Never connects: only its statistics are used.
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = options.connect("127.0.0.1:1").await.unwrap();
        let endpoint = Endpoint::start(&nats).unwrap();
        let (old, new, late) = (TestSession::new(0), TestSession::new(1), TestSession::new(0));
        endpoint.insert(&"old".into(), &old);
        nats.statistics().connects.store(1, Ordering::SeqCst);
        endpoint.insert(&"new".into(), &new);
        endpoint.insert(&"late".into(), &late);
        let closed = |session: &TestSession| session.closed.lock().unwrap().clone();
        assert_eq!(closed(&old), Some(CloseReason::Reconnected));
        assert_eq!(closed(&late), Some(CloseReason::Reconnected), "opened before, inserted after");
        assert_eq!(closed(&new), None);
    }

    #[tokio::test]
    async fn the_largest_session_ends_if_all_hold_too_much_memory() {
        const MIB: usize = 1 << 20;
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = options.connect("127.0.0.1:1").await.unwrap();
        let endpoint = Endpoint::start(&nats).unwrap();
        endpoint.handle().set_limits(EndpointLimits { memory: Some(4 * MIB), in_flight: None });
        let (small, large) = (TestSession::holding(0, MIB), TestSession::holding(0, 3 * MIB));
        endpoint.insert(&"small".into(), &small);
        endpoint.insert(&"large".into(), &large);
        let closed = |session: &TestSession| session.closed.lock().unwrap().clone();
        let mut share = Share::new(Arc::clone(endpoint.handle().budget()));
        share.set(4 * MIB);
        endpoint.check();
        assert_eq!((closed(&small), closed(&large)), (None, None), "within the limit");
        share.set(5 * MIB);
        endpoint.check();
        let reason = CloseReason::MemoryLimit { held: 3 * MIB, limit: 4 * MIB };
        assert_eq!((closed(&small), closed(&large)), (None, Some(reason)));
    }
}
