//! The memory that the sessions of an endpoint may hold together.
//!
//! [`Budget`] counts bytes that peers make this process keep: requests that were received and not yet answered, parts of
//! long messages, and queued messages. Each session owns a [`Share`] of it. Neither allocates anything: they count what
//! the sessions hold. The endpoint closes the sessions with the largest shares when the budget is exceeded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The change of a share, in bytes, below which the budget is not updated: every call would otherwise write to a counter
/// that all threads share. The budget is therefore wrong by at most this for each session.
const STEP: usize = 16 * 1024;

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

    /// Notes that the session holds `bytes`. Small changes are not passed on to the budget, except that nothing held counts
    /// as nothing.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes.abs_diff(self.counted) >= STEP || (bytes == 0 && self.counted > 0) {
            if bytes > self.counted {
                self.budget.held.fetch_add(bytes - self.counted, Ordering::Relaxed);
            } else {
                self.budget.held.fetch_sub(self.counted - bytes, Ordering::Relaxed);
            }
            self.counted = bytes;
        }
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
        self.set(0);
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
        first.set(0);
        assert_eq!(budget.room(), 3 * STEP);
    }

    #[test]
    fn small_changes_are_not_counted_but_nothing_is() {
        let budget = Budget::new(STEP);
        let mut share = Share::new(Arc::clone(&budget));
        share.set(STEP - 1);
        assert_eq!(budget.held(), 0);
        share.set(STEP);
        share.set(1);
        assert_eq!(budget.held(), STEP, "a change of less than one step");
        share.set(0);
        assert_eq!(budget.held(), 0);
    }
}
