//! Lost connections: that of the client, that of the server, or the NATS server itself.

use std::time::{Duration, Instant};

use thrift_nats_runtime::{CloseReason, Outcome, PeerReason};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::proxy::{Action, Direction, Rule};
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, eventually, next};

use crate::setup::{Setup, connect, connection, ended, is_chunk, result_of, serve, slow};

#[tokio::test]
async fn client_whose_connection_is_cut_fails_calls_that_may_have_run_and_continues() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.service.until_runs(1).await;
    it.near.cut();
    assert_eq!(ended(result_of(slow).await), (CloseReason::Reconnected, Outcome::Unknown));
    assert_eq!(result_of(it.quick(2)).await, Ok(4));
    assert_eq!((it.service.runs(1), it.service.runs(2)), (1, 1));
}

#[tokio::test]
async fn idempotent_call_is_retried_after_a_cut() {
    let it = Setup::new().await;
    let call = it.probe.wait(1).timeout(NEVER).idempotent();
    let call = tokio::spawn(call);
    it.service.until_runs(1).await;
    it.near.cut();
    eventually("the call runs again", || it.service.runs(1) == 2).await;
    it.service.release(1000);
    assert_eq!(result_of(call).await, Ok(2));
}

#[tokio::test]
async fn outcome_of_a_call_that_may_have_run_stays_unknown_without_a_server_to_retry_on() {
    let it = Setup::new().await;
    let call = it.probe.wait(1).timeout(NEVER).idempotent();
    let call = tokio::spawn(call);
    it.service.until_runs(1).await;
    // The call is idempotent and so is retried, but there is no server any more.
    it.far.refuse(true);
    it.far.cut();
    it.near.cut();
    let (_, outcome) = ended(result_of(call).await);
    assert_eq!((outcome, it.service.runs(1)), (Outcome::Unknown, 1));
}

#[tokio::test]
async fn call_made_without_a_connection_never_runs_twice() {
    let it = Setup::new().await;
    assert_eq!(result_of(it.quick(1)).await, Ok(2));
    it.near.refuse(true);
    it.near.cut();
    let calls: Vec<_> = (2..20).map(|id| (id, it.quick(id))).collect();
    it.near.refuse(false);
    for (id, call) in calls {
        match result_of(call).await {
            Ok(sum) => assert_eq!((sum, it.service.runs(id)), (2 * id, 1)),
            result => {
                let (reason, outcome) = ended(result);
                assert_eq!((reason, outcome), (CloseReason::Reconnected, Outcome::Unknown));
                assert!(it.service.runs(id) <= 1);
            }
        }
    }
    assert_eq!(result_of(it.quick(20)).await, Ok(40));
}

#[tokio::test]
async fn truncated_message_is_not_decoded_and_the_session_ends() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let it = Setup::new().await;
        assert_eq!(result_of(it.quick(1)).await, Ok(2));
        it.near.add(Rule::on(direction).when(is_chunk).times(1), Action::Cut(60));
        assert_eq!(ended(result_of(it.quick(2)).await), (CloseReason::Reconnected, Outcome::Unknown));
        assert_eq!(it.service.runs(2), usize::from(direction == Direction::ToClient), "{direction:?}");
        assert_eq!(result_of(it.quick(3)).await, Ok(6));
    }
}

#[tokio::test]
async fn clients_learn_that_a_server_whose_connection_is_cut_has_ended_their_sessions() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.service.until_runs(1).await;
    it.far.cut();
    let (reason, outcome) = ended(result_of(slow).await);
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), .. })
            || matches!(reason, CloseReason::PeerGone { .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    // There are no responders until the server has reconnected.
    eventually("the server has reconnected", || it.far.accepted() == 2).await;
    until_served(&it, 2).await;
}

/// The request was sent before, so that only the liveness probe can detect it.
#[tokio::test]
async fn calls_in_flight_detect_that_their_server_is_gone() {
    let it = Setup::new().await;
    let slow = it.slow(1);
    it.service.until_runs(1).await;
    let no_responders = it.near.add(
        Rule::on(Direction::ToClient).when(|it| it.headers.as_ref().is_some_and(is_503)).times(1),
        Action::Count,
    );
    // As if its process were killed: NATS sees the connection end, and the server sends no disconnect message.
    it.far.refuse(true);
    it.far.cut();
    no_responders.until_applied(1).await;
    let noticed = Instant::now();
    let (reason, outcome) = ended(result_of(slow).await);
    println!("the call failed {:?} after NATS had reported no responders", noticed.elapsed());
    assert!(matches!(reason, CloseReason::PeerGone { chunk: Some(number) } if number > 2), "{reason:?}");
    assert_eq!(outcome, Outcome::Unknown);
}

/// Without heartbeats, only a message to the client can detect it.
#[tokio::test]
async fn reply_detects_that_its_client_is_gone() {
    let it = Setup::new().await;
    let _calls: Vec<_> = (0..100).map(|id| it.slow(id)).collect();
    it.service.until_runs(99).await;
    it.near.refuse(true);
    it.near.cut();
    // A reply that is sent before NATS sees the end of the connection is lost silently.
    for _ in 0..99 {
        it.service.release(1);
        tokio::task::yield_now().await;
        if it.server.sessions() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eventually("the session is gone", || it.server.sessions() == 0).await;
}

fn is_503(headers: &bytes::Bytes) -> bool {
    headers.starts_with(b"NATS/1.0 503")
}

#[tokio::test]
async fn a_nats_server_that_is_killed_and_started_again_ends_sessions_and_not_clients() {
    let mut it = Setup::new().await;
    let slow = it.slow(1);
    it.service.until_runs(1).await;
    it.nats.stop();
    it.nats.restart().unwrap();
    let (reason, outcome) = ended(result_of(slow).await);
    // The side that reconnects first ends the session and disconnects the other.
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
    assert_eq!(it.service.runs(1), 1);
}

#[tokio::test]
async fn calls_end_and_never_run_twice_while_nats_restarts() {
    let mut it = Setup::new().await;
    let mut id = 0;
    let mut succeeded = 0;
    for _ in 0..3 {
        let calls: Vec<_> = (0..200)
            .map(|_| {
                id += 1;
                (id, it.quick(id))
            })
            .collect();
        // Some have succeeded, some are in flight, and some are not sent yet.
        it.service.until_runs(id - 150).await;
        it.nats.stop();
        it.nats.restart().unwrap();
        for (id, call) in calls {
            let result = result_of(call).await;
            succeeded += usize::from(result == Ok(2 * id));
            assert!(it.service.runs(id) <= 1, "{id}: {result:?}");
        }
        id += 1;
        until_served(&it, id).await;
        id += 1000;
    }
    println!("{succeeded} of 600 calls succeeded");
}

/// Makes calls until one succeeds: at first there may be no server.
async fn until_served(it: &Setup, mut id: i32) {
    let end = Instant::now() + BOUND;
    loop {
        let result = result_of(it.quick(id)).await;
        if result == Ok(2 * id) {
            return;
        }
        assert!(Instant::now() < end, "{result:?}");
        id += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A process may exit when its drain returns, because NATS has received every reply by then.
#[tokio::test]
async fn replies_of_many_chunks_are_sent_when_a_drain_returns() {
    let nats = NatsServer::start().unwrap();
    let url = nats.url();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (drain, may_drain) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nats = connection(&url).await;
            let server = serve(nats, &TestService::default(), None).await;
            ready.send(()).unwrap();
            may_drain.await.unwrap();
            server.drain(BOUND).await.unwrap();
        });
        // No task of the server runs any more, as in a process that has exited.
        runtime.shutdown_background();
    });
    is_ready.await.unwrap();
    let probe = connect(&nats.url()).await;
    let calls: Vec<_> = (0..4).map(|_| tokio::spawn(probe.text(10_000_000).timeout(NEVER))).collect();
    // After the first chunk of the first reply, the others are about to follow.
    let seen = nats.client().await.unwrap();
    let mut traffic = seen.subscribe("_INBOX.>").await.unwrap();
    while next(&mut traffic).await.payload.len() < 10_000 {}
    // This subscription would keep NATS from reporting no responders for the server.
    drop((traffic, seen));
    drain.send(()).unwrap();
    for call in calls {
        // A call that was not accepted before the drain finds no other server.
        match result_of(call).await {
            Ok(text) => assert_eq!(text.len(), 10_000_000),
            Err(error) => assert_eq!(error.outcome(), Outcome::NotRun, "{error:?}"),
        }
    }
    server.join().unwrap();
}

/// The client does not read from its connection. NATS calls it a slow consumer and closes the connection.
#[tokio::test]
async fn slow_consumer_loses_its_session_and_other_clients_continue() {
    let settings = NatsServer::builder().config("write_deadline: \"200ms\"").config("max_pending: 2000000");
    let it = Setup::with(settings, None).await;
    let other = connect(&it.nats.url()).await;
    // Each session may have one window of bytes on the way. Together they are more than the buffers in between hold.
    let mut clients = Vec::new();
    let connection = connection(&it.near.url()).await;
    for _ in 0..20 {
        clients.push(ProbeClient::connect(&connection, SUBJECT).await.unwrap());
    }
    let slow = slow(&clients[0], 1);
    it.service.until_runs(1).await;
    it.near.stall(Direction::ToClient);
    let calls = clients.iter().flat_map(|client| (0..8).map(|_| client.text(1_000_000).timeout(NEVER)));
    let replies: Vec<_> = calls.map(tokio::spawn).collect();
    eventually("NATS closes the connection", || it.nats.log().contains("Slow Consumer")).await;
    assert_eq!(other.add(1, 1).await, Ok(2));
    it.near.go_on(Direction::ToClient);
    let (reason, outcome) = ended(result_of(slow).await);
    assert!(
        matches!(
            reason,
            CloseReason::Reconnected | CloseReason::ChunkLost { .. } | CloseReason::Unresponsive { .. }
        ) || matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), .. }),
        "{reason:?}"
    );
    assert_eq!(outcome, Outcome::Unknown);
    for reply in replies {
        let text = result_of(reply).await;
        assert!(text.is_err() || text.unwrap().len() == 1_000_000);
    }
    assert_eq!(result_of(it.quick(2)).await, Ok(4));
}
