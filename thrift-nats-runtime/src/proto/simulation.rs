//! A client's and a server's session, joined over a simulated NATS in simulated time.
//!
//! The simulation does step by step what `client` and `server` do with tasks: it performs the next step that is due, then
//! both sides publish all their messages. Every random choice comes from the seed, so that a seed that fails can be run
//! alone.
//!
//! [`network`] is the simulated NATS, which carries messages between the parties. [`client_process`] and [`server_process`]
//! own the sessions. A message of no session is put into the network with `inject`. All other files are tests.

mod bad_input;
mod calls;
mod client_closes;
mod client_process;
mod faults;
mod heartbeats;
mod hostile;
mod legacy;
mod messages;
mod network;
mod opening;
mod peer_gone;
mod reasons;
mod server;
mod server_process;
mod server_stops;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use self::client_process::{CallState, MadeCall};
use self::messages::{message, message_in, parse, payload, unframed};
use self::network::{InTransit, Published};
use self::server_process::SimulatedSession;
use self::setup::{Network, Random, Setup, any_format, nothing};
use super::outbound::Outbound;
use super::subject::{Kind, Tail};
use super::*;
use crate::format::{ServedFormats, WireFormat};
use crate::protocol::MessageType;

/// The subject that the server listens on.
const SERVICE: &str = "service";
/// The client's inbox: the base of its process, and the token of its session.
const INBOX: &str = "client.session";
/// The client's handshake timeout.
const HANDSHAKE_TIMEOUT: Duration = ms(1000);
/// The timeout that the client announces for its calls.
const CALL_TIMEOUT: Duration = ms(10_000);
/// The time within which the server has to answer a probe.
const LIVENESS_TIMEOUT: Duration = ms(1000);
/// The memory of all sessions of a side, in bytes.
const MEMORY_LIMIT: usize = 1 << 30;
/// The queue limit of both sides, in bytes.
const QUEUE_LIMIT: usize = 64 << 20;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A process on the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Party {
    Client,
    Server,
}

impl Party {
    /// The party with a subscription for `subject`. `DISCONNECT`, the reply subject of a disconnect message, has none.
    fn of(subject: &str) -> Option<Self> {
        if subject == SERVICE || subject.starts_with("server.") {
            Some(Self::Server)
        } else if subject.starts_with("client.") {
            Some(Self::Client)
        } else {
            None
        }
    }
}

#[derive(Debug)]
enum PlannedStep {
    Deliver(InTransit),
    /// A handler of the session `token` completes.
    Finish {
        token: String,
        seqid: i32,
        reply: Vec<u8>,
    },
    /// The client makes a call with a payload of `len` bytes.
    Call {
        len: usize,
        oneway: bool,
        timeout: Option<Duration>,
    },
    /// The caller cancels the call.
    Cancel {
        id: usize,
    },
}

struct Simulation {
    base: Instant,
    now: Duration,
    setup: Setup,
    random: Random,
    agenda: BTreeMap<(Duration, u64), PlannedStep>,
    planned: u64,
    /// The time at which the last message in order arrives, by its receiver.
    last_arrival: BTreeMap<Party, Duration>,
    published: Vec<Published>,

    client: ClientSession<usize>,
    client_runs: bool,
    /// Whether the client's timers stand still.
    client_stalls: bool,
    opened: Option<Duration>,
    ended: Option<(Duration, CloseReason)>,
    calls: Vec<MadeCall>,

    server_runs: bool,
    listening: bool,
    sessions: BTreeMap<String, SimulatedSession>,
    server_ended: Vec<(Duration, CloseReason)>,
    /// The calls whose requests were run.
    ran: BTreeSet<usize>,
    /// The same, in the order in which they were run.
    order: Vec<usize>,
}

impl Simulation {
    /// A client that sends its handshake, and a server that listens.
    fn new(setup: Setup) -> Self {
        let base = Instant::now();
        let mut client = open(base, setup.client_config());
        client.set_pace(setup.pace);
        Self {
            base,
            now: Duration::ZERO,
            random: Random(setup.seed),
            setup,
            agenda: BTreeMap::new(),
            planned: 0,
            last_arrival: BTreeMap::new(),
            published: Vec::new(),
            client,
            client_runs: true,
            client_stalls: false,
            opened: None,
            ended: None,
            calls: Vec::new(),
            server_runs: true,
            listening: true,
            sessions: BTreeMap::new(),
            server_ended: Vec::new(),
            ran: BTreeSet::new(),
            order: Vec::new(),
        }
    }

    /// The same, run until the session is open and no message is in transit.
    fn opened(setup: Setup) -> Self {
        let mut simulation = Self::new(setup);
        simulation.run_for(HANDSHAKE_TIMEOUT / 2);
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
        simulation
    }

    fn instant(&self) -> Instant {
        self.base + self.now
    }

    fn plan(&mut self, at: Duration, step: PlannedStep) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), step);
    }

    // Time.

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Performs all steps that are due up to and including `end`.
    fn run_until(&mut self, end: Duration) {
        self.publish();
        let mut at_once = 0;
        loop {
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timer = self.next_timeout();
            let Some(next) = agenda.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            // A timer that is due again at once would never end.
            at_once = if next == self.now { at_once + 1 } else { 0 };
            assert!(next >= self.now && at_once < 100_000, "time stands still at {:?}", self.now);
            self.now = next;
            match self.agenda.first_entry().filter(|entry| entry.key().0 == next) {
                Some(entry) => {
                    let step = entry.remove();
                    self.perform(step);
                }
                None => self.on_timeout(),
            }
            self.publish();
        }
        self.now = end;
    }

    fn next_timeout(&self) -> Option<Duration> {
        let has_timers = self.client_runs && !self.client_stalls;
        let client = has_timers.then(|| self.client.poll_timeout()).flatten();
        let sessions = self.sessions.values().filter(|_| self.server_runs);
        let server = sessions.filter_map(|session| session.session.poll_timeout()).min();
        client.into_iter().chain(server).min().map(|at| at - self.base)
    }

    fn on_timeout(&mut self) {
        let now = self.instant();
        if self.client_runs && !self.client_stalls {
            self.client.handle_timeout(now);
            self.client_events();
        }
        let tokens: Vec<_> = self.sessions.keys().filter(|_| self.server_runs).cloned().collect();
        for token in tokens {
            self.server_input(&token, |session| session.handle_timeout(now));
        }
    }

    fn perform(&mut self, step: PlannedStep) {
        match step {
            PlannedStep::Deliver(message) => self.arrive(message),
            PlannedStep::Finish { token, seqid, reply } => {
                // A cancelled call does not complete.
                let session = self.sessions.get_mut(&token).filter(|_| self.server_runs);
                if let Some(key) = session.and_then(|session| session.running.remove(&seqid)) {
                    self.server_input(&token, |session| session.finish(key, reply));
                }
            }
            PlannedStep::Call { len, oneway, timeout } => {
                if self.client.is_open() {
                    self.make_call_within(len, oneway, timeout);
                }
            }
            PlannedStep::Cancel { id } => self.cancel_call(id),
        }
    }
}

fn slow() -> Setup {
    Setup { handler: ms(50)..=ms(50), ..Setup::new() }
}

fn disconnected(reason: PeerReason, acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(reason), acknowledged: Some(acknowledged) }
}

/// A session with many calls of all sizes, some of which have completed.
fn in_the_middle(seed: u64) -> Simulation {
    let mut random = Random(!seed);
    let mut simulation = Simulation::opened(Setup {
        seed,
        network: Network::sound(ms(0)..=ms(random.within(0..=20))),
        chunk_limit: random.one_of(&[16, 64, 333, 65_536]) as usize,
        handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
        interval: Some(ms(100)),
        legacy: false,
        format: any_format(&mut random),
        pace: Duration::ZERO,
    });
    for _ in 0..random.within(1..=20) {
        let at = simulation.now + ms(5 * random.within(0..=30));
        let len = random.one_of(&[0, 20, 100, 500]) as usize;
        simulation.plan(at, PlannedStep::Call { len, oneway: false, timeout: None });
    }
    simulation.run_for(ms(random.within(1..=200)));
    simulation
}

/// A client that opens a session.
fn open<W>(now: Instant, config: ClientConfig) -> ClientSession<W> {
    ClientSession::open(now, SERVICE.into(), INBOX.into(), Arc::new(config))
}

/// The accept of a server of this crate, or of a legacy server.
fn accept_of_server(legacy: bool) -> Incoming {
    Incoming {
        reply: Some("server.s0".into()),
        additions: (!legacy).then_some(Additions::OWN),
        payload: "server.s0.h 0".into(),
        ..Incoming::default()
    }
}

/// The announcement of a client of this crate.
fn ours() -> Announced {
    Announced { additions: Some(Additions::OWN), ..Announced::default() }
}

/// A session of a server that has just accepted a client.
fn accepted(legacy: bool) -> ServerSession<i32> {
    let announced = if legacy { Announced::default() } else { ours() };
    let config = Setup::new().server_config();
    ServerSession::accept(Instant::now(), INBOX.into(), "server.s0".into(), &announced, None, &config)
}

/// The requests that a session returns now, and the reason of its end, if it has ended.
fn poll(session: &mut ServerSession<i32>) -> (Vec<ReceivedRequest>, Option<CloseReason>) {
    let (mut requests, mut ended) = (Vec::new(), None);
    while let Some(event) = session.poll_event() {
        match event {
            ServerEvent::Requests(next) => requests.extend(next),
            ServerEvent::Confirmed => {}
            ServerEvent::Cancelled { task } => panic!("no call has the task {task}"),
            ServerEvent::Ended { reason } => assert_eq!(ended.replace(reason), None, "it ended twice"),
        }
    }
    (requests, ended)
}

/// The only request that a session returns now.
fn one_request(session: &mut ServerSession<i32>) -> ReceivedRequest {
    let (requests, _) = poll(session);
    let [request] = requests.try_into().expect("one request");
    request
}

/// Runs a test with many seeds, and says which one failed: `SIMULATION_SEED=<seed>` runs that one alone.
fn for_seeds(seeds: std::ops::Range<u64>, test: impl Fn(u64)) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with SIMULATION_SEED={}", self.0);
            }
        }
    }
    let seeds = match std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => seeds,
    };
    for seed in seeds {
        let _seed = Seed(seed);
        test(seed);
    }
}
