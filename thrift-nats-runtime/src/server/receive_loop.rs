//! The task that receives the messages to the sessions of a server.

use std::sync::Weak;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::server_endpoint::{ServerEndpoint, Vital};
use crate::nats_error::NatsError;

/// Timeout of sending the disconnect messages when a server ends.
pub(super) const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Routes messages to the sessions, and gives their requests to the executor. Neither waits for a session nor runs a
/// handler. Ends when the connection is closed or drained. After `stopped` is cancelled it ends when every session has sent
/// its disconnect message: until then a client that probes this process must not learn from NATS that it is gone.
pub(super) async fn receive_loop(
    endpoint: Weak<ServerEndpoint>,
    mut subscriber: Subscriber,
    stopped: CancellationToken,
) {
    let _vital = Vital(endpoint.clone());
    let ended = stopped.run_until_cancelled(receive(&endpoint, &mut subscriber)).await;
    let Some(endpoint) = endpoint.upgrade() else { return };
    match ended {
        None => {
            let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, endpoint.flushed()).await;
        }
        Some(()) => {
            endpoint.close_sessions();
            let error = NatsError::new("cannot serve any more", "the connection to NATS is closed");
            endpoint.fail(error.into());
        }
    }
}

async fn receive(endpoint: &Weak<ServerEndpoint>, subscriber: &mut Subscriber) {
    while let Some(message) = subscriber.next().await {
        let Some(endpoint) = endpoint.upgrade() else { return };
        // Held before the requests are taken from their session, so that a drain never finds them neither queued in the
        // session nor running in a task.
        let _held = endpoint.executor().hold();
        if let Some((session, requests)) = endpoint.receive(message) {
            endpoint.executor().start(session, requests);
        }
    }
}
