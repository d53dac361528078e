//! The events of a client's sessions. Sessions report them here; nothing waits for a receiver.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::ReusableBoxFuture;

use crate::error::{CloseReason, ConnectError};
use crate::log_limit::limited;

/// Number of events that are kept for a slow receiver.
const CAPACITY: usize = 256;

/// The sender of session events. It allocates nothing until there is a receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct EventSender(Arc<Events>);

#[derive(Debug, Default)]
struct Events {
    sender: OnceLock<broadcast::Sender<SessionEvent>>,
    last_session: AtomicU64,
}

impl EventSender {
    pub(super) fn send(&self, event: impl FnOnce() -> SessionEvent) {
        if let Some(sender) = self.0.sender.get() {
            // It fails if all receivers are gone.
            let _ = sender.send(event());
        }
    }

    /// The sender for the events of a new session.
    pub(super) fn of_session(&self) -> OneSession {
        let session = self.0.last_session.fetch_add(1, Ordering::Relaxed) + 1;
        OneSession { events: self.clone(), session }
    }

    pub(super) fn subscribe(&self) -> SessionEvents {
        SessionEvents::new(self.0.sender.get_or_init(|| broadcast::Sender::new(CAPACITY)).subscribe())
    }
}

/// The sender for the events of one session.
#[derive(Debug)]
pub(super) struct OneSession {
    events: EventSender,
    session: u64,
}

impl OneSession {
    pub(super) fn opened(&self) {
        self.events.send(|| SessionEvent::Opened { session: self.session });
    }

    pub(super) fn ended(&self, reason: &CloseReason) {
        if reason.is_ordinary() {
            limited!(debug, session = self.session, %reason, "session ended");
        } else {
            limited!(warn, session = self.session, %reason, "session ended");
        }
        self.events.send(|| SessionEvent::Ended { session: self.session, reason: reason.clone() });
    }
}

/// An event of a session of a client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A session was opened.
    Opened {
        /// The number of the session, unique within the client.
        session: u64,
    },
    /// A session has ended. The client opens another when it needs one.
    Ended {
        /// The number of the session, as in [`Opened`](Self::Opened).
        session: u64,
        /// The reason why it ended.
        reason: CloseReason,
    },
    /// A session could not be opened. While a call waits for it, the client tries again, unless the error is permanent.
    OpenFailed {
        /// The reason why it was not opened.
        error: ConnectError,
    },
    /// The receiver was too slow, and missed this many events.
    Missed(u64),
}

/// The events of a client's sessions: see [`Client::events`](super::Client::events).
///
/// It is a [`Stream`], and has its own [`next`](Self::next), so that no extension trait needs to be imported.
///
/// ```no_run
/// # async fn example(client: &thrift_nats_runtime::Client) {
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct SessionEvents(ReusableBoxFuture<'static, Received>);

type Received = (Result<SessionEvent, RecvError>, broadcast::Receiver<SessionEvent>);

impl SessionEvents {
    fn new(receiver: broadcast::Receiver<SessionEvent>) -> Self {
        Self(ReusableBoxFuture::new(receive(receiver)))
    }

    /// Waits for the next event. `None` once the client and all its sessions are gone.
    ///
    /// # Cancellation
    /// No event is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

async fn receive(mut receiver: broadcast::Receiver<SessionEvent>) -> Received {
    (receiver.recv().await, receiver)
}

impl Stream for SessionEvents {
    type Item = SessionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let (event, receiver) = ready!(self.0.poll(cx));
        self.0.set(receive(receiver));
        Poll::Ready(match event {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(SessionEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn events_are_a_stream_that_ends_with_the_client() {
        let sender = EventSender::default();
        let events = sender.subscribe();
        let session = sender.of_session();
        session.opened();
        session.ended(&CloseReason::Closed);
        drop((sender, session));
        let events: Vec<_> = StreamExt::collect(events).await;
        let ended = SessionEvent::Ended { session: 1, reason: CloseReason::Closed };
        assert_eq!(events, [SessionEvent::Opened { session: 1 }, ended]);
    }

    #[tokio::test]
    async fn no_event_is_lost_with_the_future_of_next() {
        let sender = EventSender::default();
        let mut events = sender.subscribe();
        assert_eq!(events.next().now_or_never(), None);
        sender.of_session().opened();
        assert_eq!(events.next().now_or_never(), Some(Some(SessionEvent::Opened { session: 1 })));
    }

    #[tokio::test]
    async fn a_slow_receiver_is_told_how_many_events_it_missed() {
        let sender = EventSender::default();
        let mut events = sender.subscribe();
        for _ in 0..CAPACITY + 3 {
            sender.of_session().opened();
        }
        assert_eq!(events.next().await, Some(SessionEvent::Missed(3)));
        assert_eq!(events.next().await, Some(SessionEvent::Opened { session: 4 }));
    }
}
