//! A peer forges messages that only NATS or another peer should send.

use async_nats::{Client as Nats, Message};
use thrift_nats_runtime::{Client, CloseReason, SessionEvent};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, RawServer};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, WireClient, soon};

use crate::{Spy, assert_serves, base, login, serve};

/// Publishes reports of no responders, and forged messages of every kind, to subjects below this base.
async fn forge(wire: &mut WireClient, base: &str) {
    let token = "a".repeat(22);
    let mut tails = ["", ".h", ".c", ".1c", ".1x", ".1w", ".1d", ".1p", ".1a", ".h1", ".d1", ".1-1-0"]
        .map(|tail| format!("{token}{tail}"))
        .to_vec();
    tails.extend(["p", "ready", "left", "end", "ready.1"].map(str::to_owned));
    tails.extend((0..20).flat_map(|n| [format!("p.{n}"), format!("{token}.{n}"), n.to_string()]));
    for tail in tails {
        let subject = format!("{base}.{tail}");
        wire.publish_no_responders(&subject).await;
        wire.publish(&subject, Some("DISCONNECT"), "").await;
        wire.publish(&subject, Some("DISCONNECT"), "0 stopping").await;
        wire.publish(&subject, Some(&format!("{subject}.d0")), "").await;
    }
    wire.flush().await;
}

/// A client of `SUBJECT` with a call in flight and the base of its process, as a service on another subject sees it.
async fn client_and_base(nats: &NatsServer, connection: &Nats) -> (Client, String) {
    let client = Client::connect(connection, SUBJECT).await.unwrap();
    let mut evil = RawServer::listen(&nats.client().await.unwrap(), "evil").await;
    let connect = tokio::spawn(Client::builder(connection, "evil").connect());
    let inbox = soon(evil.handshake()).await.reply.unwrap();
    connect.abort();
    (client, base(&inbox).to_owned())
}

#[tokio::test]
async fn service_that_knows_the_base_of_a_client_cannot_end_its_sessions_with_others() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = serve(&nats.client().await.unwrap(), SUBJECT, &service).await;
    let (client, base) = client_and_base(&nats, &nats.client().await.unwrap()).await;
    let mut events = client.events();
    // Not idempotent: if its session ended, it would fail.
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND));
    service.until_started("wait", 1).await;
    let mut wire = WireClient::connect(&nats, None).await;
    forge(&mut wire, &base).await;
    assert_serves(&client, "a client beside the attacker").await;
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(2));
    drop(client);
    // Its last clone closed it. No session ended before.
    while let Some(event) = soon(events.next()).await {
        assert!(matches!(event, SessionEvent::Ended { reason: CloseReason::Closed, .. }), "{event:?}");
    }
}

#[tokio::test]
async fn client_that_knows_the_base_of_a_server_cannot_end_the_sessions_of_others() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = serve(&nats.client().await.unwrap(), SUBJECT, &service).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND));
    service.until_started("wait", 1).await;
    let attacker = RawClient::legacy(&login(&nats, "attacker", "_INBOX.attacker").await, SUBJECT).await;
    let mut wire = WireClient::connect(&nats, None).await;
    for _ in 0..5 {
        forge(&mut wire, base(&attacker.listen)).await;
        assert_serves(&client, "a client beside the attacker").await;
    }
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(2));
    assert_eq!(server.sessions(), 2, "the sessions of the client and of the attacker");
}

/// A server sends messages to itself while it starts, drains and stops, and waits until they come back.
#[tokio::test]
async fn client_that_knows_the_base_of_a_server_cannot_forge_the_messages_that_the_server_waits_for() {
    let nats = NatsServer::start().unwrap();
    let mut spy = Spy::new(nats.client().await.unwrap()).await;
    let service = TestService::default();
    let server = serve(&nats.client().await.unwrap(), SUBJECT, &service).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND));
    service.until_started("wait", 1).await;
    let session = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    let base = base(&session.listen);
    let mut wire = WireClient::connect(&nats, None).await;
    forge(&mut wire, base).await;
    let drain = tokio::spawn(server.drain(BOUND));
    forge(&mut wire, base).await;
    service.release(1);
    forge(&mut wire, base).await;
    assert_eq!(soon(call).await.unwrap(), Ok(2));
    soon(drain).await.unwrap().unwrap();
    let is_own =
        |message: &Message| message.reply.is_none() && message.status.is_none() && message.payload.is_empty();
    let messages = spy.messages().await.into_iter().filter(is_own);
    let mut tokens: Vec<_> = messages
        .filter_map(|message| Some(message.subject.strip_prefix(base)?.strip_prefix('.')?.to_owned()))
        .collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "one at the start, one in the drain, and one at the end: {tokens:?}");
    assert!(tokens.iter().all(|token| token.len() == 22), "these can be guessed: {tokens:?}");
}
