//! Timers for all sessions of an endpoint, in one task.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sync::lock;
use crate::time::now;

/// An object with a timer.
pub(crate) trait Timed: Send + Sync + 'static {
    /// Does the work that is due at `now`, and sets its timer again. `timer` is the key that fired, which is no longer set.
    fn handle_timer(self: Arc<Self>, now: Instant, timer: TimerKey);
}

/// A timer that is set: its time, and a number that makes it unique.
pub(crate) type TimerKey = (Instant, u64);

/// The timers of an endpoint. Setting one costs a lookup in an ordered map, and no task.
#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<BTreeMap<TimerKey, Weak<dyn Timed>>>,
    next_id: AtomicU64,
    /// Notified when a timer is set that is earlier than all others.
    earlier: Notify,
}

impl Timers {
    /// Sets `timer` to `at`, or removes it if `at` is `None`. `timed` returns the object to wake. It is called only if the
    /// timer was not set, or has just fired. A timer whose object was dropped is skipped when it fires.
    pub(crate) fn set(
        &self,
        timer: &mut Option<TimerKey>,
        at: Option<Instant>,
        timed: impl FnOnce() -> Weak<dyn Timed>,
    ) {
        if timer.map(|(at, _)| at) == at {
            return;
        }
        let mut due = lock(&self.due);
        let before = timer.take().and_then(|key| due.remove(&key));
        let Some(at) = at else { return };
        let key = (at, self.next_id.fetch_add(1, Ordering::Relaxed));
        due.insert(key, before.unwrap_or_else(timed));
        *timer = Some(key);
        if due.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.earlier.notify_one();
        }
    }

    /// Removes `timer`.
    pub(crate) fn remove(&self, timer: &mut Option<TimerKey>) {
        if let Some(key) = timer.take() {
            lock(&self.due).remove(&key);
        }
    }

    /// Whether no timer is set.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.due).is_empty()
    }

    /// Fires timers until the future is dropped. Calls `tick` at least once every `interval`.
    pub(crate) async fn run(&self, interval: Duration, mut tick: impl FnMut()) {
        loop {
            let now = now();
            let mut next = now + interval;
            while let Some((timer, timed)) = self.pop_due(now, &mut next) {
                if let Some(timed) = timed.upgrade() {
                    timed.handle_timer(now, timer);
                }
            }
            tick();
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Removes and returns a timer that is due. If none is, lowers `next` to the time of the first.
    fn pop_due(&self, now: Instant, next: &mut Instant) -> Option<(TimerKey, Weak<dyn Timed>)> {
        let mut due = lock(&self.due);
        let (first, _) = *due.first_key_value()?.0;
        if first <= now {
            return due.pop_first();
        }
        *next = first.min(*next);
        None
    }
}
