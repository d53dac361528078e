//! The pauses between attempts to open a session. No timers here: the session pool waits.

use std::time::{Duration, Instant};

use crate::error::ConnectError;

/// The longest that the first pause may be.
const FIRST: Duration = Duration::from_millis(10);
/// The longest that any pause may be.
const LONGEST: Duration = Duration::from_secs(1);

/// The error of the last attempt to open a session, and the time of the next one.
///
/// The upper bound of a pause doubles with each failure. The pause itself is random, between half of the bound and all of
/// it, so that clients that lost their server at the same time do not all come back at the same time.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Instant,
    error: ConnectError,
}

impl Backoff {
    /// The state after an attempt that failed `now`, and after those `before` it. If no server listens, a call waits only
    /// for `wait_for_server`, so that no pause may be longer.
    pub(super) fn after(
        before: Option<&Self>,
        error: ConnectError,
        now: Instant,
        wait_for_server: Duration,
    ) -> Self {
        let failures = before.map_or(0, |before| before.failures);
        let longest = match &error {
            ConnectError::NoServer { .. } => LONGEST.min(wait_for_server),
            ConnectError::InvalidSubject { .. }
            | ConnectError::InvalidFormat { .. }
            | ConnectError::InvalidOption(_)
            | ConnectError::NoRuntime
            | ConnectError::Handshake { .. }
            | ConnectError::Nats(_) => LONGEST,
        };
        let pause = FIRST.saturating_mul(1 << failures.min(16)).min(longest);
        // Without random bytes, the pause is the whole bound.
        let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
        let not_before = now + pause.mul_f64(0.5 + random / 2.0);
        Self { failures: failures.saturating_add(1), not_before, error }
    }

    /// The error of the last attempt.
    pub(super) const fn error(&self) -> &ConnectError {
        &self.error
    }

    /// The earliest time of the next attempt.
    pub(super) const fn not_before(&self) -> Instant {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CloseReason;

    fn pauses(error: ConnectError, wait_for_server: Duration) -> Vec<Duration> {
        let now = Instant::now();
        let mut backoff = None;
        let pause = |_| {
            let next = Backoff::after(backoff.as_ref(), error.clone(), now, wait_for_server);
            backoff.insert(next).not_before() - now
        };
        (0..40).map(pause).collect()
    }

    #[test]
    fn pauses_grow_to_a_bound_and_are_random() {
        let reason = CloseReason::Reconnected;
        let pauses = pauses(ConnectError::Handshake { subject: "a".to_owned(), reason }, Duration::ZERO);
        for (failures, pause) in pauses.iter().enumerate() {
            let longest = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
            assert!((longest / 2..=longest).contains(pause), "{failures}: {pause:?}");
        }
        assert!(pauses[20..].windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn without_a_server_no_pause_is_longer_than_a_call_waits() {
        for wait in [Duration::ZERO, Duration::from_millis(100), LONGEST, Duration::MAX] {
            let pauses = pauses(ConnectError::NoServer { subject: "a".to_owned() }, wait);
            let longest = wait.min(LONGEST);
            assert!(pauses.iter().all(|pause| *pause <= longest), "{pauses:?}");
            assert!(pauses[39] >= longest / 2, "{pauses:?}");
        }
    }
}
