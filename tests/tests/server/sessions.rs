//! Ends of sessions: their causes, the side that learns of each, and other sessions, which continue.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use thrift_nats_runtime::{CloseReason, Error, Outcome, PeerReason, ServerBuilder};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, is_disconnect, message, request};
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, eventually, soon};

use crate::no_heartbeats;

#[tokio::test]
async fn client_that_misses_three_heartbeats_is_disconnected() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.heartbeat(Duration::from_millis(50));
    let server = TestService::default().serve(&nats, options).await;
    let mut client = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    assert!(client.accept.ends_with(" 50"), "{}", client.accept);
    // Its only heartbeat. It proves that the client receives on its inbox.
    client.heartbeat().await;
    assert!(is_disconnect(&client.receive().await));
    eventually("the session is gone", || server.sessions() == 0).await;
}

#[tokio::test]
async fn heartbeats_keep_a_session_and_a_stalled_client_learns_that_its_session_has_ended() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.heartbeat(Duration::from_millis(100));
    let server = TestService::default().serve(&nats, options).await;
    let url = nats.url().to_owned();
    let (stalled, is_stalled) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    // A runtime with one thread, which the test can block.
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nats = async_nats::connect(url).await.unwrap();
            let client = ProbeClient::connect(&nats, SUBJECT).await.unwrap();
            // For about eight intervals, the heartbeats keep the session.
            for n in 0..80 {
                assert_eq!(client.add(n, n).await, Ok(2 * n));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let in_flight = tokio::spawn(client.wait(1));
            while client.add(1, 1).await != Ok(2) {}
            stalled.send(()).unwrap();
            may_go_on.recv().unwrap();
            let result = soon(in_flight).await.unwrap();
            // The next call opens a session.
            assert_eq!(client.add(2, 2).await, Ok(4));
            result
        })
    });
    is_stalled.await.unwrap();
    assert_eq!(server.sessions(), 1);
    eventually("the session of the stalled client is closed", || server.sessions() == 0).await;
    go_on.send(()).unwrap();
    let result = tokio::task::spawn_blocking(|| client.join().unwrap()).await.unwrap();
    match result {
        Err(Error::SessionEnded { reason, outcome }) => {
            assert_eq!(outcome, Outcome::Unknown);
            assert!(
                matches!(
                    reason,
                    CloseReason::Disconnected { reason: Some(PeerReason::MissedHeartbeats), .. }
                        | CloseReason::PeerGone { .. }
                ),
                "{reason:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closing_a_client_ends_its_session_on_the_server_at_once() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    assert_eq!(server.sessions(), 1);
    client.close().await.unwrap();
    eventually("the session is gone", || server.sessions() == 0).await;
    assert_eq!(
        client.add(1, 1).await,
        Err(Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun })
    );
}

#[tokio::test]
async fn dropping_the_last_clone_of_a_client_ends_its_session() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let clone = client.clone();
    drop(client);
    assert_eq!(clone.add(1, 1).await, Ok(2));
    drop(clone);
    eventually("the session is gone", || server.sessions() == 0).await;
}

#[tokio::test]
async fn stopping_a_server_fails_the_calls_in_flight_at_once() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, no_heartbeats).await;
    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let in_flight = tokio::spawn(client.wait(1).timeout(NEVER));
    service.until_started("wait", 1).await;
    server.stop().await.unwrap();
    match soon(in_flight).await.unwrap() {
        Err(Error::SessionEnded { reason, outcome: Outcome::Unknown }) => assert!(
            matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
            "{reason:?}"
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn malformed_bytes_end_their_session_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let other = ProbeClient::connect(&connection, SUBJECT).await.unwrap();
    for garbage in
        [&b"\x00garbage and more"[..], b"\x80\x02\x00\x01", b"\x80\x01\x00\x09\x00\x00\x00\x00", &[0xFF; 64]]
    {
        let mut client = RawClient::legacy(&connection, SUBJECT).await;
        assert_eq!(server.sessions(), 2);
        client.send(garbage).await;
        let reply = client.receive().await;
        assert!(is_disconnect(&reply), "{garbage:?}: {reply:?}");
        eventually("the session is gone", || server.sessions() == 1).await;
        assert_eq!(other.add(1, 1).await, Ok(2));
    }
}

#[tokio::test]
async fn legacy_client_gets_its_replies_in_order() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, no_heartbeats).await;
    let mut client = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    // Two calls, cut in the middle of a header.
    let calls = [request("ping", 1), request("ping", 2)].concat();
    let (head, tail) = calls.split_at(7);
    client.send(head.to_vec()).await;
    client.send(tail.to_vec()).await;
    let expected = [message(2, "ping", 1, b""), message(2, "ping", 2, b"")].concat();
    let mut replies = Vec::new();
    while replies.len() < expected.len() {
        replies.extend(client.receive().await.payload);
    }
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn late_message_is_answered_to_the_client_of_the_ended_session_only() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let mut client = RawClient::numbered(&connection, SUBJECT).await;
    client.call(1, &["ping"]).await;
    assert_eq!(client.replies(1).await, [0]);
    client.send_chunk(2, "malformed Thrift message").await;
    let end = client.receive().await;
    assert!(is_disconnect(&end));
    assert_eq!(end.payload, format!("1 malformed {}", client.listen));
    eventually("the session is gone", || server.sessions() == 0).await;
    // The client has not learnt of it.
    client.call(3, &["ping"]).await;
    let answer = client.receive().await;
    assert!(is_disconnect(&answer));
    assert_eq!(answer.payload, format!("2 unknown-session {}", client.listen));

    // A third party names the subject of another process.
    let mut victim = connection.subscribe("_INBOX.victim").await.unwrap();
    let base = client.listen.rsplit_once('.').unwrap().0.to_owned();
    let unknown = format!("{base}.{}", "x".repeat(22));
    for (subject, reply) in [
        (client.listen.to_string(), "_INBOX.victim"),
        (client.listen.to_string(), "_INBOX.victim.1"),
        (format!("{}.h", client.listen), "_INBOX.victim.1a"),
        (unknown.clone(), "_INBOX.victim.1"),
        (unknown, "_INBOX.victim"),
    ] {
        connection.publish_with_reply(subject, reply, "data".into()).await.unwrap();
    }
    // Three of the messages are for the session that the server had.
    for _ in 0..3 {
        let answer = client.receive().await;
        assert!(is_disconnect(&answer));
        assert_eq!(
            answer.payload,
            format!("unknown-session {}", client.listen),
            "the number of another session says nothing"
        );
    }
    let mut other = RawClient::numbered(&connection, SUBJECT).await;
    other.call(1, &["ping"]).await;
    assert_eq!(other.replies(1).await, [0]);
    assert!(client.try_receive().is_none());
    assert!(victim.next().now_or_never().is_none());
}
