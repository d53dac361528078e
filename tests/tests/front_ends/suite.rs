// The suite. Each front end includes it, with its own `shared` and `tutorial`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use shared::{SharedService, SharedStruct};
use thrift_nats_runtime::{ConnectError, ApplicationExceptionKind, Client, Context, Error, Outcome, Server};
use thrift_nats_tests::NatsServer;
use tokio::sync::Notify;
use tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, InvalidOperation, Operation, Work,
};

/// A calculator that the comment of its work controls.
#[derive(Clone, Default)]
struct Handler {
    zips: Arc<AtomicI32>,
    zipped: Arc<Notify>,
    /// Notified when a call that never returns is dropped.
    dropped: Arc<Notify>,
}

struct NotifiesOnDrop(Arc<Notify>);

impl Drop for NotifiesOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl SharedService for Handler {
    /// Returns a value of `key` bytes.
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        let len = usize::try_from(key).map_err(|_| {
            thrift_nats_runtime::ApplicationException::new(ApplicationExceptionKind(42), "no such length")
        })?;
        Ok(SharedStruct { key, value: "v".repeat(len) })
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, cx: &Context, logid: i32, w: Work) -> Result<i32, CalculatorCalculateError> {
        assert_eq!(cx.method(), "calculate");
        match w.comment.as_deref() {
            Some("wait") => {
                let _dropped = NotifiesOnDrop(Arc::clone(&self.dropped));
                std::future::pending().await
            }
            Some("panic") => panic!("told to"),
            Some(long) if w.op == Operation(99) => return Ok(i32::try_from(long.len()).unwrap()),
            _ => {}
        }
        match w.op {
            Operation::SUBTRACT => Ok(w.num1 - w.num2),
            Operation::DIVIDE if w.num2 != 0 => Ok(w.num1 / w.num2),
            Operation(what_op) => Err(InvalidOperation { what_op, why: format!("in {logid}") }.into()),
        }
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        self.zips.fetch_add(1, Ordering::SeqCst);
        self.zipped.notify_one();
        Ok(())
    }
}

/// A server and a client, each with its own connection.
struct Pair {
    server: Server,
    client: CalculatorClient,
    /// Dropped last.
    nats: NatsServer,
}

async fn pair(handler: Handler) -> Pair {
    let nats = NatsServer::start().unwrap();
    let server = Server::builder(&nats.client().await.unwrap(), "calculator")
        .serve(CalculatorServer::new(handler))
        .await
        .unwrap();
    let client = CalculatorClient::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    Pair { server, client, nats }
}

fn work(num1: i32, num2: i32, op: Operation) -> Work {
    Work { num1, num2, op, ..Work::default() }
}

async fn every_kind_of_call(client: &CalculatorClient, handler: &Handler) {
    client.ping().await.unwrap();
    assert_eq!(client.add(-7, 9).await.unwrap(), 2);
    assert_eq!(client.calculate(1, &work(15, 10, Operation::SUBTRACT)).await.unwrap(), 5);
    let invalid = InvalidOperation { what_op: 4, why: "in 2".into() };
    assert_eq!(
        client.calculate(2, &work(1, 0, Operation::DIVIDE)).await,
        Err(CalculatorCalculateError::InvalidOperation(invalid))
    );
    let shared = SharedStruct { key: 3, value: "vvv".into() };
    assert_eq!(client.get_struct(3).await.unwrap(), shared);
    match client.get_struct(-1).await {
        Err(Error::Application(exception)) => assert_eq!(exception.kind, ApplicationExceptionKind(42)),
        other => panic!("{other:?}"),
    }
    let zipped = handler.zipped.notified();
    client.zip().await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), zipped).await.expect("a oneway call arrives");
    assert_eq!(handler.zips.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_kind_of_call_works() {
    let handler = Handler::default();
    let pair = pair(handler.clone()).await;
    every_kind_of_call(&pair.client, &handler).await;
    pair.client.close().await.unwrap();
    pair.server.drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn every_kind_of_call_works_without_nats() {
    let handler = Handler::default();
    every_kind_of_call(&CalculatorClient::in_process(handler.clone()), &handler).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_match_their_calls_when_64_tasks_share_a_session() {
    const TASKS: i32 = 64;
    const CALLS: i32 = 10_000;
    let pair = pair(Handler::default()).await;
    let tasks = (0..TASKS).map(|task| {
        let client = pair.client.clone();
        tokio::spawn(async move {
            for call in (task..CALLS).step_by(TASKS as usize) {
                assert_eq!(client.add(call, task * 100_000).await.unwrap(), call + task * 100_000);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(pair.server.sessions(), 1);
}

#[tokio::test]
async fn connect_without_a_server_fails_at_once() {
    let nats = NatsServer::start().unwrap();
    // So long that the test fails if the client waits for it.
    let client = Client::builder(&nats.client().await.unwrap(), "unused").handshake_timeout(Duration::from_secs(600));
    let result = tokio::time::timeout(Duration::from_secs(30), client.connect()).await.expect("at once");
    assert_eq!(result.err(), Some(ConnectError::NoServer { subject: "unused".into() }));
}

#[tokio::test]
async fn deadline_ends_the_call_and_its_handler() {
    let handler = Handler::default();
    let pair = pair(handler.clone()).await;
    let client = Client::connect(&pair.nats.client().await.unwrap(), "calculator").await.unwrap();
    let calculator = CalculatorClient::new(client.clone());
    let slow = Work { comment: Some("wait".into()), ..work(15, 10, Operation::SUBTRACT) };
    let timeout = Duration::from_millis(100);
    let result = calculator.calculate(1, &slow).timeout(timeout).await;
    assert_eq!(
        result,
        Err(CalculatorCalculateError::Rpc(Error::DeadlineExceeded {
            method: "calculate".into(),
            timeout,
            outcome: Outcome::Unknown
        }))
    );
    handler.dropped.notified().await;
    // The session continues.
    for n in 0..100 {
        assert_eq!(calculator.add(n, 1).await.unwrap(), n + 1);
    }
    assert_eq!(client.calls_in_flight(), 0);
    assert_eq!(pair.server.sessions(), 2);
}

#[tokio::test]
async fn call_of_five_megabytes_is_split_into_chunks() {
    const LEN: usize = 5 * 1024 * 1024;
    let pair = pair(Handler::default()).await;
    let long = Work { comment: Some("c".repeat(LEN)), ..work(0, 0, Operation(99)) };
    assert_eq!(pair.client.calculate(1, &long).await.unwrap(), LEN as i32);
    assert_eq!(pair.client.get_struct(LEN as i32).await.unwrap().value.len(), LEN);
}

#[tokio::test]
async fn panic_of_a_handler_is_an_internal_error_and_nothing_else() {
    let pair = pair(Handler::default()).await;
    let panic = Work { comment: Some("panic".into()), ..Work::default() };
    match pair.client.calculate(1, &panic).await {
        Err(CalculatorCalculateError::Rpc(Error::Application(exception))) => {
            assert_eq!(exception.kind, ApplicationExceptionKind::INTERNAL_ERROR);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pair.client.add(1, 1).await.unwrap(), 2);
}
