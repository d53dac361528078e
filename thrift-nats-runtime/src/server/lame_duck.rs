//! Word that the NATS server of a connection is about to leave.

use std::future::{Ready, ready};
use std::sync::Arc;

use async_nats::Event;
use tokio::sync::watch;

/// Word that the NATS server of a connection goes into [lame duck mode](https://docs.nats.io/running-a-nats-service/nats_admin/lame_duck_mode):
/// it takes no new connections, and closes those that it has, one by one, after a while. Only the event callback of a
/// connection is told so, and that belongs to whoever makes the connection.
///
/// A [`Server`](crate::Server) that is given it, with [`lame_duck`](crate::Server::lame_duck), moves away before its
/// connection is closed: it answers what it has taken up, ends its sessions, so that their clients go to other servers
/// without a failed call, has the connection made anew with another NATS server of the cluster, and goes on serving there.
///
/// ```no_run
/// # async fn example(service: impl thrift_nats_runtime::server::Service) -> Result<(), Box<dyn std::error::Error>> {
/// use thrift_nats_runtime::server::LameDuck;
///
/// let lame_duck = LameDuck::new();
/// let options = async_nats::ConnectOptions::new().event_callback(lame_duck.callback());
/// let nats = options.connect("nats://localhost:4222").await?;
/// let server = thrift_nats_runtime::Server::new(nats, "calc").lame_duck(&lame_duck).serve(service).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LameDuck(Arc<watch::Sender<bool>>);

impl LameDuck {
    /// For a connection that is to be made.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
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
            Event::LameDuckMode => drop(self.0.send_replace(true)),
            Event::Connected => self.over(),
            _ => {}
        }
    }

    /// The connection is with another NATS server.
    pub(super) fn over(&self) {
        self.0.send_replace(false);
    }

    /// Waits until the NATS server is about to leave.
    pub(super) async fn begun(&self) {
        // It cannot be closed: this is who sends.
        let _ = self.0.subscribe().wait_for(|lame| *lame).await;
    }
}

impl Default for LameDuck {
    fn default() -> Self {
        Self::new()
    }
}
