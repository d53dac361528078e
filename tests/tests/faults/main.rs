//! Faults between a client and a server: lost, late, duplicated and malformed messages, lost connections, and limits of
//! NATS. The tests verify which side detects a fault, and the outcome of the calls. Each fails if the detection is removed.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod cluster;
mod connections;
mod floods;
mod limits;
mod messages;
mod setup;
mod slow_uplink;
