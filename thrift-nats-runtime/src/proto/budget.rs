//! The memory that the sessions of an endpoint may hold together.
//!
//! [`Budget`] counts bytes that peers make this process keep: requests that were received and not yet answered, parts of
//! long messages, and queued messages. Each session owns a [`Share`] of it. Neither allocates anything: they count what
//! the sessions hold. The endpoint closes the sessions with the largest shares when the budget is exceeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget counts whole steps of this many bytes. A share that has held anything counts as one step at least, until it is
/// dropped: an idle session takes 1,094 bytes in a server and 1,433 in a client. Without this, calls that hold less than a
/// step, one after the other, would all write to a counter that all threads share.
const STEP: usize = 1024;
/// The most bytes that the budget counts for a share in addition to those that it holds.
const MAX_SLACK: usize = 16 * 1024;

/// The memory that all sessions of an endpoint may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The limit, in bytes.
    limit: AtomicUsize,
    /// Number of bytes that the sessions hold.
    held: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), held: AtomicUsize::new(0) })
    }

    /// The limit, in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Number of bytes that the sessions hold.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Number of bytes that are left; 0 if the budget is exceeded.
    pub(crate) fn room(&self) -> usize {
        self.limit().saturating_sub(self.held())
    }

    /// Whether the sessions hold more than the limit.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.held() > self.limit()
    }
}

/// The part of a [`Budget`] that one session holds. Dropping it gives the bytes back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    /// Number of bytes that the budget counts for this session.
    counted: usize,
}

impl Share {
    pub(crate) const fn new(budget: Arc<Budget>) -> Self {
        Self { budget, counted: 0 }
    }

    /// Notes that the session holds `bytes`. The budget counts these bytes at least. It counts less only if a quarter less is
    /// held, or two steps, so that messages that come and go do not write to it each time.
    pub(crate) fn set(&mut self, bytes: usize) {
        let slack = (self.counted / 4).clamp(2 * STEP, MAX_SLACK);
        if bytes > self.counted || self.counted - bytes >= slack {
            self.count(bytes.next_multiple_of(STEP).max(STEP));
        }
    }

    fn count(&mut self, bytes: usize) {
        if bytes > self.counted {
            self.budget.held.fetch_add(bytes - self.counted, Ordering::Relaxed);
        } else {
            self.budget.held.fetch_sub(self.counted - bytes, Ordering::Relaxed);
        }
        self.counted = bytes;
    }

    /// Number of bytes that the budget counts for this session.
    pub(crate) const fn held(&self) -> usize {
        self.counted
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_counts_what_its_shares_hold() {
        let budget = Budget::new(3 * STEP);
        let mut first = Share::new(Arc::clone(&budget));
        let mut second = Share::new(Arc::clone(&budget));
        first.set(2 * STEP);
        second.set(STEP);
        assert_eq!((budget.held(), budget.room(), budget.is_exceeded()), (3 * STEP, 0, false));
        second.set(2 * STEP);
        assert!(budget.is_exceeded());
        drop(second);
        assert_eq!((budget.held(), first.held()), (2 * STEP, 2 * STEP));
        drop(first);
        assert_eq!(budget.room(), 3 * STEP);
    }

    #[test]
    fn a_share_counts_as_what_it_holds_at_least_and_as_little_more() {
        let mut share = Share::new(Budget::new(STEP));
        share.set(0);
        assert_eq!(share.held(), 0, "it has held nothing");
        let sizes = [1, STEP, 15 * STEP, 100, 2 * STEP + 1, 40_000, 39_000, 1 << 20, (1 << 20) - 20_000, 0];
        for bytes in sizes.into_iter().cycle().take(100) {
            share.set(bytes);
            let held = share.held();
            let most = bytes + (held / 4).clamp(2 * STEP, MAX_SLACK);
            assert!((bytes.max(STEP)..most).contains(&held), "{held} for {bytes}");
        }
    }

    #[test]
    fn many_shares_that_hold_little_exceed_the_limit() {
        let budget = Budget::new(1 << 20);
        let mut shares: Vec<_> = (0..1000).map(|_| Share::new(Arc::clone(&budget))).collect();
        shares.iter_mut().for_each(|share| share.set(1100));
        assert!(budget.is_exceeded(), "{} bytes of {}", budget.held(), 1000 * 1100);
        shares.iter_mut().for_each(|share| share.set(0));
        assert_eq!(budget.held(), 1000 * STEP, "idle sessions");
    }

    /// All threads write to the same counter.
    #[test]
    fn small_calls_do_not_write_to_the_budget() {
        let budget = Budget::new(1 << 20);
        let mut share = Share::new(Arc::clone(&budget));
        share.set(600);
        // A write would be relative to this number.
        budget.held.store(0, Ordering::Relaxed);
        for bytes in [0, 1, STEP, 300, 0] {
            share.set(bytes);
            assert_eq!(budget.held(), 0, "{bytes} bytes are held");
        }
        budget.held.store(share.held(), Ordering::Relaxed);
    }
}
