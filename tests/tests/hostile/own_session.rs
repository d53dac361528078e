//! A peer breaks the rules of its own session: the session ends, and other sessions are not disturbed.

use std::fmt::Write as _;
use std::time::Duration;

use async_nats::Client as Nats;
use thrift_nats_runtime::{Client, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, is_disconnect, message, request};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService};

use crate::{ATTACKER_INBOX, assert_serves, login};

/// A server, an innocent client, and the connection of the attacker.
struct Scene {
    _nats: NatsServer,
    server: Server,
    client: Client,
    attacker: Nats,
}

impl Scene {
    async fn new() -> Self {
        let nats = NatsServer::start().unwrap();
        let server = TestService::default().serve(&nats, |server| server.heartbeat(None)).await;
        // The default of 1 s is short for an unoptimised server on a busy machine. The timeout of the calls decides.
        let client = Client::builder(&nats.client().await.unwrap(), SUBJECT).liveness_timeout(BOUND);
        let client = client.connect().await.unwrap();
        let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
        Self { _nats: nats, server, client, attacker }
    }

    /// The innocent client makes calls, each with a timeout that is far longer than a call takes.
    async fn assert_undisturbed(&self, what: &str) {
        for n in 0..20 {
            let sum = ProbeClient::new(self.client.clone()).add(n, 1).timeout(Duration::from_secs(5)).await;
            assert_eq!(sum, Ok(n + 1), "a call of another client: {what}");
        }
        let failed = tokio::time::timeout(Duration::ZERO, self.server.failed()).await;
        assert!(failed.is_err(), "the server has failed: {failed:?}");
    }
}

/// Waits for the disconnect message of the session, and returns its body.
async fn disconnect(session: &mut RawClient) -> String {
    loop {
        let message = session.receive().await;
        if is_disconnect(&message) {
            return String::from_utf8_lossy(&message.payload).into_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_unfinished_messages_do_not_delay_other_clients() {
    let scene = Scene::new().await;
    let session = RawClient::numbered(&scene.attacker, SUBJECT).await;
    for number in 1..=60_000 {
        session.send_part(number, number, 1000, "x").await;
    }
    scene.attacker.flush().await.unwrap();
    scene.assert_undisturbed("unfinished messages").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_abandoned_messages_do_not_delay_other_clients() {
    let scene = Scene::new().await;
    let session = RawClient::numbered(&scene.attacker, SUBJECT).await;
    for number in 1..=1000 {
        session.send_part(number, number, 1000, "x").await;
    }
    let mut ids = String::new();
    while ids.len() < 900_000 {
        write!(ids, "{} ", 5000 + ids.len() % 1000).unwrap();
    }
    for number in 1001..=1040 {
        session.send_control(number, 'x', ids.clone()).await;
    }
    scene.attacker.flush().await.unwrap();
    scene.assert_undisturbed("abandoned messages").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_cancelled_calls_and_windows_do_not_delay_other_clients() {
    let scene = Scene::new().await;
    let session = RawClient::numbered(&scene.attacker, SUBJECT).await;
    session.call(1, &["wait"; 1000]).await;
    let numbers = (0..).map(|n: u32| n.to_string()).take(150_000).collect::<Vec<_>>().join(" ");
    let windows = (0..).map(|n: u32| format!("{n}:1")).take(90_000).collect::<Vec<_>>().join(" ");
    for number in 1..=4 {
        session.cancel(2 * number, &numbers).await;
        session.send_control(2 * number + 1, 'w', format!("1 {windows}")).await;
    }
    scene.attacker.flush().await.unwrap();
    scene.assert_undisturbed("cancelled calls and windows").await;
}

#[tokio::test]
async fn windows_that_are_malformed_or_overflow_harm_only_their_session() {
    let scene = Scene::new().await;
    let most = u64::MAX;
    for body in [
        String::new(),
        "x".to_owned(),
        "-1".to_owned(),
        format!("{most}"),
        format!("{most} {most}:{most} 0:{most} 1:0"),
        format!("{most}0"),
        "1 2:3:4 :: 5: :6 7".to_owned(),
        " ".repeat(1000),
    ] {
        let mut session = RawClient::numbered(&scene.attacker, SUBJECT).await;
        session.send_control(1, 'w', body.clone()).await;
        session.send_control(2, 'w', body.clone()).await;
        session.call(3, &["ping"]).await;
        // It is served or ended.
        while !session
            .receive()
            .await
            .reply
            .is_some_and(|reply| !reply.ends_with(char::is_alphabetic) || reply.as_str() == "DISCONNECT")
        {
        }
        assert_serves(&scene.client, &format!("after the window {body:?}")).await;
    }
}

#[tokio::test]
async fn client_that_ignores_its_window_is_disconnected() {
    let scene = Scene::new().await;
    let mut session = RawClient::numbered(&scene.attacker, SUBJECT).await;
    let part = vec![0; 512 * 1024];
    let mut rest = 60 << 20;
    for number in 1..=40 {
        rest -= part.len() as u64;
        session.send_part(number, 1, rest, part.clone()).await;
    }
    disconnect(&mut session).await;
    scene.assert_undisturbed("an ignored window").await;
}

#[tokio::test]
async fn malformed_parts_end_only_their_session() {
    let scene = Scene::new().await;
    let most = u64::MAX;
    let whole = request("ping", 1);
    let parts: [&[(u64, u64, &[u8])]; 8] = [
        // The length of the message overflows, or exceeds the limit.
        &[(1, most, b"x")],
        &[(1, 1 << 40, b"x")],
        // The rest does not follow from the previous part.
        &[(1, 10, b"x"), (1, 10, b"x")],
        &[(1, 10, b"x"), (1, 0, b"x")],
        &[(1, 1, b"x"), (1, 0, b"xx")],
        // Ids that are not new.
        &[(2, 10, b"x"), (1, 10, b"x")],
        &[(0, 10, b"x")],
        // No Thrift message.
        &[(1, 0, b"garbage")],
    ];
    for parts in parts {
        let mut session = RawClient::numbered(&scene.attacker, SUBJECT).await;
        for ((id, rest, body), number) in parts.iter().zip(1..) {
            session.send_part(number, *id, *rest, body.to_vec()).await;
        }
        let reason = disconnect(&mut session).await;
        assert!(reason.contains("malformed"), "{parts:?}: {reason}");
        assert_serves(&scene.client, "a client beside the attacker").await;
    }
    // A whole message with bytes after it, and a part of one that claims to be whole.
    for body in [[&whole[..], b"x"].concat(), whole[..whole.len() - 1].to_vec(), message(9, "ping", 1, b"")] {
        let mut session = RawClient::numbered(&scene.attacker, SUBJECT).await;
        session.send_chunk(1, body).await;
        disconnect(&mut session).await;
        assert_serves(&scene.client, "a client beside the attacker").await;
    }
}
