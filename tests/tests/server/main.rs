//! Servers over a real NATS server: handshakes, limits, running requests, ends of sessions, shutdown.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod ended_sessions;
mod executor;
mod fair_shares;
mod handshakes;
mod limits;
mod memory;
mod sessions;
mod shutdown;

use thrift_nats_runtime::ServerBuilder;

/// The options of a server without heartbeats. Nothing but the event of the test ends a session then.
fn no_heartbeats(server: ServerBuilder) -> ServerBuilder {
    server.heartbeat(None)
}
