//! Mutual exclusion between the tasks that publish for one session.

use std::sync::atomic::{AtomicU8, Ordering};

/// Allows one task at a time to publish for a session, because chunks have to be published in the order of their numbers.
///
/// ```text
///          acquire              acquire (by another task)
///   FREE ───────────▶ QUEUED ◀─ look_again (by the owner) ─┐
///    ▲                  │ begin                            │
///    └─── release ─── BUSY ────────────────────────────────┘
/// ```
///
/// - `FREE`: the lock has no owner.
/// - `QUEUED`: owned, and something may be unpublished.
/// - `BUSY`: owned, and nothing was queued since `begin`.
///
/// The owner calls [`begin`](Self::begin), and then polls the session for messages. [`release`](Self::release) fails if
/// another task has called [`acquire`](Self::acquire) since `begin`; the owner then polls again. So every message that was
/// queued before an `acquire` is published, and a task that fails to acquire the lock never waits for it.
///
/// The [`ReceiveQueue`](super::ReceiveQueue) has the same lock for the right to take messages from its subscription.
#[derive(Debug, Default)]
pub(crate) struct PublishLock(AtomicU8);

impl PublishLock {
    const FREE: u8 = 0;
    const BUSY: u8 = 1;
    const QUEUED: u8 = 2;

    /// Acquires the lock and returns true, or has its owner poll the session again.
    pub(super) fn acquire(&self) -> bool {
        self.0.swap(Self::QUEUED, Ordering::SeqCst) == Self::FREE
    }

    /// Called by the owner before it polls the session.
    pub(super) fn begin(&self) {
        self.0.store(Self::BUSY, Ordering::SeqCst);
    }

    /// Called by the owner if it has to poll the session again although no other task has queued a message.
    pub(super) fn look_again(&self) {
        self.0.store(Self::QUEUED, Ordering::SeqCst);
    }

    /// Releases the lock and returns true. Returns false, and the caller still owns the lock, if it has to poll the session
    /// again.
    pub(super) fn release(&self) -> bool {
        self.0.compare_exchange(Self::BUSY, Self::FREE, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_queued_while_the_owner_polls_are_polled_again() {
        let lock = PublishLock::default();
        assert!(lock.acquire());
        lock.begin();
        assert!(!lock.acquire(), "another task owns it");
        assert!(!lock.release(), "something was queued since");
        lock.begin();
        assert!(lock.release());
        assert!(lock.acquire());
    }
}
