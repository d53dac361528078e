//! Clients over a real NATS server: size limits, retries, opening sessions, lost connections, sending,
//! tokio runtimes and options.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod connection;
mod draining;
mod events;
mod limits;
mod opening;
mod options;
mod retries;
mod runtimes;
mod sending;
mod waiting;

use std::time::Duration;

use thrift_nats_runtime::{Call, Client};
use thrift_nats_tests::probe::ProbeClient;

/// A timeout that passes within a test.
const SHORT: Duration = Duration::from_millis(100);

fn length(client: &Client, len: usize) -> Call<i32> {
    ProbeClient::new(client.clone()).length(&"x".repeat(len))
}

fn wait(client: &Client) -> Call<i32> {
    ProbeClient::new(client.clone()).wait(1)
}
