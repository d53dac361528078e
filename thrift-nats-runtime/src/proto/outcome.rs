//! The progress of a request, and what it means for a call without a reply.

use super::queue::Place;

/// Whether the request of a call without a reply may have been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request is known not to have been run. It is safe to send it again.
    NotRun,
    /// The request may have been run.
    Unknown,
}

/// The progress of the request of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestProgress {
    /// The request waits at this place for the reply to the request before it.
    Held(u64),
    /// The request is queued at this place. A part of it may have been sent.
    Queued(Place),
    /// The last byte of the request was sent in this chunk.
    Sent(u64),
}
