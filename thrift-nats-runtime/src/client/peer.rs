//! The process of a server, as its clients see it: alive while NATS says that it listens.
//!
//! Nobody is told when a process dies. NATS says so to whoever sends to it, with a 503 at once; a client that has sent a
//! request and waits sends nothing. So while calls are in flight and nothing comes, the server's process is asked, not once
//! for each session but once for all of them: an empty message to a subject of its own, which it drops.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::hub::Hub;
use super::session_handle::SessionHandle;
use crate::endpoint::{Timed, TimerKey, now};
use crate::proto::{Transmit, probe_reply, probe_subject};
use crate::sync::lock;

/// How long nothing may come from a process that calls wait for, until NATS is asked whether it is there.
const SILENCE: Duration = Duration::from_millis(25);

/// The process of a server.
pub(super) struct Peer {
    hub: Weak<Hub>,
    /// The subject that all its sessions are below.
    base: String,
    number: u64,
    /// How many sessions have calls in flight.
    busy: AtomicUsize,
    begun: Instant,
    /// When something came from it, in nanoseconds since it was begun.
    heard: AtomicU64,
    timer: Mutex<Option<TimerKey>>,
    sessions: Mutex<FxHashMap<Arc<str>, Weak<SessionHandle>>>,
}

impl Peer {
    pub(super) fn new(hub: &Arc<Hub>, base: String, number: u64, now: Instant) -> Self {
        Self {
            hub: Arc::downgrade(hub),
            base,
            number,
            busy: AtomicUsize::new(0),
            begun: now,
            heard: AtomicU64::new(0),
            timer: Mutex::new(None),
            sessions: Mutex::default(),
        }
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// A session with it was opened.
    pub(super) fn add(&self, token: &Arc<str>, session: &Arc<SessionHandle>) {
        lock(&self.sessions).insert(Arc::clone(token), Arc::downgrade(session));
    }

    /// A session with it has ended; whether it was the last.
    pub(super) fn remove(&self, token: &str) -> bool {
        let mut sessions = lock(&self.sessions);
        sessions.remove(token);
        sessions.is_empty()
    }

    pub(super) fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        lock(&self.sessions).values().filter_map(Weak::upgrade).collect()
    }

    /// Something came from it.
    pub(super) fn heard(&self, now: Instant) {
        let since = now.saturating_duration_since(self.begun).as_nanos();
        self.heard.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A session has calls in flight that had none.
    pub(super) fn busier(self: &Arc<Self>, hub: &Hub) {
        if self.busy.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut timer = lock(&self.timer);
            // It is woken once more after the last call: one that follows soon finds the timer there.
            if timer.is_none() {
                self.wake_at(hub, &mut timer, now() + SILENCE);
            }
        }
    }

    /// A session has no calls in flight any more.
    pub(super) fn idler(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake_at(self: &Arc<Self>, hub: &Hub, timer: &mut Option<TimerKey>, at: Instant) {
        hub.timers().set(timer, Some(at), || Arc::downgrade(self) as Weak<dyn Timed>);
    }
}

impl Timed for Peer {
    fn handle_timer(self: Arc<Self>, now: Instant, _timer: TimerKey) {
        let Some(hub) = self.hub.upgrade() else { return };
        let mut timer = lock(&self.timer);
        *timer = None;
        // Under the lock: who makes the first call after this look finds that there is no timer.
        if self.busy.load(Ordering::SeqCst) == 0 {
            return;
        }
        let heard = self.begun + Duration::from_nanos(self.heard.load(Ordering::Relaxed));
        if now.saturating_duration_since(heard) >= SILENCE {
            hub.publisher().send(Transmit {
                subject: probe_subject(&self.base),
                reply: Some(probe_reply(hub.base(), self.number)),
                headers: None,
                payload: Bytes::new(),
            });
        }
        self.wake_at(&hub, &mut timer, now + SILENCE);
    }
}
