//! A peer makes another process publish with that process's rights.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use serde_json::Value as Json;
use thrift_nats_runtime::{Client, ServerBuilder};
use thrift_nats_tests::raw::{RawClient, round_trip};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, WireClient, eventually};

use crate::{
    ATTACKER_INBOX, PASSWORD, Spy, assert_serves, base, login, nats_with_attacker, serve, try_next,
    until_processed,
};

/// The subject of another service.
const OTHER: &str = "other";

/// The reply subject of disconnect messages.
const DISCONNECT: &str = "DISCONNECT";

/// The versions that a handshake may announce; `None` is that of a legacy client.
const VERSIONS: [Option<&str>; 4] = [None, Some("1"), Some("2"), Some("99")];

/// Subjects that no peer may make a process publish to, and these. `base` is that of the process.
fn forbidden_besides(base: &str, besides: &[&str]) -> Vec<String> {
    let long = format!("{ATTACKER_INBOX}.{}", "a".repeat(300));
    let own = ["x", "ready", "left", "end", "p", "p.1", "aaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaa.1"]
        .map(|tail| format!("{base}.{tail}"));
    let fixed = [
        "$JS.API.STREAM.DELETE.ORDERS",
        "$JS.API.STREAM.PURGE.ORDERS",
        "$JS.API.STREAM.INFO.ORDERS",
        "$SYS.REQ.SERVER.PING",
        "$_INBOX.a",
        "orders.new",
        OTHER,
        SUBJECT,
        ">",
        "*",
        "_INBOX.>",
        "_INBOX.*",
        "_INBOX.*.a",
        "_INBOX.attacker.>",
        "_INBOX..a",
        "_inbox.a",
        DISCONNECT,
        "a",
    ];
    let fixed = fixed.into_iter().chain(besides.iter().copied()).map(str::to_owned);
    fixed.chain(own).chain([long]).collect()
}

/// Makes a request to JetStream.
async fn jetstream(nats: &async_nats::Client, subject: &str, request: &str) -> Json {
    let reply = nats.request(format!("$JS.API.{subject}"), request.to_owned().into()).await.unwrap();
    serde_json::from_slice(&reply.payload).unwrap()
}

/// Creates the stream `ORDERS`, of the subjects `orders.>`.
async fn create_orders(nats: &async_nats::Client) {
    let request = r#"{"name":"ORDERS","subjects":["orders.>"],"storage":"memory"}"#;
    let created = jetstream(nats, "STREAM.CREATE.ORDERS", request).await;
    assert!(created["error"].is_null(), "{created}");
}

/// Number of messages in the stream `ORDERS`.
async fn orders(nats: &async_nats::Client) -> u64 {
    let info = jetstream(nats, "STREAM.INFO.ORDERS", "").await;
    info["state"]["messages"].as_u64().unwrap_or_else(|| panic!("the stream is gone: {info}"))
}

/// The subjects that were published to, except handshakes and those below the allowed prefixes that are not forbidden.
fn foreign(messages: Vec<Message>, forbidden: &[String], allowed: &[&str]) -> Vec<String> {
    let is_handshake = |message: &Message| message.subject.as_str() == SUBJECT && message.payload.is_empty();
    let subjects = messages
        .into_iter()
        .filter(|message| !is_handshake(message))
        .map(|message| message.subject.to_string());
    subjects
        .filter(|subject| {
            forbidden.contains(subject) || !allowed.iter().any(|prefix| subject.starts_with(prefix))
        })
        .collect()
}

#[tokio::test]
async fn server_publishes_its_accept_to_inboxes_only() {
    let nats = nats_with_attacker();
    let admin = login(&nats, "admin", "_INBOX.admin").await;
    let service = TestService::default();
    let _server = serve(&login(&nats, "admin", "_INBOX.server").await, SUBJECT, &service).await;
    let other = serve(&login(&nats, "admin", "_INBOX.other").await, OTHER, &service).await;
    let client = Client::connect(&login(&nats, "admin", "_INBOX.client").await, SUBJECT).await.unwrap();
    create_orders(&admin).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let session = RawClient::legacy(&attacker, SUBJECT).await;
    let mut wire = WireClient::connect(&nats, Some(("attacker", PASSWORD))).await;
    let mut spy = Spy::new(admin.clone()).await;
    let replies =
        forbidden_besides(base(&session.listen), &[&session.listen, &format!("{}.h", session.listen)]);

    for version in VERSIONS {
        let headers =
            version.map(|version| Bytes::from(format!("NATS/1.0\r\nThrift-Nats-Version: {version}\r\n\r\n")));
        for reply in &replies {
            wire.publish_with_headers(SUBJECT, Some(reply), headers.clone(), "").await;
        }
    }
    wire.flush().await;
    until_processed(&attacker, &admin).await;

    let allowed = ["_INBOX.attacker.", "_INBOX.admin.", "_INBOX.client."];
    let mut foreign = foreign(spy.messages().await, &replies, &allowed);
    foreign.dedup();
    assert_eq!(foreign, [] as [&str; 0], "the server published to a subject of the attacker's choice");
    assert_eq!(orders(&admin).await, 0, "foreign messages in the stream");
    assert_eq!(other.sessions(), 0, "sessions at another service");
    assert_serves(&client, "a client beside the attacker").await;
}

/// A client that never proved that it receives on its inbox gets the accept, and nothing when its session ends.
#[tokio::test]
async fn inbox_of_a_third_party_gets_no_more_than_the_accept() {
    let nats = NatsServer::start().unwrap();
    let heartbeats = |server: ServerBuilder| server.heartbeat(Duration::from_millis(20));
    let server = TestService::default().serve(&nats, heartbeats).await;
    let third = nats.client().await.unwrap();
    let mut inbox = third.subscribe("_INBOX.third-party.*").await.unwrap();
    round_trip(&third).await;
    let mut wire = WireClient::connect(&nats, None).await;
    for (name, version) in ["legacy", "one", "two", "future"].into_iter().zip(VERSIONS) {
        let headers =
            version.map(|version| Bytes::from(format!("NATS/1.0\r\nThrift-Nats-Version: {version}\r\n\r\n")));
        let reply = format!("_INBOX.third-party.{name}");
        wire.publish_with_headers(SUBJECT, Some(&reply), headers, "").await;
    }
    wire.flush().await;
    let mut accepts = Vec::new();
    for _ in VERSIONS {
        accepts.push(thrift_nats_tests::next(&mut inbox).await);
    }
    assert!(accepts.iter().all(|accept| accept.reply.as_deref().is_some_and(|reply| reply != "DISCONNECT")));
    eventually("the sessions have ended", || server.sessions() == 0).await;
    // The disconnect messages of `stop` come after all that was sent before.
    server.stop().await.unwrap();
    round_trip(&third).await;
    let more = std::iter::from_fn(|| try_next(&mut inbox)).collect::<Vec<_>>();
    assert!(more.is_empty(), "{more:?}");
}
