//! Single messages that are lost, doubled, late or garbled.

use std::time::Duration;

use bytes::Bytes;
use thrift_nats_runtime::{CloseReason, Outcome, PeerReason};
use thrift_nats_tests::proxy::{Action, Direction, Message, Operation, Rule};
use thrift_nats_tests::{NatsServer, eventually};

use crate::handler::{Setup, calculate, connect, ended, is_chunk, is_heartbeat, soon};

#[tokio::test]
async fn a_lost_request_is_noticed_with_the_next_one_and_both_are_run_once() {
    let it = Setup::new().await;
    let handshakes = it.near.add(Setup::handshakes(), Action::Count);
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Drop);
    let first = it.quick(1);
    lost.until_applied(1).await;
    // The server expects chunk 1, gets chunk 2, and says that it took none: both move.
    assert_eq!(soon(it.quick(2)).await, Ok(4));
    assert_eq!(soon(first).await, Ok(2));
    assert_eq!((it.handler.runs(1), it.handler.runs(2)), (1, 1));
    assert_eq!(handshakes.applied(), 1);
}

#[tokio::test]
async fn a_lost_request_does_not_hide_that_the_one_before_it_may_have_been_run() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Drop);
    let second = it.quick(2);
    lost.until_applied(1).await;
    assert_eq!(soon(it.quick(3)).await, Ok(6));
    assert_eq!(soon(second).await, Ok(4));
    let acknowledged =
        CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), acknowledged: Some(1) };
    assert_eq!(ended(soon(slow).await), (acknowledged, Outcome::Unknown));
    assert_eq!([1, 2, 3].map(|id| it.handler.runs(id)), [1, 1, 1]);
}

#[tokio::test]
async fn a_lost_answer_is_noticed_with_the_next_one() {
    let it = Setup::new().await;
    let lost = it.near.add(Rule::on(Direction::ToClient).when(is_chunk).times(1), Action::Drop);
    let first = it.quick(1);
    lost.until_applied(1).await;
    let second = it.quick(2);
    // Which of the answers is in the chunk that came, the client does not ask: the stream is broken.
    let noticed = (CloseReason::ChunkLost { expected: 1, found: 2 }, Outcome::Unknown);
    assert_eq!(ended(soon(first).await), noticed);
    assert_eq!(ended(soon(second).await), noticed);
    assert_eq!(soon(it.quick(3)).await, Ok(6));
    assert_eq!([1, 2, 3].map(|id| it.handler.runs(id)), [1, 1, 1]);
    eventually("the server has let the broken session go", || it.server.sessions() == 1).await;
}

#[tokio::test]
async fn a_doubled_message_counts_once_in_either_direction() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let it = Setup::new().await;
        let handshakes = it.near.add(Setup::handshakes(), Action::Count);
        let doubled = it.near.add(Rule::on(direction).when(is_chunk), Action::Duplicate);
        for id in 1..=10 {
            assert_eq!(soon(it.quick(id)).await, Ok(2 * id));
            assert_eq!(it.handler.runs(id), 1, "{direction:?}");
        }
        assert!(doubled.applied() >= 10);
        assert_eq!(handshakes.applied(), 0, "the session goes on");
    }
}

#[tokio::test]
async fn a_request_that_overtakes_another_runs_neither_twice() {
    let it = Setup::new().await;
    let late = it.near.add(Rule::on(Direction::ToServer).when(is_chunk).times(1), Action::Reorder(1));
    let first = it.quick(1);
    late.until_applied(1).await;
    assert_eq!(soon(it.quick(2)).await, Ok(4));
    assert_eq!(soon(first).await, Ok(2));
    assert_eq!((it.handler.runs(1), it.handler.runs(2)), (1, 1));
}

#[tokio::test]
async fn an_answer_that_overtakes_another_ends_the_session() {
    let it = Setup::new().await;
    let late = it.near.add(Rule::on(Direction::ToClient).when(is_chunk).times(1), Action::Reorder(1));
    let first = it.quick(1);
    late.until_applied(1).await;
    let second = it.quick(2);
    let noticed = (CloseReason::ChunkLost { expected: 1, found: 2 }, Outcome::Unknown);
    assert_eq!(ended(soon(first).await), noticed);
    assert_eq!(ended(soon(second).await), noticed);
    assert_eq!((it.handler.runs(1), it.handler.runs(2)), (1, 1));
}

#[tokio::test]
async fn a_garbled_answer_ends_the_session_and_is_never_read_as_a_result() {
    let it = Setup::new().await;
    // In the middle of a stream of which every chunk has its number.
    assert_eq!(soon(it.quick(1)).await, Ok(2));
    let slow = it.slow(2);
    it.handler.until_runs(2).await;
    let (at, at_server) = std::sync::mpsc::channel();
    let seen = it.near.add(
        Rule::on(Direction::ToClient).when(move |it| is_chunk(it) && at.send(it.clone()).is_ok()),
        Action::Count,
    );
    assert_eq!(soon(it.quick(3)).await, Ok(6));
    seen.until_applied(1).await;
    let Message { subject, reply, sid, .. } = at_server.recv().unwrap();
    it.near.clear();
    // The next number, and what is no Thrift message.
    let reply = reply.map(|reply| {
        let (session, number) = reply.rsplit_once('.').unwrap();
        format!("{session}.{}", number.parse::<u64>().unwrap() + 1)
    });
    let payload = Bytes::from_static(b"this is no Thrift message");
    let garbage = Message { subject, reply, sid, payload, headers: None };
    it.near.inject(Direction::ToClient, &Operation::Message(garbage));
    let (reason, outcome) = ended(soon(slow).await);
    assert!(matches!(reason, CloseReason::Malformed(_)), "{reason:?}");
    assert_eq!(outcome, Outcome::Unknown);
    assert_eq!(soon(it.quick(4)).await, Ok(8));
}

#[tokio::test]
async fn heartbeats_that_do_not_arrive_end_the_session_after_three_windows() {
    let deadline = Duration::from_millis(100);
    let it = Setup::with(NatsServer::builder(), deadline).await;
    // First they do.
    let kept = it.near.add(Rule::on(Direction::ToServer).when(is_heartbeat), Action::Count);
    let slow = it.slow(1);
    kept.until_applied(6).await;
    assert_eq!(it.server.sessions(), 1);
    let lost = it.near.add(Rule::on(Direction::ToServer).when(is_heartbeat), Action::Drop);
    let (reason, outcome) = ended(soon(slow).await);
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::MissedHeartbeats), .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    assert!(lost.applied() > 0);
    it.near.clear();
    assert_eq!(soon(it.quick(2)).await, Ok(4));
}

#[tokio::test]
async fn a_lost_disconnect_leaves_a_session_that_ends_with_the_next_message() {
    let it = Setup::new().await;
    let lost = it.far.add(
        Rule::on(Direction::ToServer).when(|it| it.reply.as_deref() == Some("DISCONNECT")),
        Action::Drop,
    );
    let Setup { calculator, handler, server, near, far, nats } = it;
    server.stop().await.unwrap();
    lost.until_applied(1).await;
    // The client believes in its session; NATS knows that nobody listens to it any more.
    let next = crate::handler::serve(&far.url(), &handler, None).await;
    assert_eq!(soon(calculate(&calculator, 1, thrift_nats_tests::tutorial::Operation::ADD)).await, Ok(2));
    assert_eq!(handler.runs(1), 1);
    assert_eq!(next.sessions(), 1);
    drop((near, nats));
}

#[tokio::test]
async fn a_lost_accept_costs_the_handshake_its_time_and_no_more() {
    let it = Setup::new().await;
    // What answers a handshake is the only thing with a header.
    let lost =
        it.near.add(Rule::on(Direction::ToClient).when(|it| it.headers.is_some()).times(1), Action::Drop);
    let nats = crate::handler::nats(&it.near.url()).await;
    let opening = thrift_nats_runtime::Client::builder(&nats, "calculator")
        .handshake_timeout(Duration::from_millis(50))
        .connect();
    let error = tokio::time::timeout(crate::handler::BOUND, opening).await.expect("in time").unwrap_err();
    assert!(
        matches!(
            error,
            thrift_nats_runtime::ConnectError::Handshake { reason: CloseReason::HandshakeTimeout { .. }, .. }
        ),
        "{error:?}"
    );
    lost.until_applied(1).await;
    let again = connect(&it.near.url()).await;
    assert_eq!(again.add(1, 1).await, Ok(2));
}
