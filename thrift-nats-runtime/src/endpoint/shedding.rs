//! The choice of the sessions that end when all sessions together hold too much memory.
//!
//! It never ends a session. The [`Endpoint`](super::Endpoint) asks it before each message whether to look, which costs a
//! comparison while the memory is within its limit.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::proto::Budget;

/// The shortest pause between two looks at all sessions. A look does not always help: the memory may belong to sessions that
/// have ended and whose handlers still run.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause after a look is this many times as long as the look: it may take 50 ms with 262,144 sessions.
const PAUSE_FACTOR: u32 = 10;

/// The times at which the sessions are looked at.
pub(super) struct Shedding {
    since: Instant,
    /// The time of the next look, in nanoseconds after `since`.
    next: AtomicU64,
}

impl Shedding {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, next: AtomicU64::new(0) }
    }

    /// Returns the sessions to end, the largest first, with the bytes that each holds. `sessions` is called if there are too
    /// many bytes. It returns the open sessions and the bytes that they hold.
    pub(super) fn choose<S>(
        &self,
        now: Instant,
        budget: &Budget,
        sessions: impl FnOnce() -> Vec<(S, usize)>,
    ) -> Vec<(S, usize)> {
        if !budget.is_exceeded() {
            return Vec::new();
        }
        let time = nanos(now.saturating_duration_since(self.since));
        let next = self.next.load(Ordering::Relaxed);
        // The task that claims the look sets the time of the next one.
        let claims =
            || self.next.compare_exchange(next, u64::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if time < next || !claims() {
            return Vec::new();
        }
        let begun = Instant::now();
        let chosen = largest(sessions(), budget.limit());
        let pause = PAUSE.max(begun.elapsed().saturating_mul(PAUSE_FACTOR));
        self.next.store(time.saturating_add(nanos(pause)), Ordering::Relaxed);
        chosen
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The largest sessions, without which the others hold at most 7/8 of the limit.
fn largest<S>(mut sessions: Vec<(S, usize)>, limit: usize) -> Vec<(S, usize)> {
    let goal = limit - limit / 8;
    let mut left: usize = sessions.iter().map(|(_, held)| held).sum();
    sessions.retain(|(_, held)| *held > 0);
    sessions.sort_unstable_by_key(|(_, held)| Reverse(*held));
    let count = sessions
        .iter()
        .take_while(|(_, held)| {
            let above = left > goal;
            left -= if above { *held } else { 0 };
            above
        })
        .count();
    sessions.truncate(count);
    sessions
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::proto::Share;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_largest_sessions_end_until_seven_eighths_are_left() {
        let sessions = vec![("a", 10), ("none", 0), ("b", 40), ("c", 20), ("d", 30)];
        assert_eq!(largest(sessions.clone(), 100), [("b", 40)], "60 of 88 are left");
        assert_eq!(largest(sessions.clone(), 40), [("b", 40), ("d", 30)], "30 of 35 are left");
        assert_eq!(largest(sessions.clone(), 1), [("b", 40), ("d", 30), ("c", 20), ("a", 10)]);
        assert_eq!(largest(sessions, 1000), []);
    }

    #[test]
    fn the_sessions_are_looked_at_only_above_the_limit_and_with_pauses() {
        let start = Instant::now();
        let (shedding, budget) = (Shedding::new(start), Budget::new(MIB));
        let looks = Cell::new(0);
        let look = |after| {
            let sessions = || {
                looks.set(looks.get() + 1);
                vec![("only", MIB)]
            };
            (shedding.choose(start + after, &budget, sessions), looks.get())
        };
        let mut share = Share::new(Arc::clone(&budget));
        share.set(MIB);
        assert_eq!(look(Duration::ZERO), (vec![], 0), "at the limit");
        share.set(2 * MIB);
        assert_eq!(look(Duration::ZERO), (vec![("only", MIB)], 1));
        assert_eq!(look(Duration::from_millis(1)), (vec![], 1), "a moment later");
        // A look takes less than a minute.
        assert_eq!(look(Duration::from_secs(600)), (vec![("only", MIB)], 2));
        share.set(0);
        assert_eq!(look(Duration::from_secs(1200)), (vec![], 2));
    }
}
