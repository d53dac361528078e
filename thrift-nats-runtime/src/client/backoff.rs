//! How long to wait before a session is tried to be opened again.

use std::time::{Duration, Instant};

use crate::error::Error;

/// The first pause, at most.
const FIRST: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(1);

/// Why no session could be opened, and when it may be tried again. The pauses are each up to twice the one before, and of a
/// random length between half of that and all of it, so that clients that lost their server together do not come back
/// together.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Instant,
    error: Error,
}

impl Backoff {
    /// After an attempt that failed `now`, and those `before` it. Where nobody listens, who calls waits no longer than
    /// `wait_for_server`: an attempt is to be made in this time.
    pub(super) fn after(
        before: Option<&Self>,
        error: Error,
        now: Instant,
        wait_for_server: Duration,
    ) -> Self {
        let failures = before.map_or(0, |before| before.failures);
        let longest = match &error {
            Error::NoServer { .. } => LONGEST.min(wait_for_server),
            _ => LONGEST,
        };
        let pause = FIRST.saturating_mul(1 << failures.min(16)).min(longest);
        // Without randomness, all of it.
        let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        let not_before = now + pause.mul_f64(0.5 + random / 2.0);
        Self { failures: failures.saturating_add(1), not_before, error }
    }

    /// What the last attempt failed with.
    pub(super) const fn error(&self) -> &Error {
        &self.error
    }

    /// When it may be tried again.
    pub(super) const fn not_before(&self) -> Instant {
        self.not_before
    }
}

/// Whether a session that could not be opened for this reason may be opened a little later.
pub(super) fn helps_to_wait(error: &Error) -> bool {
    match error {
        Error::NoServer { .. } => true,
        Error::Connect { reason, .. } => reason.is_transient(),
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
        | Error::Nats { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CloseReason;

    fn pauses(error: Error, wait_for_server: Duration) -> Vec<Duration> {
        let now = Instant::now();
        let mut backoff = None;
        let pause = |_| {
            let next = Backoff::after(backoff.as_ref(), error.clone(), now, wait_for_server);
            backoff.insert(next).not_before() - now
        };
        (0..40).map(pause).collect()
    }

    #[test]
    fn pauses_grow_differ_and_have_a_bound() {
        let reason = CloseReason::Reconnected;
        let pauses = pauses(Error::Connect { subject: "a".to_owned(), reason }, Duration::ZERO);
        for (failures, pause) in pauses.iter().enumerate() {
            let longest = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
            assert!((longest / 2..=longest).contains(pause), "{failures}: {pause:?}");
        }
        assert!(pauses[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn where_nobody_listens_no_pause_is_longer_than_a_call_waits() {
        for wait in [Duration::ZERO, Duration::from_millis(100), LONGEST, Duration::MAX] {
            let pauses = pauses(Error::NoServer { subject: "a".to_owned() }, wait);
            let longest = wait.min(LONGEST);
            assert!(pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
            assert!(pauses[39] >= longest / 2, "{pauses:?}");
        }
    }
}
