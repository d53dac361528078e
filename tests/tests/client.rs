//! Clients over a real NATS server: what becomes of their calls when something is too long, too late, or gone.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use async_nats::{Client as Nats, Message, Subscriber};
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use thrift_nats_runtime::protocol::{DecodeErrorKind, EncodeErrorKind, Limits};
use thrift_nats_runtime::{
    ApplicationExceptionKind, Call, Client, CloseReason, ConnectError, Error, Outcome, PeerReason, Server,
    SessionEvent,
};
use thrift_nats_runtime::{ReplyFuture, Request, Service};
use thrift_nats_tests::NatsServer;
use tokio::sync::{Notify, mpsc};

const BOUND: Duration = Duration::from_secs(30);
/// So short that it passes within a test.
const SHORT: Duration = Duration::from_millis(100);

/// A service of texts, written by hand: `repeat` gives as many bytes as it is told, `len` says how many it got, and `wait`
/// never ends.
#[derive(Clone, Default)]
struct Texts {
    runs: Arc<AtomicUsize>,
    waiting: Arc<Notify>,
}

impl Service for Texts {
    fn name(&self) -> &'static str {
        "Texts"
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let texts = self.clone();
        Box::pin(async move {
            texts.runs.fetch_add(1, Ordering::SeqCst);
            match request.method() {
                "repeat" => {
                    let (len,): (i32,) = request.arguments(((1, "len"),))?;
                    request.reply::<String, Error>(Ok("x".repeat(len as usize)))
                }
                "len" => {
                    let (text,): (String,) = request.arguments(((1, "text"),))?;
                    request.reply::<i32, Error>(Ok(text.len() as i32))
                }
                _ => {
                    texts.waiting.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

impl Texts {
    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    async fn serve(&self, nats: &Nats) -> Server {
        Server::builder(nats, "texts").serve(self.clone()).await.unwrap()
    }
}

fn repeat(client: &Client, len: i32) -> Call<String> {
    client.call("repeat", &((1, &len),))
}

fn len(client: &Client, len: usize) -> Call<i32> {
    client.call("len", &((1, "x".repeat(len).as_str()),))
}

fn wait(client: &Client) -> Call<()> {
    client.call("wait", &())
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("in time")
}

async fn next(inbox: &mut Subscriber) -> Message {
    soon(inbox.next()).await.expect("an open subscription")
}

/// Returns once NATS has taken all that was sent on the connection, its subscriptions included.
async fn round_trip(nats: &Nats) {
    let own = nats.new_inbox();
    let mut inbox = nats.subscribe(own.clone()).await.unwrap();
    nats.publish(own, "".into()).await.unwrap();
    next(&mut inbox).await;
}

/// Sees the handshakes of the clients on the same connection, each before it is answered.
struct Handshakes(Subscriber);

impl Handshakes {
    async fn of(nats: &Nats) -> Self {
        Self(nats.subscribe("texts").await.unwrap())
    }

    /// How many there were since the last time.
    fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.0.next().now_or_never()).count()
    }
}

// What is too long.

#[tokio::test]
async fn a_request_above_the_clients_limit_is_refused_before_it_goes() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&connection).await;
    let builder = Client::builder(&connection, "texts").limits(Limits::DEFAULT.with_message(1000));
    let client = builder.connect().await.unwrap();
    // The header, the name, the field and its length, and the end.
    let around = 12 + 3 + 3 + 4 + 1;
    assert_eq!(len(&client, 1000 - around).await, Ok(1000 - around as i32));
    let error = EncodeErrorKind::TooLong { what: "message", len: 1001, limit: 1000 }.into();
    assert_eq!(len(&client, 1001 - around).await, Err(Error::Encode(error)));
    assert_eq!(texts.runs(), 1);
}

#[tokio::test]
async fn a_request_that_the_server_cannot_read_is_sent_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let server =
        Server::builder(&nats.client().await.unwrap(), "texts").limits(Limits::DEFAULT.with_message(1000));
    let _server = server.serve(texts.clone()).await.unwrap();
    let mut handshakes = Handshakes::of(&connection).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    for idempotent in [false, true] {
        let call = len(&client, 100_000);
        let result = soon(if idempotent { call.idempotent() } else { call }).await;
        match result {
            Err(Error::SessionEnded { reason, outcome: Outcome::NotRun }) => assert!(
                matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Malformed), .. }),
                "{reason:?}"
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(handshakes.count(), 1, "it went to no other session");
    }
    assert_eq!(len(&client, 10).await, Ok(10));
    assert_eq!(texts.runs(), 1);
}

#[tokio::test]
async fn an_answer_above_the_clients_limit_runs_even_an_idempotent_call_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&connection).await;
    let builder = Client::builder(&connection, "texts").limits(Limits::DEFAULT.with_message(1000));
    let client = builder.connect().await.unwrap();
    match soon(repeat(&client, 5000).idempotent()).await {
        Err(Error::SessionEnded { reason: CloseReason::Malformed(error), outcome: Outcome::Unknown }) => {
            assert!(matches!(error.kind(), DecodeErrorKind::TooLong { limit: 1000, .. }), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(texts.runs(), 1);
    assert_eq!(len(&client, 10).await, Ok(10));
}

#[tokio::test]
async fn an_answer_above_the_servers_limit_is_an_exception_and_the_session_goes_on() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server =
        Server::builder(&nats.client().await.unwrap(), "texts").limits(Limits::DEFAULT.with_message(1000));
    let _server = server.serve(Texts::default()).await.unwrap();
    let mut handshakes = Handshakes::of(&connection).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let neighbour = tokio::spawn(wait(&client).timeout(BOUND));
    match soon(repeat(&client, 5000)).await {
        Err(Error::Application(error)) => assert_eq!(error.kind, ApplicationExceptionKind::INTERNAL_ERROR),
        other => panic!("{other:?}"),
    }
    assert_eq!(len(&client, 10).await, Ok(10));
    assert!(!neighbour.is_finished());
    assert_eq!(handshakes.count(), 1);
}

// What moves to another session.

/// A server by hand that accepts every session, and ends it with the body of a disconnect at the first request.
fn ends_all_sessions(
    nats: &Nats,
    mut handshakes: Subscriber,
    body: &'static str,
) -> tokio::task::JoinHandle<()> {
    let nats = nats.clone();
    tokio::spawn(async move {
        while let Some(handshake) = handshakes.next().await {
            let listen = nats.new_inbox();
            let mut inbox = nats.subscribe(listen.clone()).await.unwrap();
            let client = handshake.reply.unwrap();
            nats.publish_with_reply(client.clone(), listen, "heartbeat 0".into()).await.unwrap();
            next(&mut inbox).await;
            nats.publish_with_reply(client, "DISCONNECT", body.into()).await.unwrap();
        }
    })
}

#[tokio::test]
async fn a_call_whose_every_session_ends_moves_eight_times() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let all = connection.subscribe("texts").await.unwrap();
    let mut handshakes = Handshakes::of(&connection).await;
    let server = ends_all_sessions(&connection, all, "0 stopping");
    let client = Client::connect(&connection, "texts").await.unwrap();
    match soon(len(&client, 10)).await {
        Err(Error::SessionEnded { reason, outcome: Outcome::NotRun }) => assert!(
            matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
            "{reason:?}"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(handshakes.count(), 1 + 8);
    server.abort();
}

#[tokio::test]
async fn a_call_that_may_have_been_run_moves_only_if_it_is_idempotent() {
    for idempotent in [false, true] {
        let nats = NatsServer::start().unwrap();
        let connection = nats.client().await.unwrap();
        let all = connection.subscribe("texts").await.unwrap();
        let mut handshakes = Handshakes::of(&connection).await;
        // Its chunk was taken up.
        let server = ends_all_sessions(&connection, all, "1 stopping");
        let client = Client::connect(&connection, "texts").await.unwrap();
        let call = len(&client, 10);
        let result = soon(if idempotent { call.idempotent() } else { call }).await;
        assert!(matches!(result, Err(Error::SessionEnded { outcome: Outcome::Unknown, .. })), "{result:?}");
        assert_eq!(handshakes.count(), if idempotent { 1 + 8 } else { 1 });
        server.abort();
    }
}

#[tokio::test]
async fn a_call_in_flight_moves_to_the_server_that_is_left() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let dying = Texts::default();
    let first = dying.serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let call = tokio::spawn(wait(&client).idempotent().timeout(BOUND));
    dying.waiting.notified().await;
    let other = Texts::default();
    let _second = other.serve(&nats.client().await.unwrap()).await;
    first.stop().await.unwrap();
    soon(other.waiting.notified()).await;
    assert!(!call.is_finished());
    assert_eq!((dying.runs(), other.runs()), (1, 1));
}

#[tokio::test]
async fn a_call_that_may_have_been_run_is_not_said_not_to_have_been_by_a_server_that_is_full() {
    let nats = NatsServer::start().unwrap();
    let dying = Texts::default();
    let first = dying.serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&nats.client().await.unwrap(), "texts").await.unwrap();
    let call = tokio::spawn(wait(&client).idempotent().timeout(BOUND));
    dying.waiting.notified().await;
    let full = Server::builder(&nats.client().await.unwrap(), "texts").max_calls(0);
    let _second = full.serve(Texts::default()).await.unwrap();
    first.stop().await.unwrap();
    match soon(call).await.unwrap() {
        Err(error) => assert_eq!(error.outcome(), Outcome::Unknown, "{error}"),
        Ok(()) => panic!("it never ends"),
    }
    let error = soon(len(&client, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Application(_)) && error.outcome() == Outcome::NotRun, "{error}");
}

// Openings.

#[tokio::test]
async fn a_subject_that_is_none_is_refused_with_the_reason() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a\r\nb", "a..b", "texts.*", "texts.>", "*"] {
        match soon(Client::connect(&connection, subject)).await {
            Err(ConnectError::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_handshake_that_nobody_answers_ends_after_the_time_that_is_set() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _silent = connection.subscribe("texts").await.unwrap();
    let builder = Client::builder(&connection, "texts").handshake_timeout(SHORT);
    let start = std::time::Instant::now();
    let error = soon(builder.connect()).await.expect_err("nobody answers");
    // The default is 2 s.
    assert!((SHORT..Duration::from_millis(1900)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let reason = CloseReason::HandshakeTimeout { timeout: SHORT };
    assert_eq!(error, ConnectError::Handshake { subject: "texts".to_owned(), reason });
}

/// A service behind one who passes handshakes on when he likes.
struct Slow {
    nats: Nats,
    handshakes: Subscriber,
}

impl Slow {
    async fn of(nats: &NatsServer) -> Self {
        let nats = nats.client().await.unwrap();
        let handshakes = nats.subscribe("texts").await.unwrap();
        round_trip(&nats).await;
        Self { nats, handshakes }
    }

    async fn serve(&self, texts: &Texts) -> Server {
        Server::builder(&self.nats, "behind").serve(texts.clone()).await.unwrap()
    }

    async fn pass_on(&self, Message { reply, headers, .. }: Message) {
        let (reply, headers) = (reply.unwrap(), headers.unwrap());
        self.nats.publish_with_reply_and_headers("behind", reply, headers, "".into()).await.unwrap();
    }

    /// A client, and the server that it has a session with.
    async fn client(&mut self, nats: &Nats, texts: &Texts) -> (Client, Server) {
        let server = self.serve(texts).await;
        let builder = Client::builder(nats, "texts").handshake_timeout(BOUND);
        let connect = tokio::spawn(builder.connect());
        let handshake = next(&mut self.handshakes).await;
        self.pass_on(handshake).await;
        (soon(connect).await.unwrap().unwrap(), server)
    }
}

#[tokio::test]
async fn a_session_opens_though_every_call_that_waits_for_it_leaves_before() {
    let nats = NatsServer::start().unwrap();
    let (connection, texts) = (nats.client().await.unwrap(), Texts::default());
    let mut slow = Slow::of(&nats).await;
    let (client, server) = slow.client(&connection, &texts).await;
    server.stop().await.unwrap();
    let _server = slow.serve(&texts).await;
    for _ in 0..3 {
        let calls = (0..10).map(|_| len(&client, 1).timeout(SHORT / 5));
        for result in soon(futures_util::future::join_all(calls)).await {
            let error = result.unwrap_err();
            assert!(
                matches!(error, Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }),
                "nobody has answered a handshake: {error}"
            );
        }
    }
    // The first of them began it.
    let handshake = next(&mut slow.handshakes).await;
    slow.pass_on(handshake).await;
    assert_eq!(soon(len(&client, 1).timeout(BOUND / 2)).await, Ok(1));
    assert!(slow.handshakes.next().now_or_never().is_none(), "one handshake was enough");
    assert_eq!(texts.runs(), 1);
}

#[tokio::test]
async fn an_opening_that_fails_after_its_calls_have_left_is_told() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = Texts::default().serve(&nats.client().await.unwrap()).await;
    let client = Client::builder(&connection, "texts").handshake_timeout(SHORT).connect().await.unwrap();
    let mut events = client.events();
    let _silent = connection.subscribe("texts").await.unwrap();
    server.stop().await.unwrap();
    let error = soon(len(&client, 1).timeout(SHORT / 10)).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded { .. }), "{error}");
    loop {
        match soon(events.next()).await {
            Some(SessionEvent::OpenFailed { error: ConnectError::Handshake { reason, .. } }) => {
                assert_eq!(reason, CloseReason::HandshakeTimeout { timeout: SHORT });
                return;
            }
            Some(_) => {}
            None => panic!("the client is there"),
        }
    }
}

#[tokio::test]
async fn calls_do_not_make_a_client_ask_a_server_more_often_that_refuses_it() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = Texts::default().serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let mut refused = connection.subscribe("texts").await.unwrap();
    server.stop().await.unwrap();
    let by_hand = connection.clone();
    let handshakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handshakes);
    let refuses = tokio::spawn(async move {
        while let Some(handshake) = refused.next().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let client = handshake.reply.unwrap();
            by_hand.publish_with_reply(client, "DISCONNECT", "overloaded".into()).await.unwrap();
        }
    });
    let start = std::time::Instant::now();
    for _ in 0..20 {
        let calls = (0..20).map(|_| len(&client, 1).timeout(SHORT / 10));
        for result in soon(futures_util::future::join_all(calls)).await {
            assert_eq!(result.unwrap_err().outcome(), Outcome::NotRun);
        }
    }
    // The shortest pauses that there may be.
    let pauses = (0..).scan(start, |next, failures: u32| {
        *next += Duration::from_millis(5) * 2_u32.pow(failures.min(6));
        Some(*next)
    });
    let now = std::time::Instant::now();
    let most = 1 + pauses.take_while(|next| *next <= now).count();
    let handshakes = handshakes.load(Ordering::SeqCst);
    assert!((1..=most).contains(&handshakes), "{handshakes} handshakes, and at most {most} may be");
    refuses.abort();
}

#[tokio::test]
async fn a_client_that_is_dropped_or_closed_ends_its_openings() {
    let nats = NatsServer::start().unwrap();
    let (connection, texts) = (nats.client().await.unwrap(), Texts::default());
    for close in [false, true] {
        let mut slow = Slow::of(&nats).await;
        let (client, server) = slow.client(&connection, &texts).await;
        server.stop().await.unwrap();
        let server = slow.serve(&texts).await;
        let call = tokio::spawn(len(&client, 1).timeout(BOUND * 10));
        let handshake = next(&mut slow.handshakes).await;
        if close {
            client.close().await.unwrap();
            let ended = Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun };
            assert_eq!(soon(call).await.unwrap(), Err(ended), "it waits for nothing any more");
        } else {
            call.abort();
            drop(client);
        }
        // The accept is answered, and its server keeps no session.
        slow.pass_on(handshake).await;
        round_trip(&slow.nats).await;
        thrift_nats_tests::eventually("no session is left", || server.sessions() == 0).await;
    }
    assert_eq!(texts.runs(), 0);
}

/// Nothing else of the connection's is alive then: the client that would have been is gone.
#[tokio::test]
async fn a_late_accept_is_answered_even_without_a_client() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = nats.client().await.unwrap();
    let mut handshakes = server.subscribe("texts").await.unwrap();
    // Once with a time-out, once with a future that is dropped.
    for listen in ["late.7", "late.h7"] {
        let mut inbox = server.subscribe(listen).await.unwrap();
        round_trip(&server).await;
        let connect = Client::builder(&connection, "texts").handshake_timeout(SHORT).connect();
        let handshake = if listen == "late.7" {
            assert!(soon(connect).await.is_err());
            next(&mut handshakes).await
        } else {
            tokio::select! {
                handshake = next(&mut handshakes) => handshake,
                result = connect => panic!("{result:?}"),
            }
        };
        server.publish_with_reply(handshake.reply.unwrap(), listen, "beat 0".into()).await.unwrap();
        assert_eq!(next(&mut inbox).await.reply.as_deref(), Some("DISCONNECT"));
    }
}

#[tokio::test]
async fn a_bad_accept_is_refused_and_its_server_told() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = nats.client().await.unwrap();
    let mut handshakes = server.subscribe("texts").await.unwrap();
    let mut inbox = server.subscribe("listen.7").await.unwrap();
    round_trip(&server).await;
    let told = tokio::spawn(async move {
        let client = next(&mut handshakes).await.reply.unwrap();
        server.publish_with_reply(client, "listen.7", "this is no accept".into()).await.unwrap();
        next(&mut inbox).await
    });
    let error = soon(Client::connect(&connection, "texts")).await.expect_err("no accept");
    assert!(matches!(error, ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }), "{error}");
    assert_eq!(told.await.unwrap().reply.as_deref(), Some("DISCONNECT"));
}

/// NATS closes a connection that sends a line of more than 4 KiB: the data of a session with this reply subject would.
#[tokio::test]
async fn a_server_that_listens_on_a_subject_too_long_to_send_to_harms_no_other_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(BOUND));
    texts.waiting.notified().await;
    let server = nats.client().await.unwrap();
    let mut handshakes = server.subscribe("long").await.unwrap();
    round_trip(&server).await;
    let told = tokio::spawn(async move {
        let client = next(&mut handshakes).await.reply.unwrap();
        // The accept itself is still short enough, and a chunk to it is not: it has a number.
        let listen = "a".repeat(4096 - "  6".len() - client.len());
        let mut inbox = server.subscribe(listen.clone()).await.unwrap();
        round_trip(&server).await;
        server.publish_with_reply(client, listen, "beat 0".into()).await.unwrap();
        next(&mut inbox).await
    });
    let result = soon(Client::connect(&connection, "long")).await;
    let other = match result {
        Ok(client) => soon(len(&client, 1)).await.map(drop),
        Err(error) => Err(error.into()),
    };
    let bad_accept = |error: &Error| {
        matches!(error, Error::Connect(ConnectError::Handshake { reason: CloseReason::BadAccept(_), .. }))
    };
    assert!(other.as_ref().is_err_and(bad_accept), "{other:?}");
    assert_eq!(told.await.unwrap().reply.as_deref(), Some("DISCONNECT"));
    assert_eq!(soon(len(&client, 1)).await, Ok(1));
    assert!(!call.is_finished(), "its session has not ended");
}

/// The tasks that carry the sessions of a connection belong to the runtime in which the first client was connected.
#[test]
fn a_client_outlives_the_runtime_of_the_first() {
    let nats = NatsServer::start().unwrap();
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (lasting, first) = (runtime(), runtime());
    let (connection, _server) = lasting.block_on(async {
        let connection = nats.client().await.unwrap();
        let server = Texts::default().serve(&nats.client().await.unwrap()).await;
        (connection, server)
    });
    let one = first.block_on(async { Client::connect(&connection, "texts").await.unwrap() });
    assert_eq!(first.block_on(len(&one, 1)), Ok(1));
    drop(first);
    lasting.block_on(async {
        let other = soon(Client::connect(&connection, "texts")).await.unwrap();
        assert_eq!(soon(len(&other, 2)).await, Ok(2));
        assert_eq!(soon(len(&one, 3)).await, Ok(3), "it opens a session of its own");
    });
}

// NATS goes away.

#[tokio::test]
async fn a_call_in_flight_when_nats_is_lost_ends_and_the_next_one_has_a_session_of_its_own() {
    let mut nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(Duration::from_secs(3600)));
    texts.waiting.notified().await;
    nats.restart().unwrap();
    assert_eq!(
        soon(call).await.unwrap(),
        Err(Error::SessionEnded { reason: CloseReason::Reconnected, outcome: Outcome::Unknown })
    );
    // The server's connection may come back later than the client's.
    let answer = async {
        loop {
            match len(&client, 5).await {
                Err(Error::Connect(ConnectError::NoServer { .. })) => tokio::task::yield_now().await,
                result => return result,
            }
        }
    };
    assert_eq!(soon(answer).await, Ok(5));
    assert_eq!(client.calls_in_flight(), 0);
}

#[tokio::test]
async fn calls_on_a_connection_that_is_closed_fail_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(Duration::from_secs(3600)));
    texts.waiting.notified().await;
    connection.drain().await.unwrap();
    let is_closed =
        |reason: &CloseReason| matches!(reason, CloseReason::NatsClosed | CloseReason::PublishFailed { .. });
    match soon(call).await.unwrap() {
        Err(Error::SessionEnded { reason, outcome: Outcome::Unknown }) => {
            assert!(is_closed(&reason), "{reason:?}")
        }
        other => panic!("{other:?}"),
    }
    let error = soon(len(&client, 5).timeout(Duration::from_secs(3600))).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
    match error {
        Error::Connect(ConnectError::Nats(_)) => {}
        Error::SessionEnded { reason, .. } | Error::Connect(ConnectError::Handshake { reason, .. }) => {
            assert!(is_closed(&reason), "{reason:?}");
        }
        other => panic!("{other:?}"),
    }
    // With the client goes what it shares with others of the connection: a new one has to subscribe.
    drop(client);
    match soon(Client::connect(&connection, "texts")).await {
        Err(ConnectError::Nats(_)) => {}
        other => panic!("{other:?}"),
    }
}

// What a NATS message may be.

/// The lengths of the chunks of a call whose request has so many bytes, at a server that never answers.
async fn chunks(nats: &NatsServer, limit: Option<usize>, bytes: usize) -> Vec<usize> {
    let connection = nats.client().await.unwrap();
    let mut handshakes = connection.subscribe("texts").await.unwrap();
    let by_hand = connection.clone();
    let server = tokio::spawn(async move {
        let client = next(&mut handshakes).await.reply.unwrap();
        let listen = by_hand.new_inbox();
        let mut inbox = by_hand.subscribe(listen.clone()).await.unwrap();
        by_hand.publish_with_reply(client, listen, "heartbeat 0".into()).await.unwrap();
        let mut chunks = Vec::new();
        while chunks.iter().sum::<usize>() < bytes {
            chunks.push(next(&mut inbox).await.payload.len());
        }
        chunks
    });
    let builder = Client::builder(&connection, "texts");
    let builder = if let Some(limit) = limit { builder.chunk_limit(limit) } else { builder };
    let client = builder.connect().await.unwrap();
    let call = tokio::spawn(len(&client, bytes));
    let chunks = soon(server).await.unwrap();
    call.abort();
    chunks
}

#[tokio::test]
async fn chunks_are_no_longer_than_is_set() {
    let nats = NatsServer::start().unwrap();
    assert_eq!(chunks(&nats, None, 100_000).await[0], 64 * 1024);
    let all = chunks(&nats, Some(1000), 10_000).await;
    assert_eq!(all[..10], [1000; 10]);
}

#[tokio::test]
async fn chunks_are_no_longer_than_nats_allows() {
    let nats = NatsServer::builder().max_payload(4096).start().unwrap();
    let connection = nats.client().await.unwrap();
    let _server = Texts::default().serve(&nats.client().await.unwrap()).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    assert_eq!(soon(len(&client, 100_000)).await, Ok(100_000));
    assert_eq!(soon(repeat(&client, 100_000)).await.map(|text| text.len()), Ok(100_000));
}

// What waits to be sent. A call that is alone goes at once; those behind it go with the task that publishes, which runs on
// the thread of the test: nothing goes until the test waits.

#[tokio::test]
async fn a_call_that_does_not_fit_into_the_queue_fails_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _server = Texts::default().serve(&nats.client().await.unwrap()).await;
    let builder = Client::builder(&connection, "texts").queue_limit(1_000_000);
    let client = builder.connect().await.unwrap();
    let mut first = std::pin::pin!(len(&client, 1));
    assert!(first.as_mut().now_or_never().is_none());
    let mut fits = std::pin::pin!(len(&client, 600_000));
    assert!(fits.as_mut().now_or_never().is_none());
    match len(&client, 600_000).now_or_never() {
        Some(Err(Error::QueueFull { len: 600_000.., queued: 600_000.., limit: 1_000_000 })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(soon(first).await, Ok(1));
    assert_eq!(soon(fits).await, Ok(600_000));
    assert_eq!(soon(len(&client, 600_000)).await, Ok(600_000), "there is room again");
}

/// The connection has room for one message, and many sessions have something to send at once.
#[tokio::test]
async fn sessions_that_wait_for_the_connection_do_not_hold_each_other_up() {
    let nats = NatsServer::start().unwrap();
    let _server = Texts::default().serve(&nats.client().await.unwrap()).await;
    let narrow = async_nats::ConnectOptions::new().client_capacity(1).connect(nats.url()).await.unwrap();
    let client = Client::builder(&narrow, "texts").sessions(16).chunk_limit(1000).connect().await.unwrap();
    let calls = (0..64).map(|_| len(&client, 3000));
    for result in soon(futures_util::future::join_all(calls)).await {
        assert_eq!(result, Ok(3000));
    }
}

/// Notes how many calls are in flight when it is woken.
struct Counting {
    client: Client,
    counts: mpsc::UnboundedSender<usize>,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        let _ = self.counts.send(self.client.calls_in_flight());
    }
}

#[tokio::test]
async fn who_waited_for_a_call_finds_it_in_flight_no_more() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _server = Texts::default().serve(&connection).await;
    let client = Client::connect(&connection, "texts").await.unwrap();
    // Nor are others alone: a oneway call that is would be done at once.
    let mut other = Box::pin(wait(&client));
    assert!(futures_util::poll!(&mut other).is_pending());

    let oneway: Call<()> = client.oneway("wait", &());
    let calls: [(_, Pin<Box<dyn Future<Output = _> + Send>>); 3] = [
        ("answered", Box::pin(repeat(&client, 1).map_ok(drop))),
        ("gone", Box::pin(oneway)),
        ("given up", Box::pin(wait(&client).timeout(SHORT))),
    ];
    for (how, mut call) in calls {
        let (counts, mut seen) = mpsc::unbounded_channel();
        let waker = Waker::from(Arc::new(Counting { client: client.clone(), counts }));
        let mut cx = Context::from_waker(&waker);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(client.calls_in_flight(), 2);
        assert_eq!(soon(seen.recv()).await, Some(1), "{how}");
        assert!(call.as_mut().poll(&mut cx).is_ready());
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_before_it_has_gone_is_not_run() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let texts = Texts::default();
    let _server = texts.serve(&nats.client().await.unwrap()).await;
    let builder = Client::builder(&connection, "texts").queue_limit(1_000_000);
    let client = builder.connect().await.unwrap();
    let mut first = std::pin::pin!(len(&client, 1));
    assert!(first.as_mut().now_or_never().is_none());
    // All of them together are ten times what fits.
    for _ in 0..20 {
        assert!(len(&client, 600_000).now_or_never().is_none());
    }
    assert_eq!(client.calls_in_flight(), 1);
    assert_eq!(soon(first).await, Ok(1));
    assert_eq!(soon(len(&client, 1)).await, Ok(1));
    assert_eq!((texts.runs(), client.late_replies()), (2, 0));
}
