//! How long to wait before a session is tried to be opened again.

use std::time::{Duration, Instant};

use crate::error::{CloseReason, Error, PeerReason};

/// The first pause, at most.
const FIRST: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses between attempts: each up to twice the one before, and of a random length between half of that and all of it,
/// so that clients that lost their server together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Notes that a session could not be opened; when to try again.
    pub(super) fn failed(&mut self, now: Instant) -> Instant {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Without randomness, all of it.
        let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        let next = now + longest.mul_f64(0.5 + random / 2.0);
        self.not_before = Some(next);
        next
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|not_before| not_before <= now)
    }
}

/// Whether a session that could not be opened for this reason may be opened a little later.
pub(super) fn helps_to_wait(error: &Error) -> bool {
    let reason = match error {
        Error::NoServer { .. } => return true,
        Error::Connect { reason, .. } => reason,
        Error::Application(_)
        | Error::InvalidSubject { .. }
        | Error::InvalidFormat { .. }
        | Error::HeadersNotCarried { .. }
        | Error::QueueFull { .. }
        | Error::TooManyCalls { .. }
        | Error::DeadlineExceeded { .. }
        | Error::SessionEnded { .. }
        | Error::Encode(_)
        | Error::Decode(_)
        | Error::NotDrained { .. }
        | Error::Nats { .. } => return false,
    };
    match reason {
        CloseReason::Closed
        | CloseReason::Unsupported { .. }
        | CloseReason::HeaderTransportToOriginal
        | CloseReason::BadAccept(_)
        | CloseReason::Malformed(_)
        | CloseReason::ChunkWithoutNumber
        | CloseReason::NatsClosed => false,
        CloseReason::Disconnected { reason, .. } => {
            !matches!(reason, Some(PeerReason::Malformed | PeerReason::Unsupported))
        }
        CloseReason::PeerGone { .. }
        | CloseReason::MissedHeartbeats { .. }
        | CloseReason::ChunkLost { .. }
        | CloseReason::NoServer
        | CloseReason::HandshakeTimeout { .. }
        | CloseReason::Reconnected
        | CloseReason::QueueOverflow { .. }
        | CloseReason::PublishFailed { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_differ_and_have_a_bound() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert!(backoff.is_due(now));
        let pauses: Vec<_> = (0..40).map(|_| backoff.failed(now) - now).collect();
        for (failures, pause) in pauses.iter().enumerate() {
            let longest = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
            assert!((longest / 2..=longest).contains(pause), "{failures}: {pause:?}");
        }
        assert!(pauses[20..].windows(2).any(|pair| pair[0] != pair[1]));
        assert!(!backoff.is_due(now) && backoff.is_due(now + LONGEST));
    }
}
