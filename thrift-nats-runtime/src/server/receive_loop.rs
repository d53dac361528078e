//! The task that receives the messages to the sessions of a server.

use std::sync::{Arc, Weak};

use super::server_endpoint::{ServerEndpoint, Vital};
use crate::endpoint::ReceiveQueue;
use crate::nats_error::NatsError;
use crate::time::DISCONNECT_TIMEOUT;

/// Routes messages to the sessions, and gives their requests to the executor. Neither waits for a session nor runs a
/// handler. Ends when the connection is closed or drained. After `stopped` is cancelled it ends when every session has sent
/// its disconnect message: until then a client that probes this process must not learn from NATS that it is gone.
pub(super) fn receive_loop(
    endpoint: &Arc<ServerEndpoint>,
    mut queue: ReceiveQueue,
) -> impl Future<Output = ()> + Send + use<> {
    let (handle, sessions) = (endpoint.handle().clone(), Arc::clone(endpoint.sessions()));
    let (endpoint, stopped) = (Arc::downgrade(endpoint), endpoint.stopped().clone());
    async move {
        let _vital = Vital(endpoint.clone());
        let ended = stopped.run_until_cancelled(receive(&endpoint, &mut queue)).await;
        if let (Some(()), Some(endpoint)) = (ended, endpoint.upgrade()) {
            endpoint.close_sessions();
            let error = NatsError::new("cannot serve any more", "the connection to NATS is closed");
            return endpoint.fail(error.into());
        }
        // Without the endpoint, which is gone if the server was dropped.
        let flushed = async {
            sessions.empty().await;
            handle.publisher().flush_queue().await;
        };
        let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, flushed).await;
    }
}

async fn receive(endpoint: &Weak<ServerEndpoint>, queue: &mut ReceiveQueue) {
    while let Some(message) = queue.next().await {
        let Some(endpoint) = endpoint.upgrade() else { return };
        if let Some((session, requests)) = endpoint.receive(message) {
            endpoint.executor().start(session, requests);
        }
    }
}
