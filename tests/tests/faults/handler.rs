//! The calculator of these tests, and a client and a server of it with a proxy before each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thrift_nats_runtime::{CloseReason, Context, Error, Outcome, Server};
use thrift_nats_tests::proxy::{Direction, Message, Proxy, Rule};
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, Operation, Work,
};
use thrift_nats_tests::{Builder, NatsServer, eventually};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What must not happen takes so long at most before a test says that it has happened.
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// Far longer than any test: a call that is answered or fails is so because of something else than its deadline.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) type Calculated = Result<i32, CalculatorCalculateError>;

/// Counts how often each piece of work is done; holds back what is told to wait.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    runs: Arc<Mutex<BTreeMap<i32, usize>>>,
    go_on: Arc<Semaphore>,
}

impl Default for Handler {
    fn default() -> Self {
        Self { runs: Arc::default(), go_on: Arc::new(Semaphore::new(0)) }
    }
}

impl Handler {
    /// How often the work with this number was begun.
    pub(crate) fn runs(&self, id: i32) -> usize {
        self.runs.lock().unwrap().get(&id).copied().unwrap_or_default()
    }

    /// Waits until the work with this number is begun.
    pub(crate) async fn until_runs(&self, id: i32) {
        eventually(&format!("work {id} is begun"), || self.runs(id) > 0).await;
    }

    /// Lets all work that waits end.
    pub(crate) fn go_on(&self) {
        self.go_on_with(1000);
    }

    /// Lets so much of the work that waits end.
    pub(crate) fn go_on_with(&self, calls: usize) {
        self.go_on.add_permits(calls);
    }
}

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct { key, value: "x".repeat(key as usize) })
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, _cx: &Context, id: i32, w: Work) -> Calculated {
        *self.runs.lock().unwrap().entry(id).or_default() += 1;
        if w.op == Operation::MULTIPLY {
            self.go_on.acquire().await.unwrap().forget();
        }
        Ok(w.num1 + w.num2)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// A client and a server, each on a connection of its own through a proxy of its own.
pub(crate) struct Setup {
    pub(crate) calculator: CalculatorClient,
    pub(crate) handler: Handler,
    pub(crate) server: Server,
    /// Before the client.
    pub(crate) near: Proxy,
    /// Before the server.
    pub(crate) far: Proxy,
    pub(crate) nats: NatsServer,
}

impl Setup {
    /// Without heartbeats: nothing but what the test is about notices anything.
    pub(crate) async fn new() -> Self {
        Self::with(NatsServer::builder(), None).await
    }

    pub(crate) async fn with(settings: Builder, heartbeat: impl Into<Option<Duration>>) -> Self {
        let nats = settings.start().unwrap();
        let (near, far) =
            (Proxy::start(&nats.url()).await.unwrap(), Proxy::start(&nats.url()).await.unwrap());
        let handler = Handler::default();
        let server = serve(&far.url(), &handler, heartbeat).await;
        let calculator = connect(&near.url()).await;
        Self { calculator, handler, server, near, far, nats }
    }

    /// Work that is done at once.
    pub(crate) fn quick(&self, id: i32) -> JoinHandle<Calculated> {
        calculate(&self.calculator, id, Operation::ADD)
    }

    /// Work that waits until the handler is told to go on.
    pub(crate) fn slow(&self, id: i32) -> JoinHandle<Calculated> {
        calculate(&self.calculator, id, Operation::MULTIPLY)
    }

    /// How many sessions have been opened since `rule` was added, that is, were asked for.
    pub(crate) fn handshakes() -> Rule {
        Rule::on(Direction::ToServer).subject("calculator")
    }
}

pub(crate) async fn serve(url: &str, handler: &Handler, heartbeat: impl Into<Option<Duration>>) -> Server {
    serve_on(nats(url).await, handler, heartbeat).await
}

pub(crate) async fn serve_on(
    nats: async_nats::Client,
    handler: &Handler,
    heartbeat: impl Into<Option<Duration>>,
) -> Server {
    Server::builder(&nats, "calculator")
        .heartbeat(heartbeat)
        .serve(CalculatorServer::new(handler.clone()))
        .await
        .unwrap()
}

pub(crate) async fn connect(url: &str) -> CalculatorClient {
    CalculatorClient::connect(&nats(url).await, "calculator").await.unwrap()
}

/// A connection that comes back at once when it is lost.
pub(crate) async fn nats(url: &str) -> async_nats::Client {
    async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .connect(url)
        .await
        .unwrap()
}

pub(crate) fn calculate(calculator: &CalculatorClient, id: i32, op: Operation) -> JoinHandle<Calculated> {
    let work = Work { num1: id, num2: id, op, comment: None };
    tokio::spawn(calculator.calculate(id, &work).timeout(NEVER))
}

/// What a call comes to, within the bound of the tests.
pub(crate) async fn soon(call: JoinHandle<Calculated>) -> Calculated {
    tokio::time::timeout(BOUND, call).await.expect("the call ends").unwrap()
}

/// Why the session of a call ended, and what is known of the call.
#[track_caller]
pub(crate) fn ended(result: Calculated) -> (CloseReason, Outcome) {
    match result {
        Err(CalculatorCalculateError::Rpc(Error::SessionEnded { reason, outcome })) => (reason, outcome),
        other => panic!("{other:?}"),
    }
}

/// Whether a message is a chunk: its number is behind the session in its reply subject.
pub(crate) fn is_chunk(message: &Message) -> bool {
    message.reply.as_ref().and_then(|reply| reply.rsplit_once('.')).is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !message.payload.is_empty()
    })
}

/// Whether a message is a heartbeat.
pub(crate) fn is_heartbeat(message: &Message) -> bool {
    let tail = message.reply.as_ref().and_then(|reply| reply.rsplit_once('.')).map(|(_, tail)| tail);
    tail.and_then(|tail| tail.strip_prefix('h')).is_some_and(|number| number.parse::<u64>().is_ok())
}
