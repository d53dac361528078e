//! A peer makes another process publish with that process's rights.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde_json::Value as Json;
use thrift_nats_runtime::{Client, CloseReason, ConnectError, ServerBuilder};
use thrift_nats_tests::raw::{RawClient, RawServer, round_trip};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, WireClient, eventually, soon};

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

/// Subjects that no peer may make a process publish to. `base` is that of the process.
fn forbidden(base: &str) -> Vec<String> {
    forbidden_besides(base, &[])
}

/// The same, and these.
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
        "_INBOX",
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

#[tokio::test]
async fn message_that_belongs_to_no_session_is_not_answered() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = serve(&login(&nats, "server", "_INBOX.server").await, SUBJECT, &service).await;
    let client = login(&nats, "client", "_INBOX.client").await;
    let _client = Client::connect(&client, SUBJECT).await.unwrap();
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let session = RawClient::legacy(&attacker, SUBJECT).await;
    let mut evil = RawServer::listen(&attacker, OTHER).await;
    // The handshake is not accepted. It shows the base of the client's process.
    let connect = tokio::spawn(Client::builder(&client, OTHER).connect());
    let inbox = soon(evil.handshake()).await.reply.unwrap();
    connect.abort();
    let bases = [base(&session.listen), base(&inbox)];

    // A message to these finds a subscriber.
    let third_party = login(&nats, "third", "_INBOX.third").await;
    let _inbox = third_party.subscribe("_INBOX.third.>").await.unwrap();
    let mut spy = Spy::new(login(&nats, "spy", "_INBOX.spy").await).await;
    let mut wire = WireClient::connect(&nats, None).await;
    let token = "a".repeat(22);
    let mut replies = bases.map(forbidden).concat();
    let third = ["", ".1", ".h0", ".1p", ".1w", ".1d", ".2-1-0"].map(|tail| format!("_INBOX.third.x{tail}"));
    replies.extend(third);
    let tails = ["", ".h", ".c", ".1"].map(|tail| format!("{token}{tail}"));
    let tails = ["x", "p", "p.1", "ready.1"].into_iter().chain(tails.iter().map(String::as_str));
    let mut sent = 0;
    for (base, tail) in bases.iter().flat_map(|base| tails.clone().map(move |tail| (base, tail))) {
        for reply in &replies {
            for body in ["", "x", "0 closed", "probe"] {
                wire.publish(&format!("{base}.{tail}"), Some(reply), body).await;
                sent += 1;
            }
        }
    }
    wire.flush().await;
    // The server receives these and handshakes by two subscriptions of one connection, in order. The client receives a new
    // session's accept after them.
    until_processed(&attacker, &third_party).await;
    let _client = Client::connect(&client, SUBJECT).await.unwrap();

    let allowed = ["_INBOX.attacker.", "_INBOX.spy.", "_INBOX.third.", "_INBOX.client.", "_INBOX.server."];
    let messages = spy.messages().await;
    let below_bases = messages.iter().filter(|message| {
        let reply = message.reply.as_deref().unwrap_or_default();
        bases.iter().any(|base| message.subject.starts_with(base)) && replies.iter().any(|it| it == reply)
    });
    assert_eq!(below_bases.count(), sent, "messages that the attacker did not send");
    let mut foreign = foreign(messages, &[], &allowed);
    foreign.dedup();
    assert_eq!(foreign, [] as [&str; 0], "subjects of the attacker's choice");
    assert!(server.sessions() <= 6, "{}", server.sessions());
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

#[tokio::test]
async fn client_publishes_to_inboxes_only_whatever_the_accept_names() {
    let nats = NatsServer::builder().config("jetstream: enabled").start().unwrap();
    let admin = login(&nats, "admin", "_INBOX.admin").await;
    create_orders(&admin).await;
    let client = login(&nats, "admin", "_INBOX.client").await;
    let mut evil = RawServer::listen(&login(&nats, "admin", "_INBOX.evil").await, SUBJECT).await;
    let service = TestService::default();
    let other = serve(&login(&nats, "admin", "_INBOX.other").await, OTHER, &service).await;
    let mut spy = Spy::new(admin.clone()).await;
    let mut own = Vec::new();
    for version in VERSIONS {
        for (place, subject) in forbidden_besides("", &[""]).iter().enumerate() {
            // The subject is that of the data, or of the heartbeats, which are due every millisecond.
            for is_listen in [true, false] {
                // A message with this reply subject is a disconnect message, and not an accept.
                if is_listen && subject == DISCONNECT {
                    continue;
                }
                let connect = tokio::spawn(Client::builder(&client, SUBJECT).connect());
                let inbox = soon(evil.handshake()).await.reply.unwrap();
                // The base and the inbox of the client itself are among the subjects.
                own = forbidden(base(&inbox));
                let subject = forbidden_besides(base(&inbox), &[&inbox])[place].clone();
                let (listen, heartbeat) = if is_listen {
                    (subject.as_str(), "_INBOX.evil.h")
                } else {
                    ("_INBOX.evil.s", subject.as_str())
                };
                let headers = version.into_iter().fold(HeaderMap::new(), |mut headers, version| {
                    headers.insert("Thrift-Nats-Version", version);
                    headers.insert("Thrift-Nats-Window", "1000000");
                    headers
                });
                let what = format!("version {version:?}, listen {listen}, heartbeat {heartbeat}");
                let body = format!("{heartbeat} 1");
                let accept =
                    admin.publish_with_reply_and_headers(inbox, listen.to_owned(), headers, body.into());
                accept.await.unwrap();
                match soon(connect).await.unwrap() {
                    Err(ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }) => {}
                    Ok(client) => panic!("{what}: {client:?}"),
                    Err(error) => panic!("{what}: {error}"),
                }
                // Repeated handshakes.
                evil.count();
            }
        }
    }
    let allowed = ["_INBOX.admin.", "_INBOX.client.", "_INBOX.evil."];
    let mut foreign = foreign(spy.messages().await, &own, &allowed);
    foreign.dedup();
    assert_eq!(foreign, [] as [&str; 0], "the client published to a subject of the service's choice");
    assert_eq!(orders(&admin).await, 0, "foreign messages in the stream");
    assert_eq!(other.sessions(), 0, "sessions at another service");
}
