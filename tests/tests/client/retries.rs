//! Calls whose session ends: which are retried on another session, and how often.

use thrift_nats_runtime::{Client, CloseReason, Error, Outcome, PeerReason};
use thrift_nats_tests::raw::RawServer;
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, soon};
use tokio::task::JoinHandle;

use crate::{length, wait};

/// A server that accepts every session and disconnects it, with this body, at the first request.
fn disconnects_every_session(mut server: RawServer, body: &'static str) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let mut session = server.accept().await;
            session.receive().await;
            session.disconnect(body).await;
        }
    })
}

/// The result of a call to such a server, and the number of sessions that were opened for it.
async fn call_to_server_that_disconnects(
    body: &'static str,
    idempotent: bool,
) -> (Result<i32, Error>, usize) {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = disconnects_every_session(RawServer::listen(&connection, SUBJECT).await, body);
    let mut handshakes = RawServer::listen(&connection, SUBJECT).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let call = length(&client, 10);
    let result = soon(if idempotent { call.idempotent() } else { call }).await;
    server.abort();
    (result, handshakes.count())
}

#[tokio::test]
async fn call_is_retried_eight_times() {
    // The disconnect acknowledges no chunk.
    let (result, sessions) = call_to_server_that_disconnects("0 stopping", false).await;
    match result {
        Err(Error::SessionEnded { reason, outcome: Outcome::NotRun }) => assert!(
            matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
            "{reason:?}"
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(sessions, 1 + 8);
}

#[tokio::test]
async fn acknowledged_call_is_retried_only_if_it_is_idempotent() {
    for (idempotent, expected) in [(false, 1), (true, 1 + 8)] {
        // The disconnect acknowledges the chunk of the call.
        let (result, sessions) = call_to_server_that_disconnects("1 stopping", idempotent).await;
        assert!(matches!(result, Err(Error::SessionEnded { outcome: Outcome::Unknown, .. })), "{result:?}");
        assert_eq!(sessions, expected);
    }
}

#[tokio::test]
async fn idempotent_call_in_flight_is_retried_on_the_server_that_is_left() {
    let nats = NatsServer::start().unwrap();
    let (stopping, other) = (TestService::default(), TestService::default());
    let first = stopping.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client).idempotent().timeout(BOUND));
    stopping.until_started("wait", 1).await;
    let _second = other.serve(&nats, |server| server).await;
    first.stop().await.unwrap();
    other.until_started("wait", 1).await;
    assert!(!call.is_finished());
    assert_eq!((stopping.started("wait"), other.started("wait")), (1, 1));
}

#[tokio::test]
async fn outcome_of_a_call_that_may_have_run_stays_unknown_if_the_next_server_is_overloaded() {
    let nats = NatsServer::start().unwrap();
    let stopping = TestService::default();
    let first = stopping.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client).idempotent().timeout(BOUND));
    stopping.until_started("wait", 1).await;
    let _second = TestService::default().serve(&nats, |server| server.max_calls(0)).await;
    first.stop().await.unwrap();
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let error = soon(length(&client, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Application(_)) && error.outcome() == Outcome::NotRun, "{error}");
}
