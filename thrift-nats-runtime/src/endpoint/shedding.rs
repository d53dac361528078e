//! The choice of the sessions that end when all sessions together hold too much memory.
//!
//! It never ends a session. The [`Endpoint`](super::Endpoint) asks it before each message whether to look, which costs a
//! comparison while the memory is within its limit.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::proto::Budget;

/// The shortest pause between two looks at all sessions. A look does not always help: the memory may belong to sessions that
/// have ended and whose handlers have been cancelled and still run.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause after a look is this many times as long as the look: it may take 50 ms with 262,144 sessions.
const PAUSE_FACTOR: u32 = 10;

/// A session that holds memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder<S> {
    pub(super) session: S,
    /// The number that the sessions with the same peer share.
    pub(super) peer: usize,
    /// In bytes.
    pub(super) held: usize,
}

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

    /// Returns the sessions to end. `sessions` is called if there are too many bytes, and returns the sessions that
    /// hold something that can be freed.
    pub(super) fn choose<S>(
        &self,
        now: Instant,
        budget: &Budget,
        sessions: impl FnOnce() -> Vec<Holder<S>>,
    ) -> Vec<Holder<S>> {
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

/// The sessions to end, so that the others hold at most 7/8 of the limit. Each is the largest session of the peer that holds
/// the most: a peer gains nothing from many small sessions.
pub(super) fn largest<S>(mut sessions: Vec<Holder<S>>, limit: usize) -> Vec<Holder<S>> {
    let goal = limit - limit / 8;
    let mut left: usize = sessions.iter().map(|session| session.held).sum();
    sessions.retain(|session| session.held > 0);
    sessions.sort_unstable_by_key(|session| session.held);
    // The largest session is the last one of each peer.
    let mut by_peer = FxHashMap::<usize, (usize, Vec<Holder<S>>)>::default();
    for session in sessions {
        let (held, sessions) = by_peer.entry(session.peer).or_default();
        *held += session.held;
        sessions.push(session);
    }
    let mut peers: BinaryHeap<_> = by_peer.iter().map(|(peer, (held, _))| (*held, *peer)).collect();
    let mut chosen = Vec::new();
    while left > goal
        && let Some((held, peer)) = peers.pop()
        && let Some(session) = by_peer.get_mut(&peer).and_then(|(_, sessions)| sessions.pop())
    {
        left -= session.held;
        peers.push((held - session.held, peer));
        chosen.push(session);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::proto::Share;

    const MIB: usize = 1 << 20;

    /// The sessions that end of these, which are named with the number of their peer and the bytes that they hold.
    fn chosen(sessions: &[(&'static str, usize, usize)], limit: usize) -> Vec<&'static str> {
        let sessions = sessions.iter().map(|&(session, peer, held)| Holder { session, peer, held });
        largest(sessions.collect(), limit).into_iter().map(|holder| holder.session).collect()
    }

    #[test]
    fn the_largest_sessions_end_until_seven_eighths_are_left() {
        let sessions = [("a", 1, 10), ("none", 2, 0), ("b", 3, 40), ("c", 4, 20), ("d", 5, 30)];
        assert_eq!(chosen(&sessions, 100), ["b"], "60 of 88 are left");
        assert_eq!(chosen(&sessions, 40), ["b", "d"], "30 of 35 are left");
        assert_eq!(chosen(&sessions, 1), ["b", "d", "c", "a"]);
        assert_eq!(chosen(&sessions, 1000), [""; 0]);
    }

    #[test]
    fn the_sessions_of_a_peer_count_together() {
        let sessions = [("large", 1, 50), ("a", 2, 20), ("b", 2, 30), ("c", 2, 20)];
        assert_eq!(chosen(&sessions, 110), ["b"], "peer 2 holds 70");
        assert_eq!(chosen(&sessions, 100), ["b", "large"], "then it holds 40");
    }

    #[test]
    fn the_sessions_are_looked_at_only_above_the_limit_and_with_pauses() {
        let start = Instant::now();
        let (shedding, budget) = (Shedding::new(start), Budget::new(MIB));
        let looks = Cell::new(0);
        let only = || Holder { session: "only", peer: 1, held: MIB };
        let look = |after| {
            let sessions = || {
                looks.set(looks.get() + 1);
                vec![only()]
            };
            (shedding.choose(start + after, &budget, sessions), looks.get())
        };
        let mut share = Share::new(Arc::clone(&budget));
        share.set(MIB);
        assert_eq!(look(Duration::ZERO), (vec![], 0), "at the limit");
        share.set(2 * MIB);
        assert_eq!(look(Duration::ZERO), (vec![only()], 1));
        assert_eq!(look(Duration::from_millis(1)), (vec![], 1), "a moment later");
        // A look takes less than a minute.
        assert_eq!(look(Duration::from_secs(600)), (vec![only()], 2));
        share.set(0);
        assert_eq!(look(Duration::from_secs(1200)), (vec![], 2));
    }

    #[test]
    fn the_peer_with_the_most_small_sessions_is_shed() {
        const HELD: usize = 15 << 10;
        let budget = Budget::new(MIB);
        let shares: Vec<_> = (0..90)
            .map(|number| {
                let mut share = Share::new(Arc::clone(&budget));
                share.set(HELD);
                (if number % 3 == 0 { 1 } else { 2 }, share)
            })
            .collect();
        let sessions =
            || shares.iter().map(|(peer, share)| Holder { session: (), peer: *peer, held: share.held() });
        let now = Instant::now();
        let chosen = Shedding::new(now).choose(now, &budget, || sessions().collect());
        assert!(chosen.iter().all(|session| session.peer == 2), "peer 1 holds half as much");
        let left = (90 - chosen.len()) * HELD;
        assert!((MIB - MIB / 8 - HELD..=MIB - MIB / 8).contains(&left), "{left} bytes are left");
    }
}
