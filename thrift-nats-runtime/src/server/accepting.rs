//! The task that accepts the sessions that NATS assigns to a server.

use std::sync::Weak;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::lame_duck::Member;
use super::server_endpoint::{ServerEndpoint, Vital};
use crate::endpoint::{CONNECTION_CHECK, EndpointHandle, ReceiveQueue};
use crate::error::{BoxError, NatsError};

/// The queue group of all servers on a subject, as in the legacy package.
pub(super) const QUEUE_GROUP: &str = "rpc";
/// A number of messages with more digits than NATS reads in an UNSUB.
const UNREADABLE_MAX: u64 = 9_999_999_999;
/// Timeout of the drain after the NATS server has entered lame duck mode: by default it begins to close connections after
/// 10 s.
const LAME_DUCK_TIMEOUT: Duration = Duration::from_secs(8);

/// Accepts sessions until `accepting` is false, then leaves the queue group. In lame duck mode it drains the sessions, has
/// the connection established again, and joins the queue group again.
pub(super) async fn accept_sessions(
    endpoint: Weak<ServerEndpoint>,
    mut handshakes: ReceiveQueue,
    subject: String,
    mut accepting: watch::Receiver<bool>,
    lame_duck: Option<Member>,
) {
    let _vital = Vital(endpoint.clone());
    loop {
        let is_lame = loop {
            let lame = async {
                match &lame_duck {
                    Some(lame_duck) => lame_duck.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                handshake = handshakes.next() => {
                    let (Some(handshake), Some(endpoint)) = (handshake, endpoint.upgrade()) else { return };
                    endpoint.handshake(handshake);
                }
                _ = accepting.wait_for(|accepting| !accepting) => break false,
                () = lame => break true,
            }
        };
        let Some(handle) = endpoint.upgrade().map(|endpoint| endpoint.handle().clone()) else { return };
        // Handshakes that NATS has already assigned to this server are accepted: no other server gets them.
        if let Err(error) = leave_queue_group(&handle, &handshakes).await {
            tracing::warn!(%error, "cannot leave the queue group");
        }
        while let (Some(handshake), Some(endpoint)) = (handshakes.next().await, endpoint.upgrade()) {
            endpoint.handshake(handshake);
        }
        let (Some(endpoint), Some(lame_duck), true) = (endpoint.upgrade(), &lame_duck, is_lame) else {
            return;
        };
        let moved = tokio::select! {
            moved = move_away(&endpoint, &subject, lame_duck) => moved,
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        match moved {
            Ok(subscriber) => handshakes = endpoint.receive_handshakes(subscriber),
            Err(error) => {
                endpoint.fail(NatsError::new("cannot serve after the NATS server has left", error).into());
                return;
            }
        }
    }
}

/// Drains the sessions, has the connection established again, and joins the queue group there.
async fn move_away(
    endpoint: &ServerEndpoint,
    subject: &str,
    lame_duck: &Member,
) -> Result<Subscriber, BoxError> {
    tracing::info!(subject, "NATS server is in lame duck mode; connecting to another one");
    let handle = endpoint.handle();
    let drained = async {
        for session in endpoint.sessions().all() {
            session.drain();
        }
        endpoint.flushed().await;
        round_trip(handle).await
    };
    // Sessions that are left after the timeout end with the connection.
    let before = handle.connection();
    let _ = tokio::time::timeout(LAME_DUCK_TIMEOUT, drained).await;
    // Another server on the connection may not become ready in time: NATS is about to close the connection anyway.
    let is_last = tokio::time::timeout(LAME_DUCK_TIMEOUT, lame_duck.ready()).await.unwrap_or(true);
    if is_last && handle.connection() == before {
        handle.nats().force_reconnect().await?;
    }
    while handle.connection() == before {
        tokio::time::sleep(CONNECTION_CHECK).await;
    }
    let handshakes = handle.nats().queue_subscribe(subject.to_owned(), QUEUE_GROUP.to_owned()).await?;
    Ok(handshakes)
}

/// Leaves the queue group without losing a handshake. `handshakes` then yields those that came before, and ends.
///
/// The client library forgets a subscription when it sends the UNSUB (its `drain` does, too: it does not wait for the
/// PONG), and drops messages that NATS sends before it reads the UNSUB. NATS is therefore told first, by an UNSUB with a
/// number of messages that the library never reaches and that NATS reads as none, because it reads at most 9 digits
/// (`parseSize` and `processUnsub` in nats-server). A server that did read it would still get the second UNSUB.
async fn leave_queue_group(handle: &EndpointHandle, handshakes: &ReceiveQueue) -> Result<(), BoxError> {
    handshakes.unsubscribe_after(UNREADABLE_MAX).await?;
    // No handshake comes after this.
    round_trip(handle).await?;
    handshakes.unsubscribe().await?;
    Ok(())
}

/// Waits until NATS has processed everything that was published and subscribed on this connection before, and everything
/// that NATS sent before has arrived. No peer can send the message that comes back: its subject is new.
pub(super) async fn round_trip(handle: &EndpointHandle) -> Result<(), BoxError> {
    let (nats, subject) = (handle.nats(), handle.new_subject()?);
    let mut back = nats.subscribe(subject.clone()).await?;
    nats.publish(subject, bytes::Bytes::new()).await?;
    back.next().await.map(drop).ok_or_else(|| "the connection is closed".into())
}
