//! The calls of a client's session that wait for their answer, and how far their requests have got.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::close_reason::CloseReason;
use super::deadlines::Deadlines;

/// Whether the request of a call that got no answer may have been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was certainly not run: it may be sent again.
    NotRun,
    /// It may have been run, or not.
    Unknown,
}

/// A call in flight. `W` stands for whoever waits for it.
#[derive(Debug)]
pub(super) struct Call<W> {
    /// `None` once whoever waited has gone.
    pub(super) waiter: Option<W>,
    pub(super) oneway: bool,
    pub(super) request: Request,
    /// `None`: longer than the clock goes.
    pub(super) deadline: Option<Instant>,
}

/// How far the request of a call has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// It waits for the answer to the one before, at this place.
    Held(u64),
    /// It is queued at this place; a part of it may have gone.
    Queued(u64),
    /// Its last byte went into this chunk.
    Sent(u64),
}

impl Request {
    /// Whether a request that got so far may have been run in a session that ended for this reason.
    fn outcome(self, reason: &CloseReason) -> Outcome {
        match (self, reason) {
            (Self::Held(_), _) => Outcome::NotRun,
            // All that is queued still goes.
            (Self::Queued(_), CloseReason::Closed) => Outcome::Unknown,
            (Self::Queued(_), _) => Outcome::NotRun,
            (Self::Sent(chunk), CloseReason::Disconnected { acknowledged: Some(acknowledged), .. })
                if chunk > *acknowledged =>
            {
                Outcome::NotRun
            }
            (Self::Sent(chunk), CloseReason::PeerGone { chunk: Some(lost) }) if chunk >= *lost => {
                Outcome::NotRun
            }
            (Self::Sent(chunk), CloseReason::PublishFailed { chunk: Some(failed), .. })
                if chunk >= *failed =>
            {
                Outcome::NotRun
            }
            (Self::Sent(_), _) => Outcome::Unknown,
        }
    }
}

/// The calls in flight, by their sequence numbers.
#[derive(Debug)]
pub(super) struct Calls<W> {
    by_seqid: FxHashMap<i32, Call<W>>,
    deadlines: Deadlines,
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self { by_seqid: FxHashMap::default(), deadlines: Deadlines::default() }
    }
}

impl<W> Calls<W> {
    pub(super) fn len(&self) -> usize {
        self.by_seqid.len()
    }

    pub(super) fn contains(&self, seqid: i32) -> bool {
        self.by_seqid.contains_key(&seqid)
    }

    pub(super) fn get_mut(&mut self, seqid: i32) -> Option<&mut Call<W>> {
        self.by_seqid.get_mut(&seqid)
    }

    pub(super) fn insert(&mut self, seqid: i32, call: Call<W>) {
        let deadline = call.deadline;
        self.by_seqid.insert(seqid, call);
        if let Some(at) = deadline {
            let calls = &self.by_seqid;
            self.deadlines.add(at, seqid, calls.len(), |at, seqid| is_due(calls, at, seqid));
        }
    }

    pub(super) fn remove(&mut self, seqid: i32) -> Option<Call<W>> {
        self.by_seqid.remove(&seqid)
    }

    /// Takes the call out that this number's answer is for. What has not been asked yet cannot be answered.
    pub(super) fn answered(&mut self, seqid: i32) -> Option<Call<W>> {
        let call = self.by_seqid.get(&seqid)?;
        matches!(call.request, Request::Sent(_)).then(|| self.by_seqid.remove(&seqid)).flatten()
    }

    /// When the first deadline is, of a call that may be answered by now.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// A call whose deadline has passed, each once.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<i32> {
        loop {
            let (at, seqid) = self.deadlines.due(now)?;
            if is_due(&self.by_seqid, at, seqid) {
                return Some(seqid);
            }
        }
    }

    /// Forgets the deadlines of calls that are answered, as far as they come first.
    pub(super) fn forget_deadlines(&mut self) {
        let calls = &self.by_seqid;
        self.deadlines.forget(|at, seqid| is_due(calls, at, seqid));
    }

    /// Takes those out whose requests are not wholly in chunks up to `taken`; who waits for them.
    pub(super) fn behind(&mut self, acknowledged: u64) -> Vec<W> {
        let behind = self.by_seqid.extract_if(|_, call| match call.request {
            Request::Held(_) | Request::Queued(_) => true,
            Request::Sent(chunk) => chunk > acknowledged,
        });
        behind.filter_map(|(_, call)| call.waiter).collect()
    }

    /// Takes all out, since the session has ended: who waits, and whether the request may have been run.
    pub(super) fn end(&mut self, reason: &CloseReason) -> Vec<(W, Outcome)> {
        self.deadlines = Deadlines::default();
        let calls = self.by_seqid.drain();
        calls.filter_map(|(_, call)| Some((call.waiter?, call.request.outcome(reason)))).collect()
    }
}

/// Whether the call `seqid` is in flight, and has this deadline: the number may be another call's by now.
fn is_due<W>(calls: &FxHashMap<i32, Call<W>>, at: Instant, seqid: i32) -> bool {
    calls.get(&seqid).is_some_and(|call| call.deadline == Some(at))
}
