//! The task that receives the messages to the sessions of a server.

use std::sync::Arc;

use super::server_endpoint::{ServerEndpoint, Vital};
use crate::endpoint::ReceiveQueue;
use crate::nats_error::NatsError;

/// Routes messages to the sessions, and gives their requests to the executor. Neither waits for a session nor runs a
/// handler. Ends when the connection is closed or drained. After `stopped` is cancelled it ends when every session has sent
/// its disconnect message: until then a client must not learn from NATS that this process is gone, and a session waits for
/// the first message of its client.
pub(super) fn receive_loop(
    endpoint: &Arc<ServerEndpoint>,
    mut queue: ReceiveQueue,
) -> impl Future<Output = ()> + Send + use<> {
    let endpoint = Arc::clone(endpoint);
    async move {
        let _vital = Vital(Arc::downgrade(&endpoint));
        tokio::select! {
            () = receive(&endpoint, &mut queue) => {
                endpoint.close_sessions();
                if !endpoint.stopped().is_cancelled() {
                    let error = NatsError::new("cannot serve any more", "the connection to NATS is closed");
                    endpoint.fail(error.into());
                }
            }
            () = endpoint.disconnected() => {}
        }
    }
}

async fn receive(endpoint: &Arc<ServerEndpoint>, queue: &mut ReceiveQueue) {
    while let Some(message) = queue.next().await {
        if let Some((session, requests)) = endpoint.receive(message) {
            endpoint.executor().start(session, requests);
        }
    }
}
