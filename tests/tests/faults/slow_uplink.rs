//! An uplink that carries less than its clients send.

use std::time::Duration;

use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::proxy::{Action, Direction, Rule};
use thrift_nats_tests::{BOUND, SUBJECT};
use tokio::task::JoinSet;

use crate::setup::{Setup, connection};

/// The length of an upload, in bytes.
const UPLOAD: usize = 2_000_000;
/// Number of clients that upload at the same time.
const UPLOADS: usize = 10;
/// The messages that are delayed: parts of an upload.
const LONG: usize = 64 * 1024;
/// The time that a part of 256 KiB takes: 2.5 MB/s.
const DELAY: Duration = Duration::from_millis(100);

/// Its probes wait for the uploads before them, for longer than `liveness_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_over_a_slow_uplink_do_not_make_the_server_unresponsive() {
    let it = Setup::new().await;
    let slow = Rule::on(Direction::ToServer).when(|message| message.payload.len() > LONG);
    it.near.add(slow, Action::Delay(DELAY));
    let nats = connection(&it.near.url()).await;
    let ping = ProbeClient::connect(&nats, SUBJECT).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..UPLOADS {
        clients.push(ProbeClient::connect(&nats, SUBJECT).await.unwrap());
    }
    // A session that ends is replaced.
    let handshakes = it.near.add(Setup::handshakes(), Action::Count);
    let mut uploads = JoinSet::new();
    for probe in clients {
        uploads.spawn(async move { probe.length(&"x".repeat(UPLOAD)).timeout(BOUND).await });
    }
    let mut pings = 0;
    while !uploads.is_empty() {
        assert_eq!(ping.ping().timeout(BOUND).await, Ok(()), "after {pings} pings");
        pings += 1;
        while let Some(result) = uploads.try_join_next() {
            assert_eq!(result.unwrap(), Ok(UPLOAD as i32));
        }
    }
    assert_eq!(handshakes.applied(), 0, "sessions have ended");
    println!("{pings} pings beside {UPLOADS} uploads");
}
