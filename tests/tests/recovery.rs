//! Many sessions of one process after a restart of NATS: how long it takes until all of them are open again.
//!
//! A measurement, which needs a machine of its own. `RECOVERY_SESSIONS` sets the number of sessions (default 20,000):
//! `RECOVERY_SESSIONS=100000 cargo test --release -p thrift-nats-tests --test recovery -- --ignored --nocapture`
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]
#![expect(clippy::print_stdout, reason = "the measurement is printed")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use thrift_nats_runtime::{Client, Error, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::{NatsServer, SUBJECT, TestService};

/// Set in the process that serves: the URL of the NATS server.
const SERVE: &str = "RECOVERY_SERVE";
/// The timeout of each call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time within which all sessions have to be open again.
const WITHIN: Duration = Duration::from_secs(10);
/// The time after which the measurement ends with those that are open.
const LONGEST: Duration = Duration::from_secs(120);

/// A process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sessions() -> usize {
    std::env::var("RECOVERY_SESSIONS").map_or(20_000, |sessions| sessions.parse().unwrap())
}

/// The server's part, in a process of its own. Without the variable it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of the measurement"]
async fn serve() {
    let Ok(url) = std::env::var(SERVE) else { return };
    let nats = async_nats::connect(url).await.unwrap();
    let server = Server::builder(&nats, SUBJECT).serve(TestService::default().server()).await.unwrap();
    panic!("{}", server.failed().await);
}

/// What the calls of one client have seen after the restart.
struct Returned {
    /// Its session stays open until all are back.
    client: Client,
    after: Duration,
    failures: Vec<String>,
    /// The longest time by which a call ended after its deadline.
    late: Duration,
}

async fn returned(client: Client, since: Instant) -> Returned {
    let probe = ProbeClient::new(client.clone());
    let (mut failures, mut late) = (Vec::new(), Duration::ZERO);
    while since.elapsed() < LONGEST {
        let start = Instant::now();
        let result = probe.add(1, 2).timeout(TIMEOUT).idempotent().await;
        late = late.max(start.elapsed().saturating_sub(TIMEOUT));
        match result {
            Ok(_) => break,
            Err(error @ Error::SessionEnded { .. }) => failures.push(error.to_string()),
            Err(error) => failures.push(error.kind().to_owned()),
        }
    }
    Returned { client, after: since.elapsed(), failures, late }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, which needs the whole machine"]
async fn sessions_are_back_within_ten_seconds_after_a_restart_of_nats() {
    let sessions = sessions();
    let mut nats = NatsServer::start().unwrap();
    let mut serve = Command::new(std::env::current_exe().unwrap());
    serve.args(["--ignored", "--exact", "serve"]).env(SERVE, nats.url()).stdout(Stdio::null());
    let _server = Process(serve.spawn().unwrap());
    let connection = nats.client().await.unwrap();
    while let Err(error) = Client::connect(&connection, SUBJECT).await {
        assert_eq!(error.kind(), "no_server");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let start = Instant::now();
    let connects = (0..sessions).map(|_| tokio::spawn(Client::builder(&connection, SUBJECT).connect()));
    let mut connected = Vec::new();
    let mut failed = BTreeMap::<String, usize>::new();
    for client in join_all(connects).await {
        match client.unwrap() {
            Ok(client) => connected.push(client),
            Err(error) => *failed.entry(error.to_string()).or_default() += 1,
        }
    }
    println!("{sessions} connects at once: {:.1?}; failed: {failed:?}", start.elapsed());

    nats.restart().unwrap();
    let since = Instant::now();
    let tasks = connected.into_iter().map(|client| tokio::spawn(returned(client, since)));
    let mut tasks: FuturesUnordered<_> = tasks.collect();
    let (mut after, mut late, mut clients) = (Vec::new(), Duration::ZERO, Vec::new());
    let mut failed = BTreeMap::<String, usize>::new();
    while let Some(task) = tasks.next().await {
        let returned = task.unwrap();
        after.push(returned.after);
        late = late.max(returned.late);
        for failure in returned.failures {
            *failed.entry(failure).or_default() += 1;
        }
        clients.push(returned.client);
    }
    after.sort_unstable();
    let at = |percent: usize| after.get((after.len() * percent / 100).min(after.len().saturating_sub(1)));
    let tenths: Vec<_> = (0..=10).map(|tenth| at(10 * tenth).map_or(0.0, Duration::as_secs_f64)).collect();
    println!("back, by tenths of the clients: {tenths:.1?} s");
    println!("latest end of a call after its deadline: {late:.1?}; failed calls: {failed:?}");
    assert!(after.last().is_some_and(|last| *last <= WITHIN), "{:?}", after.last());
}
