//! Sessions over a real NATS server: what ends them, who learns of it, and what it does to nobody else.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client as Nats, Message, Subscriber};
use futures_util::StreamExt;
use thrift_nats_runtime::{Client, CloseReason, Context, Error, Outcome, PeerReason, Server};
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, Work,
};
use thrift_nats_tests::{NatsServer, eventually};
use tokio::sync::Notify;

const BOUND: Duration = Duration::from_secs(30);

/// Adds; and waits for ever in `calculate`.
#[derive(Clone, Default)]
struct Handler {
    waiting: Arc<Notify>,
}

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
        self.waiting.notify_one();
        std::future::pending().await
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

async fn serve(nats: &NatsServer, handler: &Handler, heartbeat: impl Into<Option<Duration>>) -> Server {
    Server::builder(&nats.client().await.unwrap(), "calculator")
        .heartbeat(heartbeat)
        .serve(CalculatorServer::new(handler.clone()))
        .await
        .unwrap()
}

/// A peer that speaks the legacy protocol by hand.
struct Peer {
    nats: Nats,
    inbox: Subscriber,
    listen: String,
    body: String,
}

impl Peer {
    async fn open(nats: &Nats) -> Self {
        let own = nats.new_inbox();
        let mut inbox = nats.subscribe(own.clone()).await.unwrap();
        nats.publish_with_reply("calculator", own, "".into()).await.unwrap();
        let accept = next(&mut inbox).await;
        let body = String::from_utf8(accept.payload.to_vec()).unwrap();
        Self { nats: nats.clone(), inbox, listen: accept.reply.unwrap().to_string(), body }
    }

    async fn send(&self, bytes: impl Into<bytes::Bytes>) {
        self.nats.publish(self.listen.clone(), bytes.into()).await.unwrap();
    }
}

async fn next(inbox: &mut Subscriber) -> Message {
    tokio::time::timeout(BOUND, inbox.next()).await.expect("a message in time").expect("an open subscription")
}

fn is_disconnect(message: &Message) -> bool {
    message.reply.as_deref() == Some("DISCONNECT")
}

#[tokio::test]
async fn a_client_that_misses_three_heartbeats_is_disconnected() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, &Handler::default(), Duration::from_millis(50)).await;
    let mut peer = Peer::open(&nats.client().await.unwrap()).await;
    assert!(peer.body.ends_with(" 50"), "{}", peer.body);
    // It never beats.
    assert!(is_disconnect(&next(&mut peer.inbox).await));
    eventually("the session is gone", || server.sessions() == 0).await;
}

#[tokio::test]
async fn a_client_that_beats_is_kept_and_one_that_is_stalled_learns_that_it_is_not() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, &Handler::default(), Duration::from_millis(100)).await;
    let url = nats.url().to_owned();
    let (stalled, is_stalled) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    // A runtime of its own, with one thread, which can be held up.
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nats = async_nats::connect(url).await.unwrap();
            let client = CalculatorClient::connect(&nats, "calculator").await.unwrap();
            // Some eight windows: the beats keep the session.
            for n in 0..80 {
                assert_eq!(client.add(n, n).await.unwrap(), 2 * n);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let waits = tokio::spawn({
                let client = client.clone();
                async move { client.calculate(1, &Work::default()).await }
            });
            while !client.add(1, 1).await.is_ok_and(|sum| sum == 2) {}
            stalled.send(()).unwrap();
            may_go_on.recv().unwrap();
            let result = tokio::time::timeout(BOUND, waits).await.expect("told at once").unwrap();
            // And the next call has a session of its own.
            assert_eq!(client.add(2, 2).await.unwrap(), 4);
            result
        })
    });
    is_stalled.await.unwrap();
    assert_eq!(server.sessions(), 1);
    eventually("the stalled client's session is closed", || server.sessions() == 0).await;
    go_on.send(()).unwrap();
    let result = tokio::task::spawn_blocking(|| client.join().unwrap()).await.unwrap();
    match result {
        Err(CalculatorCalculateError::Rpc(Error::SessionEnded { reason, outcome })) => {
            assert_eq!(outcome, Outcome::Unknown);
            assert!(
                matches!(
                    reason,
                    CloseReason::Disconnected { reason: Some(PeerReason::MissedHeartbeats), .. }
                ) || matches!(reason, CloseReason::PeerGone { .. }),
                "{reason:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn closing_a_client_ends_the_session_on_the_server_at_once() {
    let nats = NatsServer::start().unwrap();
    // No heartbeats: nothing but the disconnect can tell.
    let server = serve(&nats, &Handler::default(), None).await;
    let client = CalculatorClient::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    assert_eq!(server.sessions(), 1);
    client.close().await.unwrap();
    eventually("the session is gone", || server.sessions() == 0).await;
    assert_eq!(
        client.add(1, 1).await,
        Err(Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun })
    );
}

#[tokio::test]
async fn dropping_the_last_clone_of_a_client_ends_the_session_too() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, &Handler::default(), None).await;
    let client = CalculatorClient::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    let clone = client.clone();
    drop(client);
    assert_eq!(clone.add(1, 1).await.unwrap(), 2);
    drop(clone);
    eventually("the session is gone", || server.sessions() == 0).await;
}

#[tokio::test]
async fn stopping_a_server_fails_the_calls_in_flight_at_once() {
    let nats = NatsServer::start().unwrap();
    let handler = Handler::default();
    let server = serve(&nats, &handler, None).await;
    let client = CalculatorClient::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    let waits = tokio::spawn({
        let client = client.clone();
        // Far more than the test waits.
        async move { client.calculate(1, &Work::default()).timeout(Duration::from_secs(3600)).await }
    });
    handler.waiting.notified().await;
    server.stop().await.unwrap();
    let result = tokio::time::timeout(BOUND, waits).await.expect("at once").unwrap();
    match result {
        Err(CalculatorCalculateError::Rpc(Error::SessionEnded { reason, outcome: Outcome::Unknown })) => {
            assert!(
                matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
                "{reason:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_close_that_session_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, &Handler::default(), None).await;
    let connection = nats.client().await.unwrap();
    let client = CalculatorClient::connect(&connection, "calculator").await.unwrap();
    for garbage in
        [&b"\x00garbage and more"[..], b"\x80\x02\x00\x01", b"\x80\x01\x00\x09\x00\x00\x00\x00", &[0xFF; 64]]
    {
        let mut peer = Peer::open(&connection).await;
        assert_eq!(server.sessions(), 2);
        peer.send(garbage).await;
        let answer = next(&mut peer.inbox).await;
        assert!(is_disconnect(&answer), "{garbage:?}: {answer:?}");
        eventually("the session is gone", || server.sessions() == 1).await;
        assert_eq!(client.add(1, 1).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_message_fails_the_calls_of_that_session_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let _server = serve(&nats, &Handler::default(), None).await;
    let connection = nats.client().await.unwrap();
    // A server by hand, which answers whatever comes with garbage.
    let mut handshakes = connection.subscribe("garbage").await.unwrap();
    let by_hand = connection.clone();
    let server = tokio::spawn(async move {
        let client = next(&mut handshakes).await.reply.unwrap();
        let listen = by_hand.new_inbox();
        let mut inbox = by_hand.subscribe(listen.clone()).await.unwrap();
        by_hand.publish_with_reply(client.clone(), listen, "heartbeat 0".into()).await.unwrap();
        next(&mut inbox).await;
        by_hand.publish(client, "this is no Thrift message".into()).await.unwrap();
        next(&mut inbox).await
    });
    let bad = CalculatorClient::connect(&connection, "garbage").await.unwrap();
    let good = CalculatorClient::connect(&connection, "calculator").await.unwrap();
    let result = tokio::time::timeout(BOUND, bad.add(1, 1)).await.expect("at once");
    assert!(
        matches!(&result, Err(Error::SessionEnded { reason: CloseReason::Malformed(_), .. })),
        "{result:?}"
    );
    assert!(is_disconnect(&server.await.unwrap()));
    assert_eq!(good.add(1, 1).await.unwrap(), 2);
}

#[tokio::test]
async fn an_legacy_peer_is_answered_in_order() {
    let nats = NatsServer::start().unwrap();
    let _server = serve(&nats, &Handler::default(), None).await;
    let mut peer = Peer::open(&nats.client().await.unwrap()).await;
    // Two calls of `ping` in one chunk, cut where it hurts.
    let call =
        |seqid: u8| [b"\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00".as_slice(), &[seqid, 0]].concat();
    let both = [call(1), call(2)].concat();
    let (head, tail) = both.split_at(7);
    peer.send(head.to_vec()).await;
    peer.send(tail.to_vec()).await;
    let mut answers = Vec::new();
    while answers.len() < 2 * 17 {
        answers.extend(next(&mut peer.inbox).await.payload);
    }
    let answer =
        |seqid: u8| [b"\x80\x01\x00\x02\x00\x00\x00\x04ping\x00\x00\x00".as_slice(), &[seqid, 0]].concat();
    assert_eq!(answers, [answer(1), answer(2)].concat());
}

#[tokio::test]
async fn a_dropped_call_gives_its_place_back() {
    let nats = NatsServer::start().unwrap();
    let handler = Handler::default();
    let _server = serve(&nats, &handler, None).await;
    let client = Client::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    let calculator = CalculatorClient::new(client.clone());
    let call = tokio::spawn(calculator.calculate(1, &Work::default()));
    handler.waiting.notified().await;
    assert_eq!(client.calls_in_flight(), 1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(client.calls_in_flight(), 0);
    assert_eq!(calculator.add(1, 1).await.unwrap(), 2);
}
