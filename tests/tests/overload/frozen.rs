//! Processes that are paused (SIGSTOP) and resumed (SIGCONT). Their connections to NATS stay open, so that NATS
//! never says that they are gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thrift_nats_runtime::{Client, Error, Outcome};
use thrift_nats_tests::oracle::Peer;
use thrift_nats_tests::{BOUND, NEVER, NatsServer, soon};
use tokio::task::JoinSet;

use crate::api::oracle::OracleClient;

const SUBJECT: &str = "oracle";
/// The timeout of an idempotent call.
const DEADLINE: Duration = Duration::from_secs(5);
const CLIENTS: usize = 12;
const POLL: Duration = Duration::from_millis(10);

/// Three servers, each a process, and clients with one session each.
struct Setup {
    nats: NatsServer,
    servers: Vec<Peer>,
    clients: Vec<OracleClient>,
    folder: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let (nats, folder) = (NatsServer::start().unwrap(), tempfile::tempdir().unwrap());
        let program = Path::new(env!("CARGO_BIN_EXE_oracle"));
        let start = |number: usize| {
            Peer::server(program, &[nats.url()], &folder.path().join(format!("runs-{number}"))).unwrap()
        };
        let servers = (0..3).map(start).collect();
        let mut setup = Self { nats, servers, clients: Vec::new(), folder };
        for _ in 0..CLIENTS {
            let client = Client::connect(&setup.nats.client().await.unwrap(), SUBJECT).await.unwrap();
            setup.clients.push(OracleClient::new(client));
        }
        setup
    }

    /// The number of sessions of each server that runs.
    fn sessions(&mut self, servers: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let count = |server: usize| {
            self.servers[server].tell("sessions").unwrap();
            self.servers[server].next_line().unwrap().parse().unwrap()
        };
        servers.into_iter().map(count).collect()
    }

    /// Pauses the server with the most sessions. Returns its number, and that of its sessions.
    fn freeze(&mut self) -> (usize, usize) {
        let sessions = self.sessions(0..3);
        let (server, most) = sessions.into_iter().enumerate().max_by_key(|(_, sessions)| *sessions).unwrap();
        self.servers[server].pause().unwrap();
        (server, most)
    }

    /// The number of runs of each call.
    fn runs(&self) -> BTreeMap<i64, usize> {
        let mut runs = BTreeMap::new();
        for server in 0..3 {
            let text = fs::read_to_string(self.folder.path().join(format!("runs-{server}"))).unwrap();
            for id in text.lines() {
                *runs.entry(id.parse().unwrap()).or_default() += 1;
            }
        }
        runs
    }

    /// Makes calls that must not run twice, ten at every client. All succeed.
    async fn call_all(&self, first: i64) {
        let calls = (first..).zip(self.clients.iter().cycle()).take(10 * CLIENTS);
        let mut made = JoinSet::new();
        for (id, client) in calls {
            let call = client.make(id, 0).timeout(BOUND);
            made.spawn(async move { call.await.map(|parcel| parcel.id == id) });
        }
        for result in soon(made.join_all()).await {
            assert_eq!(result, Ok(true));
        }
    }
}

#[tokio::test]
async fn idempotent_calls_do_not_fail_while_one_of_three_servers_is_frozen() {
    let mut it = Setup::new().await;
    let (_, sessions) = it.freeze();
    let mut calls = JoinSet::new();
    for (id, client) in (0..).zip(it.clients.iter().cycle()).take(20 * CLIENTS) {
        let call = client.make(id, 0).timeout(DEADLINE).idempotent();
        calls.spawn(async move {
            let made = Instant::now();
            (call.await.map(|parcel| parcel.id == id), made.elapsed())
        });
    }
    let mut ended = soon(calls.join_all()).await;
    ended.sort_by_key(|(_, took)| *took);
    let failed = ended.iter().filter(|(result, _)| *result != Ok(true)).count();
    let longest = ended.last().unwrap().1;
    println!("{failed} of {} calls failed; {sessions} of {CLIENTS} sessions; {longest:?}", ended.len());
    assert_eq!(failed, 0, "{:?}", ended.last());
}

#[tokio::test]
async fn connects_succeed_while_one_of_three_servers_is_frozen() {
    let mut it = Setup::new().await;
    it.freeze();
    let mut connects = JoinSet::new();
    for _ in 0..16 {
        let nats = it.nats.client().await.unwrap();
        connects.spawn(async move { Client::connect(&nats, SUBJECT).await.map(drop) });
    }
    let ended = soon(connects.join_all()).await;
    let failed: Vec<_> = ended.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of 16: {failed:?}", failed.len());
}

#[tokio::test]
async fn call_on_a_server_that_freezes_ends_and_may_have_run() {
    let mut it = Setup::new().await;
    let mut calls = JoinSet::new();
    for (id, client) in (0..).zip(&it.clients) {
        calls.spawn(client.linger(id).timeout(NEVER).into_future());
    }
    let end = Instant::now() + BOUND;
    while it.runs().len() < CLIENTS {
        assert!(Instant::now() < end, "all calls run");
        tokio::time::sleep(POLL).await;
    }
    let (server, sessions) = it.freeze();
    let frozen = Instant::now();
    for _ in 0..sessions {
        let error = soon(calls.join_next()).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, Error::SessionEnded { outcome: Outcome::Unknown, .. }), "{error:?}");
        println!("after {:?}: {error}", frozen.elapsed());
    }
    assert_eq!(calls.len(), CLIENTS - sessions, "the calls on the other servers continue");
    it.servers[server].resume().unwrap();
    // Nothing runs twice, and the server that has been frozen serves as before.
    it.call_all(1000).await;
    assert_eq!(calls.try_join_next().map(|call| call.unwrap()), None);
    calls.abort_all();
    assert!(it.runs().values().all(|runs| *runs == 1), "{:?}", it.runs());
}

#[tokio::test]
async fn server_that_was_frozen_finds_its_sessions_ended() {
    let mut it = Setup::new().await;
    let (server, _) = it.freeze();
    // Every client notices it by a call, and opens another session.
    for (id, client) in (0..).zip(&it.clients) {
        let parcel = client.make(id, 0).timeout(DEADLINE).idempotent().await;
        assert_eq!(parcel.map(|parcel| parcel.id), Ok(id));
    }
    let others: Vec<_> = (0..3).filter(|other| *other != server).collect();
    assert_eq!(it.sessions(others).iter().sum::<usize>(), CLIENTS);
    it.servers[server].resume().unwrap();
    let end = Instant::now() + BOUND;
    while it.sessions([server]) != [0] {
        assert!(Instant::now() < end, "the server ends its sessions");
        tokio::time::sleep(POLL).await;
    }
    it.call_all(1000).await;
    assert_eq!(it.sessions(0..3).iter().sum::<usize>(), CLIENTS, "no client has lost its new session");
}

#[tokio::test]
async fn client_that_was_frozen_makes_calls_again_and_harms_no_other() {
    let mut it = Setup::new().await;
    let notes = it.folder.path().join("ended").display().to_string();
    let arguments = [
        ["--nats", &it.nats.url()],
        ["--notes", &notes],
        ["--first", "1000000"],
        ["--calls", "1000000"],
        ["--concurrency", "16"],
        ["--at-least", "600000"],
    ];
    let arguments: Vec<_> = ["call"].into_iter().chain(arguments.concat()).map(str::to_owned).collect();
    let mut client = Peer::start(Path::new(env!("CARGO_BIN_EXE_oracle")), &arguments).unwrap();
    client.pause().unwrap();
    // The servers notice the missing heartbeats, while others call.
    let (end, mut first) = (Instant::now() + BOUND, 0);
    while it.sessions(0..3).iter().sum::<usize>() > CLIENTS {
        assert!(Instant::now() < end, "the servers end the sessions of the frozen client");
        it.call_all(first).await;
        first += 1000;
    }
    client.resume().unwrap();
    client.tell("recover").unwrap();
    assert!(client.until_ended().unwrap().success());
    it.call_all(first).await;
}
