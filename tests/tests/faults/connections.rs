//! Connections that are lost: the client's, the server's, and the NATS server itself.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use thrift_nats_runtime::{CloseReason, Outcome, PeerReason};
use thrift_nats_tests::proxy::{Action, Direction, Rule};
use thrift_nats_tests::tutorial::{Operation, Work};
use thrift_nats_tests::{NatsServer, eventually};

use crate::handler::{BOUND, Handler, NEVER, Setup, calculate, ended, is_chunk, soon};

#[tokio::test]
async fn a_client_whose_connection_is_cut_fails_what_may_have_been_run_and_goes_on() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    it.near.cut();
    assert_eq!(ended(soon(slow).await), (CloseReason::Reconnected, Outcome::Unknown));
    assert_eq!(soon(it.quick(2)).await, Ok(4));
    assert_eq!((it.handler.runs(1), it.handler.runs(2)), (1, 1));
}

#[tokio::test]
async fn an_idempotent_call_outlives_the_cut() {
    let it = Setup::new().await;
    let work = Work { num1: 1, num2: 1, op: Operation::MULTIPLY, comment: None };
    let call = it.calculator.calculate(1, &work).timeout(NEVER).idempotent();
    let call = tokio::spawn(call);
    it.handler.until_runs(1).await;
    it.near.cut();
    eventually("it is run again", || it.handler.runs(1) == 2).await;
    it.handler.go_on();
    assert_eq!(soon(call).await, Ok(2));
}

#[tokio::test]
async fn a_call_that_may_have_been_run_is_never_said_not_to_have_been() {
    let it = Setup::new().await;
    let work = Work { num1: 1, num2: 1, op: Operation::MULTIPLY, comment: None };
    let call = it.calculator.calculate(1, &work).timeout(NEVER).idempotent();
    let call = tokio::spawn(call);
    it.handler.until_runs(1).await;
    // It moves, since it may; and where it goes there is nobody to run it.
    it.far.refuse(true);
    it.far.cut();
    it.near.cut();
    let (_, outcome) = ended(soon(call).await);
    assert_eq!((outcome, it.handler.runs(1)), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn a_call_is_made_while_there_is_no_connection_and_is_never_run_twice() {
    let it = Setup::new().await;
    assert_eq!(soon(it.quick(1)).await, Ok(2));
    it.near.refuse(true);
    it.near.cut();
    let calls: Vec<_> = (2..20).map(|id| (id, it.quick(id))).collect();
    it.near.refuse(false);
    for (id, call) in calls {
        match soon(call).await {
            Ok(sum) => assert_eq!((sum, it.handler.runs(id)), (2 * id, 1)),
            result => {
                let (reason, outcome) = ended(result);
                assert_eq!((reason, outcome), (CloseReason::Reconnected, Outcome::Unknown));
                assert!(it.handler.runs(id) <= 1);
            }
        }
    }
    assert_eq!(soon(it.quick(20)).await, Ok(40));
}

#[tokio::test]
async fn a_message_cut_in_its_middle_is_not_read_and_the_session_ends() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let it = Setup::new().await;
        assert_eq!(soon(it.quick(1)).await, Ok(2));
        it.near.add(Rule::on(direction).when(is_chunk).times(1), Action::Cut(60));
        assert_eq!(ended(soon(it.quick(2)).await), (CloseReason::Reconnected, Outcome::Unknown));
        assert_eq!(it.handler.runs(2), usize::from(direction == Direction::ToClient), "{direction:?}");
        assert_eq!(soon(it.quick(3)).await, Ok(6));
    }
}

#[tokio::test]
async fn a_server_whose_connection_is_cut_ends_its_sessions_and_their_clients_learn_it() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    it.far.cut();
    let (reason, outcome) = ended(soon(slow).await);
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), .. })
            || matches!(reason, CloseReason::PeerGone { .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    // Nobody listens until the server is back.
    eventually("the server is back", || it.far.accepted() == 2).await;
    until_served(&it, 2).await;
}

/// Nothing but the question whether it is there is sent: the call has gone long before.
#[tokio::test]
async fn a_server_that_is_gone_is_noticed_by_the_calls_that_wait_for_it() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    let said_so = it.near.add(
        Rule::on(Direction::ToClient).when(|it| it.headers.as_ref().is_some_and(is_503)).times(1),
        Action::Count,
    );
    // As if its process had been killed: NATS sees the connection end, and nobody says a word.
    it.far.refuse(true);
    it.far.cut();
    said_so.until_applied(1).await;
    let noticed = Instant::now();
    let (reason, outcome) = ended(soon(slow).await);
    println!("NATS had said it for {:?} when the call failed", noticed.elapsed());
    assert_eq!((reason, outcome), (CloseReason::PeerGone { chunk: None }, Outcome::Unknown));
}

/// Without heartbeats: only what is sent to it can tell.
#[tokio::test]
async fn a_client_that_is_gone_is_noticed_with_an_answer_to_it() {
    let it = Setup::new().await;
    let _calls: Vec<_> = (0..100).map(|id| it.slow(id)).collect();
    it.handler.until_runs(99).await;
    it.near.refuse(true);
    it.near.cut();
    // An answer that comes before NATS sees it is lost without a word.
    for _ in 0..99 {
        it.handler.go_on_with(1);
        tokio::task::yield_now().await;
        if it.server.sessions() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eventually("its session is gone", || it.server.sessions() == 0).await;
}

fn is_503(headers: &bytes::Bytes) -> bool {
    headers.starts_with(b"NATS/1.0 503")
}

#[tokio::test]
async fn a_nats_server_that_is_killed_and_started_again_ends_sessions_and_not_clients() {
    let mut it = Setup::new().await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    it.nats.stop();
    it.nats.restart().unwrap();
    let (reason, outcome) = ended(soon(slow).await);
    // Whose connection is back first ends the session, and tells the other.
    assert!(
        matches!(
            reason,
            CloseReason::Reconnected
                | CloseReason::PeerGone { .. }
                | CloseReason::Disconnected {
                    reason: Some(PeerReason::ChunkLost | PeerReason::UnknownSession),
                    ..
                }
        ),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    until_served(&it, 2).await;
    assert_eq!(it.handler.runs(1), 1);
}

#[tokio::test]
async fn calls_under_a_nats_server_that_comes_and_goes_end_and_are_never_run_twice() {
    let mut it = Setup::new().await;
    let mut id = 0;
    let mut answered = 0;
    for _ in 0..3 {
        let calls: Vec<_> = (0..200)
            .map(|_| {
                id += 1;
                (id, it.quick(id))
            })
            .collect();
        // Some are answered, some are on their way, and some are to be made.
        it.handler.until_runs(id - 150).await;
        it.nats.stop();
        it.nats.restart().unwrap();
        for (id, call) in calls {
            let result = soon(call).await;
            answered += usize::from(result == Ok(2 * id));
            assert!(it.handler.runs(id) <= 1, "{id}: {result:?}");
        }
        id += 1;
        until_served(&it, id).await;
        id += 1000;
    }
    println!("{answered} of 600 were answered");
}

/// Makes a call again and again until it is answered: at first there may be no server.
async fn until_served(it: &Setup, mut id: i32) {
    let end = Instant::now() + BOUND;
    loop {
        let result = soon(calculate(&it.calculator, id, Operation::ADD)).await;
        if result == Ok(2 * id) {
            return;
        }
        assert!(Instant::now() < end, "{result:?}");
        id += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A process may end when its drain returns: whatever was answered is with NATS by then.
#[tokio::test]
async fn answers_of_many_chunks_are_out_when_a_drain_returns() {
    let nats = NatsServer::start().unwrap();
    let url = nats.url();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (drain, may_drain) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = crate::handler::serve(&url, &Handler::default(), None).await;
            ready.send(()).unwrap();
            may_drain.await.unwrap();
            server.drain(BOUND).await.unwrap();
        });
        // Nothing of it runs any more, as in a process that has ended.
        runtime.shutdown_background();
    });
    is_ready.await.unwrap();
    let calculator = crate::handler::connect(&nats.url()).await;
    let calls: Vec<_> =
        (0..4).map(|_| tokio::spawn(calculator.get_struct(10_000_000).timeout(NEVER))).collect();
    // The first chunk of the first answer says that the others are about to follow.
    let seen = nats.client().await.unwrap();
    let mut traffic = seen.subscribe("_INBOX.>").await.unwrap();
    while tokio::time::timeout(BOUND, traffic.next()).await.unwrap().unwrap().payload.len() < 10_000 {}
    // As long as somebody listens there, NATS does not say that the server is gone.
    drop((traffic, seen));
    drain.send(()).unwrap();
    for call in calls {
        let found = tokio::time::timeout(BOUND, call).await.expect("in time").unwrap();
        // One that was not taken up before the drain finds no other server.
        match found {
            Ok(found) => assert_eq!(found.value.len(), 10_000_000),
            Err(error) => assert_eq!(error.outcome(), Outcome::NotRun, "{error:?}"),
        }
    }
    server.join().unwrap();
}

/// The client's connection takes nothing in: NATS calls it a slow consumer and ends it.
#[tokio::test]
async fn a_slow_consumer_loses_its_session_and_no_other_client_notices() {
    let settings = NatsServer::builder().config("write_deadline: \"200ms\"").config("max_pending: 2000000");
    let it = Setup::with(settings, None).await;
    let other = crate::handler::connect(&it.nats.url()).await;
    let slow = it.slow(1);
    it.handler.until_runs(1).await;
    it.near.stall(Direction::ToClient);
    // More than the pipes between here and there hold.
    let answers: Vec<_> =
        (0..40).map(|_| tokio::spawn(it.calculator.get_struct(1_000_000).timeout(NEVER))).collect();
    eventually("NATS ends the slow consumer", || it.nats.log().contains("Slow Consumer")).await;
    assert_eq!(other.add(1, 1).await, Ok(2));
    it.near.go_on(Direction::ToClient);
    let (reason, outcome) = ended(soon(slow).await);
    assert!(
        matches!(reason, CloseReason::Reconnected | CloseReason::ChunkLost { .. })
            || matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    for answer in answers {
        let answer = tokio::time::timeout(BOUND, answer).await.expect("the call ends").unwrap();
        assert!(answer.is_err() || answer.unwrap().value.len() == 1_000_000);
    }
    assert_eq!(soon(it.quick(2)).await, Ok(4));
}
