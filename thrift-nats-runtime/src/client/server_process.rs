//! Liveness probes of the server processes that a client has sessions with.
//!
//! Nothing tells a client that a server process has died. NATS does reply to a message that has no subscriber with a `503`
//! (no responders), but a client that waits for replies sends nothing. Therefore, while calls are in flight and nothing
//! has come from a server process for a while, the client sends it a probe: an empty message to a subject of the process,
//! which drops it. One probe serves all sessions with the process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::endpoint::{EndpointHandle, Timed, TimerKey};
use crate::proto::{Transmit, probe_reply, probe_subject};
use crate::sync::lock;
use crate::time::now;

/// Time without a message from a process, while calls are in flight, after which it is probed.
const SILENCE: Duration = Duration::from_millis(25);

/// A session, as its server process sees it.
pub(super) trait ProbeObserver: Send + Sync + 'static {
    /// NATS says that the server process does not exist any more.
    fn handle_server_gone(self: Arc<Self>);
}

/// The server processes that an endpoint has sessions with.
pub(super) struct ServerProcesses {
    endpoint: EndpointHandle,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// By the subject that all sessions of the process are below.
    by_base: FxHashMap<String, Arc<ServerProcess>>,
    /// By the number in the reply subjects of probes.
    by_number: FxHashMap<u64, Arc<ServerProcess>>,
    last_number: u64,
}

impl ServerProcesses {
    pub(super) fn new(endpoint: EndpointHandle) -> Arc<Self> {
        Arc::new(Self { endpoint, index: Mutex::default() })
    }

    /// Adds a session to the process that listens on `listen`, the subject of the session at the server.
    pub(super) fn join(
        &self,
        listen: &Subject,
        token: &Arc<str>,
        session: Weak<dyn ProbeObserver>,
    ) -> Arc<ServerProcess> {
        let base = listen.rsplit_once('.').map_or(listen.as_str(), |(base, _)| base);
        let Index { by_base, by_number, last_number } = &mut *lock(&self.index);
        let process = by_base.entry(base.to_owned()).or_insert_with(|| {
            *last_number += 1;
            let process = Arc::new(ServerProcess::new(self.endpoint.clone(), base.to_owned(), *last_number));
            by_number.insert(*last_number, Arc::clone(&process));
            process
        });
        lock(&process.sessions).insert(Arc::clone(token), session);
        Arc::clone(process)
    }

    /// Removes a session from its process, and forgets the process with its last session.
    pub(super) fn leave(&self, process: &ServerProcess, token: &str) {
        let mut index = lock(&self.index);
        let mut sessions = lock(&process.sessions);
        sessions.remove(token);
        if sessions.is_empty() {
            index.by_base.remove(&process.base);
            index.by_number.remove(&process.number);
        }
    }

    /// NATS reported no responders for a probe of the process with this number: it does not exist any more.
    pub(super) fn handle_gone(&self, number: u64) {
        let process = lock(&self.index).by_number.get(&number).cloned();
        let Some(process) = process else { return };
        let sessions: Vec<_> = lock(&process.sessions).values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            session.handle_server_gone();
        }
    }
}

/// A server process that there are sessions with.
pub(super) struct ServerProcess {
    endpoint: EndpointHandle,
    base: String,
    number: u64,
    /// Number of sessions with calls in flight.
    busy_sessions: AtomicUsize,
    since: Instant,
    /// The time of the last message from the process, in nanoseconds after `since`.
    heard: AtomicU64,
    timer: Mutex<Option<TimerKey>>,
    sessions: Mutex<FxHashMap<Arc<str>, Weak<dyn ProbeObserver>>>,
}

impl ServerProcess {
    fn new(endpoint: EndpointHandle, base: String, number: u64) -> Self {
        Self {
            endpoint,
            base,
            number,
            busy_sessions: AtomicUsize::new(0),
            since: now(),
            heard: AtomicU64::new(0),
            timer: Mutex::new(None),
            sessions: Mutex::default(),
        }
    }

    /// Something came from the process.
    pub(super) fn heard(&self, now: Instant) {
        let since = now.saturating_duration_since(self.since).as_nanos();
        self.heard.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A session that had no call in flight has one now.
    pub(super) fn session_busy(self: &Arc<Self>) {
        if self.busy_sessions.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut timer = lock(&self.timer);
            // The timer fires once more after the last call, so that it is often still set.
            if timer.is_none() {
                self.set_timer(&mut timer, now() + SILENCE);
            }
        }
    }

    /// A session that had calls in flight has none any more.
    pub(super) fn session_idle(&self) {
        self.busy_sessions.fetch_sub(1, Ordering::SeqCst);
    }

    fn set_timer(self: &Arc<Self>, timer: &mut Option<TimerKey>, at: Instant) {
        self.endpoint.timers().set(timer, Some(at), || Arc::downgrade(self) as Weak<dyn Timed>);
    }
}

impl Timed for ServerProcess {
    fn handle_timer(self: Arc<Self>, now: Instant, _timer: TimerKey) {
        let mut timer = lock(&self.timer);
        *timer = None;
        // Read under the lock: a session that becomes busy after this finds that no timer is set.
        if self.busy_sessions.load(Ordering::SeqCst) == 0 {
            return;
        }
        let heard = self.since + Duration::from_nanos(self.heard.load(Ordering::Relaxed));
        if now.saturating_duration_since(heard) >= SILENCE {
            self.endpoint.publisher().send(Transmit {
                subject: probe_subject(&self.base),
                reply: Some(probe_reply(self.endpoint.base(), self.number)),
                headers: None,
                payload: Bytes::new(),
            });
        }
        self.set_timer(&mut timer, now + SILENCE);
    }
}
