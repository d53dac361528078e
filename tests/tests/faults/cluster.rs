//! A cluster of three of which one is killed, or goes lame.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use thrift_nats_runtime::LameDuck;
use thrift_nats_runtime::{ConnectError, Outcome, Server};
use thrift_nats_tests::tutorial::{CalculatorClient, CalculatorServer, Operation};
use thrift_nats_tests::{Cluster, NatsServer};

use crate::handler::{BOUND, Handler, calculate, ended, soon};

/// A client at node 0 and a server at node 1, which both may go to any other.
struct Setup {
    calculator: CalculatorClient,
    handler: Handler,
    server: Server,
    cluster: Cluster,
}

impl Setup {
    async fn new() -> Self {
        let settings = NatsServer::builder()
            // As short as it may be: 30 s is the least for all, and a node with one or two clients ends them at once.
            .config("lame_duck_grace_period: \"10ms\"")
            .config("lame_duck_duration: \"30s\"");
        let cluster = Cluster::start_with(&settings).unwrap();
        let handler = Handler::default();
        let server = Server::builder(&at(&cluster, 1).await, "calculator")
            .heartbeat(None)
            .serve(CalculatorServer::new(handler.clone()))
            .await
            .unwrap();
        let nats = at(&cluster, 0).await;
        // Node 0 hears of the server at node 1 a moment later.
        let end = Instant::now() + BOUND;
        let calculator = loop {
            match CalculatorClient::connect(&nats, "calculator").await {
                Ok(calculator) => break calculator,
                Err(ConnectError::NoServer { .. }) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        Self { calculator, handler, server, cluster }
    }

    /// Makes calls until one is answered. None hangs, and none is run twice.
    async fn until_served(&self, mut id: i32) {
        let end = Instant::now() + BOUND;
        loop {
            let result = soon(calculate(&self.calculator, id, Operation::ADD)).await;
            assert!(self.handler.runs(id) <= 1);
            if result == Ok(2 * id) {
                return;
            }
            assert!(Instant::now() < end, "{result:?}");
            id += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A connection to this node, which goes to another if that one is gone.
async fn at(cluster: &Cluster, node: usize) -> async_nats::Client {
    let mut urls = cluster.urls();
    urls.rotate_left(node);
    async_nats::ConnectOptions::new()
        .retain_servers_order()
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .connect(urls)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_node_that_serves_neither_side_is_killed_and_no_call_notices() {
    let mut it = Setup::new().await;
    let slow = calculate(&it.calculator, 1, Operation::MULTIPLY);
    it.handler.until_runs(1).await;
    it.cluster.node_mut(2).stop();
    for id in 2..200 {
        assert_eq!(soon(calculate(&it.calculator, id, Operation::ADD)).await, Ok(2 * id));
    }
    it.handler.go_on();
    assert_eq!(soon(slow).await, Ok(2));
    assert_eq!(it.server.sessions(), 1);
}

#[tokio::test]
async fn a_client_goes_to_another_node_when_its_own_is_killed() {
    let mut it = Setup::new().await;
    let slow = calculate(&it.calculator, 1, Operation::MULTIPLY);
    it.handler.until_runs(1).await;
    it.cluster.node_mut(0).stop();
    let (reason, outcome) = ended(soon(slow).await);
    assert_eq!(reason, thrift_nats_runtime::CloseReason::Reconnected);
    assert_eq!(outcome, Outcome::Unknown);
    it.until_served(2).await;
}

#[tokio::test]
async fn a_server_goes_to_another_node_when_its_own_is_killed() {
    let mut it = Setup::new().await;
    let slow = calculate(&it.calculator, 1, Operation::MULTIPLY);
    it.handler.until_runs(1).await;
    it.cluster.node_mut(1).stop();
    // The server tells it once it is back; or NATS does, with whatever is sent before.
    let (_, outcome) = ended(soon(slow).await);
    assert_eq!(outcome, Outcome::Unknown);
    it.until_served(2).await;
    assert_eq!(it.handler.runs(1), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_node_that_goes_lame_ends_its_connections_and_calls_go_on_elsewhere() {
    for lame in [0, 1] {
        let it = Setup::new().await;
        it.cluster.node(lame).lame_duck().unwrap();
        // It ends those that it has, one by one.
        let logged = || it.cluster.node(lame).log().contains("Closing existing clients");
        thrift_nats_tests::eventually("the lame node closes its clients", logged).await;
        let mut answered = 0;
        let end = Instant::now() + Duration::from_secs(5);
        for id in 1.. {
            let result = soon(calculate(&it.calculator, id, Operation::ADD)).await;
            assert!(it.handler.runs(id) <= 1);
            answered += usize::from(result == Ok(2 * id));
            let moved = it.cluster.node(lame).log().contains("Initiating Shutdown");
            if moved || Instant::now() > end {
                println!("node {lame}: {answered} of {id} were answered");
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        it.until_served(1_000_000).await;
    }
}

/// Makes calls until it is told to stop, and counts those that are answered.
async fn calls_until(calculator: &CalculatorClient, answered: &AtomicUsize, stop: &tokio::sync::Notify) {
    let stopped = stop.notified();
    tokio::pin!(stopped);
    for id in 0.. {
        tokio::select! {
            result = calculator.add(id, 1) => assert_eq!(result, Ok(id + 1)),
            () = &mut stopped => break,
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_is_told_of_lame_duck_mode_moves_away_without_a_failed_call() {
    let settings =
        NatsServer::builder().config("lame_duck_grace_period: \"5s\"").config("lame_duck_duration: \"30s\"");
    let cluster = Cluster::start_with(&settings).unwrap();
    let mut urls = cluster.urls();
    urls.rotate_left(1);
    let lame_duck = LameDuck::new();
    let connection = async_nats::ConnectOptions::new()
        .retain_servers_order()
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .event_callback(lame_duck.callback())
        .connect(urls)
        .await
        .unwrap();
    let calculator = || CalculatorServer::new(Handler::default());
    let moves = Server::builder(&connection, "calculator").lame_duck(&lame_duck);
    let moves = moves.serve(calculator()).await.unwrap();
    // One that has nothing to wait for, on the same connection.
    let idle = Server::builder(&connection, "idle").lame_duck(&lame_duck).serve(calculator()).await.unwrap();
    let stays = Server::builder(&at(&cluster, 2).await, "calculator").serve(calculator()).await.unwrap();
    let nats = at(&cluster, 0).await;
    let mut clients = Vec::new();
    // Node 0 hears of the servers a moment later; and each is to have some.
    while moves.sessions() == 0 || stays.sessions() == 0 || clients.len() < 8 {
        match CalculatorClient::connect(&nats, "calculator").await {
            Ok(client) => clients.push(client),
            Err(ConnectError::NoServer { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    let (answered, stop) = (AtomicUsize::new(0), tokio::sync::Notify::new());
    let load = clients.iter().map(|client| calls_until(client, &answered, &stop));
    let load = futures_util::future::join_all(load);
    let story = async {
        cluster.node(1).lame_duck().unwrap();
        let moved = || connection.statistics().connects.load(Ordering::SeqCst) == 2;
        thrift_nats_tests::eventually("the server is at another node", moved).await;
        assert!(!cluster.node(1).log().contains("Closing existing clients"), "it was not thrown out");
        // It serves there.
        while moves.sessions() == 0 {
            let client = CalculatorClient::connect(&nats, "calculator").await.unwrap();
            client.close().await.unwrap();
        }
        let since = answered.load(Ordering::SeqCst);
        let enough = || answered.load(Ordering::SeqCst) > since + 100;
        thrift_nats_tests::eventually("calls go on", enough).await;
        stop.notify_waiters();
    };
    tokio::time::timeout(BOUND, async { tokio::join!(load, story) }).await.unwrap();
    stays.stop().await.unwrap();
    moves.drain(BOUND).await.unwrap();
    CalculatorClient::connect(&nats, "idle").await.unwrap().ping().await.unwrap();
    idle.stop().await.unwrap();
}
