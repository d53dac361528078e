//! Large messages, many at a time, and small calls beside them.

use std::time::{Duration, Instant};

use thrift_nats_runtime::Server;
use thrift_nats_tests::probe::{ProbeClient, Record};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService};
use tokio::task::JoinSet;

/// The bound for all large messages of a test. A busy machine needs long for them.
const BOUND: Duration = Duration::from_secs(240);
const MIB: usize = 1 << 20;

struct Setup {
    probe: ProbeClient,
    _server: Server,
    _nats: NatsServer,
}

impl Setup {
    async fn new() -> Self {
        let nats = NatsServer::start().unwrap();
        let server = TestService::default().serve(&nats, |server| server).await;
        let probe = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
        Self { probe, _server: server, _nats: nats }
    }
}

/// The limit of a session's queued replies is far below the sum of these.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_replies_at_a_time_all_arrive() {
    let it = Setup::new().await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        calls.spawn(it.probe.text(5_000_000).timeout(BOUND).into_future());
    }
    for result in calls.join_all().await {
        assert_eq!(result.map(|text| text.len()), Ok(5_000_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_large_echoes_at_a_time_all_return_and_calls_beside_them_complete() {
    echoes(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_large_echoes_at_a_time_all_return_and_calls_beside_them_complete() {
    echoes(8).await;
}

/// Echoes 20 MiB, `concurrency` at a time, twice each.
async fn echoes(concurrency: i32) {
    let it = Setup::new().await;
    let text = "x".repeat(20 * MIB);
    let mut echoes = JoinSet::new();
    for key in 0..concurrency {
        let (probe, record) = (it.probe.clone(), Record { key, text: text.clone(), comment: None });
        echoes.spawn(async move {
            for _ in 0..2 {
                let echo = probe.echo(&record).timeout(BOUND).await?;
                // A comparison of the texts would take as long as the call.
                assert_eq!((echo.key, echo.text.len()), (key, record.text.len()));
            }
            Ok::<_, thrift_nats_runtime::Error>(())
        });
    }
    let mut pings = Vec::new();
    let mut failed = Vec::new();
    while !echoes.is_empty() {
        let made = Instant::now();
        assert_eq!(it.probe.ping().timeout(BOUND).await, Ok(()));
        pings.push(made.elapsed());
        while let Some(result) = echoes.try_join_next() {
            failed.extend(result.unwrap().err());
        }
    }
    pings.sort_unstable();
    let p99 = pings[pings.len() * 99 / 100];
    println!(
        "{} calls beside {concurrency} echoes: median {:?}, p99 {p99:?}",
        pings.len(),
        pings[pings.len() / 2]
    );
    assert!(failed.is_empty(), "{} of {concurrency} failed: {failed:?}", failed.len());
}
