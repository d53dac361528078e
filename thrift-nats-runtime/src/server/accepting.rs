//! Accepting the sessions that NATS gives to a server, until it is to leave.

use std::sync::Weak;
use std::time::Duration;

use async_nats::{Client as Nats, Subscriber};
use futures_util::StreamExt;
use tokio::sync::watch;

use super::lame_duck::Member;
use super::listener::{Listener, Vital};
use super::running::CONNECTION_CHECK;
use crate::endpoint::connects;
use crate::error::{BoxError, NatsError};

/// The queue group of all servers on a subject, as in the legacy package.
pub(super) const QUEUE_GROUP: &str = "rpc";
/// More digits than NATS reads of the number in an UNSUB.
const NO_NUMBER: u64 = 9_999_999_999;
/// How long the calls of a server may run on when the NATS server is about to leave: by default NATS begins to close
/// connections after 10 s.
const LAME_DUCK_TIMEOUT: Duration = Duration::from_secs(8);

/// Accepts sessions until it is told not to; then leaves the queue group.
pub(super) async fn accept_sessions(
    listener: Weak<Listener>,
    mut handshakes: Subscriber,
    subject: String,
    mut accepting: watch::Receiver<bool>,
    lame_duck: Option<Member>,
) {
    let _vital = Vital(listener.clone());
    loop {
        let moves_away = loop {
            let lame = async {
                match &lame_duck {
                    Some(lame_duck) => lame_duck.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                handshake = handshakes.next() => {
                    let (Some(handshake), Some(listener)) = (handshake, listener.upgrade()) else { return };
                    listener.handshake(handshake);
                }
                _ = accepting.wait_for(|accepting| !accepting) => break false,
                () = lame => break true,
            }
        };
        let Some((nats, base)) =
            listener.upgrade().map(|listener| (listener.nats().clone(), listener.base().to_owned()))
        else {
            return;
        };
        // Those that NATS had given to this server already are accepted, also those on their way: nobody else will.
        if let Err(error) = leave_queue_group(&nats, &base, &mut handshakes).await {
            tracing::warn!(%error, "cannot leave the queue group");
        }
        while let (Some(handshake), Some(listener)) = (handshakes.next().await, listener.upgrade()) {
            listener.handshake(handshake);
        }
        let (Some(listener), Some(lame_duck), true) = (listener.upgrade(), &lame_duck, moves_away) else {
            return;
        };
        let moved = tokio::select! {
            moved = move_away(&listener, &subject, lame_duck) => moved,
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        match moved {
            Ok(subscriber) => handshakes = subscriber,
            Err(error) => {
                listener.fail(NatsError::new("cannot serve after the NATS server has left", error).into());
                return;
            }
        }
    }
}

/// Ends the sessions as a drain does, has the connection made anew, and listens there.
async fn move_away(listener: &Listener, subject: &str, lame_duck: &Member) -> Result<Subscriber, BoxError> {
    tracing::info!(subject, "the NATS server is about to leave; moving away");
    let ended = async {
        for session in listener.sessions() {
            session.drain();
        }
        listener.all_ended().await;
        // What was told to the clients is with NATS.
        listener.publisher().flush_queue().await;
        round_trip(listener.nats(), format!("{}.left", listener.base())).await
    };
    // Whatever is left then ends with the connection.
    let before = connects(listener.nats());
    let _ = tokio::time::timeout(LAME_DUCK_TIMEOUT, ended).await;
    // Another server of the connection may not get there: NATS is about to close it anyway.
    let last = tokio::time::timeout(LAME_DUCK_TIMEOUT, lame_duck.ready()).await.unwrap_or(true);
    if last && connects(listener.nats()) == before {
        listener.nats().force_reconnect().await?;
    }
    while connects(listener.nats()) == before {
        tokio::time::sleep(CONNECTION_CHECK).await;
    }
    let handshakes = listener.nats().queue_subscribe(subject.to_owned(), QUEUE_GROUP.to_owned()).await?;
    Ok(handshakes)
}

/// Leaves the queue group; `handshakes` then has those that came before, and ends.
///
/// The client library forgets a subscription when it sends the UNSUB (its `drain` does, too: it does not wait for the
/// PONG), and drops the messages that NATS sends before it reads that. So NATS is told first, by an UNSUB with a number of
/// messages that the library never reaches, and that NATS takes for none, as it reads no number of more than 9 digits
/// (`parseSize` and `processUnsub` in nats-server). If ever it does, the second UNSUB ends the subscription all the same.
async fn leave_queue_group(nats: &Nats, base: &str, handshakes: &mut Subscriber) -> Result<(), BoxError> {
    handshakes.unsubscribe_after(NO_NUMBER).await?;
    // No handshake comes behind it.
    round_trip(nats, format!("{base}.left")).await?;
    handshakes.unsubscribe().await?;
    Ok(())
}

/// Waits until NATS has taken all that was published and subscribed to before on this connection, and everything that came
/// meanwhile is here. `subject` is one that nobody else uses.
pub(super) async fn round_trip(nats: &Nats, subject: String) -> Result<(), BoxError> {
    let mut back = nats.subscribe(subject.clone()).await?;
    nats.publish(subject, bytes::Bytes::new()).await?;
    back.next().await.map(drop).ok_or_else(|| "the connection is closed".into())
}
