//! Word that the NATS server of a connection is about to leave.

use std::future::{Ready, ready};
use std::sync::Arc;

use async_nats::Event;
use tokio::sync::watch;

/// Word that the NATS server of a connection goes into [lame duck mode](https://docs.nats.io/running-a-nats-service/nats_admin/lame_duck_mode):
/// it takes no new connections, and closes those that it has, one by one, after a while. Only the event callback of a
/// connection is told so, and that belongs to whoever makes the connection.
///
/// A [`Server`](crate::Server) that is given it, with [`lame_duck`](crate::ServerBuilder::lame_duck), moves away before its
/// connection is closed: it answers what it has taken up, ends its sessions, so that their clients go to other servers
/// without a failed call, has the connection made anew with another NATS server of the cluster, and goes on serving there.
/// Several servers on one connection are given one `LameDuck`: the connection is made anew once all of them are ready.
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
pub struct LameDuck(Arc<watch::Sender<State>>);

/// What the servers of a connection know of its NATS server and of each other.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether the NATS server is about to leave.
    lame: bool,
    /// How many servers are to move away when it does.
    servers: usize,
    /// How many of them have nothing on the connection any more.
    ready: usize,
    /// How often the connection was given up, or made anew.
    moves: u64,
}

impl State {
    /// The connection that the NATS server is about to leave is not there any more.
    const fn moved(&mut self) {
        self.lame = false;
        self.ready = 0;
        self.moves += 1;
    }
}

impl LameDuck {
    /// For a connection that is to be made.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// The callback for [`async_nats::ConnectOptions::event_callback`]. Whoever has a callback already calls
    /// [`on_event`](Self::on_event) in it.
    pub fn callback(&self) -> impl Fn(Event) -> Ready<()> + Send + Sync + 'static {
        let lame_duck = self.clone();
        move |event| {
            lame_duck.on_event(&event);
            ready(())
        }
    }

    /// Takes note of an event of the connection. All but two say nothing here.
    pub fn on_event(&self, event: &Event) {
        match event {
            Event::LameDuckMode => self.0.send_modify(|state| state.lame = true),
            Event::Connected => self.0.send_modify(State::moved),
            _ => {}
        }
    }

    /// Counts a server that is to move away, until what is returned is dropped.
    pub(super) fn join(&self) -> Member {
        self.0.send_modify(|state| state.servers += 1);
        Member(self.clone())
    }
}

impl Default for LameDuck {
    fn default() -> Self {
        Self::new()
    }
}

/// A server that is to move away.
#[derive(Debug)]
pub(super) struct Member(LameDuck);

impl Member {
    /// Waits until the NATS server is about to leave.
    pub(super) async fn begun(&self) {
        // It cannot be closed: this is who sends.
        let _ = self.0.0.subscribe().wait_for(|state| state.lame).await;
    }

    /// Says that this server has nothing on the connection any more, and waits until that is so of all. True for one of them:
    /// it is to have the connection made anew. If it has been made anew meanwhile, it is true for none. Whoever drops the future
    /// is not counted any more.
    pub(super) async fn ready(&self) -> bool {
        let sender = &self.0.0;
        let mut moves = 0;
        let mut last = false;
        let is_last = |state: &mut State| {
            let last = state.lame && state.ready >= state.servers;
            if last {
                state.moved();
            }
            last
        };
        sender.send_modify(|state| {
            moves = state.moves;
            state.ready += 1;
            last = is_last(state);
        });
        let _counted = Counted { sender, moves };
        let mut changes = sender.subscribe();
        while !last {
            // One of those that were waited for may have ended.
            let all = changes
                .wait_for(|state| state.moves != moves || !state.lame || state.ready >= state.servers)
                .await;
            match all.map(|state| state.moves == moves && state.lame) {
                Ok(true) => {}
                Ok(false) | Err(_) => return false,
            }
            sender.send_if_modified(|state| {
                last = state.moves == moves && is_last(state);
                last
            });
        }
        true
    }
}

/// Counts a server that is ready, as long as the connection is the same.
struct Counted<'a> {
    sender: &'a watch::Sender<State>,
    moves: u64,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sender.send_modify(|state| {
            if state.moves == self.moves {
                state.ready -= 1;
            }
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.servers -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_connection_is_made_anew_once_by_the_last_who_is_ready() {
        let lame_duck = LameDuck::new();
        let (one, other, third) = (lame_duck.join(), lame_duck.join(), lame_duck.join());
        assert_eq!(one.begun().now_or_never(), None);
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(one.begun().now_or_never(), Some(()));
        let mut first = Box::pin(one.ready());
        assert_eq!((&mut first).now_or_never(), None);
        let mut second = Box::pin(other.ready());
        assert_eq!((&mut second).now_or_never(), None);
        // A server that ends is not waited for.
        drop(third);
        assert_eq!((&mut second).now_or_never(), Some(true));
        assert_eq!((&mut first).now_or_never(), Some(false), "somebody else does");
        assert_eq!(one.begun().now_or_never(), None, "until the next NATS server is about to leave");
        lame_duck.on_event(&Event::Connected);
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(other.ready().now_or_never(), None, "one has to say so again");
    }

    #[test]
    fn a_server_that_ends_while_it_waits_does_not_count_for_another() {
        let lame_duck = LameDuck::new();
        let (one, other, third) = (lame_duck.join(), lame_duck.join(), lame_duck.join());
        lame_duck.on_event(&Event::LameDuckMode);
        assert_eq!(one.ready().now_or_never(), None, "it waits, and is dropped");
        drop(one);
        let mut ready = Box::pin(other.ready());
        assert_eq!((&mut ready).now_or_never(), None, "the third has calls on the connection");
        assert_eq!(third.ready().now_or_never(), Some(true));
        assert_eq!(ready.now_or_never(), Some(false));
    }

    #[test]
    fn a_connection_that_was_lost_meanwhile_is_not_made_anew_again() {
        let lame_duck = LameDuck::new();
        let (one, _other) = (lame_duck.join(), lame_duck.join());
        lame_duck.on_event(&Event::LameDuckMode);
        let mut ready = Box::pin(one.ready());
        assert_eq!((&mut ready).now_or_never(), None);
        lame_duck.on_event(&Event::Connected);
        assert_eq!(ready.now_or_never(), Some(false));
    }
}
