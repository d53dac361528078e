//! The task that receives what comes to the sessions of a server.

use std::sync::Weak;

use async_nats::Subscriber;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::listener::{Listener, Vital};
use super::running::FAREWELL_TIMEOUT;
use crate::nats_error::NatsError;
use crate::proto::CloseReason;

/// Hands what comes to the sessions, and the requests in it to the executor. Neither waits for a session nor runs a
/// handler. Ends when the connection is closed or drained, or, after `gone` is cancelled, when every session has sent what
/// it had to send: a client that probes this process, or sends something, would else be told first that it is gone.
pub(super) async fn receive_loop(
    listener: Weak<Listener>,
    mut subscriber: Subscriber,
    gone: CancellationToken,
) {
    let _vital = Vital(listener.clone());
    let ended = gone.run_until_cancelled(receive(&listener, &mut subscriber)).await;
    let Some(listener) = listener.upgrade() else { return };
    match ended {
        None => {
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, listener.said()).await;
        }
        Some(()) => {
            for session in listener.sessions() {
                session.close(CloseReason::NatsClosed);
            }
            let error = NatsError::new("cannot serve any more", "the connection to NATS is closed");
            listener.fail(error.into());
        }
    }
}

async fn receive(listener: &Weak<Listener>, subscriber: &mut Subscriber) {
    while let Some(message) = subscriber.next().await {
        let Some(listener) = listener.upgrade() else { return };
        // Taken before the message, so that a drain never finds its requests neither queued nor running.
        let _held = listener.executor().hold();
        if let Some((session, requests)) = listener.receive(message) {
            listener.executor().start(session, requests);
        }
    }
}
