//! What is lost, late, doubled or gone on the way, with a real NATS server: who notices, how soon, and what becomes of the
//! calls. Each test fails if what notices it is taken out.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

#[path = "faults/cluster.rs"]
mod cluster;
#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/handler.rs"]
mod handler;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/messages.rs"]
mod messages;
