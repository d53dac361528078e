//! A client and a server, each connected to NATS through its own proxy.

use std::time::Duration;

use thrift_nats_runtime::{CloseReason, Error, Outcome, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::proxy::{Direction, Message, Proxy, Rule};
use thrift_nats_tests::{Builder, NEVER, NatsServer, SUBJECT, TestService, soon};
use tokio::task::JoinHandle;

/// The result of `run` or `wait`.
pub(crate) type Ran = Result<i32, Error>;

pub(crate) struct Setup {
    pub(crate) probe: ProbeClient,
    pub(crate) service: TestService,
    pub(crate) server: Server,
    /// The proxy of the client.
    pub(crate) near: Proxy,
    /// The proxy of the server.
    pub(crate) far: Proxy,
    pub(crate) nats: NatsServer,
}

impl Setup {
    /// Without heartbeats, so that only the detector under test can notice the fault.
    pub(crate) async fn new() -> Self {
        Self::with(NatsServer::builder(), None).await
    }

    pub(crate) async fn with(settings: Builder, heartbeat: impl Into<Option<Duration>>) -> Self {
        let nats = settings.start().unwrap();
        let (near, far) =
            (Proxy::start(&nats.url()).await.unwrap(), Proxy::start(&nats.url()).await.unwrap());
        let service = TestService::default();
        let server = serve(connection(&far.url()).await, &service, heartbeat).await;
        let probe = connect(&near.url()).await;
        Self { probe, service, server, near, far, nats }
    }

    /// A call that returns at once.
    pub(crate) fn quick(&self, id: i32) -> JoinHandle<Ran> {
        quick(&self.probe, id)
    }

    /// A call that waits until the service is told to release it.
    pub(crate) fn slow(&self, id: i32) -> JoinHandle<Ran> {
        slow(&self.probe, id)
    }

    /// Matches the handshakes after `rule` was added, and so counts the sessions that the client asks for.
    pub(crate) fn handshakes() -> Rule {
        Rule::on(Direction::ToServer).subject(SUBJECT)
    }
}

pub(crate) fn quick(probe: &ProbeClient, id: i32) -> JoinHandle<Ran> {
    tokio::spawn(probe.run(id).timeout(NEVER))
}

pub(crate) fn slow(probe: &ProbeClient, id: i32) -> JoinHandle<Ran> {
    tokio::spawn(probe.wait(id).timeout(NEVER))
}

pub(crate) async fn serve(
    nats: async_nats::Client,
    service: &TestService,
    heartbeat: impl Into<Option<Duration>>,
) -> Server {
    Server::builder(&nats, SUBJECT).heartbeat(heartbeat).serve(service.server()).await.unwrap()
}

pub(crate) async fn connect(url: &str) -> ProbeClient {
    ProbeClient::connect(&connection(url).await, SUBJECT).await.unwrap()
}

/// A connection that reconnects at once when it is lost.
pub(crate) async fn connection(url: &str) -> async_nats::Client {
    async_nats::ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .connect(url)
        .await
        .unwrap()
}

/// The result of a call, within the bound of the tests.
pub(crate) async fn result_of<T>(call: JoinHandle<T>) -> T {
    soon(call).await.unwrap()
}

/// The reason why the session of a call ended, and the outcome of the call.
#[track_caller]
pub(crate) fn ended(result: Ran) -> (CloseReason, Outcome) {
    match result {
        Err(Error::SessionEnded { reason, outcome }) => (reason, outcome),
        other => panic!("{other:?}"),
    }
}

/// Whether a message is a chunk: its reply subject ends with a number.
pub(crate) fn is_chunk(message: &Message) -> bool {
    message.reply.as_ref().and_then(|reply| reply.rsplit_once('.')).is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !message.payload.is_empty()
    })
}

/// Whether a message says that the client is alive: a heartbeat, or a probe.
pub(crate) fn is_heartbeat(message: &Message) -> bool {
    let tail = message.reply.as_ref().and_then(|reply| reply.rsplit_once('.')).map(|(_, tail)| tail);
    tail.and_then(|tail| tail.strip_suffix(['a', 'p'])).is_some_and(|number| number.parse::<u64>().is_ok())
}
