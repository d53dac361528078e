//! Limits of servers: sessions, calls, queues, sizes and deadlines. Each test fails if its option is ignored.

use std::time::Duration;

use async_nats::Client as Nats;
use thrift_nats_runtime::protocol::Limits;
use thrift_nats_runtime::{
    ApplicationExceptionKind, Client, CloseReason, ConnectError, Error, Outcome, PeerReason, ServerBuilder,
};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, RawServer, is_disconnect, message, request};
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, eventually, soon};
use tokio::task::JoinHandle;

use crate::no_heartbeats;

async fn connect(nats: &Nats) -> ProbeClient {
    ProbeClient::connect(nats, SUBJECT).await.unwrap()
}

/// A call that waits to be released.
fn wait(client: &ProbeClient) -> JoinHandle<Result<i32, Error>> {
    tokio::spawn(client.wait(1))
}

#[track_caller]
fn assert_overloaded<T: std::fmt::Debug>(result: Result<T, Error>, text: &str) {
    match result {
        Err(error @ Error::Application(_)) if error.outcome() == Outcome::NotRun => {
            let Error::Application(exception) = error else { unreachable!() };
            assert_eq!(exception.kind, ApplicationExceptionKind::LOADSHEDDING);
            assert_eq!(exception.message, text);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn session_above_the_limit_is_refused_with_the_reason() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    // One client gets half of them.
    let server = TestService::default().serve(&nats, |server| server.max_sessions(4)).await;
    // A session counts from its first message on. The reply says that it has arrived.
    let (first, second) = (connect(&connection).await, connect(&connection).await);
    for client in [&first, &second] {
        assert_eq!(soon(client.add(1, 1)).await, Ok(2));
    }
    let refused = soon(Client::connect(&connection, SUBJECT)).await.err();
    let Some(ConnectError::Handshake { reason, .. }) = &refused else { panic!("{refused:?}") };
    let overloaded = Some(PeerReason::Overloaded);
    assert_eq!(*reason, CloseReason::Disconnected { reason: overloaded, acknowledged: None });
    assert_eq!(server.sessions(), 2);
    let pool = Client::builder(&connection, SUBJECT).sessions(3).connect();
    assert!(matches!(soon(pool).await, Err(ConnectError::Handshake { .. })));
    first.close().await.unwrap();
    eventually("a session has ended", || server.sessions() == 1).await;
    let third = connect(&connection).await;
    assert_eq!(soon(third.add(1, 1)).await, Ok(2));
}

/// Two sessions, calls that fill a limit, and those of the next calls that are rejected.
struct CallLimit {
    option: fn(ServerBuilder) -> ServerBuilder,
    /// The session of each call that fills the limit.
    fill: &'static [usize],
    /// Whether the next call of each session is rejected.
    rejected: [bool; 2],
    text: &'static str,
}

#[tokio::test]
async fn call_above_a_limit_is_rejected_and_does_not_run() {
    let cases = [
        // All sessions share the limit of the server. Those of one client get half of it.
        CallLimit {
            option: |server| server.max_calls(6),
            fill: &[0, 1, 0],
            rejected: [true, true],
            text: "the server cannot run more calls: 3 of 6 are taken, 3 of them by this client; see `max_calls`",
        },
        // Each session has its own.
        CallLimit {
            option: |server| server.max_calls_per_session(2),
            fill: &[0, 0],
            rejected: [true, false],
            text: "the session has 2 unfinished calls; see `max_calls_per_session`",
        },
    ];
    for CallLimit { option, fill, rejected, text } in cases {
        let nats = NatsServer::start().unwrap();
        let connection = nats.client().await.unwrap();
        let service = TestService::default();
        let _server = service.serve(&nats, option).await;
        let clients = [connect(&connection).await, connect(&connection).await];
        let mut calls: Vec<_> = fill.iter().map(|session| wait(&clients[*session])).collect();
        eventually("the limit is reached", || service.waiting() == fill.len()).await;
        for (client, rejected) in clients.iter().zip(rejected) {
            if rejected {
                assert_overloaded(soon(wait(client)).await.unwrap(), text);
                assert_eq!(service.started("wait"), calls.len());
            } else {
                calls.push(wait(client));
                eventually("the call runs", || service.waiting() == calls.len()).await;
            }
        }
        service.release(calls.len());
        for call in calls {
            assert_eq!(soon(call).await.unwrap(), Ok(2));
        }
        assert_eq!(soon(clients[0].add(1, 1)).await, Ok(2), "the session continues");
    }
}

/// Requests of a legacy client wait for the one before them.
#[tokio::test]
async fn requests_of_a_legacy_client_above_the_queue_limit_end_its_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let options = |server: ServerBuilder| no_heartbeats(server.queue_limit(1_000_000));
    let server = TestService::default().serve(&nats, options).await;
    let mut client = RawClient::legacy(&connection, SUBJECT).await;
    // A call with a string in an unknown field.
    let field = [&b"\x0b\0\x64\0\x01\x86\xa0"[..], &[b'x'; 100_000]].concat();
    let call = message(1, "wait", 7, &field);
    for _ in 0..9 {
        client.send(call.clone()).await;
    }
    // It is accepted after all of them.
    let _other = connect(&connection).await;
    assert_eq!(server.sessions(), 2, "they fit into the queue");
    for _ in 0..3 {
        client.send(call.clone()).await;
    }
    assert!(is_disconnect(&client.receive().await));
}

#[tokio::test]
async fn request_above_the_queue_limit_is_rejected_while_others_run() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server.queue_limit(1_000_000)).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    // A call with a string in an unknown field.
    let wait =
        |len: usize| tokio::spawn(client.call::<i32, Error>("wait", &((100, "x".repeat(len).as_str()),)));
    let first = wait(600_000);
    eventually("the first runs", || service.waiting() == 1).await;
    let Err(Error::Application(exception)) = soon(wait(600_000)).await.unwrap() else {
        panic!("it is above the limit")
    };
    assert_overloaded::<i32>(Err(exception.clone().into()), &exception.message);
    assert!(exception.message.starts_with("the session has unfinished requests of 600"), "{exception}");
    assert!(exception.message.ends_with("this one would exceed 1000000; see `queue_limit`"), "{exception}");
    let second = wait(300_000);
    eventually("a request that fits runs", || service.waiting() == 2).await;
    service.release(3);
    assert_eq!((soon(first).await.unwrap(), soon(second).await.unwrap()), (Ok(0), Ok(0)));
    assert_eq!(soon(wait(2_000_000)).await.unwrap(), Ok(0), "a single request runs at any length");
}

/// The client sends no cancel message, so that only the deadline can end the handler.
#[tokio::test]
async fn server_ends_calls_at_the_timeout_in_the_handshake() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let headers = [("Thrift-Nats-Version", "1"), ("Thrift-Nats-Timeout", "50")];
    let mut client = RawClient::open(&nats.client().await.unwrap(), SUBJECT, &headers).await;
    client.send_chunk(1, request("wait", 7)).await;
    let reply = client.receive().await.payload;
    // A TApplicationException of the kind 12, TIMEOUT.
    assert!(reply.starts_with(b"\x80\x01\0\x03\0\0\0\x04wait\0\0\0\x07"), "{reply:?}");
    assert!(reply.ends_with(b"\x08\0\x02\0\0\0\x0c\0"), "{reply:?}");
    assert_eq!((service.started("wait"), service.waiting()), (1, 0));
}

/// No client can occupy the server for longer, whatever it announces.
#[tokio::test]
async fn call_ends_at_the_longest_timeout_of_the_server() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server.max_timeout(Duration::from_millis(500))).await;
    let endless = u64::MAX.to_string();
    let announces: [&[(&str, &str)]; 3] = [
        &[],
        &[("Thrift-Nats-Version", "1")],
        &[("Thrift-Nats-Version", "1"), ("Thrift-Nats-Timeout", &endless)],
    ];
    let mut clients = Vec::new();
    for headers in announces {
        let client = RawClient::open(&connection, SUBJECT, headers).await;
        client.send_chunk(1, request("wait", 7)).await;
        clients.push((client, headers));
    }
    for (mut client, headers) in clients {
        let reply = client.receive().await.payload;
        // A TApplicationException of the kind 12, TIMEOUT.
        assert!(reply.starts_with(b"\x80\x01\0\x03\0\0\0\x04wait\0\0\0\x07"), "{headers:?}: {reply:?}");
        assert!(reply.ends_with(b"\x08\0\x02\0\0\0\x0c\0"), "{headers:?}: {reply:?}");
    }
    assert_eq!((service.started("wait"), service.waiting()), (3, 0));
    let client = Client::builder(&connection, SUBJECT).timeout(NEVER).connect().await.unwrap();
    let left = soon(ProbeClient::new(client).remaining()).await.unwrap();
    assert!((0..=500).contains(&left), "the handler has {left} ms");
}

#[tokio::test]
async fn chunks_are_no_longer_than_the_chunk_limit() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server.chunk_limit(10)).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["ping"]).await;
    let (head, tail) = (client.receive().await, client.receive().await);
    assert_eq!((head.payload.len(), tail.payload.len()), (9, 8));
}

#[tokio::test]
async fn message_above_the_limits_ends_the_session() {
    let nats = NatsServer::start().unwrap();
    let limits = Limits::DEFAULT.with_name(4);
    let server = TestService::default().serve(&nats, |server| server.limits(limits)).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["ping"]).await;
    assert_eq!(client.replies(1).await, [0]);
    client.call(2, &["pings"]).await;
    let end = client.receive().await;
    assert!(is_disconnect(&end));
    assert_eq!(end.payload, format!("1 malformed {}", client.listen));
    eventually("the session is gone", || server.sessions() == 0).await;
}

/// The server of this test is raw; its garbage reaches the client as a reply.
#[tokio::test]
async fn malformed_reply_fails_the_calls_of_its_session_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _server = TestService::default().serve(&nats, no_heartbeats).await;
    let mut raw = RawServer::listen(&connection, "garbage").await;
    let last = tokio::spawn(async move {
        let mut session = raw.accept().await;
        session.receive().await;
        session.send("malformed Thrift message").await;
        session.receive().await
    });
    let bad = ProbeClient::connect(&connection, "garbage").await.unwrap();
    let good = connect(&connection).await;
    let result = soon(bad.add(1, 1)).await;
    assert!(
        matches!(&result, Err(Error::SessionEnded { reason: CloseReason::Malformed(_), .. })),
        "{result:?}"
    );
    assert!(is_disconnect(&soon(last).await.unwrap()));
    assert_eq!(good.add(1, 1).await, Ok(2));
}
