//! The waiting line of calls for which no session of a pool has room.
//!
//! It owns the order of the calls. It never looks at a limit: a call that has its turn tries the sessions again whenever
//! one of them has changed.
//!
//! 1. A call that is refused takes a [`Place`] in the line, and waits for its [`turn`](Place::turn).
//! 2. With its turn, it tries the sessions. If all refuse, it waits for [`change`](Turn::change), and tries again.
//! 3. A session that has sent something, or has one call less, calls [`Room::changed`] under its lock. So a call that tried
//!    before the change is woken, and one that tries after it finds the room.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// The waiting line of a pool.
#[derive(Debug)]
pub(super) struct Room {
    /// Number of calls in the line, and with the turn. Each call of the pool reads it; it is written only while calls wait.
    waiting: AtomicUsize,
    /// One permit, which is the turn: first come, first served.
    turn: Semaphore,
    changed: Notify,
}

/// The place of a call in the line. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Room);

/// The turn of a call. Dropping it gives the turn to the next one.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    room: &'a Room,
    _permit: SemaphorePermit<'a>,
}

impl Default for Room {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), turn: Semaphore::new(1), changed: Notify::new() }
    }
}

impl Room {
    /// Whether calls wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// A session may have more room than before.
    pub(super) fn changed(&self) {
        if self.has_waiting() {
            self.changed.notify_one();
        }
    }

    /// Enters the line.
    pub(super) fn enter(&self) -> Place<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Place(self)
    }
}

impl<'a> Place<'a> {
    /// Waits until all calls before this one have left the line.
    ///
    /// # Cancellation
    /// Has no effect on the other calls.
    pub(super) async fn turn(&self) -> Turn<'a> {
        let permit = self.0.turn.acquire().await.expect("the semaphore is never closed");
        Turn { room: self.0, _permit: permit }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Turn<'_> {
    /// Waits until a session has changed since the last time.
    ///
    /// # Cancellation
    /// Has no effect on the other calls.
    pub(super) async fn change(&self) {
        self.room.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn calls_get_their_turn_in_order_and_a_change_is_not_missed() {
        let room = Room::default();
        room.changed();
        let (first, second) = (room.enter(), room.enter());
        let turn = first.turn().await;
        let mut next = pin!(second.turn());
        assert!(poll!(&mut next).is_pending());
        {
            let mut early = pin!(turn.change());
            assert!(poll!(&mut early).is_pending(), "nobody waited for the change before");
            room.changed();
            assert!(poll!(&mut early).is_ready());
        }
        room.changed();
        turn.change().await;
        drop(turn);
        assert!(poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn call_that_leaves_the_line_leaves_no_trace() {
        let room = Room::default();
        {
            let (first, second, third) = (room.enter(), room.enter(), room.enter());
            let turn = first.turn().await;
            {
                let mut cancelled = pin!(second.turn());
                assert!(poll!(&mut cancelled).is_pending());
            }
            let mut next = pin!(third.turn());
            assert!(poll!(&mut next).is_pending());
            drop(turn);
            assert!(poll!(&mut next).is_ready());
        }
        assert!(!room.has_waiting());
    }
}
