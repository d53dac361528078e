//! The clock, and the times that a client and a server share.

use std::time::{Duration, Instant};

/// Longer than anything waits, and short enough that adding it to a point in time does not overflow: 100 years.
pub(crate) const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Timeout of sending the disconnect messages when a client or a server ends.
pub(crate) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// This long after `now`; a hundred years if the clock does not reach that far.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or_else(|| now + FAR_FUTURE)
}

/// The current time on tokio's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
