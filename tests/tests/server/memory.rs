//! The memory that all sessions of a server hold together.

use bytes::Bytes;
use thrift_nats_runtime::Client;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, is_disconnect, round_trip};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, eventually, soon};

use crate::no_heartbeats;

/// Each peer sends the beginning of a frame of 8 MiB, and never its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_hold_the_most_memory_end_and_others_continue() {
    const PEERS: usize = 12;
    const HELD: usize = 8 << 20;
    const LIMIT: usize = 4 * HELD;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| no_heartbeats(server).memory_limit(LIMIT)).await;
    let near = nats.client().await.unwrap();
    // A busy machine may not reply to a probe within the default of 1 s.
    let innocent = Client::builder(&near, SUBJECT).liveness_timeout(BOUND).connect().await.unwrap();
    let innocent = ProbeClient::new(innocent);

    let far = nats.client().await.unwrap();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(RawClient::legacy(&far, SUBJECT).await);
    }
    let chunk = Bytes::from(vec![0x80; 64 * 1024]);
    for peer in &peers {
        peer.send(Bytes::from_static(&[0, 0x80, 0, 0])).await;
        for _ in 0..HELD / chunk.len() - 1 {
            peer.send(chunk.clone()).await;
        }
        assert_eq!(soon(innocent.add(1, 1)).await, Ok(2));
    }
    round_trip(&far).await;
    // The sessions that are left hold the limit at most.
    let mut ended = 0;
    eventually("the sessions that hold too much have ended", || {
        ended += peers.iter_mut().filter_map(RawClient::try_receive).filter(is_disconnect).count();
        ended >= PEERS - LIMIT / HELD && server.sessions() == PEERS - ended + 1
    })
    .await;
    assert_eq!(soon(innocent.add(1, 1)).await, Ok(2));
}
