//! Limits of NATS: permissions, the largest payload, and connections that send nothing for a while.

use std::sync::atomic::Ordering;
use std::time::Duration;

use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::proxy::Direction;
use thrift_nats_tests::{BOUND, Builder, NEVER, NatsServer, SUBJECT, TestService, eventually, raw, soon};
use tokio::task::JoinHandle;

use crate::setup::{Setup, connect, connection, result_of, serve};

/// Two users: `all` has every permission, and `some` lacks the given ones.
fn users(denied: &str) -> Builder {
    NatsServer::builder().config(format!(
        "authorization {{ users: [\n\
         {{ user: all, password: p }}\n\
         {{ user: some, password: p, permissions: {{ {denied} }} }}\n] }}"
    ))
}

async fn as_user(nats: &NatsServer, user: &str) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into())
        .connect(nats.url())
        .await
        .unwrap()
}

async fn connect_as(nats: &NatsServer, user: &str) -> Result<Client, ConnectError> {
    let nats = as_user(nats, user).await;
    soon(Client::builder(&nats, SUBJECT).handshake_timeout(Duration::from_millis(200)).connect()).await
}

#[tokio::test]
async fn connect_without_permission_fails() {
    for denied in [
        // The handshake is not sent.
        "publish: { deny: [\"probe\"] }",
        // The accept is not received.
        "subscribe: { deny: [\"_INBOX.>\"] }",
    ] {
        let nats = users(denied).start().unwrap();
        let service = TestService::default();
        let _server = serve(as_user(&nats, "all").await, &service, None).await;
        assert!(connect_as(&nats, "all").await.is_ok());
        let error = connect_as(&nats, "some").await.unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::Handshake { reason: CloseReason::HandshakeTimeout { .. }, .. }
                    | ConnectError::Nats(_)
            ),
            "{denied}: {error:?}"
        );
    }
}

#[tokio::test]
async fn calls_that_do_not_arrive_end_at_their_deadline() {
    let nats = users("publish: { deny: [\"_INBOX.>\"] }").start().unwrap();
    let service = TestService::default();
    let _server = serve(as_user(&nats, "all").await, &service, None).await;
    // The handshake is sent and the accept is received; the request is denied.
    let client = connect_as(&nats, "some").await.unwrap();
    let call = ProbeClient::new(client).add(1, 1);
    let result = soon(call.timeout(Duration::from_millis(200))).await;
    assert!(matches!(result, Err(Error::DeadlineExceeded { .. })), "{result:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn calls_fail_while_permissions_are_revoked() {
    let allowed = || users("publish: { allow: [\">\"] }");
    let mut nats = allowed().start().unwrap();
    let service = TestService::default();
    let _server = serve(as_user(&nats, "all").await, &service, None).await;
    let client = connect_as(&nats, "some").await.unwrap();
    let probe = ProbeClient::new(client);
    let add = || soon(probe.add(1, 1).timeout(Duration::from_millis(500)));
    assert_eq!(add().await, Ok(2));
    nats.reload(users("publish: { deny: [\">\"] }")).unwrap();
    let error = add().await.unwrap_err();
    println!("denied: {error}");
    nats.reload(allowed()).unwrap();
    let end = std::time::Instant::now() + BOUND;
    while let Err(error) = add().await {
        assert!(std::time::Instant::now() < end, "{error}");
    }
}

/// Each side limits its chunks to what NATS permitted when it connected.
#[tokio::test]
async fn messages_above_the_largest_payload_are_split_into_chunks() {
    let it = Setup::with(NatsServer::builder().max_payload(2000), None).await;
    for len in [1, 1990, 2000, 2010, 100_000] {
        assert_eq!(it.probe.text(len).await.unwrap().len(), len as usize);
        assert_eq!(it.probe.length(&"x".repeat(len as usize)).await, Ok(len));
    }
    assert_eq!((it.near.accepted(), it.far.accepted()), (1, 1), "NATS closed no connection");
}

/// async-nats 0.51 ignores the new limit on an open connection. NATS closes the connection at the first chunk above it. The
/// next session has the new limit, and no call hangs.
#[cfg(unix)]
#[tokio::test]
async fn lowering_the_largest_payload_costs_a_connection_at_most_once() {
    let mut it = Setup::new().await;
    assert_eq!(it.probe.text(100_000).await.unwrap().len(), 100_000);
    it.nats.reload(NatsServer::builder().max_payload(2000)).unwrap();
    let end = std::time::Instant::now() + BOUND;
    let mut failed = 0;
    loop {
        match soon(it.probe.text(100_000).timeout(NEVER)).await {
            Ok(text) => break assert_eq!(text.len(), 100_000),
            Err(error) => {
                failed += 1;
                println!("{error}");
                assert!(std::time::Instant::now() < end, "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    println!("{failed} calls failed; connections: {} and {}", it.near.accepted(), it.far.accepted());
    let (near, far) = (it.near.accepted(), it.far.accepted());
    assert!(near <= 2 && far <= 2, "{near} {far}");
    for _ in 0..20 {
        assert_eq!(it.probe.text(100_000).await.unwrap().len(), 100_000);
    }
    assert_eq!((it.near.accepted(), it.far.accepted()), (near, far), "no further connection was closed");
}

#[tokio::test]
async fn requests_that_cannot_be_sent_fill_the_queue_up_to_its_limit() {
    let it = Setup::new().await;
    let nats = connection(&it.near.url()).await;
    let client =
        Client::builder(&nats, SUBJECT).queue_limit(4 << 20).fail_fast(true).connect().await.unwrap();
    let probe = ProbeClient::new(client);
    it.near.stall(Direction::ToServer);
    let mut calls: Vec<_> =
        (0..400).map(|_| tokio::spawn(probe.length(&"x".repeat(1 << 20)).timeout(NEVER))).collect();
    eventually("a call is rejected", || calls.iter().any(JoinHandle::is_finished)).await;
    let rejected = calls.extract_if(.., |call| call.is_finished()).next().unwrap().await.unwrap();
    match rejected {
        Err(Error::QueueFull { queued, limit, .. }) => {
            assert_eq!(limit, 4 << 20);
            assert!(queued <= limit);
        }
        other => panic!("{other:?}"),
    }
    it.near.go_on(Direction::ToServer);
    let mut sent = 0;
    for call in calls {
        match result_of(call).await {
            Ok(len) => {
                assert_eq!(len, 1 << 20);
                sent += 1;
            }
            Err(Error::QueueFull { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    println!("{sent} MiB were waiting when the queue was full");
    assert_eq!(it.service.started("length"), sent, "rejected calls are not sent");
}

#[tokio::test]
async fn closing_a_client_may_take_longer_than_a_call() {
    let it = Setup::new().await;
    let nats = connection(&it.near.url()).await;
    let timeout = Duration::from_millis(1);
    let client = Client::builder(&nats, SUBJECT).timeout(timeout).connect().await.unwrap();
    let probe = ProbeClient::new(client.clone());
    it.near.stall(Direction::ToServer);
    // More than the buffers of the connection.
    for _ in 0..24 {
        tokio::spawn(probe.length(&"x".repeat(1 << 20)).timeout(NEVER));
    }
    eventually("all calls are made", || client.calls_in_flight() == 24).await;
    let close = tokio::spawn(async move { client.close().await });
    tokio::time::sleep(20 * timeout).await;
    it.near.go_on(Direction::ToServer);
    assert_eq!(result_of(close).await, Ok(()));
}

#[tokio::test]
async fn client_of_a_server_that_cannot_send_ends_its_session() {
    let it = Setup::new().await;
    let server = Server::builder(&connection(&it.far.url()).await, "limited").queue_limit(1 << 20);
    let server = server.serve(it.service.server()).await.unwrap();
    let nats = connection(&it.nats.url()).await;
    let probe = ProbeClient::connect(&nats, "limited").await.unwrap();
    it.far.stall(Direction::ToServer);
    // They fill the buffers of async-nats and of the connection first.
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(probe.text(600_000).timeout(NEVER))).collect();
    eventually("the session has ended", || server.sessions() == 0).await;
    it.far.go_on(Direction::ToServer);
    for call in calls {
        match result_of(call).await {
            Ok(text) => assert_eq!(text.len(), 600_000),
            Err(Error::SessionEnded { reason: CloseReason::Unresponsive { .. }, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A NATS server that closes a connection at a line of more than 1 KiB. The default is 4 KiB.
fn short_lines() -> NatsServer {
    NatsServer::builder().config("max_control_line: 1024").start().unwrap()
}

/// The line with which the server would accept these handshakes has the reply subject and the subject of the session.
#[tokio::test]
async fn handshake_with_a_long_reply_subject_costs_no_connection() {
    let nats = short_lines();
    let service = TestService::default();
    let listening = nats.client().await.unwrap();
    let _server = serve(listening.clone(), &service, None).await;
    let probe = connect(&nats.url()).await;
    let far = nats.client().await.unwrap();
    for len in [100, 200, 256, 400, 512, 513, 700, 960, 990] {
        for prefix in ["_INBOX.", ""] {
            let reply = format!("{prefix}{}", "a".repeat(len - prefix.len()));
            far.publish_with_reply(SUBJECT, reply, bytes::Bytes::new()).await.unwrap();
        }
    }
    raw::round_trip(&far).await;
    assert_eq!(soon(probe.add(1, 1)).await, Ok(2));
    for connection in [listening, far] {
        raw::round_trip(&connection).await;
        assert_eq!(connection.statistics().connects.load(Ordering::SeqCst), 1, "NATS closed no connection");
    }
}

#[tokio::test]
async fn longest_subjects_fit_in_lines_of_1_kib() {
    let nats = short_lines();
    let subject = "s".repeat(512);
    let connection = || {
        let options = async_nats::ConnectOptions::new().custom_inbox_prefix("i".repeat(192));
        async { options.connect(nats.url()).await.unwrap() }
    };
    let (far, near) = (connection().await, connection().await);
    let server = Server::builder(&far, &subject).serve(TestService::default().server()).await.unwrap();
    let probe = ProbeClient::connect(&near, &*subject).await.unwrap();
    assert_eq!(probe.text(100_000).await.unwrap().len(), 100_000);
    assert_eq!(probe.length(&"x".repeat(100_000)).await, Ok(100_000));
    server.drain(BOUND).await.unwrap();
    for connection in [far, near] {
        assert_eq!(connection.statistics().connects.load(Ordering::SeqCst), 1, "NATS closed no connection");
    }
}

#[tokio::test]
async fn inbox_prefix_that_is_too_long_is_an_error() {
    let nats = NatsServer::start().unwrap();
    let options = async_nats::ConnectOptions::new().custom_inbox_prefix("i".repeat(193));
    let long = options.connect(nats.url()).await.unwrap();
    let text = "cannot use the inbox prefix of the connection: it has 193 bytes; use at most 192";
    let server = Server::builder(&long, SUBJECT).serve(TestService::default().server()).await;
    assert_eq!(server.unwrap_err().to_string(), text);
    let client = Client::connect(&long, SUBJECT).await;
    assert_eq!(client.unwrap_err().to_string(), text);
}
