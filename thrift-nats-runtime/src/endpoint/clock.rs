//! The clock of everything that waits.

use std::time::Instant;

/// The current time on tokio's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
