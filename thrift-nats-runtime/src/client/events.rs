//! What a client tells of its sessions while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;

use crate::error::{CloseReason, ConnectError};

/// How many events wait for one who listens.
const WAITING: usize = 256;

/// Where sessions tell what becomes of them. Nobody has to listen, and until somebody does it takes no memory.
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
            // An error means that nobody listens any more.
            let _ = sender.send(event());
        }
    }

    /// Where a new session tells what becomes of it.
    pub(super) fn of_session(&self) -> OneSession {
        let session = self.0.last_session.fetch_add(1, Ordering::Relaxed) + 1;
        OneSession { events: self.clone(), session }
    }

    pub(super) fn subscribe(&self) -> SessionEvents {
        SessionEvents(self.0.sender.get_or_init(|| broadcast::Sender::new(WAITING)).subscribe())
    }
}

/// Where one session tells what becomes of it.
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
        self.events.send(|| SessionEvent::Ended { session: self.session, reason: reason.clone() });
    }
}

/// Something that has become of a client's sessions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A session was opened.
    Opened {
        /// Its number, which no other session of the client has or had.
        session: u64,
    },
    /// A session has ended. The client opens another when it needs one.
    Ended {
        /// The number with which it was [`Opened`](Self::Opened).
        session: u64,
        /// Why.
        reason: CloseReason,
    },
    /// A session could not be opened. The client tries again if that may help, as long as a call waits for it.
    OpenFailed {
        /// Why.
        error: ConnectError,
    },
    /// Whoever listens was too slow: so many events are gone.
    Missed(u64),
}

/// The events of a client, from when it was asked for them; see [`Client::events`](super::Client::events).
#[derive(Debug)]
pub struct SessionEvents(broadcast::Receiver<SessionEvent>);

impl SessionEvents {
    /// Waits for the next event; `None` once the client and all its sessions are gone.
    ///
    /// # Cancellation
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(SessionEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
