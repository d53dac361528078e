//! Clients in several tokio runtimes, in runtimes that end or stand still, and outside of any.

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Outcome, ServeError, Server};
use thrift_nats_tests::raw::RawServer;
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, soon};
use tokio::runtime::{Builder, Runtime};

use crate::{SHORT, length, wait};

fn with_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A runtime whose tasks stand still outside `block_on`.
fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A NATS server and a service. The runtime with the server and the connection outlives the others.
struct Setup {
    lasting: Runtime,
    nats: NatsServer,
    connection: async_nats::Client,
    service: TestService,
    _server: Server,
}

impl Setup {
    fn new() -> Self {
        let (lasting, nats, service) = (with_workers(), NatsServer::start().unwrap(), TestService::default());
        let (connection, server) = lasting
            .block_on(async { (nats.client().await.unwrap(), service.serve(&nats, |server| server).await) });
        Self { lasting, nats, connection, service, _server: server }
    }

    fn connect(&self, runtime: &Runtime) -> Client {
        runtime.block_on(async { soon(Client::connect(&self.connection, SUBJECT)).await.unwrap() })
    }
}

/// Runs a future on this thread without tokio. Fails if it is not ready within [`BOUND`].
fn without_runtime<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, end) = (pin!(future), std::time::Instant::now() + BOUND);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        assert!(!left.is_zero(), "not ready within {BOUND:?}");
        thread::park_timeout(left);
    }
}

#[test]
fn client_outlives_the_runtime_in_which_it_was_connected() {
    let (setup, first) = (Setup::new(), with_workers());
    let client = setup.connect(&first);
    assert_eq!(first.block_on(length(&client, 1)), Ok(1));
    drop(first);
    assert_eq!(setup.lasting.block_on(soon(length(&client, 3))), Ok(3), "it opens a new session");
}

#[test]
fn end_of_the_first_clients_runtime_ends_no_call_of_another_client() {
    for first in [with_workers(), current_thread()] {
        let setup = Setup::new();
        let one = setup.connect(&first);
        let other = setup.connect(&setup.lasting);
        assert_eq!(first.block_on(length(&one, 1)), Ok(1));
        let call = setup.lasting.spawn(wait(&other).timeout(NEVER));
        setup.lasting.block_on(setup.service.until_started("wait", 1));
        drop(first);
        assert_eq!(setup.lasting.block_on(soon(length(&other, 2))), Ok(2));
        setup.service.release(1);
        assert_eq!(setup.lasting.block_on(soon(call)).unwrap(), Ok(2));
    }
}

#[test]
fn call_in_flight_ends_with_the_runtime_of_its_session() {
    let (setup, first) = (Setup::new(), with_workers());
    let client = setup.connect(&first);
    let call = setup.lasting.spawn(wait(&client).timeout(NEVER));
    setup.lasting.block_on(setup.service.until_started("wait", 1));
    drop(first);
    let ended = Error::SessionEnded { reason: CloseReason::RuntimeStopped, outcome: Outcome::Unknown };
    assert_eq!(setup.lasting.block_on(soon(call)).unwrap(), Err(ended));
}

#[test]
fn call_ends_by_its_deadline_although_the_runtime_of_its_session_stands_still() {
    let (setup, still) = (Setup::new(), current_thread());
    let client = setup.connect(&still);
    for runtime in [&setup.lasting, &current_thread()] {
        match runtime.block_on(soon(wait(&client).timeout(SHORT))) {
            Err(Error::DeadlineExceeded { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.calls_in_flight(), 0);
    assert_eq!(still.block_on(soon(length(&client, 1))), Ok(1), "the session continues with its runtime");
}

#[test]
fn session_whose_runtime_stands_still_ends_and_the_next_call_opens_another() {
    let (setup, still) = (Setup::new(), current_thread());
    let client = setup.connect(&still);
    let ended = Error::SessionEnded { reason: CloseReason::RuntimeStopped, outcome: Outcome::Unknown };
    assert_eq!(setup.lasting.block_on(soon(length(&client, 1).timeout(NEVER))), Err(ended));
    assert_eq!(setup.lasting.block_on(soon(length(&client, 2).timeout(NEVER))), Ok(2));
    assert_eq!(still.block_on(soon(length(&client, 3).timeout(NEVER))), Ok(3));
}

#[test]
fn idempotent_call_is_retried_in_its_own_runtime() {
    let (setup, still) = (Setup::new(), current_thread());
    let client = setup.connect(&still);
    let call = length(&client, 1).timeout(NEVER).idempotent();
    assert_eq!(setup.lasting.block_on(soon(call)), Ok(1));
}

#[test]
fn call_does_not_wait_for_a_handshake_in_a_runtime_that_stands_still() {
    let (setup, still) = (Setup::new(), current_thread());
    let client = setup.connect(&setup.lasting);
    let Setup { lasting, nats, connection, service, _server } = setup;
    lasting.block_on(_server.stop()).unwrap();
    let silent = lasting.block_on(RawServer::listen(&connection, SUBJECT));
    let expired = still.block_on(soon(length(&client, 1).timeout(SHORT))).unwrap_err();
    assert!(matches!(expired, Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }), "{expired}");
    drop(silent);
    let _server = lasting.block_on(service.serve(&nats, |server| server));
    assert_eq!(lasting.block_on(soon(length(&client, 2).timeout(NEVER))), Ok(2));
    assert_eq!(still.block_on(soon(length(&client, 3).timeout(NEVER))), Ok(3));
}

#[test]
fn connecting_and_serving_outside_a_runtime_is_an_error() {
    let setup = Setup::new();
    let connect = without_runtime(Client::builder(&setup.connection, SUBJECT).sessions(2).connect());
    assert_eq!(connect.unwrap_err(), ConnectError::NoRuntime);
    let serve = Server::builder(&setup.connection, SUBJECT).serve(setup.service.server());
    assert_eq!(without_runtime(serve).unwrap_err(), ServeError::NoRuntime);
}

#[test]
fn call_outside_a_runtime_works_or_is_an_error() {
    let (setup, still) = (Setup::new(), current_thread());
    let no_runtime = || Err(Error::Connect(ConnectError::NoRuntime));
    let client = setup.connect(&setup.lasting);
    assert_eq!(without_runtime(length(&client, 1)), Ok(1), "the runtime of the session has workers");
    assert_eq!(without_runtime(length(&setup.connect(&still), 1)), no_runtime());
    setup.lasting.block_on(setup._server.stop()).unwrap();
    assert_eq!(without_runtime(length(&client, 1)), no_runtime(), "a session would have to be opened");
    assert!(without_runtime(client.close()).is_err());
    let closed = Error::SessionEnded { reason: CloseReason::Closed, outcome: Outcome::NotRun };
    assert_eq!(without_runtime(length(&client, 1)), Err(closed));
    let in_process = Client::in_process(setup.service.server());
    assert_eq!(without_runtime(length(&in_process, 1)), no_runtime());
    assert_eq!(setup.lasting.block_on(length(&in_process, 1)), Ok(1));
}

#[test]
fn server_that_is_stopped_outside_a_runtime_stops_and_is_not_waited_for() {
    for drain in [false, true] {
        let setup = Setup::new();
        let client = setup.connect(&setup.lasting);
        let call = setup.lasting.spawn(wait(&client).timeout(NEVER));
        setup.lasting.block_on(setup.service.until_started("wait", 1));
        let stopped = if drain {
            without_runtime(setup._server.drain(NEVER))
        } else {
            without_runtime(setup._server.stop())
        };
        assert_eq!(stopped.unwrap_err().kind(), "nats");
        assert!(setup.lasting.block_on(soon(call)).unwrap().is_err(), "its session has ended");
    }
}

#[test]
fn client_is_dropped_outside_a_runtime() {
    let setup = Setup::new();
    let client = setup.connect(&setup.lasting);
    drop(client);
    let (done, ended) = mpsc::channel();
    setup.lasting.spawn(async move {
        soon(async {
            while setup._server.sessions() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        done.send(()).unwrap();
    });
    ended.recv_timeout(BOUND).unwrap();
}
