//! Messages above the size limit of either side.

use thrift_nats_runtime::protocol::{DecodeErrorKind, EncodeErrorKind, Limits};
use thrift_nats_runtime::{ApplicationExceptionKind, Client, CloseReason, Error, Outcome, PeerReason};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawServer, message};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, soon};

use crate::{length, wait};

/// Of either side, in these tests.
const LIMITS: Limits = Limits::DEFAULT.with_message(1000);

#[tokio::test]
async fn request_above_the_clients_limit_is_rejected_before_it_is_sent() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).limits(LIMITS);
    let client = builder.connect().await.unwrap();
    // The header and the name, then the header of the field, its length and the stop byte.
    let around = 12 + "length".len() + 3 + 4 + 1;
    assert_eq!(length(&client, 1000 - around).await, Ok(1000 - around as i32));
    let error = EncodeErrorKind::TooLong { what: "message", len: 1001, limit: 1000 }.into();
    assert_eq!(length(&client, 1001 - around).await, Err(Error::Encode(error)));
    assert_eq!(service.started("length"), 1);
}

#[tokio::test]
async fn request_that_the_server_cannot_read_is_sent_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server.limits(LIMITS)).await;
    let mut handshakes = RawServer::listen(&connection, SUBJECT).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    for idempotent in [false, true] {
        let call = length(&client, 100_000);
        let result = soon(if idempotent { call.idempotent() } else { call }).await;
        match result {
            Err(Error::SessionEnded { reason, outcome: Outcome::NotRun }) => assert!(
                matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Malformed), .. }),
                "{reason:?}"
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(handshakes.count(), 1, "it is not retried on another session");
    }
    assert_eq!(length(&client, 10).await, Ok(10));
    assert_eq!(service.started("length"), 1);
}

#[tokio::test]
async fn reply_above_the_clients_limit_runs_even_an_idempotent_call_once() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).limits(LIMITS);
    let client = builder.connect().await.unwrap();
    match soon(ProbeClient::new(client.clone()).text(5000).idempotent()).await {
        Err(Error::SessionEnded { reason: CloseReason::Malformed(error), outcome: Outcome::Unknown }) => {
            assert!(matches!(error.kind(), DecodeErrorKind::TooLong { limit: 1000, .. }), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(service.started("text"), 1);
    assert_eq!(length(&client, 10).await, Ok(10));
}

#[tokio::test]
async fn reply_above_the_servers_limit_is_an_exception_and_the_session_continues() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let _server = TestService::default().serve(&nats, |server| server.limits(LIMITS)).await;
    let mut handshakes = RawServer::listen(&connection, SUBJECT).await;
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let neighbour = tokio::spawn(wait(&client).timeout(BOUND));
    match soon(ProbeClient::new(client.clone()).text(5000)).await {
        Err(Error::Application(error)) => assert_eq!(error.kind, ApplicationExceptionKind::INTERNAL_ERROR),
        other => panic!("{other:?}"),
    }
    assert_eq!(length(&client, 10).await, Ok(10));
    assert!(!neighbour.is_finished());
    assert_eq!(handshakes.count(), 1);
}

/// The server sends the beginning of a reply that is longer than the memory of the client, and never its end.
#[tokio::test]
async fn session_above_the_memory_limit_of_the_client_ends() {
    const LIMIT: usize = 1 << 20;
    let nats = NatsServer::start().unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    let connection = nats.client().await.unwrap();
    let connect = Client::builder(&connection, SUBJECT).memory_limit(LIMIT).connect();
    let (client, mut session) = tokio::join!(connect, server.accept());
    let client = client.unwrap();
    let call = tokio::spawn(ProbeClient::new(client).text(4 << 20).timeout(BOUND));
    session.receive().await;
    // The field 0 is a string of 4 MiB.
    let begin = message(2, "text", 0, &[0x0b, 0, 0, 0, 0x40, 0, 0]);
    session.send(begin).await;
    for _ in 0..2 * LIMIT / 65536 {
        session.send(vec![b'x'; 65536]).await;
    }
    match soon(call).await.unwrap() {
        Err(Error::SessionEnded { reason: CloseReason::MemoryLimit { held, limit }, .. }) => {
            assert!(held > LIMIT / 8, "{held} bytes");
            assert!(limit <= LIMIT, "{limit} bytes");
        }
        other => panic!("{other:?}"),
    }
}
