//! A cluster of three NATS servers, of which one is killed or enters lame duck mode.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use thrift_nats_runtime::LameDuck;
use thrift_nats_runtime::{ConnectError, Outcome, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::{BOUND, Cluster, NatsServer, SUBJECT, TestService, eventually};

use crate::setup::{ended, quick, result_of, serve, slow};

/// A client at node 0 and a server at node 1. Both may reconnect to any node.
struct Setup {
    probe: ProbeClient,
    service: TestService,
    server: Server,
    cluster: Cluster,
}

impl Setup {
    async fn new() -> Self {
        let settings = NatsServer::builder()
            // The shortest times: NATS requires 30 s in total, and ends one or two clients at once.
            .config("lame_duck_grace_period: \"10ms\"")
            .config("lame_duck_duration: \"30s\"");
        let cluster = Cluster::start_with(&settings).unwrap();
        let service = TestService::default();
        let server = serve(at(&cluster, 1).await, &service, None).await;
        let nats = at(&cluster, 0).await;
        // Node 0 learns of the subscription at node 1 a moment later.
        let end = Instant::now() + BOUND;
        let probe = loop {
            match ProbeClient::connect(&nats, SUBJECT).await {
                Ok(probe) => break probe,
                Err(ConnectError::NoServer { .. }) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        Self { probe, service, server, cluster }
    }

    /// Makes calls until one succeeds. None hangs, and none runs twice.
    async fn until_served(&self, mut id: i32) {
        let end = Instant::now() + BOUND;
        loop {
            let result = result_of(quick(&self.probe, id)).await;
            assert!(self.service.runs(id) <= 1);
            if result == Ok(2 * id) {
                return;
            }
            assert!(Instant::now() < end, "{result:?}");
            id += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A connection to this node, which reconnects to another one if the node is gone.
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
async fn killing_a_node_of_neither_side_fails_no_call() {
    let mut it = Setup::new().await;
    let slow = slow(&it.probe, 1);
    it.service.until_runs(1).await;
    it.cluster.node_mut(2).stop();
    for id in 2..200 {
        assert_eq!(result_of(quick(&it.probe, id)).await, Ok(2 * id));
    }
    it.service.release(1000);
    assert_eq!(result_of(slow).await, Ok(2));
    assert_eq!(it.server.sessions(), 1);
}

#[tokio::test]
async fn client_reconnects_to_another_node_when_its_node_is_killed() {
    let mut it = Setup::new().await;
    let slow = slow(&it.probe, 1);
    it.service.until_runs(1).await;
    it.cluster.node_mut(0).stop();
    let (reason, outcome) = ended(result_of(slow).await);
    assert_eq!(reason, thrift_nats_runtime::CloseReason::Reconnected);
    assert_eq!(outcome, Outcome::Unknown);
    it.until_served(2).await;
}

#[tokio::test]
async fn server_reconnects_to_another_node_when_its_node_is_killed() {
    let mut it = Setup::new().await;
    let slow = slow(&it.probe, 1);
    it.service.until_runs(1).await;
    it.cluster.node_mut(1).stop();
    // The server says so when it has reconnected, or NATS does in reply to the next message.
    let (_, outcome) = ended(result_of(slow).await);
    assert_eq!(outcome, Outcome::Unknown);
    it.until_served(2).await;
    assert_eq!(it.service.runs(1), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn calls_continue_at_other_nodes_when_a_node_enters_lame_duck_mode() {
    for lame in [0, 1] {
        let it = Setup::new().await;
        it.cluster.node(lame).lame_duck().unwrap();
        // The node closes its connections one by one.
        let logged = || it.cluster.node(lame).log().contains("Closing existing clients");
        eventually("the node closes its connections", logged).await;
        let mut succeeded = 0;
        let end = Instant::now() + Duration::from_secs(5);
        for id in 1.. {
            let result = result_of(quick(&it.probe, id)).await;
            assert!(it.service.runs(id) <= 1);
            succeeded += usize::from(result == Ok(2 * id));
            let moved = it.cluster.node(lame).log().contains("Initiating Shutdown");
            if moved || Instant::now() > end {
                println!("node {lame}: {succeeded} of {id} calls succeeded");
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        it.until_served(1_000_000).await;
    }
}

/// Makes calls until `stop` is notified, and counts those that succeeded.
async fn calls_until(probe: &ProbeClient, succeeded: &AtomicUsize, stop: &tokio::sync::Notify) {
    let stopped = stop.notified();
    tokio::pin!(stopped);
    for id in 0.. {
        tokio::select! {
            result = probe.add(id, 1) => assert_eq!(result, Ok(id + 1)),
            () = &mut stopped => break,
        }
        succeeded.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn server_that_is_notified_of_lame_duck_mode_reconnects_without_a_failed_call() {
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
    let service = TestService::default();
    let moves = Server::builder(&connection, SUBJECT).lame_duck(&lame_duck);
    let moves = moves.serve(service.server()).await.unwrap();
    // A server without calls, on the same connection.
    let idle =
        Server::builder(&connection, "idle").lame_duck(&lame_duck).serve(service.server()).await.unwrap();
    let stays = Server::builder(&at(&cluster, 2).await, SUBJECT).serve(service.server()).await.unwrap();
    let nats = at(&cluster, 0).await;
    let mut clients = Vec::new();
    // Node 0 learns of the subscriptions a moment later. Each server is to have sessions.
    while moves.sessions() == 0 || stays.sessions() == 0 || clients.len() < 8 {
        match ProbeClient::connect(&nats, SUBJECT).await {
            Ok(client) => clients.push(client),
            Err(ConnectError::NoServer { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    let (succeeded, stop) = (AtomicUsize::new(0), tokio::sync::Notify::new());
    let load = clients.iter().map(|client| calls_until(client, &succeeded, &stop));
    let load = futures_util::future::join_all(load);
    let story = async {
        cluster.node(1).lame_duck().unwrap();
        let moved = || connection.statistics().connects.load(Ordering::SeqCst) == 2;
        eventually("the server is connected to another node", moved).await;
        assert!(
            !cluster.node(1).log().contains("Closing existing clients"),
            "the node did not close the connection"
        );
        // It serves at the other node.
        while moves.sessions() == 0 {
            let client = ProbeClient::connect(&nats, SUBJECT).await.unwrap();
            client.close().await.unwrap();
        }
        let since = succeeded.load(Ordering::SeqCst);
        let enough = || succeeded.load(Ordering::SeqCst) > since + 100;
        eventually("calls continue", enough).await;
        stop.notify_waiters();
    };
    tokio::time::timeout(BOUND, async { tokio::join!(load, story) }).await.unwrap();
    stays.stop().await.unwrap();
    moves.drain(BOUND).await.unwrap();
    ProbeClient::connect(&nats, "idle").await.unwrap().ping().await.unwrap();
    idle.stop().await.unwrap();
}
