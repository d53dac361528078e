//! What an endpoint asks of its connection to NATS.

use std::sync::atomic::Ordering;

use async_nats::Client as Nats;

use crate::nats_error::NatsError;

/// A subject for a process to receive on: random, so that no other process can guess it, and below the connection's
/// inbox prefix, so that permissions that allow the prefix allow this subject.
pub(crate) fn random_base(nats: &Nats) -> Result<String, NatsError> {
    let inbox = nats.new_inbox();
    let prefix = inbox.rsplit_once('.').map_or(inbox.as_str(), |(prefix, _)| prefix);
    Ok(format!("{prefix}.{}", random_token()?))
}

/// A token that no other process can guess.
pub(crate) fn random_token() -> Result<String, NatsError> {
    crate::proto::random_token()
        .map_err(|error| NatsError::new("cannot read random bytes from the operating system", error))
}

/// How many times the connection has been established. The number changes before a new connection delivers anything.
pub(crate) fn connects(nats: &Nats) -> u64 {
    nats.statistics().connects.load(Ordering::SeqCst)
}
