//! When the calls of a session have to be answered.
//!
//! Most calls are answered long before, and most have the same time as all others: a call is noted at the end of a queue, is
//! forgotten without being looked for, and costs a few nanoseconds.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// How many calls may be noted that are not in flight any more, besides as many as are.
const SLACK: usize = 64;

/// The deadlines of calls, some of which may be answered by now: whoever asks has to know which are not.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Those that were noted in the order in which they are due.
    queue: VecDeque<(Instant, i32)>,
    /// The others.
    odd: BTreeSet<(Instant, i32)>,
}

impl Deadlines {
    /// Notes the deadline of a call. `in_flight` is how many calls are, and `is_in_flight` says which.
    pub(super) fn add(
        &mut self,
        at: Instant,
        seqid: i32,
        in_flight: usize,
        is_in_flight: impl Fn(Instant, i32) -> bool,
    ) {
        // Seldom enough to cost nothing: what is thrown out then is half of all.
        if self.queue.len() + self.odd.len() >= 2 * in_flight + SLACK {
            self.queue.retain(|(at, seqid)| is_in_flight(*at, *seqid));
            self.odd.retain(|(at, seqid)| is_in_flight(*at, *seqid));
        }
        if self.queue.back().is_none_or(|(last, _)| *last <= at) {
            self.queue.push_back((at, seqid));
        } else {
            self.odd.insert((at, seqid));
        }
    }

    /// The first deadline, of a call that may be answered by now.
    pub(super) fn next(&self) -> Option<Instant> {
        let (queue, odd) = (self.queue.front(), self.odd.first());
        queue.into_iter().chain(odd).map(|(at, _)| *at).min()
    }

    /// Takes a call out whose deadline has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, i32)> {
        let is_due = |entry: &(Instant, i32)| entry.0 <= now;
        if self.queue.front().is_some_and(is_due) {
            return self.queue.pop_front();
        }
        if self.odd.first().is_some_and(is_due) { self.odd.pop_first() } else { None }
    }

    /// Forgets the calls at the front that are answered.
    pub(super) fn forget(&mut self, is_in_flight: impl Fn(Instant, i32) -> bool) {
        while self.queue.front().is_some_and(|(at, seqid)| !is_in_flight(*at, *seqid)) {
            self.queue.pop_front();
        }
        while self.odd.first().is_some_and(|(at, seqid)| !is_in_flight(*at, *seqid)) {
            self.odd.pop_first();
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
    fn deadlines_come_in_their_order_whatever_that_of_the_calls() {
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
    fn calls_that_are_answered_take_no_memory_for_long() {
        let base = Instant::now();
        let mut deadlines = Deadlines::default();
        // The first is never answered, so that nothing is ever forgotten at the front.
        for seqid in 0..100_000 {
            let at = base + Duration::from_nanos(if seqid % 3 == 0 { 5 } else { seqid as u64 });
            deadlines.add(at, seqid, 1, |_, seqid| seqid == 0);
        }
        assert!(deadlines.queue.len() + deadlines.odd.len() <= SLACK + 2);
        assert_eq!(deadlines.due(base + Duration::from_secs(1)).map(|(_, seqid)| seqid), Some(0));
    }
}
