//! Limits that clients share: a client that takes all it can leaves capacity for others.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::Client as Nats;
use thrift_nats_runtime::{Client, ServerBuilder};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{request, round_trip};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, eventually, next, soon};
use tokio::runtime::Runtime;

use crate::no_heartbeats;

/// Makes calls that wait forever, in five sessions of one connection, and ends without a word when the runtime is dropped.
fn attack(url: &str, calls: usize) -> Runtime {
    let runtime = Runtime::new().unwrap();
    let url = url.to_owned();
    runtime.spawn(async move {
        let nats = async_nats::connect(url).await.unwrap();
        let client = Client::builder(&nats, SUBJECT).sessions(5).timeout(Duration::MAX);
        let client = ProbeClient::new(client.connect().await.unwrap());
        let calls: Vec<_> = (0..calls).map(|_| tokio::spawn(client.wait(666))).collect();
        for call in calls {
            let _ = call.await;
        }
    });
    runtime
}

#[tokio::test]
async fn client_that_makes_endless_calls_harms_no_other() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let short = Duration::from_millis(100);
    let options = |server: ServerBuilder| server.max_calls(100).heartbeat(short).grace_after_end(short);
    let server = service.serve(&nats, options).await;
    let attacker = attack(&nats.url(), 200);
    eventually("the attacker has its share", || service.waiting() == 50).await;

    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    for n in 0..100 {
        assert_eq!(soon(client.add(n, 1)).await, Ok(n + 1));
    }
    let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(client.wait(1))).collect();
    eventually("the other client's calls run", || service.runs(1) == 20).await;
    assert_eq!(service.waiting(), 70);

    // Its process ends, and nothing tells the server.
    tokio::task::spawn_blocking(|| attacker.shutdown_background()).await.unwrap();
    eventually("the attacker's calls are dropped", || service.waiting() == 20).await;
    assert_eq!(server.sessions(), 1);
    let more: Vec<_> = (0..30).map(|_| tokio::spawn(client.wait(1))).collect();
    eventually("all are free again", || service.waiting() == 50).await;
    service.release(50);
    for call in waiting.into_iter().chain(more) {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    server.drain(BOUND).await.unwrap();
}

/// Sends handshakes as fast as it can, and `proof` on each session that is accepted. Without one, it sends nothing else.
async fn flood(nats: &Nats, handshakes: usize, proof: Option<Vec<u8>>) {
    let own = nats.new_inbox();
    let mut inbox = nats.subscribe(format!("{own}.*")).await.unwrap();
    round_trip(nats).await;
    let publish = async {
        for n in 0..handshakes {
            nats.publish_with_reply(SUBJECT, format!("{own}.{n}"), "".into()).await.unwrap();
        }
    };
    let prove = async {
        // The first message to each inbox is the reply to its handshake.
        let mut replied = HashSet::new();
        while replied.len() < handshakes {
            let message = next(&mut inbox).await;
            let is_first = replied.insert(message.subject.to_string());
            let session = message.reply.filter(|reply| is_first && reply.as_str() != "DISCONNECT");
            if let (Some(session), Some(proof)) = (session, proof.clone()) {
                nats.publish(session, proof.into()).await.unwrap();
            }
        }
    };
    tokio::join!(publish, prove);
}

#[tokio::test]
async fn client_that_opens_sessions_as_fast_as_it_can_keeps_no_other_out() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| no_heartbeats(server.max_sessions(1000));
    let server = TestService::default().serve(&nats, options).await;
    let attacker = nats.client().await.unwrap();
    let flood = tokio::spawn(async move { flood(&attacker, 10_000, Some(request("ping", 1))).await });
    for _ in 0..20 {
        let nats = nats.client().await.unwrap();
        let client = ProbeClient::connect(&nats, SUBJECT).await.unwrap();
        assert_eq!(soon(client.add(1, 1)).await, Ok(2));
    }
    soon(flood).await.unwrap();
    eventually("the attacker has no more than its share", || server.sessions() <= 520).await;
    // There is capacity even for a client with many sessions.
    let client = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(100).connect();
    let client = ProbeClient::new(soon(client).await.unwrap());
    assert_eq!(soon(client.add(1, 1)).await, Ok(2));
}

/// Each costs memory before the server knows that its client exists.
#[tokio::test]
async fn sessions_whose_client_has_sent_nothing_are_few() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let attacker = nats.client().await.unwrap();
    flood(&attacker, 12_000, None).await;
    assert!(server.sessions() <= 8192, "{}", server.sessions());
    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    assert_eq!(soon(client.add(1, 1)).await, Ok(2));
}
