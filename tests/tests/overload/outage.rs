//! An outage of NATS with calls in flight.

use std::time::Duration;

use thrift_nats_runtime::{Client, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::proxy::{Action, Direction, Proxy, Rule};
use thrift_nats_tests::{NEVER, NatsServer, SUBJECT, TestService, eventually, soon};
use tokio::task::JoinSet;

const CLIENTS: usize = 20;
/// Far less than what clients that probe every 25 ms would send.
const OUTAGE: Duration = Duration::from_secs(3);

/// A client that probes without a connection leaves its probes in the buffer of the connection.
#[tokio::test]
async fn no_stale_probes_arrive_after_an_outage() {
    let mut nats = NatsServer::start().unwrap();
    let (service, proxy) = (TestService::default(), Proxy::start(&nats.url()).await.unwrap());
    let connection = |url: String| async move {
        let options = async_nats::ConnectOptions::new();
        options.reconnect_delay_callback(|_| Duration::from_millis(5)).connect(url).await.unwrap()
    };
    let server = Server::builder(&connection(nats.url()).await, SUBJECT);
    let _server = server.serve(service.server()).await.unwrap();
    let mut probes = Vec::new();
    for _ in 0..CLIENTS {
        let client = Client::connect(&connection(proxy.url()).await, SUBJECT).await.unwrap();
        probes.push(ProbeClient::new(client));
    }
    let mut calls = JoinSet::new();
    for (id, probe) in (0..).zip(&probes) {
        calls.spawn(probe.wait(id).timeout(NEVER).into_future());
    }
    eventually("all calls run", || service.waiting() == CLIENTS).await;
    nats.stop();
    let sent = proxy.add(Rule::on(Direction::ToServer), Action::Count);
    // The outage itself.
    tokio::time::sleep(OUTAGE).await;
    nats.restart().unwrap();
    // All calls end, because their connections were lost.
    for result in soon(calls.join_all()).await {
        assert!(result.is_err());
    }
    // Each client has a session again. What it had buffered has arrived before.
    for (id, probe) in (100..).zip(&probes) {
        let mut run = soon(probe.run(id).idempotent().timeout(NEVER)).await;
        while run.is_err() {
            run = soon(probe.run(id).idempotent().timeout(NEVER)).await;
        }
        assert_eq!(run, Ok(2 * id));
    }
    println!("{CLIENTS} clients have sent {} messages after the outage", sent.applied());
    // A handshake, a request and a few messages about each session that has ended.
    assert!(sent.applied() < 10 * CLIENTS as u64, "{}", sent.applied());
}
