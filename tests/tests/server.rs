//! What a server does with peers that misbehave, vanish or come at the wrong time, over a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client as Nats, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};

use thrift_nats_examples::shared::{SharedService, SharedStruct};
use thrift_nats_examples::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, Work,
};
use thrift_nats_runtime::{Context, Error, RunningServer, Server};
use thrift_nats_tests::{NatsServer, eventually};
use tokio::task::JoinSet;

const BOUND: Duration = Duration::from_secs(30);

/// Adds.
#[derive(Clone, Default)]
struct Handler;

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, _key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct::default())
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, _cx: &Context, _id: i32, _w: Work) -> Result<i32, CalculatorCalculateError> {
        Ok(0)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// Serves with these options on `calculator`.
async fn serve(nats: &NatsServer, options: impl FnOnce(Server) -> Server) -> RunningServer {
    let server = options(Server::new(nats.client().await.unwrap(), "calculator"));
    server.serve(CalculatorServer::new(Handler)).await.unwrap()
}

/// The options of a server that wants no heartbeats.
fn no_heartbeats(server: Server) -> Server {
    server.heartbeat(Duration::ZERO)
}

async fn next(inbox: &mut Subscriber) -> Message {
    tokio::time::timeout(BOUND, inbox.next()).await.expect("a message in time").expect("an open subscription")
}

/// Shakes hands as an original client does; what the server answers.
async fn accept(nats: &Nats) -> Message {
    let own = nats.new_inbox();
    let mut inbox = nats.subscribe(own.clone()).await.unwrap();
    nats.publish_with_reply("calculator", own, "".into()).await.unwrap();
    next(&mut inbox).await
}

#[tokio::test]
async fn the_heartbeat_of_the_options_is_what_the_accept_asks_for() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let seconds = Duration::from_secs;
    for (deadline, expected) in [
        (None, "10000"),
        (Some(seconds(5)), "5000"),
        (Some(Duration::from_micros(10)), "1"),
        (Some(Duration::ZERO), "0"),
        (Some(Duration::MAX), "9223372036854"),
    ] {
        let server =
            serve(&nats, |server| deadline.into_iter().fold(server, |server, it| server.heartbeat(it))).await;
        let accept = accept(&connection).await;
        let body = str::from_utf8(&accept.payload).unwrap();
        assert_eq!(body.split_once(' ').unwrap().1, expected);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_handshake_of_a_peer_that_is_gone_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    for n in 0..100 {
        // Nobody listens there.
        connection.publish_with_reply("calculator", format!("nobody.{n}"), "".into()).await.unwrap();
    }
    // Behind all of them.
    let _last = accept(&connection).await;
    eventually("only the last is left", || server.sessions() <= 1).await;
}

/// Begins to connect, and drops it: each time a little later.
async fn drop_connects(connection: &Nats) {
    for polls in 0..40 {
        let mut connect = Box::pin(CalculatorClient::connect(connection, "calculator").into_future());
        for _ in 0..polls {
            if futures_util::poll!(&mut connect).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connect_that_is_dropped_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    // Its inbox is that of the others, too: an accept that comes late is answered.
    let client = CalculatorClient::connect(&connection, "calculator").await.unwrap();
    drop_connects(&connection).await;
    // Behind all of them, of this connection: what they sent has come when it is accepted.
    let _last = accept(&connection).await;
    eventually("only the first and the last are left", || server.sessions() <= 2).await;
    assert_eq!(client.add(1, 1).await.unwrap(), 2);
}

/// An accept that is on its way when the last client of a connection takes its inbox with it was delivered, for NATS: only
/// the heartbeats that do not come tell.
#[tokio::test]
async fn a_connect_that_is_dropped_with_the_inbox_leaves_no_session_where_heartbeats_are_wanted() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, |server| server.heartbeat(Duration::from_millis(20))).await;
    let connection = nats.client().await.unwrap();
    drop_connects(&connection).await;
    let _last = accept(&connection).await;
    eventually("none is left", || server.sessions() == 0).await;
}

#[tokio::test]
async fn what_is_no_handshake_opens_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let first = accept(&connection).await;
    let listen = first.reply.unwrap();
    let inbox = connection.new_inbox();
    let mut listens = connection.subscribe(inbox.clone()).await.unwrap();
    for (reply, body) in
        [(inbox.as_str(), "hello"), ("DISCONNECT", ""), (listen.as_str(), ""), ("calculator", "")]
    {
        connection
            .publish_with_reply(
                "calculator",
                reply.to_owned(),
                bytes::Bytes::copy_from_slice(body.as_bytes()),
            )
            .await
            .unwrap();
    }
    // Behind all of them.
    accept(&connection).await;
    // Nor was one accepted and ended meanwhile.
    assert!(listens.next().now_or_never().is_none());
    assert!(server.sessions() <= 2, "{}", server.sessions());
}

#[tokio::test]
async fn a_subject_that_nats_does_not_take_is_refused_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a..b", "a\r\nPUB b 0"] {
        let serving = Server::new(connection.clone(), subject).serve(CalculatorServer::new(Handler));
        match tokio::time::timeout(BOUND, serving).await.expect("at once") {
            Err(Error::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connects_and_calls_under_a_drain_lose_nothing() {
    let nats = NatsServer::start().unwrap();
    let mut server = serve(&nats, no_heartbeats).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (connection, stop) = (nats.client().await.unwrap(), Arc::clone(&stop));
        clients.spawn(async move {
            let kept = CalculatorClient::connect(&connection, "calculator").await.unwrap();
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                let new = CalculatorClient::connect(&connection, "calculator").await.expect("a connect");
                assert_eq!(new.add(rounds, 1).await.expect("the first call of a session"), rounds + 1);
                assert_eq!(kept.add(rounds, 2).await.expect("a call of a session that moves"), rounds + 2);
                rounds += 1;
            }
            rounds
        });
    }
    for _ in 0..30 {
        let next = serve(&nats, no_heartbeats).await;
        // Not before the old one has something to lose.
        eventually("it has sessions", || server.sessions() > 0).await;
        server.drain(BOUND).await.unwrap();
        server = next;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(rounds) = clients.join_next().await {
        assert!(rounds.unwrap() > 0);
    }
}
