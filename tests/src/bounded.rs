//! Waits with a bound: a test that waits in vain fails instead of hanging.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;

/// The bound of every wait. It is long, because a busy machine delays everything.
pub const BOUND: Duration = Duration::from_secs(30);
/// A timeout that is far longer than any test, for calls that must end for another reason than their deadline.
pub const NEVER: Duration = Duration::from_secs(3600);
/// The interval at which [`eventually`] checks its condition.
const POLL: Duration = Duration::from_millis(2);

/// Waits until `holds` returns true. For conditions without an event to wait for.
///
/// # Panics
/// If the condition does not hold within [`BOUND`].
#[track_caller]
pub fn eventually(what: impl Display, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let end = tokio::time::Instant::now() + BOUND;
        while !holds() {
            assert!(tokio::time::Instant::now() < end, "{what}: not within {BOUND:?}, at {caller}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Waits for a future, such as a call.
///
/// # Panics
/// If it is not ready within [`BOUND`].
#[track_caller]
pub fn soon<T>(future: impl IntoFuture<Output = T>) -> impl Future<Output = T> {
    let (caller, future) = (Location::caller(), future.into_future());
    async move {
        match tokio::time::timeout(BOUND, future).await {
            Ok(output) => output,
            Err(_) => panic!("not ready within {BOUND:?}, at {caller}"),
        }
    }
}

/// Waits for the next message of a subscription.
///
/// # Panics
/// If none arrives within [`BOUND`], or the subscription has ended.
#[track_caller]
pub fn next(inbox: &mut Subscriber) -> impl Future<Output = Message> {
    let message = soon(inbox.next());
    async move { message.await.expect("the subscription is open") }
}
