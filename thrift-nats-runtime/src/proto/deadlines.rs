//! The deadlines of a session's calls.
//!
//! Most calls complete long before their deadlines, and most have the same timeout. A deadline is therefore added at the
//! end of a queue and is not looked up when its call completes: it is forgotten when it gets to the front. That costs a few
//! nanoseconds a call.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// Number of deadlines of completed calls that may be kept, in addition to as many as there are calls in flight.
const SLACK: usize = 64;

/// Deadlines of calls. Some of the calls may be complete: the caller has to check.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// The deadlines that were added in their own order.
    queue: VecDeque<(Instant, i32)>,
    /// The deadlines that were added out of order.
    unordered: BTreeSet<(Instant, i32)>,
}

impl Deadlines {
    /// Adds the deadline of a call. `in_flight` is the number of calls in flight, and `is_in_flight` tells which they are.
    pub(super) fn add(
        &mut self,
        at: Instant,
        seqid: i32,
        in_flight: usize,
        is_in_flight: impl Fn(Instant, i32) -> bool,
    ) {
        // At least half of the deadlines are dropped then, so that the cost for each is constant.
        if self.queue.len() + self.unordered.len() >= 2 * in_flight + SLACK {
            self.queue.retain(|(at, seqid)| is_in_flight(*at, *seqid));
            self.unordered.retain(|(at, seqid)| is_in_flight(*at, *seqid));
        }
        if self.queue.back().is_none_or(|(last, _)| *last <= at) {
            self.queue.push_back((at, seqid));
        } else {
            self.unordered.insert((at, seqid));
        }
    }

    /// The first deadline. Its call may be complete.
    pub(super) fn next(&self) -> Option<Instant> {
        let (queue, unordered) = (self.queue.front(), self.unordered.first());
        queue.into_iter().chain(unordered).map(|(at, _)| *at).min()
    }

    /// Removes and returns a deadline that has passed, and the number of its call.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, i32)> {
        let is_due = |entry: &(Instant, i32)| entry.0 <= now;
        if self.queue.front().is_some_and(is_due) {
            return self.queue.pop_front();
        }
        if self.unordered.first().is_some_and(is_due) { self.unordered.pop_first() } else { None }
    }

    /// Forgets the deadlines of completed calls, up to the first of a call in flight.
    pub(super) fn forget(&mut self, is_in_flight: impl Fn(Instant, i32) -> bool) {
        while self.queue.front().is_some_and(|(at, seqid)| !is_in_flight(*at, *seqid)) {
            self.queue.pop_front();
        }
        while self.unordered.first().is_some_and(|(at, seqid)| !is_in_flight(*at, *seqid)) {
            self.unordered.pop_first();
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(SLACK);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_even_if_added_out_of_order() {
        let base = Instant::now();
        let at = |millis| base + Duration::from_millis(millis);
        let mut deadlines = Deadlines::default();
        for (seqid, millis) in [(1, 50), (2, 70), (3, 20), (4, 70), (5, 10)] {
            deadlines.add(at(millis), seqid, 5, |_, _| true);
        }
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.due(at(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| deadlines.due(at(60))).map(|(_, seqid)| seqid).collect();
        assert_eq!(due.len(), 3);
        assert!([1, 3, 5].iter().all(|seqid| due.contains(seqid)));
        assert_eq!(deadlines.next(), Some(at(70)));
        deadlines.forget(|_, seqid| seqid != 2);
        assert_eq!(deadlines.due(at(70)), Some((at(70), 4)));
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn deadlines_of_completed_calls_are_forgotten() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        // The first call never completes, so that nothing is forgotten from the front.
        for seqid in 0..100_000 {
            let at = base + Duration::from_nanos(if seqid % 3 == 0 { 5 } else { seqid as u64 });
            deadlines.add(at, seqid, 1, |_, seqid| seqid == 0);
        }
        assert!(deadlines.queue.len() + deadlines.unordered.len() <= SLACK + 2);
        assert_eq!(deadlines.due(base + Duration::from_secs(1)).map(|(_, seqid)| seqid), Some(0));
    }
}
