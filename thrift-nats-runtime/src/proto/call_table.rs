//! The calls in flight of a client's session, and how far their requests have got.
//!
//! Owns the calls, their deadlines, and what follows from both. Never touches a queue or a message: the session says which
//! request was queued where, and in which chunk it was sent.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::close_reason::CloseReason;
use super::deadlines::Deadlines;
use super::outcome::{Outcome, RequestProgress};
use super::queue::Place;

/// A call without a reply. `W` is what the session's owner keeps for the caller.
#[derive(Debug)]
struct InFlightCall<W> {
    /// `None` if the caller cancelled the call, and a legacy server is still busy with it.
    waiter: Option<W>,
    oneway: bool,
    progress: RequestProgress,
    /// `None`: the call never expires.
    deadline: Option<Instant>,
}

/// The state of a call after the last byte of its request was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<W> {
    /// The call waits for its reply.
    AwaitsReply,
    /// The call was oneway and is complete. `None` if the caller has cancelled it.
    Oneway(Option<W>),
    /// The call was cancelled after a part of its request had been sent.
    Cancelled,
}

/// The calls in flight, by sequence number.
///
/// A number is in the table at most once, from [`insert`](Self::insert) until the call completes, is cancelled, or fails.
/// Each call returns its waiter at most once.
#[derive(Debug)]
pub(super) struct CallTable<W> {
    calls: FxHashMap<i32, InFlightCall<W>>,
    deadlines: Deadlines,
}

impl<W> Default for CallTable<W> {
    fn default() -> Self {
        Self { calls: FxHashMap::default(), deadlines: Deadlines::default() }
    }
}

impl<W> CallTable<W> {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn contains(&self, seqid: i32) -> bool {
        self.calls.contains_key(&seqid)
    }

    /// The progress of the request.
    pub(super) fn progress(&self, seqid: i32) -> Option<RequestProgress> {
        self.calls.get(&seqid).map(|call| call.progress)
    }

    /// Adds a call. No call in the table may have its number: that call would keep its waiter, and the new call would fail.
    pub(super) fn insert(
        &mut self,
        seqid: i32,
        oneway: bool,
        deadline: Option<Instant>,
        progress: RequestProgress,
        waiter: W,
    ) {
        let call = InFlightCall { waiter: Some(waiter), oneway, progress, deadline };
        debug_assert!(!self.contains(seqid), "sequence number {seqid} is in flight");
        self.calls.entry(seqid).or_insert(call);
        if let Some(at) = deadline {
            let calls = &self.calls;
            self.deadlines.add(at, seqid, calls.len(), |at, seqid| has_deadline(calls, at, seqid));
        }
    }

    /// Records that a held request is now in the queue, at this place.
    pub(super) fn mark_queued(&mut self, seqid: i32, place: Place) {
        if let Some(call) = self.calls.get_mut(&seqid) {
            call.progress = RequestProgress::Queued(place);
        }
    }

    /// Notes that the last byte of a request was sent in this chunk. A oneway call is complete then, and leaves the table.
    pub(super) fn mark_sent(&mut self, seqid: i32, chunk: u64) -> Sent<W> {
        let Some(call) = self.calls.get_mut(&seqid) else { return Sent::Cancelled };
        call.progress = RequestProgress::Sent(chunk);
        if !call.oneway {
            return Sent::AwaitsReply;
        }
        Sent::Oneway(self.remove(seqid))
    }

    /// Completes the call that this reply belongs to. `None` if the reply belongs to no call, or its caller has cancelled
    /// the call. A request that was not sent yet cannot have a reply.
    pub(super) fn complete(&mut self, seqid: i32) -> Option<W> {
        match self.progress(seqid)? {
            RequestProgress::Sent(_) => self.remove(seqid),
            RequestProgress::Held(_) | RequestProgress::Queued(_) => None,
        }
    }

    /// Removes a call that its caller does not wait for any more.
    pub(super) fn cancel(&mut self, seqid: i32) -> Option<W> {
        self.remove(seqid)
    }

    /// The same, but the call stays in flight until its reply arrives or the session ends: a legacy server runs its request
    /// and accepts no other request before it has replied.
    pub(super) fn abandon(&mut self, seqid: i32) -> Option<W> {
        self.calls.get_mut(&seqid)?.waiter.take()
    }

    /// The first deadline. Its call may be complete by now.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// A call whose deadline has passed, each at most once. The call stays in the table. To be called until it returns
    /// `None`, which also forgets the deadlines of completed calls.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<i32> {
        while let Some((at, seqid)) = self.deadlines.due(now) {
            if has_deadline(&self.calls, at, seqid) {
                return Some(seqid);
            }
        }
        let calls = &self.calls;
        self.deadlines.forget(|at, seqid| has_deadline(calls, at, seqid));
        None
    }

    /// Removes the calls whose requests are not completely in chunks up to `acknowledged`. Those requests are not run.
    pub(super) fn fail_unacknowledged(&mut self, acknowledged: u64) -> Vec<W> {
        let failed = self.calls.extract_if(|_, call| match call.progress {
            RequestProgress::Held(_) | RequestProgress::Queued(_) => true,
            RequestProgress::Sent(chunk) => chunk > acknowledged,
        });
        failed.filter_map(|(_, call)| call.waiter).collect()
    }

    /// Removes all calls, because the session has ended.
    pub(super) fn fail_all(&mut self, reason: &CloseReason) -> Vec<(W, Outcome)> {
        self.deadlines = Deadlines::default();
        let failed = self.calls.drain();
        failed.filter_map(|(_, call)| Some((call.waiter?, reason.outcome(call.progress)))).collect()
    }

    fn remove(&mut self, seqid: i32) -> Option<W> {
        self.calls.remove(&seqid).and_then(|call| call.waiter)
    }
}

/// Whether the call is in flight and has this deadline. Another call may have the number by now.
fn has_deadline<W>(calls: &FxHashMap<i32, InFlightCall<W>>, at: Instant, seqid: i32) -> bool {
    calls.get(&seqid).is_some_and(|call| call.deadline == Some(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RequestProgress::{Held, Queued, Sent as InChunk};
    use super::*;

    fn table(calls: &[(i32, bool, RequestProgress)]) -> CallTable<i32> {
        let mut table = CallTable::default();
        for (seqid, oneway, progress) in calls {
            table.insert(*seqid, *oneway, None, *progress, *seqid);
        }
        table
    }

    #[test]
    fn a_reply_completes_only_a_call_whose_request_was_sent() {
        let mut table =
            table(&[(1, false, Held(0)), (2, false, Queued(Place::Short(0))), (3, false, InChunk(1))]);
        assert_eq!([1, 2, 3, 3, 4].map(|seqid| table.complete(seqid)), [None, None, Some(3), None, None]);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_oneway_call_is_complete_once_it_is_sent() {
        let mut table = table(&[
            (1, true, Queued(Place::Short(0))),
            (2, false, Queued(Place::Short(1))),
            (3, true, Queued(Place::Short(2))),
        ]);
        assert_eq!(table.abandon(3), Some(3));
        assert_eq!(table.mark_sent(1, 1), Sent::Oneway(Some(1)));
        assert_eq!(table.mark_sent(2, 1), Sent::AwaitsReply);
        assert_eq!(table.mark_sent(3, 1), Sent::Oneway(None));
        assert_eq!(table.mark_sent(4, 1), Sent::Cancelled);
        assert_eq!((table.len(), table.progress(2)), (1, Some(InChunk(1))));
    }

    #[test]
    fn an_abandoned_call_keeps_its_number_and_gives_its_waiter_once() {
        let mut table = table(&[(1, false, InChunk(1)), (2, false, InChunk(1))]);
        assert_eq!((table.abandon(1), table.abandon(1)), (Some(1), None));
        assert!(table.contains(1));
        assert_eq!(table.complete(1), None);
        assert!(!table.contains(1));
        assert_eq!((table.cancel(2), table.cancel(2)), (Some(2), None));
    }

    #[test]
    fn a_deadline_of_a_completed_call_expires_no_other_call_with_its_number() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut table = CallTable::default();
        table.insert(1, false, Some(at(5)), InChunk(1), 1);
        table.complete(1);
        table.insert(1, false, Some(at(9)), InChunk(2), 1);
        assert_eq!(table.next_expired(at(5)), None);
        assert_eq!(table.next_deadline(), Some(at(9)));
        assert_eq!((table.next_expired(at(9)), table.next_expired(at(9))), (Some(1), None));
        assert_eq!(table.next_deadline(), None);
    }

    #[test]
    fn a_drain_fails_calls_that_were_not_acknowledged() {
        let calls = [
            (1, false, Held(0)),
            (2, false, Queued(Place::Short(0))),
            (3, false, InChunk(7)),
            (4, false, InChunk(8)),
        ];
        let mut table = table(&calls);
        let mut failed = table.fail_unacknowledged(7);
        failed.sort_unstable();
        assert_eq!(failed, [1, 2, 4]);
        assert_eq!(table.fail_all(&CloseReason::NatsClosed), [(3, Outcome::Unknown)]);
        assert_eq!(table.len(), 0);
    }
}
