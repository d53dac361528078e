//! Lame duck mode: leaving a NATS server that is about to shut down.
//!
//! ```text
//!                 LameDuckMode           all members ready
//!   normal ──────────────────────▶ lame ──────────────────▶ normal   one member has the connection established again
//!                                    │       Connected
//!                                    └────────────────────▶ normal   the connection was lost and established again
//! ```

use std::future::{Ready, ready};
use std::sync::Arc;

use async_nats::Event;
use tokio::sync::watch;

/// Tells servers that the NATS server of their connection has entered
/// [lame duck mode](https://docs.nats.io/running-a-nats-service/nats_admin/lame_duck_mode): it accepts no new connections,
/// and closes those that it has, one by one, after a while. Only the event callback of a connection learns of it, and only
/// the code that makes the connection can set that callback.
///
/// A server that is given a `LameDuck`, with [`ServerBuilder::lame_duck`](crate::ServerBuilder::lame_duck), leaves the NATS
/// server before its connection is closed. It drains its sessions, so that no call fails, has the connection established
/// with another NATS server of the cluster, and serves there. Servers that share a connection share one `LameDuck`: the
/// connection is established again once all of them have drained their sessions.
///
/// ```no_run
/// # async fn example(service: impl thrift_nats_runtime::Service) -> Result<(), Box<dyn std::error::Error>> {
/// use thrift_nats_runtime::LameDuck;
///
/// let lame_duck = LameDuck::new();
/// let options = async_nats::ConnectOptions::new().event_callback(lame_duck.callback());
/// let nats = options.connect("nats://localhost:4222").await?;
/// let server = thrift_nats_runtime::Server::builder(&nats, "calc").lame_duck(&lame_duck).serve(service).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LameDuck(Arc<watch::Sender<SharedConnection>>);

/// The connection that some servers share.
#[derive(Clone, Copy, Debug, Default)]
struct SharedConnection {
    /// Whether its NATS server is in lame duck mode.
    lame: bool,
    /// Number of servers that share it.
    members: usize,
    /// Number of servers that have drained their sessions.
    ready: usize,
    /// Incremented when the connection is abandoned or established again: earlier counts are then void.
    generation: u64,
}

impl SharedConnection {
    /// The connection to the lame NATS server does not exist any more, or is about to be replaced.
    const fn moved(&mut self) {
        self.lame = false;
        self.ready = 0;
        self.generation += 1;
    }

    /// Whether all members are ready to leave the NATS server.
    const fn can_move(&self) -> bool {
        self.lame && self.ready >= self.members
    }
}

impl LameDuck {
    /// For a connection that is about to be made.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The callback for [`async_nats::ConnectOptions::event_callback`]. If you already have a callback, call
    /// [`on_event`](Self::on_event) in it instead.
    pub fn callback(&self) -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
        let lame_duck = self.clone();
        move |event| {
            lame_duck.on_event(&event);
            ready(())
        }
    }

    /// Handles an event of the connection. Events other than `LameDuckMode` and `Connected` have no effect.
    pub fn on_event(&self, event: &Event) {
        match event {
            Event::LameDuckMode => self.0.send_modify(|connection| connection.lame = true),
            Event::Connected => self.0.send_modify(SharedConnection::moved),
            _ => {}
        }
    }

    /// Adds a server, until the returned value is dropped.
    pub(super) fn join(&self) -> Member {
        self.0.send_modify(|connection| connection.members += 1);
        Member(self.clone())
    }
}

impl Default for LameDuck {
    fn default() -> Self {
        Self::new()
    }
}

/// A server that leaves a lame NATS server.
#[derive(Debug)]
pub(super) struct Member(LameDuck);

impl Member {
    /// Waits until the NATS server is in lame duck mode.
    pub(super) async fn begun(&self) {
        // The channel cannot close, because `self` owns its sender.
        let _ = self.0.0.subscribe().wait_for(|connection| connection.lame).await;
    }

    /// Marks this server as ready and waits for the other servers on the connection. Returns true for exactly one of them,
    /// which has to have the connection established again; for none if it was established again in the meantime.
    ///
    /// # Cancellation
    /// The server is not ready any more if the future is dropped.
    pub(super) async fn ready(&self) -> bool {
        let sender = &self.0.0;
        let mut generation = 0;
        let mut is_last = false;
        let take_move = |connection: &mut SharedConnection| {
            let can_move = connection.can_move();
            if can_move {
                connection.moved();
            }
            can_move
        };
        sender.send_modify(|connection| {
            generation = connection.generation;
            connection.ready += 1;
            is_last = take_move(connection);
        });
        let _ready = ReadyMember { sender, generation };
        let mut changes = sender.subscribe();
        while !is_last {
            // Another member may also have left.
            let changed = changes.wait_for(|connection| {
                connection.generation != generation || !connection.lame || connection.can_move()
            });
            match changed.await.map(|connection| connection.generation == generation && connection.lame) {
                Ok(true) => {}
                Ok(false) | Err(_) => return false,
            }
            sender.send_if_modified(|connection| {
                is_last = connection.generation == generation && take_move(connection);
                is_last
            });
        }
        true
    }
}

/// Counts a member as ready, as long as the connection is the same.
struct ReadyMember<'a> {
    sender: &'a watch::Sender<SharedConnection>,
    generation: u64,
}

impl Drop for ReadyMember<'_> {
    fn drop(&mut self) {
        self.sender.send_modify(|connection| {
            if connection.generation == self.generation {
                connection.ready -= 1;
            }
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.send_modify(|connection| connection.members -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_last_member_that_is_ready_moves_the_connection() {
        let lame_duck = LameDuck::new();
        let (one, other, third) = (lame_duck.join(), lame_duck.join(), lame_duck.join());
        assert_eq!(one.begun().now_or_never(), None);
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(one.begun().now_or_never(), Some(()));
        let mut first = Box::pin(one.ready());
        assert_eq!((&mut first).now_or_never(), None);
        let mut second = Box::pin(other.ready());
        assert_eq!((&mut second).now_or_never(), None);
        // The others do not wait for a member that has left.
        drop(third);
        assert_eq!((&mut second).now_or_never(), Some(true));
        assert_eq!((&mut first).now_or_never(), Some(false), "another member does");
        assert_eq!(one.begun().now_or_never(), None, "until the next NATS server is lame");
        lame_duck.on_event(&Event::Connected);
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(other.ready().now_or_never(), None, "ready is for one generation");
    }

    #[test]
    fn a_member_that_leaves_while_it_waits_is_not_counted_as_ready() {
        let lame_duck = LameDuck::new();
        let (one, other, third) = (lame_duck.join(), lame_duck.join(), lame_duck.join());
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(one.ready().now_or_never(), None, "it waits, and is dropped");
        drop(one);
        let mut ready = Box::pin(other.ready());
        assert_eq!((&mut ready).now_or_never(), None, "the third still has sessions");
        assert_eq!(third.ready().now_or_never(), Some(true));
        assert_eq!(ready.now_or_never(), Some(false));
    }

    #[test]
    fn a_connection_that_was_lost_in_the_meantime_is_not_moved_again() {
        let lame_duck = LameDuck::new();
        let (one, _other) = (lame_duck.join(), lame_duck.join());
        lame_duck.on_event(&Event::LameDuckMode);
        let mut ready = Box::pin(one.ready());
        assert_eq!((&mut ready).now_or_never(), None);
        lame_duck.on_event(&Event::Connected);
        assert_eq!(ready.now_or_never(), Some(false));
    }
}
