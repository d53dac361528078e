//! Calls that wait because no session has capacity for them.

use std::pin::{Pin, pin};

use futures_util::future::{join, join_all};
use futures_util::{FutureExt, poll};
use thrift_nats_runtime::{Client, Error, Outcome, Server};
use thrift_nats_tests::raw::RawServer;
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, eventually, soon};

use tokio::task::JoinHandle;

use crate::{SHORT, length, wait};

/// A client whose sessions allow two calls each, and whose calls all wait for the test.
async fn full(nats: &NatsServer, service: &TestService, sessions: usize) -> (Client, Server) {
    let server = service.serve(nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(sessions);
    (builder.max_calls_per_session(2).timeout(NEVER).connect().await.unwrap(), server)
}

#[tokio::test]
async fn calls_above_the_limit_wait_for_capacity() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, _server) = full(&nats, &service, 1).await;
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(wait(&client))).collect();
    service.until_started("wait", 2).await;
    assert_eq!(client.calls_in_flight(), 2);
    assert_eq!(soon(length(&client, 1).fail_fast()).await, Err(Error::TooManyCalls { limit: 2 }));
    service.release(100);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    assert_eq!(soon(length(&client, 1).fail_fast()).await, Ok(1));
}

#[tokio::test]
async fn calls_that_do_not_fit_into_the_send_queue_wait_until_they_do() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).queue_limit(1_000_000);
    let client = builder.connect().await.unwrap();
    let calls = (0..20).map(|call| length(&client, 400_000 + call));
    for (call, result) in soon(join_all(calls)).await.into_iter().enumerate() {
        assert_eq!(result, Ok(400_000 + call as i32));
    }
}

/// Its request needs none of the capacity that they wait for.
#[tokio::test]
async fn short_call_passes_long_calls_that_wait() {
    let nats = NatsServer::start().unwrap();
    let mut server = RawServer::listen(&nats.client().await.unwrap(), SUBJECT).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).queue_limit(1_000_000);
    let (client, mut session) = soon(join(builder.timeout(NEVER).connect(), server.accept_current())).await;
    let client = client.unwrap();
    // The server lets the client send the first bytes only.
    let long: Vec<_> = (0..4).map(|_| tokio::spawn(length(&client, 700_000))).collect();
    let short = tokio::spawn(length(&client, 1));
    let method = b"length";
    loop {
        let message = session.receive().await;
        let tail = message.reply.as_deref().and_then(|reply| reply.rsplit_once('.')).unwrap().1.to_owned();
        let is_short = tail.bytes().all(|byte| byte.is_ascii_digit());
        if is_short && message.payload.windows(method.len()).any(|bytes| bytes == method) {
            break;
        }
    }
    assert!(long.iter().all(|call| !call.is_finished()));
    short.abort();
    long.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn request_above_the_queue_limit_does_not_wait() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).queue_limit(1000).sessions(2);
    let client = builder.connect().await.unwrap();
    match soon(length(&client, 2000).timeout(NEVER)).await {
        Err(Error::QueueFull { len: 2000.., limit: 1000, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn call_that_waits_until_its_deadline_has_not_run() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, _server) = full(&nats, &service, 1).await;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(wait(&client))).collect();
    service.until_started("wait", 2).await;
    // The first tries the session, and the second waits for the first.
    let expired = [length(&client, 1), length(&client, 1)].map(|call| soon(call.timeout(SHORT)));
    for result in join_all(expired).await {
        match result {
            Err(Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    service.release(2);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    assert_eq!((soon(length(&client, 2)).await, service.started("length")), (Ok(2), 1));
}

#[tokio::test]
async fn dropped_call_leaves_the_waiting_line() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, _server) = full(&nats, &service, 1).await;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(wait(&client))).collect();
    service.until_started("wait", 2).await;
    let mut waiting: Vec<Pin<Box<_>>> = (0..5).map(|_| Box::pin(length(&client, 1))).collect();
    for call in &mut waiting {
        assert!(poll!(call).is_pending());
    }
    // The first, one in the middle, and the last.
    for index in [4, 2, 0] {
        drop(waiting.remove(index));
    }
    service.release(2);
    for call in waiting {
        assert_eq!(soon(call).await, Ok(1));
    }
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    assert_eq!(service.started("length"), 2);
    assert!(length(&client, 1).now_or_never().is_none(), "it is sent at once");
    eventually("nothing is left", || client.calls_in_flight() == 0).await;
}

#[tokio::test]
async fn call_goes_to_the_session_that_has_capacity() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, _server) = full(&nats, &service, 8).await;
    let calls: Vec<_> = (0..15).map(|_| tokio::spawn(wait(&client).fail_fast())).collect();
    service.until_started("wait", 15).await;
    for _ in 0..20 {
        assert_eq!(soon(length(&client, 1).fail_fast()).await, Ok(1));
    }
    service.release(15);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
}

#[tokio::test]
async fn calls_that_wait_for_capacity_continue_on_the_next_session() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, server) = full(&nats, &service, 1).await;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(wait(&client))).collect();
    service.until_started("wait", 2).await;
    let mut waiting = pin!(length(&client, 1));
    assert!(poll!(&mut waiting).is_pending());
    let next = TestService::default();
    let _next = next.serve(&nats, |server| server).await;
    server.stop().await.unwrap();
    assert_eq!(soon(waiting).await, Ok(1));
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap_err().outcome(), Outcome::Unknown);
    }
    assert_eq!(next.started("length"), 1);
}

#[tokio::test]
async fn calls_that_wait_for_capacity_end_when_the_client_is_closed() {
    let (nats, service) = (NatsServer::start().unwrap(), TestService::default());
    let (client, _server) = full(&nats, &service, 1).await;
    let calls: Vec<_> = (0..2).map(|_| tokio::spawn(wait(&client))).collect();
    service.until_started("wait", 2).await;
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(length(&client, 1))).collect();
    client.close().await.unwrap();
    for call in waiting {
        match soon(call).await.unwrap() {
            Err(Error::SessionEnded { outcome: Outcome::NotRun, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    for call in calls {
        assert!(soon(call).await.unwrap().is_err());
    }
}
