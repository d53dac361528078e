//! More messages at once than a queue of a fixed number of messages would hold: async-nats has 65,536 for a subscription.

use std::time::Duration;

use thrift_nats_runtime::Client;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, request};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, WireClient, eventually};
use tokio::task::JoinSet;

const SESSIONS: usize = 1000;
const CALLS: i32 = 100_000;
/// The timeout of a call, and of a probe: without optimization and on a busy machine, a server that is not hung may need
/// longer than a second for the messages before.
const TIMEOUT: Duration = Duration::from_secs(120);

/// So many sessions that a message has few calls.
#[tokio::test(flavor = "multi_thread")]
async fn hundred_thousand_calls_at_once_all_get_replies() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(SESSIONS);
    let client = client.liveness_timeout(TIMEOUT);
    let probe = ProbeClient::new(client.connect().await.unwrap());
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let call = probe.add(number, 1).timeout(TIMEOUT);
        calls.spawn(async move { (number, call.await) });
    }
    let ended = calls.join_all().await;
    let failed: Vec<_> = ended.iter().filter(|(number, sum)| *sum != Ok(number + 1)).collect();
    assert!(failed.is_empty(), "{} of {CALLS} failed, the first one: {:?}", failed.len(), failed[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_small_messages_fails_no_call_of_another_client() {
    const MESSAGES: usize = 400_000;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::builder(&nats.client().await.unwrap(), SUBJECT).liveness_timeout(TIMEOUT);
    let probe = ProbeClient::new(client.connect().await.unwrap());
    let attacker = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    let mut wire = WireClient::connect(&nats, None).await;
    let subject = attacker.listen.to_string();
    let flood = tokio::spawn(async move {
        let (mut sent, mut seqid) = (0, 0);
        while sent < MESSAGES {
            for byte in request("ping", seqid) {
                wire.publish(&subject, None, vec![byte]).await;
                sent += 1;
            }
            seqid += 1;
        }
        wire.flush().await;
        seqid as usize
    });
    let mut calls = 0;
    while !flood.is_finished() {
        let sum = probe.add(calls, 1).timeout(TIMEOUT).await;
        assert_eq!(sum, Ok(calls + 1), "after {calls} calls");
        calls += 1;
    }
    let requests = flood.await.unwrap();
    eventually("every request of the flood has run", || service.started("ping") == requests).await;
    for number in 0..100 {
        assert_eq!(probe.add(number, 1).timeout(TIMEOUT).await, Ok(number + 1));
    }
    println!("{calls} calls during {MESSAGES} messages");
}
