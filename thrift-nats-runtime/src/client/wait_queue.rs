//! The queues of calls for which no session of a pool has capacity: one for short calls, and one for long ones, which short
//! calls pass.
//!
//! A queue owns the order of the calls. It never looks at a limit: the first call tries the sessions again whenever one of
//! them has changed.
//!
//! 1. A call that is refused enters as a [`QueuedCall`], and waits until it is the [first](QueuedCall::first).
//! 2. The first call tries the sessions. If all refuse, it waits for [`change`](FirstCall::change), and tries again.
//! 3. A session that has sent something, or has one call less, calls [`WaitQueues::changed`] under its lock. So a call that tried
//!    before the change is woken, and one that tries after it finds the capacity.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::proto::CHUNK;

/// The queues of a pool.
#[derive(Debug, Default)]
pub(super) struct WaitQueues {
    short: WaitQueue,
    long: WaitQueue,
}

impl WaitQueues {
    /// The queue of a call whose body has `len` bytes.
    pub(super) const fn of_call(&self, len: usize) -> &WaitQueue {
        if len > CHUNK { &self.long } else { &self.short }
    }

    /// A session may have more capacity than before.
    pub(super) fn changed(&self) {
        self.short.changed();
        self.long.changed();
    }
}

/// A queue of a pool.
#[derive(Debug)]
pub(super) struct WaitQueue {
    /// Number of calls in the queue. Each call of the pool reads it; it is written only while calls wait.
    waiting: AtomicUsize,
    /// One permit, which the first call holds: first come, first served.
    first: Semaphore,
    changed: Notify,
}

/// A call in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct QueuedCall<'a>(&'a WaitQueue);

/// The first call of the queue. Dropping it makes the next one the first.
#[derive(Debug)]
pub(super) struct FirstCall<'a> {
    queue: &'a WaitQueue,
    _permit: SemaphorePermit<'a>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self { waiting: AtomicUsize::new(0), first: Semaphore::new(1), changed: Notify::new() }
    }
}

impl WaitQueue {
    /// Whether calls wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// A session may have more capacity than before.
    fn changed(&self) {
        if self.has_waiting() {
            self.changed.notify_one();
        }
    }

    /// Enters the queue.
    pub(super) fn enter(&self) -> QueuedCall<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        QueuedCall(self)
    }
}

impl<'a> QueuedCall<'a> {
    /// Waits until all calls before this one have left the queue.
    ///
    /// # Cancellation
    /// Has no effect on the other calls.
    pub(super) async fn first(&self) -> FirstCall<'a> {
        let permit = self.0.first.acquire().await.expect("the semaphore is never closed");
        FirstCall { queue: self.0, _permit: permit }
    }
}

impl Drop for QueuedCall<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FirstCall<'_> {
    /// Waits until a session has changed since the last time.
    ///
    /// # Cancellation
    /// Has no effect on the other calls.
    pub(super) async fn change(&self) {
        self.queue.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn calls_are_served_in_order_and_a_change_is_not_missed() {
        let queue = WaitQueue::default();
        queue.changed();
        let (first, second) = (queue.enter(), queue.enter());
        let head = first.first().await;
        let mut next = pin!(second.first());
        assert!(poll!(&mut next).is_pending());
        {
            let mut early = pin!(head.change());
            assert!(poll!(&mut early).is_pending(), "a change before any call waited is not kept");
            queue.changed();
            assert!(poll!(&mut early).is_ready());
        }
        queue.changed();
        head.change().await;
        drop(head);
        assert!(poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn call_that_leaves_the_queue_leaves_no_trace() {
        let queue = WaitQueue::default();
        {
            let (first, second, third) = (queue.enter(), queue.enter(), queue.enter());
            let head = first.first().await;
            {
                let mut cancelled = pin!(second.first());
                assert!(poll!(&mut cancelled).is_pending());
            }
            let mut next = pin!(third.first());
            assert!(poll!(&mut next).is_pending());
            drop(head);
            assert!(poll!(&mut next).is_ready());
        }
        assert!(!queue.has_waiting());
    }
}
