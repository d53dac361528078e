//! Clients of a server that is drained.

use std::time::{Duration, Instant};

use thrift_nats_runtime::{
    Client, CloseReason, ConnectError, Error, Outcome, Server, SessionEvent, ShutdownError,
};
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, eventually, soon};
use tokio::task::JoinHandle;

use crate::{length, wait};

/// A client with a call in flight on a server that is being drained, and a session with another server.
struct Drain {
    client: Client,
    /// The service that the call waits for.
    service: TestService,
    in_flight: JoinHandle<Result<i32, Error>>,
    drained: JoinHandle<Result<(), ShutdownError>>,
    other: Server,
}

async fn during_a_drain(nats: &NatsServer) -> Drain {
    let service = TestService::default();
    let first = service.serve(nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let in_flight = tokio::spawn(wait(&client).timeout(NEVER));
    eventually("the call waits", || service.waiting() == 1).await;
    let other = TestService::default().serve(nats, |server| server).await;
    let drained = tokio::spawn(first.drain(BOUND));
    while other.sessions() == 0 {
        // Accepted before the drain, or retried on another session: it does not wait for the call in flight.
        assert_eq!(soon(length(&client, 1).timeout(Duration::from_secs(5))).await, Ok(1));
    }
    Drain { client, service, in_flight, drained, other }
}

#[tokio::test]
async fn new_calls_go_to_another_server_while_a_drained_one_completes_its_calls() {
    let nats = NatsServer::start().unwrap();
    let Drain { client, service, in_flight, drained, other: _other } = during_a_drain(&nats).await;
    assert_eq!(soon(length(&client, 1)).await, Ok(1));
    assert!(!in_flight.is_finished() && !drained.is_finished());
    assert_eq!(client.calls_in_flight(), 1);
    service.release(1);
    assert_eq!(soon(in_flight).await.unwrap(), Ok(2));
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
    assert_eq!(client.calls_in_flight(), 0);
}

#[tokio::test]
async fn new_calls_wait_for_a_server_that_starts_while_the_only_one_is_drained() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let first = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let mut events = client.events();
    let in_flight = tokio::spawn(wait(&client).timeout(NEVER));
    eventually("the call waits", || service.waiting() == 1).await;
    let drained = tokio::spawn(first.drain(BOUND));
    // Calls accepted before the drain complete. The first one after it finds no responders.
    let mut calls = Vec::new();
    let failed = loop {
        calls.push(tokio::spawn(length(&client, 1).timeout(BOUND)));
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(10), events.next()).await {
            break event;
        }
    };
    assert!(
        matches!(failed, Some(SessionEvent::OpenFailed { error: ConnectError::NoServer { .. } })),
        "{failed:?}"
    );
    // For longer than a call would wait without a session on a draining server.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        let event = soon(events.next()).await;
        assert!(matches!(event, Some(SessionEvent::OpenFailed { .. })), "{event:?}");
    }
    let _other = TestService::default().serve(&nats, |server| server).await;
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(1));
    }
    service.release(1);
    assert_eq!(soon(in_flight).await.unwrap(), Ok(2));
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn closing_a_client_does_not_wait_for_a_draining_server() {
    let nats = NatsServer::start().unwrap();
    let Drain { client, in_flight, drained, other, .. } = during_a_drain(&nats).await;
    soon(client.close()).await.unwrap();
    let error = soon(in_flight).await.unwrap().unwrap_err();
    assert_eq!(error, Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::Unknown });
    eventually("the session with the other server has ended", || other.sessions() == 0).await;
    drained.abort();
}
