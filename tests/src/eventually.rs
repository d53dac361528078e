//! Waiting for what has no event of its own.

use std::time::Duration;

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(2);
/// How long it may take; on a machine under load everything takes long.
const BOUND: Duration = Duration::from_secs(30);

/// Waits until `holds` does.
///
/// # Panics
/// If it does not hold within 30 s.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = tokio::time::Instant::now() + BOUND;
        while !holds() {
            assert!(tokio::time::Instant::now() < end, "{what}: not within {BOUND:?}, at {caller}");
            tokio::time::sleep(POLL).await;
        }
    }
}
