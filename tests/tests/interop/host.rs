//! A server, in either language.

use std::time::Duration;

use thrift_nats_runtime::Server;
use thrift_nats_tests::{GoPeer, NatsServer, eventually};

use crate::caller::Language;
use crate::go::GoProcess;
use crate::rust::{Handler, serve};
use crate::wire::Wire;

pub(crate) enum Host {
    Go(GoProcess),
    Rust { handler: Handler, server: Server },
}

impl Host {
    /// A server that listens.
    pub(crate) async fn start(
        language: Language,
        peer: &GoPeer,
        nats: &NatsServer,
        wire: Wire,
        heartbeat: Duration,
    ) -> Self {
        match language {
            Language::Go => {
                let process = GoProcess::start(peer, nats, "server", wire, heartbeat);
                process.until("the Go server listens", |said| said.listening).await;
                Self::Go(process)
            }
            Language::Rust => {
                let handler = Handler::default();
                let server = serve(nats, &handler, heartbeat).await;
                Self::Rust { handler, server }
            }
        }
    }

    fn sessions(&self) -> usize {
        match self {
            Self::Go(process) => {
                let mut open = 0;
                process.has(|said| {
                    open = said.opened - said.closed.len();
                    true
                });
                open
            }
            Self::Rust { server, .. } => server.sessions(),
        }
    }

    /// Waits until this number of sessions are open.
    pub(crate) async fn until_sessions(&self, count: usize) {
        eventually(&format!("{count} open sessions"), || self.sessions() == count).await;
    }

    /// Waits until a function has run this often.
    pub(crate) async fn until_ran(&self, method: &str, times: usize) {
        let ran = || match self {
            Self::Go(process) => {
                process.has(|said| said.ran.get(method).copied().unwrap_or_default() == times)
            }
            Self::Rust { handler, .. } => handler.ran(method) == times,
        };
        eventually(&format!("{method} has run {times} times"), ran).await;
    }

    /// Whether it ends a session after a TApplicationException, as the legacy package does.
    pub(crate) fn ends_after_exceptions(&self) -> bool {
        matches!(self, Self::Go(_))
    }

    /// Stops the server, which disconnects its clients.
    pub(crate) async fn stop(self) {
        match self {
            Self::Go(mut process) => {
                process.tell("stop");
                process.until("the Go server has ended", |said| said.ended).await;
            }
            Self::Rust { server, .. } => server.stop().await.unwrap(),
        }
    }
}
