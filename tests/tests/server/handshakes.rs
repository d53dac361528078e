//! Handshakes that open a session, and handshakes that leave none.

use std::time::Duration;

use async_nats::{Client as Nats, ConnectOptions};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use thrift_nats_runtime::{Client, ServeError, Server, ServerBuilder};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, round_trip};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, eventually, next, soon};
use tokio::task;

use crate::no_heartbeats;

#[tokio::test]
async fn option_out_of_range_is_rejected_by_name() {
    let nats = NatsServer::start().unwrap();
    let server = Server::builder(&nats.client().await.unwrap(), SUBJECT).heartbeat(Duration::ZERO);
    let error = server.serve(TestService::default().server()).await.unwrap_err();
    assert_eq!(error.kind(), "invalid_option");
    let text = "option `heartbeat` is 0ns; it must be a whole number of milliseconds from 1 ms to 292 years, or None";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn accept_asks_for_the_heartbeats_of_the_options() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for (deadline, expected) in [
        (None, "10000"),
        (Some(Some(Duration::from_secs(5))), "5000"),
        (Some(Some(Duration::from_millis(1))), "1"),
        (Some(None), "0"),
        (Some(Some(Duration::from_millis(9_223_372_036_854))), "9223372036854"),
    ] {
        let options =
            |server: ServerBuilder| deadline.into_iter().fold(server, |server, it| server.heartbeat(it));
        let server = TestService::default().serve(&nats, options).await;
        let client = RawClient::legacy(&connection, SUBJECT).await;
        assert_eq!(client.accept.split_once(' ').unwrap().1, expected);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn handshake_of_a_client_that_is_gone_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    for n in 0..100 {
        // These subjects have no subscription.
        connection.publish_with_reply(SUBJECT, format!("_INBOX.gone.{n}"), "".into()).await.unwrap();
    }
    // It is accepted after all of them.
    let _last = RawClient::legacy(&connection, SUBJECT).await;
    eventually("only the last session is left", || server.sessions() <= 1).await;
}

#[tokio::test]
async fn session_whose_accept_cannot_be_sent_ends() {
    // Less than the subject in an accept.
    let nats = NatsServer::builder().max_payload(20).start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let own = connection.new_inbox();
    let mut inbox = connection.subscribe(own.clone()).await.unwrap();
    connection.publish_with_reply(SUBJECT, own, "".into()).await.unwrap();
    eventually("there is a session", || server.sessions() == 1).await;
    eventually("the session is gone", || server.sessions() == 0).await;
    // The client has not proved that it receives there.
    round_trip(&connection).await;
    assert_eq!(inbox.next().now_or_never().flatten().map(|message| message.reply), None);
}

/// Starts to connect and drops the future, each time after one more poll.
async fn drop_connects(connection: &Nats) {
    for polls in 0..40 {
        let mut connect = Box::pin(Client::connect(connection, SUBJECT));
        for _ in 0..polls {
            if futures_util::poll!(&mut connect).is_ready() {
                break;
            }
            task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn connect_that_is_dropped_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    // It shares its inbox with the others, so that a late accept still has a subscription.
    let client = ProbeClient::connect(&connection, SUBJECT).await.unwrap();
    drop_connects(&connection).await;
    // It comes after them on the same connection, and so is accepted after they have arrived.
    let _last = RawClient::legacy(&connection, SUBJECT).await;
    eventually("only the first and the last session are left", || server.sessions() <= 2).await;
    assert_eq!(client.add(1, 1).await, Ok(2));
}

/// When the last client of a connection drops its inbox while an accept is in transit, NATS counts the accept as delivered.
/// Only the missing heartbeats show that no client has received it.
#[tokio::test]
async fn connect_that_is_dropped_with_its_inbox_leaves_no_session_if_heartbeats_are_enabled() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.heartbeat(Duration::from_millis(20));
    let server = TestService::default().serve(&nats, options).await;
    let connection = nats.client().await.unwrap();
    drop_connects(&connection).await;
    let _last = RawClient::legacy(&connection, SUBJECT).await;
    eventually("no session is left", || server.sessions() == 0).await;
}

#[tokio::test]
async fn malformed_handshake_opens_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let first = RawClient::legacy(&connection, SUBJECT).await;
    let own = connection.new_inbox();
    let mut inbox = connection.subscribe(own.clone()).await.unwrap();
    for (reply, body) in
        [(own.as_str(), "hello"), ("DISCONNECT", ""), (first.listen.as_str(), ""), (SUBJECT, "")]
    {
        let body = Bytes::from_static(body.as_bytes());
        connection.publish_with_reply(SUBJECT, reply.to_owned(), body).await.unwrap();
    }
    // It is accepted after all of them.
    let _last = RawClient::legacy(&connection, SUBJECT).await;
    // No session was accepted and ended in between, either.
    assert!(inbox.next().now_or_never().is_none());
    assert!(server.sessions() <= 2, "{}", server.sessions());
}

#[tokio::test]
async fn only_inboxes_below_the_reply_prefixes_are_accepted() {
    /// The inbox of the handshake that is sent last. It is below the prefix of the server's own connection.
    const LAST: &str = "_INBOX_server.last";
    let nats = NatsServer::start().unwrap();
    let own = ConnectOptions::new().custom_inbox_prefix("_INBOX_server").connect(nats.url()).await.unwrap();
    let connection = nats.client().await.unwrap();
    let cases: [(Option<&[&str]>, &[&str]); 4] = [
        (None, &["_INBOX.a", "_INBOX_alice.a", "_INBOX_server.a"]),
        (Some(&["corp.inbox", "_INBOX_alice."]), &["_INBOX_alice.a", "_INBOX_server.a", "corp.inbox.a"]),
        (Some(&["_INBOX"]), &["_INBOX.a", "_INBOX_server.a"]),
        (Some(&[]), &["_INBOX_server.a"]),
    ];
    for (prefixes, expected) in cases {
        let server = prefixes.into_iter().fold(Server::builder(&own, SUBJECT), |server, prefixes| {
            server.reply_prefixes(prefixes.iter().copied())
        });
        let server = server.serve(TestService::default().server()).await.unwrap();
        let mut inboxes = Vec::new();
        for inbox in ["_INBOX.a", "_INBOX_alice.a", "_INBOX_server.a", "corp.inbox.a", "corp.inboxes.a", LAST]
        {
            inboxes.push((inbox, connection.subscribe(inbox).await.unwrap()));
            connection.publish_with_reply(SUBJECT, inbox, "".into()).await.unwrap();
        }
        let (_, mut last) = inboxes.pop().unwrap();
        next(&mut last).await;
        inboxes.retain_mut(|(_, accepts)| accepts.next().now_or_never().is_some());
        let accepted: Vec<_> = inboxes.iter().map(|(inbox, _)| *inbox).collect();
        assert_eq!(accepted, expected, "{prefixes:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn invalid_subject_is_rejected() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a..b", "a\r\nPUB b 0"] {
        let serving = Server::builder(&connection, subject).serve(TestService::default().server());
        match soon(serving).await {
            Err(ServeError::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}
