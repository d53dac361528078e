//! Options of clients, and calls that are dropped. Each test of an option fails if the option is ignored.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use thrift_nats_runtime::{Call, Client, CloseReason, Error, Outcome, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::RawServer;
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, eventually, next, soon};

use crate::{SHORT, wait};

#[tokio::test]
async fn call_above_the_clients_limit_fails_at_once_if_it_is_to_fail_fast() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).max_calls_per_session(2);
    let client = builder.fail_fast(true).connect().await.unwrap();
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(wait(&client))).collect();
    eventually("both calls wait", || service.waiting() == 2).await;
    assert_eq!(soon(wait(&client)).await, Err(Error::TooManyCalls { limit: 2 }));
    service.release(3);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    assert_eq!(soon(wait(&client)).await, Ok(2));
}

#[tokio::test]
async fn client_spreads_calls_over_its_sessions_and_replaces_those_that_end() {
    let nats = NatsServer::start().unwrap();
    let services = [TestService::default(), TestService::default()];
    let servers =
        [services[0].serve(&nats, |server| server).await, services[1].serve(&nats, |server| server).await];
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(8);
    let client = builder.connect().await.unwrap();
    assert_eq!(servers.each_ref().map(Server::sessions).iter().sum::<usize>(), 8);
    let calls: Vec<_> = (0..32).map(|_| tokio::spawn(wait(&client))).collect();
    eventually("all calls wait", || services.iter().map(TestService::waiting).sum::<usize>() == 32).await;
    // The calls of a server are in proportion to its sessions, up to chance.
    for (service, server) in services.iter().zip(&servers) {
        assert!(service.waiting() >= 2 * server.sessions(), "{} on {}", service.waiting(), server.sessions());
        service.release(32);
    }
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    let [first, second] = servers;
    first.drain(BOUND).await.unwrap();
    let probe = ProbeClient::new(client);
    while second.sessions() < 8 {
        assert_eq!(soon(probe.add(1, 1)).await, Ok(2), "the sessions that are left serve");
    }
}

#[tokio::test]
async fn timeout_of_the_client_ends_the_handler() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let timeout = Duration::from_millis(300);
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).timeout(timeout);
    let probe = ProbeClient::new(builder.connect().await.unwrap());
    let remaining = probe.remaining().await.unwrap();
    assert!((200..=300).contains(&remaining), "{remaining}");
    match soon(probe.wait(1)).await {
        Err(error @ Error::DeadlineExceeded { .. }) => assert_eq!(error.outcome(), Outcome::Unknown),
        other => panic!("{other:?}"),
    }
    eventually("the handler has ended", || service.waiting() == 0).await;
    assert_eq!(service.runs(1), 1);
}

#[tokio::test]
async fn server_that_does_not_answer_a_probe_in_time_loses_the_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&connection, SUBJECT).await;
    let builder = Client::builder(&connection, SUBJECT).liveness_timeout(SHORT);
    let client = tokio::spawn(builder.connect());
    // It receives everything, and sends nothing after the accept.
    let handshake = server.handshake().await;
    let own = connection.new_inbox();
    let _session = connection.subscribe(own.clone()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Thrift-Nats-Version", "2");
    headers.insert("Thrift-Nats-Window", "4194304");
    let (peer, accept) = (handshake.reply.unwrap(), Bytes::from_static(b"heartbeat 0"));
    connection.publish_with_reply_and_headers(peer, own, headers, accept).await.unwrap();
    let client = soon(client).await.unwrap().unwrap();
    match soon(wait(&client).timeout(NEVER)).await {
        Err(Error::SessionEnded { reason, outcome: Outcome::Unknown }) => {
            assert_eq!(reason, CloseReason::Unresponsive { timeout: SHORT });
        }
        other => panic!("{other:?}"),
    }
}

/// A oneway call ends when its request is handed to the NATS connection. More than the default is handed over here, and more
/// than the operating system buffers.
#[cfg(unix)]
#[tokio::test]
async fn connection_holds_as_many_bytes_as_the_client_allows() {
    const LEN: usize = 48 << 20;
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&connection, SUBJECT).await;
    let builder = Client::builder(&connection, SUBJECT).in_flight_limit(2 * LEN);
    let client = tokio::spawn(builder.connect());
    // A legacy server, so that no window holds the request back.
    let _session = server.accept().await;
    let client = soon(client).await.unwrap().unwrap();
    nats.pause().unwrap();
    let text = "x".repeat(LEN);
    let call: Call<()> = client.oneway("notify", &((1, &text),));
    soon(call.timeout(NEVER)).await.unwrap();
}

#[tokio::test]
async fn call_whose_deadline_has_passed_is_not_sent() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let connection = nats.client().await.unwrap();
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let no_time = Client::builder(&connection, SUBJECT).timeout(Duration::ZERO).connect().await.unwrap();
    for call in [
        wait(&client).timeout(Duration::ZERO),
        wait(&client).timeout(Duration::ZERO).idempotent(),
        wait(&client).timeout(Duration::from_nanos(1)),
        wait(&no_time),
    ] {
        match soon(call).await {
            Err(Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    for client in [client, no_time] {
        let probe = ProbeClient::new(client);
        assert_eq!(soon(probe.add(1, 1).timeout(BOUND)).await, Ok(2), "the session continues");
    }
    assert_eq!(service.started("wait"), 0);
}

#[tokio::test]
async fn dropping_a_call_drops_its_handler_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let (dropped, kept) = (tokio::spawn(wait(&client)), tokio::spawn(wait(&client)));
    eventually("both calls wait", || service.waiting() == 2).await;
    dropped.abort();
    eventually("one handler is dropped", || service.waiting() == 1).await;
    service.release(1);
    assert_eq!(soon(kept).await.unwrap(), Ok(2));
    assert_eq!((client.late_replies(), client.calls_in_flight()), (0, 0));
}

/// `calls_in_flight` counts a call until its future is dropped, without waiting for the server.
#[tokio::test]
async fn dropped_call_is_no_longer_in_flight() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client));
    service.until_started("wait", 1).await;
    assert_eq!(client.calls_in_flight(), 1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(client.calls_in_flight(), 0);
    assert_eq!(ProbeClient::new(client).add(1, 1).await, Ok(2));
}

/// It announces a window of 0 bytes.
#[tokio::test]
async fn client_closes_although_a_server_does_not_allow_its_request() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&connection, SUBJECT).await;
    let client = tokio::spawn(Client::builder(&connection, SUBJECT).connect());
    let handshake = server.handshake().await;
    let own = connection.new_inbox();
    let mut session = connection.subscribe(own.clone()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Thrift-Nats-Version", "2");
    headers.insert("Thrift-Nats-Window", "0");
    let (peer, accept) = (handshake.reply.unwrap(), Bytes::from_static(b"heartbeat 0"));
    connection.publish_with_reply_and_headers(peer, own, headers, accept).await.unwrap();
    let client = soon(client).await.unwrap().unwrap();
    let call = tokio::spawn(wait(&client).timeout(NEVER).into_future());
    eventually("the call is in flight", || client.calls_in_flight() == 1).await;
    soon(client.close()).await.unwrap();
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::SessionEnded { reason: CloseReason::Closed, .. }), "{error:?}");
    let mut last = next(&mut session).await;
    while last.reply.as_deref() != Some("DISCONNECT") {
        last = next(&mut session).await;
    }
    assert_eq!(last.payload, "0 closed");
}
