//! One subscription for all sessions of a connection to NATS.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use async_nats::{Client as Nats, Message, Statistics, StatusCode, Subject, Subscriber};
use futures_util::StreamExt;
use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

use super::peer::Peer;
use super::session_handle::SessionHandle;
use crate::endpoint::{Publisher, Timers, now, random_base};
use crate::nats_error::NatsError;
use crate::proto::{Address, CloseReason, Incoming, VERSION_HEADER, late_message};
use crate::sync::lock;

/// How often the connection is looked at, besides whenever a message comes: there is no signal to wait for.
const CONNECTION_CHECK: Duration = Duration::from_millis(50);
/// How long a late accept is answered after the last opening was given up: without an answer a server without heartbeats
/// keeps its session for ever.
const LATE_ACCEPTS: Duration = Duration::from_secs(10);

/// The hubs of this process, by the address of their connection's statistics, which clones of a connection share and
/// which a hub keeps alive: the address cannot be another's while the hub lives.
static HUBS: LazyLock<Mutex<HashMap<usize, Weak<Hub>>>> = LazyLock::new(Mutex::default);

/// What all clients that share a connection to NATS share.
pub(super) struct Hub {
    nats: Nats,
    statistics: Arc<Statistics>,
    base: String,
    /// How many times the connection had been made when it was last looked at.
    connects: AtomicU64,
    sessions: Mutex<FxHashMap<Arc<str>, Arc<SessionHandle>>>,
    peers: Mutex<Peers>,
    publisher: Publisher,
    timers: Arc<Timers>,
    tasks: OnceLock<[AbortHandle; 2]>,
    late_accepts: Weak<Keeper>,
}

/// The servers' processes that there are sessions with.
#[derive(Default)]
struct Peers {
    /// By the subject that they listen below.
    by_base: FxHashMap<String, Arc<Peer>>,
    by_number: FxHashMap<u64, Arc<Peer>>,
    last_number: u64,
}

/// Keeps a hub that has no client any more, until then. The task that keeps time owns it: with the runtime it goes, too.
type Keeper = Mutex<Option<(Instant, Arc<Hub>)>>;

impl Hub {
    /// The hub of this connection.
    pub(super) async fn of(nats: &Nats) -> Result<Arc<Self>, NatsError> {
        let statistics = nats.statistics();
        let key = Arc::as_ptr(&statistics) as usize;
        // Looked at when the lock is released: this may be the last who holds it, and its end takes the lock.
        let existing = lock(&HUBS).get(&key).and_then(Weak::upgrade);
        if let Some(hub) = existing.filter(|hub| hub.is_running()) {
            return Ok(hub);
        }
        let base = random_base(nats)?;
        let subscriber = nats
            .subscribe(format!("{base}.>"))
            .await
            .map_err(|error| NatsError::new("cannot subscribe to the inbox of the sessions", error))?;
        let keeper = Arc::new(Keeper::default());
        let hub = Arc::new(Self {
            nats: nats.clone(),
            connects: AtomicU64::new(statistics.connects.load(Ordering::SeqCst)),
            statistics,
            base,
            sessions: Mutex::default(),
            peers: Mutex::default(),
            publisher: Publisher::start(nats.clone()),
            timers: Arc::default(),
            tasks: OnceLock::new(),
            late_accepts: Arc::downgrade(&keeper),
        });
        let pump = tokio::spawn(pump(Arc::downgrade(&hub), subscriber, hub.base.len() + 1));
        let time = tokio::spawn(keep_time(Arc::downgrade(&hub), Arc::clone(&hub.timers), keeper));
        hub.tasks.get_or_init(|| [pump.abort_handle(), time.abort_handle()]);
        let mut hubs = lock(&HUBS);
        let other = hubs.get(&key).and_then(Weak::upgrade);
        let faster = other.as_ref().is_some_and(|other| other.is_running());
        if !faster {
            hubs.insert(key, Arc::downgrade(&hub));
        }
        drop(hubs);
        // Where somebody was faster, the subscription ends with its task.
        Ok(other.filter(|_| faster).unwrap_or(hub))
    }
}

impl Hub {
    /// Whether its tasks run: they end with the runtime that the first client was connected in, and with the connection.
    pub(super) fn is_running(&self) -> bool {
        self.publisher.is_running() && !self.tasks.get().into_iter().flatten().any(AbortHandle::is_finished)
    }

    /// Goes on answering strangers for a while, even without a client: an opening was given up, whose accept may come.
    pub(super) fn keep_for_late_accepts(self: &Arc<Self>) {
        if let Some(keeper) = self.late_accepts.upgrade() {
            let before = lock(&keeper).replace((now() + LATE_ACCEPTS, Arc::clone(self)));
            // Not under the lock: it is a hub.
            drop(before);
        }
    }

    pub(super) const fn nats(&self) -> &Nats {
        &self.nats
    }

    /// The subject that all sessions are below.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(super) fn add(&self, token: &Arc<str>, session: &Arc<SessionHandle>) {
        lock(&self.sessions).insert(Arc::clone(token), Arc::clone(session));
        // The connection may have been made anew since the session looked at it, and been checked since.
        session.check_connection(self.statistics.connects.load(Ordering::SeqCst));
    }

    pub(super) fn remove(&self, token: &str) {
        let session = lock(&self.sessions).remove(token);
        let Some(peer) = session.and_then(|session| session.left()) else { return };
        let mut peers = lock(&self.peers);
        if peer.remove(token) {
            peers.by_base.remove(peer.base());
            peers.by_number.remove(&peer.number());
        }
    }

    /// The process that listens to `session`, a session of a server of ours, which gets another.
    pub(super) fn join_peer(
        self: &Arc<Self>,
        server: &Subject,
        token: &Arc<str>,
        session: &Arc<SessionHandle>,
    ) -> Arc<Peer> {
        let base = server.rsplit_once('.').map_or(server.as_str(), |(base, _)| base);
        let mut peers = lock(&self.peers);
        let peer = peers.by_base.get(base).cloned().unwrap_or_else(|| {
            peers.last_number += 1;
            let number = peers.last_number;
            let peer = Arc::new(Peer::new(self, base.to_owned(), number, now()));
            peers.by_base.insert(base.to_owned(), Arc::clone(&peer));
            peers.by_number.insert(number, Arc::clone(&peer));
            peer
        });
        peer.add(token, session);
        peer
    }

    /// Waits until all that was published is written to the connection.
    pub(super) async fn flush(&self) -> Result<(), NatsError> {
        self.nats.flush().await.map_err(|error| NatsError::new("cannot flush the connection", error))
    }

    fn session(&self, token: &str) -> Option<Arc<SessionHandle>> {
        lock(&self.sessions).get(token).cloned()
    }

    /// Ends the sessions that were opened on another connection than this one.
    fn check_connection(&self) {
        let connects = self.statistics.connects.load(Ordering::SeqCst);
        if is_newer(&self.connects, connects) {
            let sessions: Vec<_> = lock(&self.sessions).values().cloned().collect();
            for session in sessions {
                session.check_connection(connects);
            }
        }
    }

    fn receive(self: &Arc<Self>, message: Message, prefix: usize) {
        self.check_connection();
        let Some(address) = message.subject.get(prefix..).and_then(Address::parse) else { return };
        match address {
            Address::Session { token } => match self.session(token) {
                Some(session) => {
                    let headers = message.headers.as_ref();
                    let versioned = headers.is_some_and(|headers| headers.get(VERSION_HEADER).is_some());
                    let Message { status, reply, payload, .. } = message;
                    session.receive(self, Incoming { versioned, status, reply, payload });
                }
                // A late accept, or data of a session that has ended here: its sender has to know.
                None => {
                    if let Some(transmit) = late_message(message.reply.as_ref(), &message.payload) {
                        self.publisher.send(transmit);
                    }
                }
            },
            Address::Gone { number } => {
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    let peer = lock(&self.peers).by_number.get(&number).cloned();
                    for session in peer.map(|peer| peer.sessions()).unwrap_or_default() {
                        session.undelivered(self, None);
                    }
                }
            }
            // A server never beats, never gives a call up, and never asks.
            Address::Heartbeat { .. } | Address::Cancelled { .. } | Address::Probe => {}
            Address::Undelivered { token, chunk } => {
                if message.status == Some(StatusCode::NO_RESPONDERS)
                    && let Some(session) = self.session(token)
                {
                    session.undelivered(self, chunk);
                }
            }
        }
    }
}

/// Whether the connection is a newer one than was `seen`, for the first to ask. One that read the number a while ago does
/// not take a newer connection's sessions for older ones.
fn is_newer(seen: &AtomicU64, connects: u64) -> bool {
    seen.fetch_max(connects, Ordering::SeqCst) < connects
}

/// Hands what comes to the sessions. Never waits for one of them.
async fn pump(hub: Weak<Hub>, mut subscriber: Subscriber, prefix: usize) {
    while let Some(message) = subscriber.next().await {
        let Some(hub) = hub.upgrade() else { return };
        hub.receive(message, prefix);
    }
    // The connection is closed, or drained.
    if let Some(hub) = hub.upgrade() {
        let sessions: Vec<_> = lock(&hub.sessions).values().cloned().collect();
        for session in sessions {
            session.close(CloseReason::NatsClosed);
        }
    }
}

/// Ends the sessions when the task that keeps time is dropped, as with its runtime: nobody else would end their calls.
struct EndOfTime(Weak<Hub>);

impl Drop for EndOfTime {
    fn drop(&mut self) {
        let Some(hub) = self.0.upgrade() else { return };
        let sessions: Vec<_> = lock(&hub.sessions).values().cloned().collect();
        for session in sessions {
            session.close(CloseReason::NatsClosed);
        }
    }
}

async fn keep_time(hub: Weak<Hub>, timers: Arc<Timers>, keeper: Arc<Keeper>) {
    let _end = EndOfTime(hub.clone());
    let check = || {
        let now = now();
        let kept = lock(&keeper).take_if(|(until, _)| *until <= now);
        drop(kept);
        if let Some(hub) = hub.upgrade() {
            hub.check_connection();
        }
    };
    timers.run(CONNECTION_CHECK, check).await;
}

impl Drop for Hub {
    fn drop(&mut self) {
        for task in self.tasks.get().into_iter().flatten() {
            task.abort();
        }
        let mut hubs = lock(&HUBS);
        let key = Arc::as_ptr(&self.statistics) as usize;
        if hubs.get(&key).is_some_and(|hub| hub.strong_count() == 0) {
            hubs.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_read_a_while_ago_is_no_newer_connection() {
        let seen = AtomicU64::new(1);
        assert!(!is_newer(&seen, 1));
        assert!(is_newer(&seen, 2));
        assert!(!is_newer(&seen, 2), "only the first is told");
        assert!(!is_newer(&seen, 1));
        assert!(!is_newer(&seen, 2), "and what was seen stays seen");
    }
}
