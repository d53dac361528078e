//! Very many calls that are cancelled at once.

use futures_util::FutureExt as _;
use thrift_nats_runtime::Client;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, eventually};

const CALLS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_many_calls_at_once_leaves_no_handler_running() {
    cancel_when_run(CALLS).await;
}

/// The cancellation of a call may arrive soon after its request.
#[tokio::test(flavor = "multi_thread")]
async fn cancelling_many_calls_while_they_are_sent_leaves_no_handler_running() {
    for started in [1, CALLS / 4, CALLS / 2] {
        cancel_when_run(started).await;
    }
}

/// Makes all calls, and cancels them when this many handlers run.
async fn cancel_when_run(started: usize) {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(2);
    let client = client.connect().await.unwrap();
    let probe = ProbeClient::new(client.clone());
    let wait = |id| Box::pin(probe.wait(id).timeout(NEVER).into_future());
    let mut calls: Vec<_> = (0..CALLS as i32).map(wait).collect();
    for call in &mut calls {
        assert_eq!(call.now_or_never(), None);
    }
    eventually(format!("{started} handlers run"), || service.waiting() >= started).await;
    drop(calls);
    assert_eq!(client.calls_in_flight(), 0);
    eventually("no handler runs", || service.waiting() == 0).await;
    assert_eq!(probe.add(1, 1).await, Ok(2));
}
