//! Requests whose session has ended: which of them start, and when those that run are dropped.

use std::time::Duration;

use thrift_nats_runtime::{ServerBuilder, ShutdownError};
use thrift_nats_tests::raw::{RawClient, is_disconnect, message};
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, eventually};

use crate::no_heartbeats;

/// Less than the default grace period.
const SHORT: Duration = Duration::from_secs(3);

/// Ends the session of a client that has sent `chunks` chunks, because of malformed bytes.
async fn end_by_malformed_bytes(client: &mut RawClient, chunks: u64) {
    client.send_chunk(chunks + 1, "malformed Thrift message").await;
    while !is_disconnect(&client.receive().await) {}
}

#[tokio::test]
async fn handler_is_dropped_after_the_grace_period() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server.grace_after_end(Duration::ZERO)).await;
    let connection = nats.client().await.unwrap();
    let headers = [("Thrift-Nats-Version", "1"), ("Thrift-Nats-Timeout", "18446744073709551615")];
    let mut broken = RawClient::open(&connection, SUBJECT, &headers).await;
    let closing = RawClient::open(&connection, SUBJECT, &headers).await;
    let mut legacy = RawClient::legacy(&connection, SUBJECT).await;
    let mut open = RawClient::open(&connection, SUBJECT, &headers).await;
    for client in [&broken, &closing, &legacy, &open] {
        client.call(1, &["wait"]).await;
    }
    service.until_started("wait", 4).await;
    end_by_malformed_bytes(&mut broken, 1).await;
    closing.disconnect().await;
    end_by_malformed_bytes(&mut legacy, 1).await;
    eventually("only the call of the open session runs", || service.waiting() == 1).await;
    service.release(1);
    open.receive().await;
    // The default grace period would not end in time.
    server.drain(SHORT).await.unwrap();
}

#[tokio::test]
async fn handler_runs_on_during_the_grace_period() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server.grace_after_end(NEVER)).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["wait", "wait"]).await;
    service.until_started("wait", 2).await;
    end_by_malformed_bytes(&mut client, 1).await;
    eventually("the session is gone", || server.sessions() == 0).await;
    service.release(1);
    eventually("one handler has completed", || service.waiting() == 1).await;
    // A drain waits for the other one, although its session has ended, and drops it at its timeout.
    let timeout = Duration::from_secs(1);
    assert_eq!(server.drain(timeout).await, Err(ShutdownError::NotDrained { timeout, calls: 1 }));
    assert_eq!(service.waiting(), 0);
}

/// Its first request blocks the thread on which the others would start.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn request_that_has_not_started_starts_only_if_the_client_closed_the_session() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let options = |server: ServerBuilder| no_heartbeats(server.grace_after_end(NEVER));
    let server = service.serve(&nats, options).await;
    let connection = nats.client().await.unwrap();
    let mut broken = RawClient::numbered(&connection, SUBJECT).await;
    let mut broken_legacy = RawClient::legacy(&connection, SUBJECT).await;
    let closing = RawClient::numbered(&connection, SUBJECT).await;
    let closing_legacy = RawClient::legacy(&connection, SUBJECT).await;
    for client in [&broken, &broken_legacy, &closing, &closing_legacy] {
        client.call(1, &["block", "notify", "run"]).await;
    }
    service.until_started("block", 4).await;
    end_by_malformed_bytes(&mut broken, 1).await;
    end_by_malformed_bytes(&mut broken_legacy, 1).await;
    closing.disconnect().await;
    closing_legacy.disconnect().await;
    eventually("the sessions are gone", || server.sessions() == 0).await;
    service.unblock(4);
    server.drain(BOUND).await.unwrap();
    assert_eq!(
        (service.started("notify"), service.started("run")),
        (2, 2),
        "those of the clients that closed"
    );
}

/// A legacy client that closes its session does not wait for its requests either, which run one at a time.
#[tokio::test]
async fn waiting_requests_of_a_legacy_client_are_dropped_after_the_grace_period() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let options = |server: ServerBuilder| server.grace_after_end(Duration::from_millis(500));
    let server = service.serve(&nats, options).await;
    let client = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    service.release(1);
    client.call(1, &["wait", "run", "wait", "run"]).await;
    service.until_started("wait", 2).await;
    client.disconnect().await;
    eventually("the session is gone", || server.sessions() == 0).await;
    eventually("the second call is dropped", || service.waiting() == 0).await;
    server.drain(SHORT).await.unwrap();
    assert_eq!((service.started("wait"), service.started("run")), (2, 1));
}

#[tokio::test]
async fn drain_counts_every_request_and_leaves_none_running() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server.grace_after_end(NEVER)).await;
    let connection = nats.client().await.unwrap();
    let mut ended = RawClient::numbered(&connection, SUBJECT).await;
    let open = RawClient::numbered(&connection, SUBJECT).await;
    let legacy = RawClient::legacy(&connection, SUBJECT).await;
    ended.call(1, &["wait", "wait"]).await;
    open.call(1, &["wait", "wait", "wait"]).await;
    // The requests after the first one wait for it.
    legacy.send([message(1, "wait", 1, b""), message(1, "ping", 2, b"").repeat(9)].concat()).await;
    service.until_started("wait", 6).await;
    end_by_malformed_bytes(&mut ended, 1).await;
    eventually("the session is gone", || server.sessions() == 2).await;
    let timeout = Duration::from_secs(1);
    assert_eq!(server.drain(timeout).await, Err(ShutdownError::NotDrained { timeout, calls: 15 }));
    assert_eq!(service.waiting(), 0);
}
