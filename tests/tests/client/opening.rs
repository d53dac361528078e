//! Opening sessions: handshakes that are late, refused or malformed, and calls that wait for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::{Client as Nats, Message};
use futures_util::future::join_all;
use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Outcome, Server, SessionEvent};
use thrift_nats_tests::raw::{RawServer, is_disconnect, round_trip};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, eventually, next, soon};

use crate::{SHORT, length, wait};

#[tokio::test]
async fn invalid_subject_is_rejected() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a\r\nb", "a..b", "probe.*", "probe.>", "*"] {
        match soon(Client::connect(&connection, subject)).await {
            Err(ConnectError::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn handshake_without_an_accept_ends_after_the_timeout() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _silent = RawServer::listen(&connection, SUBJECT).await;
    let builder = Client::builder(&connection, SUBJECT).handshake_timeout(SHORT);
    let start = Instant::now();
    let error = soon(builder.connect()).await.unwrap_err();
    // The default is 2 s.
    assert!((SHORT..Duration::from_millis(1900)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let reason = CloseReason::HandshakeTimeout { timeout: SHORT };
    assert_eq!(error, ConnectError::Handshake { subject: SUBJECT.to_owned(), reason });
}

/// Holds handshakes until the test forwards them to the server, which listens on another subject.
struct HeldHandshakes {
    nats: Nats,
    held: RawServer,
}

impl HeldHandshakes {
    const FORWARDED: &str = "forwarded";

    async fn new(nats: &NatsServer) -> Self {
        let nats = nats.client().await.unwrap();
        let held = RawServer::listen(&nats, SUBJECT).await;
        Self { nats, held }
    }

    async fn serve(&self, service: &TestService) -> Server {
        Server::builder(&self.nats, Self::FORWARDED).serve(service.server()).await.unwrap()
    }

    async fn forward(&self, Message { reply, headers, .. }: Message) {
        let (reply, headers) = (reply.unwrap(), headers.unwrap());
        self.nats.publish_with_reply_and_headers(Self::FORWARDED, reply, headers, "".into()).await.unwrap();
    }

    /// A client, and the server that it has a session with.
    async fn connect(&mut self, nats: &Nats, service: &TestService) -> (Client, Server) {
        let server = self.serve(service).await;
        let builder = Client::builder(nats, SUBJECT).handshake_timeout(BOUND);
        let connect = tokio::spawn(builder.connect());
        let handshake = self.held.handshake().await;
        self.forward(handshake).await;
        (soon(connect).await.unwrap().unwrap(), server)
    }
}

#[tokio::test]
async fn session_opens_although_every_call_that_waited_for_it_has_expired() {
    let nats = NatsServer::start().unwrap();
    let (connection, service) = (nats.client().await.unwrap(), TestService::default());
    let mut handshakes = HeldHandshakes::new(&nats).await;
    let (client, server) = handshakes.connect(&connection, &service).await;
    server.stop().await.unwrap();
    let _server = handshakes.serve(&service).await;
    for _ in 0..3 {
        let calls = (0..10).map(|_| length(&client, 1).timeout(SHORT / 5));
        for result in soon(join_all(calls)).await {
            let error = result.unwrap_err();
            assert!(
                matches!(error, Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }),
                "no handshake was accepted: {error}"
            );
        }
    }
    // The first call has sent it.
    let handshake = handshakes.held.handshake().await;
    handshakes.forward(handshake).await;
    assert_eq!(soon(length(&client, 1).timeout(BOUND / 2)).await, Ok(1));
    assert!(handshakes.held.try_handshake().is_none(), "one handshake was enough");
    assert_eq!(service.started("length"), 1);
}

#[tokio::test]
async fn opening_that_fails_after_its_calls_have_expired_is_an_event() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::builder(&connection, SUBJECT).handshake_timeout(SHORT).connect().await.unwrap();
    let mut events = client.events();
    let _silent = RawServer::listen(&connection, SUBJECT).await;
    server.stop().await.unwrap();
    let error = soon(length(&client, 1).timeout(SHORT / 10)).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error}");
    loop {
        match soon(events.next()).await {
            Some(SessionEvent::OpenFailed { error: ConnectError::Handshake { reason, .. } }) => {
                assert_eq!(reason, CloseReason::HandshakeTimeout { timeout: SHORT });
                return;
            }
            Some(_) => {}
            None => panic!("the client still exists"),
        }
    }
}

#[tokio::test]
async fn calls_do_not_shorten_the_backoff_to_a_server_that_refuses_sessions() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let mut refused = RawServer::listen(&connection, SUBJECT).await;
    server.stop().await.unwrap();
    let handshakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handshakes);
    let refuses = tokio::spawn(async move {
        loop {
            refused.refuse("overloaded").await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let start = Instant::now();
    for _ in 0..20 {
        let calls = (0..20).map(|_| length(&client, 1).timeout(SHORT / 10));
        for result in soon(join_all(calls)).await {
            assert_eq!(result.unwrap_err().outcome(), Outcome::NotRun);
        }
    }
    // The shortest possible pauses.
    let pauses = (0..).scan(start, |next, failures: u32| {
        *next += Duration::from_millis(5) * 2_u32.pow(failures.min(6));
        Some(*next)
    });
    let now = Instant::now();
    let most = 1 + pauses.take_while(|next| *next <= now).count();
    let handshakes = handshakes.load(Ordering::SeqCst);
    assert!((1..=most).contains(&handshakes), "{handshakes} handshakes; the backoff permits {most}");
    refuses.abort();
}

#[tokio::test]
async fn dropping_or_closing_a_client_ends_its_openings() {
    let nats = NatsServer::start().unwrap();
    let (connection, service) = (nats.client().await.unwrap(), TestService::default());
    for close in [false, true] {
        let mut handshakes = HeldHandshakes::new(&nats).await;
        let (client, server) = handshakes.connect(&connection, &service).await;
        server.stop().await.unwrap();
        let server = handshakes.serve(&service).await;
        let call = tokio::spawn(length(&client, 1).timeout(BOUND * 10));
        let handshake = handshakes.held.handshake().await;
        if close {
            client.close().await.unwrap();
            let ended = Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun };
            assert_eq!(soon(call).await.unwrap(), Err(ended));
        } else {
            call.abort();
            drop(client);
        }
        // The client disconnects the session that is accepted too late.
        handshakes.forward(handshake).await;
        round_trip(&handshakes.nats).await;
        eventually("no session is left", || server.sessions() == 0).await;
    }
    assert_eq!(service.started("length"), 0);
}

/// In this test the connection has no other client at that time.
#[tokio::test]
async fn late_accept_is_disconnected_after_its_client_is_gone() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    for (listen, times_out) in [("_INBOX.late.7", true), ("_INBOX.late.h7", false)] {
        let connect = Client::builder(&connection, SUBJECT).handshake_timeout(SHORT).connect();
        let mut session = if times_out {
            assert!(soon(connect).await.is_err());
            server.accept_at(|_| listen.to_owned(), "beat 0").await
        } else {
            // The future is dropped.
            let handshake = tokio::select! {
                handshake = server.handshake() => handshake,
                result = connect => panic!("{result:?}"),
            };
            server.accept_handshake(handshake, |_| listen.to_owned(), "beat 0").await
        };
        assert!(is_disconnect(&session.receive().await));
    }
}

#[tokio::test]
async fn only_accepts_of_inboxes_below_the_reply_prefixes_are_used() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    let cases: [(Option<&[&str]>, &str, bool); 6] = [
        (None, "_INBOX.other.a", true),
        (None, "corp.inbox.a", false),
        (None, "$JS.API.STREAM.DELETE.ORDERS", false),
        (Some(&["corp.inbox"]), "corp.inbox.a", true),
        (Some(&["corp.inbox"]), "corp.inboxes.a", false),
        (Some(&["corp.inbox"]), "_INBOX_other.a", false),
    ];
    for (prefixes, listen, expected) in cases {
        let builder = prefixes.into_iter().fold(Client::builder(&connection, SUBJECT), |client, prefixes| {
            client.reply_prefixes(prefixes.iter().copied())
        });
        let connect = tokio::spawn(builder.connect());
        let _session = server.accept_at(|_| listen.to_owned(), "beat 0").await;
        match soon(connect).await.unwrap() {
            Ok(_) => assert!(expected, "{prefixes:?} {listen}"),
            Err(ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }) => {
                assert!(!expected, "{prefixes:?} {listen}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    match soon(Client::builder(&connection, SUBJECT).reply_prefixes(["$JS"]).connect()).await {
        Err(ConnectError::InvalidOption(error)) => assert_eq!(error.option, "reply_prefixes"),
        other => panic!("{other:?}"),
    }
}

/// A client publishes with its own permissions. A server could otherwise have it publish to any subject.
#[tokio::test]
async fn message_without_a_session_is_answered_only_if_it_is_a_late_accept_from_an_inbox() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let third = nats.client().await.unwrap();
    let mut server = RawServer::listen(&third, SUBJECT).await;
    let connect = Client::builder(&connection, SUBJECT).handshake_timeout(SHORT).connect();
    assert!(soon(connect).await.is_err());
    let inbox = server.handshake().await.reply.unwrap();
    let unknown = format!("{}.{}", inbox.rsplit_once('.').unwrap().0, "x".repeat(22));
    let mut all = third.subscribe(">").await.unwrap();
    for (subject, reply, body) in [
        (&*inbox, "orders", "beat 0"),
        (&*inbox, "$JS.API.STREAM.DELETE.ORDERS", "beat 0"),
        (&*inbox, "_INBOX.victim.1", "data"),
        (&unknown, "_INBOX.victim", "beat 0"),
        (&unknown, "_INBOX.victim.1", "data"),
        (&*inbox, "_INBOX.late", "_INBOX.late.h 0"),
    ] {
        third.publish_with_reply(subject.to_owned(), reply, body.into()).await.unwrap();
    }
    loop {
        let message = next(&mut all).await;
        let to_client = message.subject == inbox || message.subject.as_str() == unknown;
        if message.subject.as_str() == "_INBOX.late" {
            assert!(is_disconnect(&message));
            break;
        }
        assert!(to_client || message.subject.as_str() == SUBJECT, "{message:?}");
    }
}

#[tokio::test]
async fn malformed_accept_fails_the_connect_and_is_disconnected() {
    let nats = NatsServer::start().unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    let disconnect = tokio::spawn(async move {
        server.accept_at(|_| "_INBOX.listen.7".to_owned(), "not an accept message").await.receive().await
    });
    let error = soon(Client::connect(&nats.client().await.unwrap(), SUBJECT)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }), "{error}");
    assert!(is_disconnect(&soon(disconnect).await.unwrap()));
}

/// NATS closes a connection that sends a line of more than 4 KiB. A chunk to this reply subject would be such a line.
#[tokio::test]
async fn accept_with_a_reply_subject_too_long_to_publish_to_harms_no_other_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(BOUND));
    service.until_started("wait", 1).await;
    let mut server = RawServer::listen(&nats.client().await.unwrap(), "long").await;
    let accepted = tokio::spawn(async move {
        // The line of the accept itself is just short enough; that of a chunk is not, because the chunk has a number.
        let listen = |client: &str| "a".repeat(4096 - "  6".len() - client.len());
        server.accept_at(listen, "beat 0").await
    });
    let result = soon(Client::connect(&connection, "long")).await;
    let other = match result {
        Ok(client) => soon(length(&client, 1)).await.map(drop),
        Err(error) => Err(error.into()),
    };
    let bad_accept = |error: &Error| {
        matches!(error, Error::Connect(ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }))
    };
    assert!(other.as_ref().is_err_and(bad_accept), "{other:?}");
    soon(accepted).await.unwrap();
    assert_eq!(soon(length(&client, 1)).await, Ok(1));
    assert!(!call.is_finished(), "its session has not ended");
}

#[tokio::test]
async fn handshakes_above_the_limit_wait_in_line_until_a_server_replies() {
    const LIMIT: usize = 512;
    let nats = NatsServer::start().unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    let connection = nats.client().await.unwrap();
    let connect = || Client::builder(&connection, SUBJECT).handshake_timeout(BOUND).connect();
    let connects: Vec<_> = (0..LIMIT + 50).map(|_| tokio::spawn(connect())).collect();
    // A handshake may arrive several times.
    let mut handshakes = BTreeMap::new();
    while handshakes.len() < LIMIT {
        let handshake = server.handshake().await;
        handshakes.insert(handshake.reply.clone(), handshake);
    }
    round_trip(&connection).await;
    while let Some(handshake) = server.try_handshake() {
        assert!(handshakes.contains_key(&handshake.reply), "more than {LIMIT} handshakes are in flight");
    }
    let (_, accepted) = handshakes.pop_first().unwrap();
    let _session = server.accept_handshake(accepted.clone(), |client| format!("{client}.7"), "beat 0").await;
    loop {
        let handshake = server.handshake().await;
        if handshake.reply != accepted.reply && !handshakes.contains_key(&handshake.reply) {
            break;
        }
    }
    for connect in connects {
        connect.abort();
    }
}
