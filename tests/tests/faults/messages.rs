//! Single messages that are lost, duplicated, reordered or malformed.

use std::time::Duration;

use bytes::Bytes;
use thrift_nats_runtime::{Client, CloseReason, ConnectError, Outcome, PeerReason};
use thrift_nats_tests::proxy::{Action, Direction, Message, Operation, Rule};
use thrift_nats_tests::{NatsServer, SUBJECT, eventually, soon};

use crate::setup::{Setup, connect, connection, ended, is_chunk, is_heartbeat, quick, result_of, serve};

#[tokio::test]
async fn lost_request_is_detected_by_the_next_one_and_both_run_once() {
    let it = Setup::new().await;
    let handshakes = it.near.add(Setup::handshakes(), Action::Count);
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Drop);
    let first = it.quick(1);
    lost.until_applied(1).await;
    // The server expects chunk 1, receives chunk 2, and acknowledges none. Both calls are retried.
    assert_eq!(result_of(it.quick(2)).await, Ok(4));
    assert_eq!(result_of(first).await, Ok(2));
    assert_eq!((it.service.runs(1), it.service.runs(2)), (1, 1));
    assert_eq!(handshakes.applied(), 1);
}

#[tokio::test]
async fn call_before_a_lost_request_has_an_unknown_outcome() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.service.until_runs(1).await;
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Drop);
    let second = it.quick(2);
    lost.until_applied(1).await;
    assert_eq!(result_of(it.quick(3)).await, Ok(6));
    assert_eq!(result_of(second).await, Ok(4));
    let acknowledged =
        CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), acknowledged: Some(2) };
    assert_eq!(ended(result_of(slow).await), (acknowledged, Outcome::Unknown));
    assert_eq!([1, 2, 3].map(|id| it.service.runs(id)), [1, 1, 1]);
}

#[tokio::test]
async fn lost_reply_is_detected_by_the_next_one() {
    let it = Setup::new().await;
    let lost = it.near.add(Rule::on(Direction::ToClient).when(is_chunk).times(1), Action::Drop);
    let first = it.quick(1);
    lost.until_applied(1).await;
    let second = it.quick(2);
    // The client decodes nothing after a gap, and so cannot tell which reply has arrived.
    let lost = (CloseReason::ChunkLost { expected: 1, found: 2 }, Outcome::Unknown);
    assert_eq!(ended(result_of(first).await), lost);
    assert_eq!(ended(result_of(second).await), lost);
    assert_eq!(result_of(it.quick(3)).await, Ok(6));
    assert_eq!([1, 2, 3].map(|id| it.service.runs(id)), [1, 1, 1]);
    eventually("the server has ended the broken session", || it.server.sessions() == 1).await;
}

#[tokio::test]
async fn duplicated_message_counts_once_in_either_direction() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let it = Setup::new().await;
        let handshakes = it.near.add(Setup::handshakes(), Action::Count);
        let duplicated = it.near.add(Rule::on(direction).when(is_chunk), Action::Duplicate);
        for id in 1..=10 {
            assert_eq!(result_of(it.quick(id)).await, Ok(2 * id));
            assert_eq!(it.service.runs(id), 1, "{direction:?}");
        }
        assert!(duplicated.applied() >= 10);
        assert_eq!(handshakes.applied(), 0, "the session continues");
    }
}

#[tokio::test]
async fn reordered_requests_run_once_each() {
    let it = Setup::new().await;
    let late = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Reorder(1));
    let first = it.quick(1);
    late.until_applied(1).await;
    assert_eq!(result_of(it.quick(2)).await, Ok(4));
    assert_eq!(result_of(first).await, Ok(2));
    assert_eq!((it.service.runs(1), it.service.runs(2)), (1, 1));
}

#[tokio::test]
async fn reordered_replies_end_the_session() {
    let it = Setup::new().await;
    let late = it.near.add(Rule::on(Direction::ToClient).when(is_chunk).times(1), Action::Reorder(1));
    let first = it.quick(1);
    late.until_applied(1).await;
    let second = it.quick(2);
    let lost = (CloseReason::ChunkLost { expected: 1, found: 2 }, Outcome::Unknown);
    assert_eq!(ended(result_of(first).await), lost);
    assert_eq!(ended(result_of(second).await), lost);
    assert_eq!((it.service.runs(1), it.service.runs(2)), (1, 1));
}

#[tokio::test]
async fn malformed_reply_ends_the_session_and_is_never_a_result() {
    let it = Setup::new().await;
    // The malformed chunk comes after others, with the next number.
    assert_eq!(result_of(it.quick(1)).await, Ok(2));
    let slow = it.slow(2);
    it.service.until_runs(2).await;
    let (at, at_server) = std::sync::mpsc::channel();
    let seen = it.near.add(
        Rule::on(Direction::ToClient).when(move |it| is_chunk(it) && at.send(it.clone()).is_ok()),
        Action::Count,
    );
    assert_eq!(result_of(it.quick(3)).await, Ok(6));
    seen.until_applied(1).await;
    let Message { subject, reply, sid, .. } = at_server.recv().unwrap();
    it.near.clear();
    // The next number, with a payload that is not a Thrift message.
    let reply = reply.map(|reply| {
        let (session, number) = reply.rsplit_once('.').unwrap();
        format!("{session}.{}", number.parse::<u64>().unwrap() + 1)
    });
    let payload = Bytes::from_static(b"malformed Thrift message");
    let malformed = Message { subject, reply, sid, payload, headers: None };
    it.near.inject(Direction::ToClient, &Operation::Message(malformed));
    let (reason, outcome) = ended(result_of(slow).await);
    assert!(matches!(reason, CloseReason::Malformed(_)), "{reason:?}");
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!(result_of(it.quick(4)).await, Ok(8));
}

#[tokio::test]
async fn lost_heartbeats_end_the_session_after_three_intervals() {
    let deadline = Duration::from_millis(100);
    let it = Setup::with(NatsServer::builder(), deadline).await;
    // First, the heartbeats arrive.
    let kept = it.near.add(Rule::on(Direction::ToServer).when(is_heartbeat), Action::Count);
    let slow = it.slow(1);
    kept.until_applied(6).await;
    assert_eq!(it.server.sessions(), 1);
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_heartbeat), Action::Drop);
    let (reason, outcome) = ended(result_of(slow).await);
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::MissedHeartbeats), .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    assert!(lost.applied() > 0);
    it.near.clear();
    assert_eq!(result_of(it.quick(2)).await, Ok(4));
}

#[tokio::test]
async fn lost_disconnect_is_detected_by_the_next_message() {
    let it = Setup::new().await;
    let lost = it.far.add(
        Rule::on(Direction::ToServer).when(|it| it.reply.as_deref() == Some("DISCONNECT")),
        Action::Drop,
    );
    let Setup { probe, service, server, near, far, nats } = it;
    server.stop().await.unwrap();
    lost.until_applied(1).await;
    // The client still has its session; NATS reports no responders for it.
    let next = serve(connection(&far.url()).await, &service, None).await;
    assert_eq!(result_of(quick(&probe, 1)).await, Ok(2));
    assert_eq!(service.runs(1), 1);
    assert_eq!(next.sessions(), 1);
    drop((near, nats));
}

#[tokio::test]
async fn lost_accept_ends_the_handshake_at_its_timeout() {
    let it = Setup::new().await;
    // The accept is the only message with a header.
    let lost =
        it.near.add(Rule::on(Direction::ToClient).when(|it| it.headers.is_some()).times(1), Action::Drop);
    let nats = connection(&it.near.url()).await;
    let timeout = Duration::from_millis(50);
    let error = soon(Client::builder(&nats, SUBJECT).handshake_timeout(timeout).connect()).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Handshake { reason: CloseReason::HandshakeTimeout { .. }, .. }),
        "{error:?}"
    );
    lost.until_applied(1).await;
    let again = connect(&it.near.url()).await;
    assert_eq!(again.add(1, 1).await, Ok(2));
}
