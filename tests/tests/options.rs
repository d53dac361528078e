//! The options of clients and servers that bound what goes on between them: each test fails if its option is ignored.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::Client as Nats;
use thrift_nats_runtime::{
    ApplicationExceptionKind, Call, Client, CloseReason, ConnectError, Context, Error, Outcome, PeerReason,
    Server, ServerBuilder, SessionEvent, ShutdownError,
};
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, Work,
};
use thrift_nats_tests::{NatsServer, eventually};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const BOUND: Duration = Duration::from_secs(30);
/// Far longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// A `ping` waits until it is told to go on.
#[derive(Clone)]
struct Handler {
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    go_on: Arc<Semaphore>,
}

impl Default for Handler {
    fn default() -> Self {
        Self { begun: Arc::default(), running: Arc::default(), go_on: Arc::new(Semaphore::new(0)) }
    }
}

impl Handler {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    async fn serve(&self, nats: &NatsServer, options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
        let server = options(Server::builder(&nats.client().await.unwrap(), "calculator"));
        server.serve(CalculatorServer::new(self.clone())).await.unwrap()
    }
}

/// A call that runs, while this is there.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SharedService for Handler {
    async fn get_struct(&self, cx: &Context, _key: i32) -> Result<SharedStruct, Error> {
        let left = cx.deadline().map(|deadline| deadline - Instant::now());
        Ok(SharedStruct { key: 0, value: format!("{left:?}") })
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(Arc::clone(&self.running));
        self.go_on.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, _cx: &Context, _id: i32, _w: Work) -> Result<i32, CalculatorCalculateError> {
        Ok(0)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

fn make<T>(call: Call<T>) -> JoinHandle<Result<T, Error>>
where
    T: thrift_nats_runtime::Success,
{
    tokio::spawn(call.timeout(NEVER))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("not within the bound of the tests")
}

async fn connect(nats: &Nats) -> CalculatorClient {
    CalculatorClient::connect(nats, "calculator").await.unwrap()
}

fn is_overloaded(result: &Result<(), Error>) -> bool {
    match result {
        Err(error @ Error::Application(exception)) => {
            exception.kind == ApplicationExceptionKind::LOADSHEDDING && error.outcome() == Outcome::NotRun
        }
        _ => false,
    }
}

// Servers.

#[tokio::test]
async fn a_session_above_the_limit_is_refused_and_its_client_says_why() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = Handler::default().serve(&nats, |server| server.max_sessions(2)).await;
    let first = connect(&connection).await;
    let _second = connect(&connection).await;
    let refused = soon(Client::connect(&connection, "calculator")).await.err();
    let Some(ConnectError::Handshake { reason, .. }) = &refused else { panic!("{refused:?}") };
    let overloaded = Some(PeerReason::Overloaded);
    assert_eq!(*reason, CloseReason::Disconnected { reason: overloaded, acknowledged: None });
    assert_eq!(server.sessions(), 2);
    let none_left = Client::builder(&connection, "calculator").sessions(3).connect();
    assert!(matches!(soon(none_left).await, Err(ConnectError::Handshake { .. })));
    first.close().await.unwrap();
    eventually("there is room again", || server.sessions() == 1).await;
    let third = connect(&connection).await;
    assert_eq!(soon(third.add(1, 1)).await, Ok(2));
}

#[tokio::test]
async fn a_call_above_the_servers_limit_is_answered_so_and_not_run() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server.max_calls(3)).await;
    // On sessions of their own: the limit is one for all.
    let clients = [connect(&connection).await, connect(&connection).await];
    let calls: Vec<_> = (0..3).map(|number| make(clients[number % 2].ping())).collect();
    eventually("three calls run", || handler.running() == 3).await;
    for client in &clients {
        let result = soon(make(client.ping())).await.unwrap();
        assert!(is_overloaded(&result), "{result:?}");
    }
    assert_eq!(handler.begun(), 3);
    handler.go_on.add_permits(3);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(()));
    }
    assert_eq!(soon(clients[0].add(1, 1)).await, Ok(2), "the session goes on");
}

#[tokio::test]
async fn a_call_above_a_sessions_limit_is_answered_so_and_other_sessions_have_theirs() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server.max_calls_per_session(2)).await;
    let (busy, other) = (connect(&connection).await, connect(&connection).await);
    let mut calls: Vec<_> = (0..2).map(|_| make(busy.ping())).collect();
    eventually("two calls run", || handler.running() == 2).await;
    let result = soon(make(busy.ping())).await.unwrap();
    assert!(is_overloaded(&result), "{result:?}");
    calls.push(make(other.ping()));
    eventually("the other session's runs", || handler.running() == 3).await;
    handler.go_on.add_permits(3);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(()));
    }
}

/// By hand, as a legacy client: its requests wait for the one before.
#[tokio::test]
async fn requests_of_a_legacy_client_above_the_queue_limit_end_its_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    // Without heartbeats: nothing else ends the session.
    let options = |server: ServerBuilder| server.queue_limit(1_000_000).heartbeat(None);
    let server = Handler::default().serve(&nats, options).await;
    let own = connection.new_inbox();
    let mut inbox = connection.subscribe(own.clone()).await.unwrap();
    connection.publish_with_reply("calculator", own, "".into()).await.unwrap();
    let listen = soon(futures_util::StreamExt::next(&mut inbox)).await.unwrap().reply.unwrap();
    // A `ping`, which waits, with an argument that it does not know.
    let ping =
        [&b"\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x07\x0b\0\x01\0\x01\x86\xa0"[..], &[b'x'; 100_000], b"\0"]
            .concat();
    for _ in 0..9 {
        connection.publish(listen.clone(), ping.clone().into()).await.unwrap();
    }
    // Behind all of them.
    let _other = connect(&connection).await;
    assert_eq!(server.sessions(), 2, "they fit");
    for _ in 0..3 {
        connection.publish(listen.clone(), ping.clone().into()).await.unwrap();
    }
    let disconnect = soon(futures_util::StreamExt::next(&mut inbox)).await.unwrap();
    assert_eq!(disconnect.reply.as_deref(), Some("DISCONNECT"));
}

#[tokio::test]
async fn requests_above_the_queue_limit_are_answered_so_while_others_run() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server.queue_limit(1_000_000)).await;
    let client = Client::connect(&connection, "calculator").await.unwrap();
    // A `ping` with an argument that it does not know.
    let long = |len: usize| make(client.call::<(), Error>("ping", &((1, "x".repeat(len).as_str()),)));
    let first = long(600_000);
    eventually("the first runs", || handler.running() == 1).await;
    let result = soon(long(600_000)).await.unwrap();
    assert!(is_overloaded(&result), "{result:?}");
    let second = long(300_000);
    eventually("what fits runs", || handler.running() == 2).await;
    handler.go_on.add_permits(3);
    assert_eq!((soon(first).await.unwrap(), soon(second).await.unwrap()), (Ok(()), Ok(())));
    assert_eq!(soon(long(2_000_000)).await.unwrap(), Ok(()), "one that is alone is run, however long it is");
}

// Deadlines, and calls that are given up.

#[tokio::test]
async fn a_handler_knows_its_deadline_and_ends_with_it() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server).await;
    let builder = Client::builder(&connection, "calculator").timeout(Duration::from_millis(300));
    let calculator = CalculatorClient::new(builder.connect().await.unwrap());
    let left = calculator.get_struct(0).await.unwrap().value;
    assert!(left.starts_with("Some(2") && left.contains("ms"), "{left}");
    match soon(calculator.ping()).await {
        Err(error @ Error::DeadlineExceeded { .. }) => assert_eq!(error.outcome(), Outcome::Unknown),
        other => panic!("{other:?}"),
    }
    eventually("the handler has ended", || handler.running() == 0).await;
    assert_eq!(handler.begun(), 1);
}

/// By hand: nothing tells the server that the call is given up.
#[tokio::test]
async fn a_server_keeps_the_deadline_that_the_handshake_announced() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server).await;
    let own = connection.new_inbox();
    let mut inbox = connection.subscribe(own.clone()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Thrift-Nats-Version", "1");
    headers.insert("Thrift-Nats-Timeout", "50");
    connection.publish_with_reply_and_headers("calculator", own.clone(), headers, "".into()).await.unwrap();
    let accept = soon(futures_util::StreamExt::next(&mut inbox)).await.unwrap();
    let ping = b"\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x07\0";
    let listen = accept.reply.unwrap();
    connection.publish_with_reply(listen, format!("{own}.1"), ping.as_slice().into()).await.unwrap();
    let answer = soon(futures_util::StreamExt::next(&mut inbox)).await.unwrap().payload;
    // A TApplicationException of the kind 12, TIMEOUT.
    assert!(answer.starts_with(b"\x80\x01\0\x03\0\0\0\x04ping\0\0\0\x07"), "{answer:?}");
    assert!(answer.ends_with(b"\x08\0\x02\0\0\0\x0c\0"), "{answer:?}");
    assert_eq!((handler.begun(), handler.running()), (1, 0));
}

#[tokio::test]
async fn a_call_that_is_dropped_drops_its_handler_and_no_other() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server).await;
    let client = Client::connect(&connection, "calculator").await.unwrap();
    let calculator = CalculatorClient::new(client.clone());
    let (dropped, kept) = (make(calculator.ping()), make(calculator.ping()));
    eventually("both run", || handler.running() == 2).await;
    dropped.abort();
    eventually("one is given up", || handler.running() == 1).await;
    handler.go_on.add_permits(1);
    assert_eq!(soon(kept).await.unwrap(), Ok(()));
    assert_eq!(client.late_replies(), 0);
}

// Clients.

#[tokio::test]
async fn a_call_above_the_clients_limit_fails_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let handler = Handler::default();
    let _server = handler.serve(&nats, |server| server).await;
    let client = Client::builder(&connection, "calculator").max_calls_per_session(2).connect().await.unwrap();
    let calculator = CalculatorClient::new(client);
    let calls: Vec<_> = (0..2).map(|_| make(calculator.ping())).collect();
    eventually("both run", || handler.running() == 2).await;
    assert_eq!(soon(calculator.ping()).await, Err(Error::TooManyCalls { limit: 2 }));
    handler.go_on.add_permits(3);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(()));
    }
    assert_eq!(soon(calculator.ping()).await, Ok(()));
}

#[tokio::test]
async fn a_client_with_several_sessions_uses_all_of_them_and_replaces_those_that_end() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let (one, other) = (Handler::default(), Handler::default());
    let servers = [one.serve(&nats, |server| server).await, other.serve(&nats, |server| server).await];
    let client = Client::builder(&connection, "calculator").sessions(8).connect().await.unwrap();
    assert_eq!(servers.each_ref().map(Server::sessions).iter().sum::<usize>(), 8);
    let calculator = CalculatorClient::new(client.clone());
    let calls: Vec<_> = (0..32).map(|_| make(calculator.ping())).collect();
    eventually("all run", || one.running() + other.running() == 32).await;
    // Each session has its share, so each server has as many calls as sessions, but for chance.
    for (handler, server) in [&one, &other].into_iter().zip(&servers) {
        assert!(handler.running() >= 2 * server.sessions(), "{} on {}", handler.running(), server.sessions());
    }
    one.go_on.add_permits(32);
    other.go_on.add_permits(32);
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(()));
    }
    let [first, second] = servers;
    first.drain(BOUND).await.unwrap();
    while second.sessions() < 8 {
        assert_eq!(soon(calculator.add(1, 1)).await, Ok(2), "the sessions that are left serve");
    }
}

/// A client with a call that runs on a server which is drained, while it has a session with another server, too.
struct Drain {
    client: Client,
    calculator: CalculatorClient,
    /// What the call waits for.
    slow: Handler,
    taken_up: JoinHandle<Result<(), Error>>,
    drained: JoinHandle<Result<(), ShutdownError>>,
    other: Server,
}

async fn during_a_drain(nats: &NatsServer) -> Drain {
    let (slow, other) = (Handler::default(), Handler::default());
    let first = slow.serve(nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    let calculator = CalculatorClient::new(client.clone());
    let taken_up = make(calculator.ping());
    eventually("it runs", || slow.running() == 1).await;
    let other = other.serve(nats, |server| server).await;
    let drained = tokio::spawn(first.drain(BOUND));
    while other.sessions() == 0 {
        // Taken up before the drain, or moved: it does not wait for the one that runs.
        assert_eq!(soon(calculator.add(1, 1).timeout(Duration::from_secs(5))).await, Ok(2));
    }
    Drain { client, calculator, slow, taken_up, drained, other }
}

#[tokio::test]
async fn calls_move_from_a_server_that_is_drained_while_it_answers_what_it_has_taken_up() {
    let nats = NatsServer::start().unwrap();
    let Drain { client, calculator, slow, taken_up, drained, other: _other } = during_a_drain(&nats).await;
    assert_eq!(soon(calculator.add(1, 1)).await, Ok(2));
    assert!(!taken_up.is_finished() && !drained.is_finished());
    assert_eq!(client.calls_in_flight(), 1);
    slow.go_on.add_permits(1);
    assert_eq!(soon(taken_up).await.unwrap(), Ok(()));
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
    assert_eq!(client.calls_in_flight(), 0);
}

#[tokio::test]
async fn calls_wait_for_a_server_that_comes_before_the_only_one_is_drained() {
    let nats = NatsServer::start().unwrap();
    let (slow, other) = (Handler::default(), Handler::default());
    let first = slow.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), "calculator").await.unwrap();
    let mut events = client.events();
    let calculator = CalculatorClient::new(client);
    let taken_up = make(calculator.ping());
    eventually("it runs", || slow.running() == 1).await;
    let drained = tokio::spawn(first.drain(BOUND));
    // Those before the drain are answered; one is not, since nobody else listens.
    let mut calls = Vec::new();
    let failed = loop {
        calls.push(make(calculator.add(1, 1).timeout(BOUND)));
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(10), events.next()).await {
            break event;
        }
    };
    assert!(
        matches!(failed, Some(SessionEvent::OpenFailed { error: ConnectError::NoServer { .. } })),
        "{failed:?}"
    );
    // Longer than without a server that is drained.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        let event = soon(events.next()).await;
        assert!(matches!(event, Some(SessionEvent::OpenFailed { .. })), "{event:?}");
    }
    let _other = other.serve(&nats, |server| server).await;
    for call in calls {
        assert_eq!(soon(call).await.unwrap(), Ok(2));
    }
    slow.go_on.add_permits(1);
    assert_eq!(soon(taken_up).await.unwrap(), Ok(()));
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_client_that_is_closed_waits_for_no_server_that_is_drained() {
    let nats = NatsServer::start().unwrap();
    let Drain { client, taken_up, drained, other, .. } = during_a_drain(&nats).await;
    soon(client.close()).await.unwrap();
    let error = soon(taken_up).await.unwrap().unwrap_err();
    assert_eq!(error, Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::Unknown });
    eventually("the other session has ended, too", || other.sessions() == 0).await;
    drained.abort();
}

#[tokio::test]
async fn a_call_waits_for_a_server_as_long_as_it_is_told() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = Handler::default().serve(&nats, |server| server).await;
    let patient = Client::builder(&connection, "calculator").wait_for_server(NEVER).connect().await.unwrap();
    let patient = CalculatorClient::new(patient);
    let hasty = Client::builder(&connection, "calculator").wait_for_server(Duration::ZERO);
    let hasty = CalculatorClient::new(hasty.connect().await.unwrap());
    server.stop().await.unwrap();
    let waiting = make(patient.add(1, 1));
    assert_eq!(
        soon(hasty.add(1, 1)).await,
        Err(ConnectError::NoServer { subject: "calculator".into() }.into())
    );
    let deadline = patient.add(1, 1).timeout(Duration::from_millis(100));
    let error = soon(deadline).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotRun, "{error}");
    assert!(!waiting.is_finished());
    let _server = Handler::default().serve(&nats, |server| server).await;
    assert_eq!(soon(waiting).await.unwrap(), Ok(2));
}

#[tokio::test]
async fn the_events_of_several_sessions_are_told_apart() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let [one, other] = [(); 2].map(|()| Handler::default());
    let servers = [one.serve(&nats, |server| server).await, other.serve(&nats, |server| server).await];
    let client = Client::builder(&connection, "calculator").sessions(8).connect().await.unwrap();
    let mut events = client.events();
    let calculator = CalculatorClient::new(client.clone());
    let [first, second] = servers;
    first.drain(BOUND).await.unwrap();
    while second.sessions() < 8 {
        assert_eq!(soon(calculator.add(1, 1)).await, Ok(2));
    }
    calculator.close().await.unwrap();
    drop((calculator, client));
    let (mut opened, mut ended) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    while let Some(event) = soon(events.next()).await {
        match event {
            SessionEvent::Opened { session } => {
                assert!(!ended.contains(&session) && opened.insert(session), "{session}");
            }
            SessionEvent::Ended { session, .. } => assert!(ended.insert(session), "{session}"),
            _ => {}
        }
    }
    // Those that were open before somebody listened have ended, too.
    assert!(opened.is_subset(&ended));
    assert_eq!(ended.len(), 8 + opened.len());
}

#[tokio::test]
async fn a_client_tells_what_becomes_of_its_sessions() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server = Handler::default().serve(&nats, |server| server).await;
    let client = Client::connect(&connection, "calculator").await.unwrap();
    let mut events = client.events();
    let calculator = CalculatorClient::new(client.clone());
    server.stop().await.unwrap();
    let Some(SessionEvent::Ended { session: first, reason }) = soon(events.next()).await else {
        panic!("it has ended")
    };
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
        "{reason}"
    );
    soon(calculator.add(1, 1)).await.unwrap_err();
    let error = ConnectError::NoServer { subject: "calculator".into() };
    assert_eq!(soon(events.next()).await, Some(SessionEvent::OpenFailed { error }));
    let _server = Handler::default().serve(&nats, |server| server).await;
    assert_eq!(soon(calculator.add(1, 1)).await, Ok(2));
    let second = loop {
        match soon(events.next()).await {
            Some(SessionEvent::OpenFailed { .. }) => {}
            Some(SessionEvent::Opened { session }) => break session,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(second, first);
    calculator.close().await.unwrap();
    let ended = SessionEvent::Ended { session: second, reason: CloseReason::Closed };
    assert_eq!(soon(events.next()).await, Some(ended));
    drop((calculator, client));
    assert_eq!(soon(events.next()).await, None);
}
