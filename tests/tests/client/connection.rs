//! The connection to NATS is lost or closed.

use std::time::Duration;

use futures_util::future::join_all;
use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Outcome};
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, soon};

use crate::{length, wait};

#[tokio::test]
async fn call_in_flight_fails_when_nats_restarts_and_the_next_call_opens_a_session() {
    let mut nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(NEVER));
    service.until_started("wait", 1).await;
    nats.restart().unwrap();
    assert_eq!(
        soon(call).await.unwrap(),
        Err(Error::SessionEnded { reason: CloseReason::Reconnected, outcome: Outcome::Unknown })
    );
    // The server may reconnect later than the client.
    let reply = async {
        loop {
            match length(&client, 5).await {
                Err(Error::Connect(ConnectError::NoServer { .. })) => tokio::task::yield_now().await,
                result => return result,
            }
        }
    };
    assert_eq!(soon(reply).await, Ok(5));
    assert_eq!(client.calls_in_flight(), 0);
}

#[tokio::test]
async fn calls_on_a_closed_connection_fail_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let call = tokio::spawn(wait(&client).timeout(NEVER));
    service.until_started("wait", 1).await;
    connection.drain().await.unwrap();
    let is_closed =
        |reason: &CloseReason| matches!(reason, CloseReason::NatsClosed | CloseReason::PublishFailed { .. });
    match soon(call).await.unwrap() {
        Err(Error::SessionEnded { reason, outcome: Outcome::Unknown }) => {
            assert!(is_closed(&reason), "{reason:?}");
        }
        other => panic!("{other:?}"),
    }
    let error = soon(length(&client, 5).timeout(NEVER)).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
    match error {
        Error::Connect(ConnectError::Nats(_)) => {}
        Error::SessionEnded { reason, .. } | Error::Connect(ConnectError::Handshake { reason, .. }) => {
            assert!(is_closed(&reason), "{reason:?}");
        }
        other => panic!("{other:?}"),
    }
    // The last client of a connection drops the subscription that its clients share. A new client has to subscribe.
    drop(client);
    match soon(Client::connect(&connection, SUBJECT)).await {
        Err(ConnectError::Nats(_)) => {}
        other => panic!("{other:?}"),
    }
}

/// The queue of the connection holds only one message, and many sessions have something to send at once.
#[tokio::test]
async fn sessions_that_wait_for_the_connection_do_not_block_each_other() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let narrow = async_nats::ConnectOptions::new().client_capacity(1).connect(nats.url()).await.unwrap();
    let client = Client::builder(&narrow, SUBJECT).sessions(16).chunk_limit(1000).connect().await.unwrap();
    let calls = (0..64).map(|_| length(&client, 3000));
    for result in soon(join_all(calls)).await {
        assert_eq!(result, Ok(3000));
    }
}

#[tokio::test]
async fn call_waits_for_a_server_as_long_as_the_option_permits() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = TestService::default().serve(&nats, |server| server).await;
    let waits = |time| Client::builder(&connection, SUBJECT).wait_for_server(time).connect();
    let (patient, hasty) = (waits(NEVER).await.unwrap(), waits(Duration::ZERO).await.unwrap());
    server.stop().await.unwrap();
    let waiting = tokio::spawn(length(&patient, 1).timeout(NEVER));
    assert_eq!(soon(length(&hasty, 1)).await, Err(ConnectError::NoServer { subject: SUBJECT.into() }.into()));
    let expired = length(&patient, 1).timeout(Duration::from_millis(100));
    let error = soon(expired).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
    assert!(!waiting.is_finished());
    let _server = TestService::default().serve(&nats, |server| server).await;
    assert_eq!(soon(waiting).await.unwrap(), Ok(1));
}
