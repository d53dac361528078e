//! The tokio runtime that an endpoint's tasks run in, as the calls on its sessions see it.
//!
//! It decides whether a call can rely on the endpoint's timers. It never runs or stops anything itself.
//!
//! A runtime with several threads runs its tasks as long as it exists. A runtime of the current thread runs them only
//! while a thread is inside its `block_on`. A call that is made in another runtime can therefore wait for an endpoint whose
//! timers, publisher and receive loop all stand still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use crate::error::ConnectError;

/// Time without a [`tick`](HomeRuntime::tick) after which a runtime counts as stalled.
const STALLED: Duration = Duration::from_secs(1);

/// The current tokio runtime.
pub(super) fn current() -> Result<Handle, ConnectError> {
    Handle::try_current().map_err(|_| ConnectError::NoRuntime)
}

/// The runtime of an endpoint.
#[derive(Debug)]
pub(super) struct HomeRuntime {
    id: Id,
    /// Whether it runs its tasks as long as it exists.
    has_workers: bool,
    since: Instant,
    /// The time of the last tick, in milliseconds after `since`.
    ticked: AtomicU64,
}

/// The place of a task that makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The endpoint's tasks run while the caller waits.
    Home,
    /// In another runtime, while the endpoint's runtime may not be driven.
    Elsewhere,
    /// The same, but in no tokio runtime, so that no timer can end the call at its deadline.
    Outside,
}

impl HomeRuntime {
    pub(super) fn new(runtime: &Handle) -> Self {
        Self {
            id: runtime.id(),
            has_workers: has_workers(runtime),
            since: Instant::now(),
            ticked: AtomicU64::new(0),
        }
    }

    pub(super) const fn id(&self) -> Id {
        self.id
    }

    /// The place of the current task. The runtime is looked up only if it matters: the lookup changes a reference count
    /// that all threads of a runtime share, and takes 12 ns on one thread and 77 ns on each of two that do it at once.
    pub(super) fn caller(&self) -> Caller {
        if self.has_workers {
            return Caller::Home;
        }
        match Handle::try_current() {
            Ok(runtime) if runtime.id() == self.id => Caller::Home,
            Ok(_) => Caller::Elsewhere,
            Err(_) => Caller::Outside,
        }
    }

    /// Notes that the runtime runs its tasks.
    pub(super) fn tick(&self) {
        let since = self.since.elapsed().as_millis();
        self.ticked.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the runtime has not run its tasks for a while.
    pub(super) fn is_stalled(&self) -> bool {
        let ticked = Duration::from_millis(self.ticked.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(ticked) >= STALLED
    }
}

/// Whether the runtime runs its tasks as long as it exists.
pub(super) fn has_workers(runtime: &Handle) -> bool {
    runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn current_thread() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn only_a_runtime_without_workers_can_leave_a_caller_waiting() {
        let (home, other) = (current_thread(), current_thread());
        let runtime = HomeRuntime::new(home.handle());
        assert_eq!(home.block_on(async { runtime.caller() }), Caller::Home);
        assert_eq!(other.block_on(async { runtime.caller() }), Caller::Elsewhere);
        assert_eq!(runtime.caller(), Caller::Outside);
        let runtime = HomeRuntime { has_workers: true, ..runtime };
        assert_eq!(other.block_on(async { runtime.caller() }), Caller::Home);
        assert_eq!(runtime.caller(), Caller::Home);
    }

    #[test]
    fn a_runtime_without_ticks_is_stalled() {
        let runtime = HomeRuntime::new(current_thread().handle());
        runtime.tick();
        assert!(!runtime.is_stalled());
        let runtime = HomeRuntime { since: Instant::now() - STALLED, ..runtime };
        runtime.ticked.store(0, Ordering::Relaxed);
        assert!(runtime.is_stalled());
        runtime.tick();
        assert!(!runtime.is_stalled());
    }
}
