//! More messages at once than the client library buffers.

use async_nats::ConnectOptions;
use bytes::Bytes;
use thrift_nats_runtime::Client;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::RawClient;
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, soon};

use crate::setup::serve;

/// A connection whose subscriptions buffer one message.
async fn narrow(nats: &NatsServer) -> async_nats::Client {
    ConnectOptions::new().subscription_capacity(1).connect(nats.url()).await.unwrap()
}

/// Many handshakes at once, and then many calls, each on its own session, so that each is a message of its own.
async fn many_at_once() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = serve(narrow(&nats).await, &service, None).await;
    let near = narrow(&nats).await;
    let opened = (0..500).map(|_| ProbeClient::connect(&near, SUBJECT));
    let clients = soon(futures_util::future::join_all(opened)).await;
    let clients: Vec<_> = clients.into_iter().map(Result::unwrap).collect();
    let calls = clients.iter().map(|client| client.add(1, 1).timeout(NEVER));
    let results = soon(futures_util::future::join_all(calls.map(IntoFuture::into_future))).await;
    assert!(results.iter().all(|result| *result == Ok(2)));
}

#[tokio::test]
async fn burst_above_the_capacity_of_a_subscription_loses_no_message() {
    many_at_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_above_the_capacity_of_a_subscription_loses_no_message_with_several_threads() {
    many_at_once().await;
}

/// The peer sends a long message byte by byte, in more NATS messages than the client library buffers by default. Another
/// client calls in the meantime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_one_client_fails_no_call_of_another() {
    const MESSAGES: usize = 400_000;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = serve(nats.client().await.unwrap(), &service, None).await;
    // Without optimization, the server reads more slowly than the flood arrives, and the flood waits in NATS before the
    // probes of the other client.
    let innocent = Client::builder(&nats.client().await.unwrap(), SUBJECT).liveness_timeout(BOUND);
    let innocent = innocent.connect().await.map(ProbeClient::new).unwrap();

    let far = nats.client().await.unwrap();
    let attacker = RawClient::legacy(&far, SUBJECT).await;
    // A frame of 16 MiB that is never finished.
    attacker.send(Bytes::from_static(&[1, 0, 0, 0])).await;
    let flood = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            attacker.send(Bytes::from_static(&[0x80])).await;
        }
        far.flush().await.unwrap();
    });
    let mut calls = 0;
    while !flood.is_finished() {
        let burst = (0..100).map(|_| innocent.add(1, 1).timeout(BOUND).into_future());
        let results = soon(futures_util::future::join_all(burst)).await;
        let failed: Vec<_> = results.into_iter().filter(|result| *result != Ok(2)).collect();
        assert!(failed.is_empty(), "after {calls} calls: {failed:?}");
        calls += 100;
    }
    soon(flood).await.unwrap();
    assert_eq!(soon(innocent.add(1, 1)).await, Ok(2));
}
