//! What NATS does not allow, from the start or from some moment on.

use std::time::Duration;

use thrift_nats_runtime::{CloseReason, ConnectError, Error};
use thrift_nats_tests::proxy::Direction;
use thrift_nats_tests::tutorial::{CalculatorCalculateError, CalculatorClient, Operation, Work};
use thrift_nats_tests::{Builder, NatsServer, eventually};
use tokio::task::JoinHandle;

use crate::handler::{BOUND, Handler, NEVER, Setup, serve_on, soon};

/// Two users: `all` may do anything, and `some` is denied what it says.
fn users(denied: &str) -> Builder {
    NatsServer::builder().config(format!(
        "authorization {{ users: [\n\
         {{ user: all, password: p }}\n\
         {{ user: some, password: p, permissions: {{ {denied} }} }}\n] }}"
    ))
}

async fn as_user(nats: &NatsServer, user: &str) -> async_nats::Client {
    async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into())
        .connect(nats.url())
        .await
        .unwrap()
}

async fn opening_as(nats: &NatsServer, user: &str) -> Result<thrift_nats_runtime::Client, ConnectError> {
    let client = as_user(nats, user).await;
    let opening = thrift_nats_runtime::Client::builder(&client, "calculator")
        .handshake_timeout(Duration::from_millis(200))
        .connect();
    tokio::time::timeout(BOUND, opening).await.expect("an error, and no hang")
}

#[tokio::test]
async fn a_client_that_may_not_do_what_a_session_takes_gets_an_error_and_does_not_hang() {
    for denied in [
        // Its handshake does not go out.
        "publish: { deny: [\"calculator\"] }",
        // The accept does not come in.
        "subscribe: { deny: [\"_INBOX.>\"] }",
    ] {
        let nats = users(denied).start().unwrap();
        let handler = Handler::default();
        let _server = serve_on(as_user(&nats, "all").await, &handler, None).await;
        assert!(opening_as(&nats, "all").await.is_ok());
        let error = opening_as(&nats, "some").await.unwrap_err();
        assert!(
            matches!(
                error,
                ConnectError::Handshake { reason: CloseReason::HandshakeTimeout { .. }, .. }
                    | ConnectError::Nats(_)
            ),
            "{denied}: {error:?}"
        );
    }
}

#[tokio::test]
async fn calls_that_do_not_arrive_end_by_their_deadline() {
    let nats = users("publish: { deny: [\"_INBOX.>\"] }").start().unwrap();
    let handler = Handler::default();
    let _server = serve_on(as_user(&nats, "all").await, &handler, None).await;
    // The handshake goes out and the accept comes in; the request is denied.
    let client = opening_as(&nats, "some").await.unwrap();
    let call = CalculatorClient::new(client).add(1, 1);
    let result = tokio::time::timeout(BOUND, call.timeout(Duration::from_millis(200))).await;
    assert!(matches!(result, Ok(Err(Error::DeadlineExceeded { .. }))), "{result:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn permissions_that_are_taken_away_give_errors_and_come_back() {
    let allowed = || users("publish: { allow: [\">\"] }");
    let mut nats = allowed().start().unwrap();
    let handler = Handler::default();
    let _server = serve_on(as_user(&nats, "all").await, &handler, None).await;
    let client = opening_as(&nats, "some").await.unwrap();
    let calculator = CalculatorClient::new(client);
    let add = || {
        let call = calculator.add(1, 1).timeout(Duration::from_millis(500));
        async { tokio::time::timeout(BOUND, call).await.expect("no hang") }
    };
    assert_eq!(add().await, Ok(2));
    nats.reload(users("publish: { deny: [\">\"] }")).unwrap();
    let error = add().await.unwrap_err();
    println!("denied: {error}");
    nats.reload(allowed()).unwrap();
    let end = std::time::Instant::now() + BOUND;
    while let Err(error) = add().await {
        assert!(std::time::Instant::now() < end, "{error}");
    }
}

/// Each side's chunks are as long as NATS allowed when it connected.
#[tokio::test]
async fn messages_longer_than_nats_takes_are_cut_to_what_it_takes() {
    let it = Setup::with(NatsServer::builder().max_payload(2000), None).await;
    for len in [1, 1990, 2000, 2010, 100_000] {
        let found = it.calculator.get_struct(len).await.unwrap();
        assert_eq!(found.value.len(), len as usize);
        let long = "x".repeat(len as usize);
        let work = Work { comment: Some(long), ..Default::default() };
        assert_eq!(it.calculator.calculate(1, &work).await, Ok(0));
    }
    assert_eq!((it.near.accepted(), it.far.accepted()), (1, 1), "no connection was closed for it");
}

/// The client library does not read the new limit of a connection that stands (async-nats 0.51): the first chunk above it
/// costs the connection. The next session has the new limit, and no call hangs.
#[cfg(unix)]
#[tokio::test]
async fn a_limit_that_is_lowered_under_a_session_costs_it_once_at_most() {
    let mut it = Setup::new().await;
    assert_eq!(it.calculator.get_struct(100_000).await.unwrap().value.len(), 100_000);
    it.nats.reload(NatsServer::builder().max_payload(2000)).unwrap();
    let end = std::time::Instant::now() + BOUND;
    let mut failed = 0;
    loop {
        let call = it.calculator.get_struct(100_000).timeout(NEVER);
        match tokio::time::timeout(BOUND, call).await.expect("no hang") {
            Ok(found) => break assert_eq!(found.value.len(), 100_000),
            Err(error) => {
                failed += 1;
                println!("{error}");
                assert!(std::time::Instant::now() < end, "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    println!("{failed} calls failed; connections: {} and {}", it.near.accepted(), it.far.accepted());
    let (near, far) = (it.near.accepted(), it.far.accepted());
    assert!(near <= 2 && far <= 2, "{near} {far}");
    for _ in 0..20 {
        assert_eq!(it.calculator.get_struct(100_000).await.unwrap().value.len(), 100_000);
    }
    assert_eq!((it.near.accepted(), it.far.accepted()), (near, far), "and no connection more");
}

#[tokio::test]
async fn what_cannot_be_sent_fills_the_queue_to_its_limit_and_no_further() {
    let it = Setup::new().await;
    let nats = crate::handler::nats(&it.near.url()).await;
    let builder = thrift_nats_runtime::Client::builder(&nats, "calculator").queue_limit(4 << 20);
    let calculator = CalculatorClient::new(builder.connect().await.unwrap());
    it.near.stall(Direction::ToServer);
    // What the library and the pipes hold comes first.
    let mut calls: Vec<_> = (0..400)
        .map(|_| {
            let comment = Some("x".repeat(1 << 20));
            let work = Work { num1: 1, num2: 1, op: Operation::ADD, comment };
            tokio::spawn(calculator.calculate(1, &work).timeout(NEVER))
        })
        .collect();
    eventually("one is refused", || calls.iter().any(JoinHandle::is_finished)).await;
    let refused = calls.extract_if(.., |call| call.is_finished()).next().unwrap().await.unwrap();
    match refused {
        Err(CalculatorCalculateError::Rpc(Error::QueueFull { queued, limit, .. })) => {
            assert_eq!(limit, 4 << 20);
            assert!(queued <= limit);
        }
        other => panic!("{other:?}"),
    }
    it.near.go_on(Direction::ToServer);
    let mut answered = 0;
    for call in calls {
        match soon(call).await {
            Ok(sum) => {
                assert_eq!(sum, 2);
                answered += 1;
            }
            Err(CalculatorCalculateError::Rpc(Error::QueueFull { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    println!("{answered} MiB waited when the queue was full");
    assert_eq!(it.handler.runs(1), answered, "what was refused was not sent");
}

#[tokio::test]
async fn answers_that_cannot_be_sent_end_their_session_at_its_limit() {
    let it = Setup::new().await;
    let nats = crate::handler::nats(&it.far.url()).await;
    let server = thrift_nats_runtime::Server::builder(&nats, "limited").queue_limit(1 << 20);
    let service = thrift_nats_tests::tutorial::CalculatorServer::new(it.handler.clone());
    let server = server.serve(service).await.unwrap();
    let nats = crate::handler::nats(&it.nats.url()).await;
    let calculator = CalculatorClient::connect(&nats, "limited").await.unwrap();
    it.far.stall(Direction::ToServer);
    // What the library and the pipes hold comes first.
    let calls: Vec<_> =
        (0..100).map(|_| tokio::spawn(calculator.get_struct(600_000).timeout(NEVER))).collect();
    eventually("the session has ended", || server.sessions() == 0).await;
    it.far.go_on(Direction::ToServer);
    let overflow = Some(thrift_nats_runtime::PeerReason::QueueOverflow);
    for call in calls {
        match tokio::time::timeout(BOUND, call).await.unwrap().unwrap() {
            Ok(answer) => assert_eq!(answer.value.len(), 600_000),
            Err(Error::SessionEnded { reason: CloseReason::Disconnected { reason, .. }, .. }) => {
                assert_eq!(reason, overflow);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
