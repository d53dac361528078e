//! Draining a server, and servers that cannot serve any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use thrift_nats_runtime::{Server, ShutdownError};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, is_disconnect, message};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, eventually, next, soon};
use tokio::task::JoinSet;

use crate::no_heartbeats;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rolling_restart_fails_no_connect_and_no_call() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let mut server = service.serve(&nats, no_heartbeats).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (connection, stop) = (nats.client().await.unwrap(), Arc::clone(&stop));
        clients.spawn(async move {
            let kept = ProbeClient::connect(&connection, SUBJECT).await.unwrap();
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                let new = ProbeClient::connect(&connection, SUBJECT).await.expect("a connect");
                assert_eq!(new.add(rounds, 1).await.expect("the first call of a session"), rounds + 1);
                assert_eq!(kept.add(rounds, 2).await.expect("a call of another session"), rounds + 2);
                rounds += 1;
            }
            rounds
        });
    }
    for _ in 0..30 {
        let next = service.serve(&nats, no_heartbeats).await;
        // Without sessions, the old server would have nothing to lose.
        eventually("the old server has sessions", || server.sessions() > 0).await;
        server.drain(BOUND).await.unwrap();
        server = next;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(rounds) = clients.join_next().await {
        assert!(rounds.unwrap() > 0);
    }
}

#[tokio::test]
async fn drained_session_stays_known_until_its_last_reply_is_sent() {
    /// So long that a client has read the beginning before the end is sent.
    const LEN: u32 = 24 << 20;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let connection = nats.client().await.unwrap();
    let mut client = RawClient::numbered(&connection, SUBJECT).await;
    let argument = [&b"\x08\0\x01"[..], &LEN.to_be_bytes()].concat();
    client.send_chunk(1, message(1, "lateText", 0, &argument)).await;
    service.until_started("lateText", 1).await;
    let drained = tokio::spawn(server.drain(BOUND));
    // NATS replies to a handshake once the server has unsubscribed.
    let own = connection.new_inbox();
    let mut inbox = connection.subscribe(own.clone()).await.unwrap();
    let mut listens = true;
    while listens {
        connection.publish_with_reply(SUBJECT, own.clone(), "".into()).await.unwrap();
        listens = next(&mut inbox).await.status.is_none();
    }
    service.release(1);
    let (mut received, mut chunk) = (0, 1);
    let end = loop {
        let message = client.receive().await;
        if is_disconnect(&message) {
            break message;
        }
        received += message.payload.len();
        chunk += 1;
        // The rest of the reply may be sent.
        client.send_control(chunk, 'w', format!("{0} 1:{0}", 2 * LEN)).await;
        chunk += 1;
        // The server does not accept it, unless the drain is slow.
        client.call(chunk, &["ping"]).await;
    };
    assert!(end.payload.ends_with(format!(" stopping {}", client.listen).as_bytes()), "{:?}", end.payload);
    assert!(received > LEN as usize, "{received} bytes");
    drained.await.unwrap().unwrap();
}

#[tokio::test]
async fn drain_that_exceeds_its_timeout_returns_the_number_of_dropped_calls() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["wait", "ping", "wait"]).await;
    service.until_started("wait", 2).await;
    assert_eq!(client.replies(1).await, [1]);
    // Long enough to leave the queue group and to tell the client, even on a busy machine.
    let timeout = Duration::from_secs(1);
    assert_eq!(server.drain(timeout).await, Err(ShutdownError::NotDrained { timeout, calls: 2 }));
    // First the server says that it accepts nothing after chunk 1, then it disconnects.
    let notice = client.receive().await;
    assert_eq!(
        (notice.reply, &notice.payload[..]),
        (Some(format!("{}.2d", client.listen).into()), &b"1"[..])
    );
    assert!(is_disconnect(&client.receive().await));
}

#[tokio::test]
async fn server_reports_that_its_connection_is_closed() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default().server();
    let server = Server::builder(&connection, SUBJECT).serve(service).await.unwrap();
    assert_eq!(server.failed().now_or_never(), None);
    connection.drain().await.unwrap();
    let error = soon(server.failed()).await;
    assert_eq!(error.to_string(), "cannot serve any more: the connection to NATS is closed");
    assert_eq!(server.failed().now_or_never(), Some(error), "later callers get it, too");
}

/// It announces a window of 0 bytes, so that the server may send no reply.
async fn session_with_a_queued_reply(nats: &NatsServer) -> RawClient {
    let headers = [("Thrift-Nats-Version", "2"), ("Thrift-Nats-Window", "0")];
    let mut session = RawClient::open(&nats.client().await.unwrap(), SUBJECT, &headers).await;
    session.call(1, &["ping"]).await;
    session.send_control(2, 'p', "probe").await;
    assert_eq!(session.receive().await.payload, "alive");
    session
}

#[tokio::test]
async fn server_stops_although_a_client_does_not_allow_its_reply() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, no_heartbeats).await;
    let mut session = session_with_a_queued_reply(&nats).await;
    service.until_started("ping", 1).await;
    soon(server.stop()).await.unwrap();
    let last = session.receive().await;
    assert!(is_disconnect(&last) && last.payload.starts_with(b"2 stopping"), "{last:?}");
}

#[tokio::test]
async fn drain_ends_after_its_timeout_although_a_client_does_not_allow_its_reply() {
    let timeout = Duration::from_millis(100);
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, no_heartbeats).await;
    let mut session = session_with_a_queued_reply(&nats).await;
    service.until_started("ping", 1).await;
    let result = soon(server.drain(timeout)).await;
    assert!(matches!(result, Err(ShutdownError::NotDrained { .. })), "{result:?}");
    let last = loop {
        let message = session.receive().await;
        if is_disconnect(&message) {
            break message;
        }
    };
    assert!(last.payload.starts_with(b"2 stopping"), "{last:?}");
}
