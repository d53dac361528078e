//! Starts NATS servers, servers and clients, and injects faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::block_in_place;

use super::BoxError;
use super::peer::Peer;
use super::plan::{Fault, LONGEST_PAUSE};
use super::verdict::{Events, Report};
use crate::cluster::Cluster;
use crate::nats_server::NatsServer;
use crate::proxy::random::Random;
use crate::proxy::{Action, Direction, Proxy, Rule};

const SERVERS: usize = 3;
const CLIENTS: usize = 2;
/// The numbers of a client for calls besides those that it is started with.
const SPARE: u64 = 1 << 24;
/// The pause between two faults.
const CALM: Duration = Duration::from_millis(300);
/// The interval at which the drive checks whether the calls are made.
const LOOK: Duration = Duration::from_millis(20);

/// The options of a drive.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// The program that runs servers and clients. It calls [`serve`](super::serve()) or [`call`](super::call()).
    pub program: PathBuf,
    /// The number of calls in total.
    pub calls: u64,
    /// The number of concurrent calls of a client.
    pub concurrency: usize,
    /// The shortest time for the calls of one fault, so that the fault happens more than once.
    pub at_least: Duration,
    /// The faults, one after the other. Each gets an equal share of the calls.
    pub faults: Vec<Fault>,
    /// The seed of random choices.
    pub seed: u64,
}

/// Makes the calls and returns a report.
///
/// # Errors
/// If a process does not start or does not exit.
///
/// # Panics
/// Outside of a runtime with several threads.
pub async fn drive(options: DriveOptions) -> Result<Report, BoxError> {
    let mut report = Report::default();
    let share = options.calls.div_ceil(options.faults.len().max(1) as u64);
    let mut left = options.calls;
    for (number, fault) in options.faults.iter().enumerate() {
        // The last one gets the remainder.
        let last = number + 1 == options.faults.len();
        let calls = fault.calls(if last { left } else { share });
        left = left.saturating_sub(calls);
        let folder = tempfile::Builder::new().prefix("oracle-").tempdir()?;
        let mut phase = Phase::start(&options, number as u64, calls, *fault, &folder).await?;
        let begun = Instant::now();
        phase.run().await.map_err(|error| format!("{fault}: {error}"))?;
        let took = begun.elapsed();
        let events = phase.end().await.map_err(|error| format!("{fault}: {error}"))?;
        report.add(*fault, folder.path(), took, events)?;
    }
    Ok(report)
}

/// A client that makes calls.
struct Caller {
    peer: Peer,
    notes: PathBuf,
    calls: u64,
    at_least: Duration,
    /// Whether it has made its calls.
    made: bool,
}

/// The processes of one fault.
struct Phase<'a> {
    options: &'a DriveOptions,
    fault: Fault,
    folder: &'a Path,
    random: Random,
    cluster: Cluster,
    /// The proxies of the clients.
    proxies: Vec<Proxy>,
    servers: Vec<Peer>,
    clients: Vec<Caller>,
    /// The next unassigned number of a call.
    next_id: u64,
    /// The number of processes so far.
    processes: u64,
    /// The number of times the fault has happened.
    round: usize,
    /// The events so far, for the report.
    events: Events,
}

impl<'a> Phase<'a> {
    async fn start(
        options: &'a DriveOptions,
        number: u64,
        calls: u64,
        fault: Fault,
        folder: &'a TempDir,
    ) -> Result<Self, BoxError> {
        let mut settings = NatsServer::builder();
        if fault == Fault::SlowConsumer {
            // So that NATS notices within a second. Otherwise a busy machine would make slow consumers of others.
            settings = settings.config("write_deadline: \"500ms\"").config("max_pending: 4000000");
        }
        let cluster = block_in_place(|| Cluster::start_with(&settings))?;
        let mut proxies = Vec::new();
        for client in 0..CLIENTS {
            let url = cluster.node(client % cluster.len()).url();
            proxies.push(Proxy::with_seed(&url, options.seed.wrapping_add(number)).await?);
        }
        let mut phase = Self {
            options,
            fault,
            folder: folder.path(),
            random: Random::new(options.seed.wrapping_add(number << 32)),
            cluster,
            proxies,
            servers: Vec::new(),
            clients: Vec::new(),
            next_id: number << 40,
            processes: 0,
            round: 0,
            events: Events::default(),
        };
        for server in 0..SERVERS {
            let peer = phase.start_server(server)?;
            phase.servers.push(peer);
        }
        for client in 0..CLIENTS {
            let at_least = fault.at_least(options.at_least);
            let caller = phase.start_client(client, calls.div_ceil(CLIENTS as u64), at_least)?;
            phase.clients.push(caller);
        }
        Ok(phase)
    }

    fn notes(&mut self, what: &str) -> PathBuf {
        self.processes += 1;
        self.folder.join(format!("{what}-{}", self.processes))
    }

    /// A server that connects to this node first, and to the others after a fault.
    fn start_server(&mut self, node: usize) -> Result<Peer, BoxError> {
        let mut urls = self.cluster.urls();
        let nodes = urls.len();
        urls.rotate_left(node % nodes);
        let notes = self.notes("runs");
        block_in_place(|| Peer::server(&self.options.program, &urls, &notes))
    }

    /// A client on its proxy, with its number of calls.
    fn start_client(&mut self, client: usize, calls: u64, at_least: Duration) -> Result<Caller, BoxError> {
        let first = self.next_id | self.fault.bits(client);
        self.next_id += calls + SPARE;
        let notes = self.notes("ended");
        let arguments = [
            ("--nats", self.proxies[client].url()),
            ("--notes", notes.display().to_string()),
            ("--first", first.to_string()),
            ("--calls", calls.to_string()),
            ("--concurrency", self.options.concurrency.to_string()),
            ("--at-least", at_least.as_millis().to_string()),
        ];
        let peer = self.start_peer("call", arguments)?;
        Ok(Caller { peer, notes, calls, at_least, made: false })
    }

    fn start_peer<const N: usize>(
        &self,
        role: &str,
        arguments: [(&str, String); N],
    ) -> Result<Peer, BoxError> {
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let arguments: Vec<String> = [role.to_owned()].into_iter().chain(arguments).collect();
        block_in_place(|| Peer::start(&self.options.program, &arguments))
    }

    /// Repeats the fault until all calls are made.
    async fn run(&mut self) -> Result<(), BoxError> {
        if self.fault == Fault::ChunksDropped {
            for proxy in &self.proxies {
                for direction in [Direction::ToServer, Direction::ToClient] {
                    proxy.add(Rule::on(direction).probability(0.01), Action::Drop);
                }
            }
        }
        while self.still_calls()? {
            let calm = Instant::now() + CALM;
            while self.still_calls()? && Instant::now() < calm {
                tokio::time::sleep(LOOK).await;
            }
            if self.still_calls()? {
                self.happen().await?;
                self.round += 1;
            }
        }
        Ok(())
    }

    /// Whether a client still makes calls. An error if a client has failed.
    fn still_calls(&mut self) -> Result<bool, BoxError> {
        for client in &mut self.clients {
            if let Some(status) = client.peer.ended()? {
                return Err(format!("a client has ended with {status}").into());
            }
            client.made |= client.peer.try_line().is_some_and(|line| line == "made");
        }
        Ok(self.clients.iter().any(|client| !client.made))
    }

    fn count(&mut self, event: &'static str, times: u64) {
        *self.events.entry(event).or_default() += times;
    }

    async fn happen(&mut self) -> Result<(), BoxError> {
        match self.fault {
            Fault::None | Fault::ChunksDropped | Fault::LargeMessages => Ok(()),
            Fault::RollingRestart => self.replace_server(true),
            Fault::ServerKilled => self.replace_server(false),
            Fault::ClientKilled => self.replace_client(),
            Fault::ServersPaused => self.pause_server().await,
            Fault::ClientsPaused => self.pause_client().await,
            Fault::Flood => self.flood(),
            Fault::CancelStorm => {
                let (client, calls) = (self.round % CLIENTS, self.between(2000, 6000));
                self.clients[client].peer.tell(&format!("storm {calls}"))?;
                self.count("calls dropped at once", calls);
                tokio::time::sleep(2 * CALM).await;
                Ok(())
            }
            Fault::SlowConsumer => {
                let proxy = &self.proxies[self.round % self.proxies.len()];
                proxy.stall(Direction::ToClient);
                tokio::time::sleep(4 * CALM).await;
                proxy.go_on(Direction::ToClient);
                self.count("pauses of reading", 1);
                Ok(())
            }
            Fault::NodeKilled => {
                let node = self.round % self.cluster.len();
                // The client follows its proxy.
                let other = self.cluster.node((node + 1) % self.cluster.len()).url();
                block_in_place(|| self.cluster.node_mut(node).stop());
                let gone = self.cluster.node(node).url();
                for proxy in &self.proxies {
                    proxy.retarget_from(&gone, &other);
                }
                tokio::time::sleep(CALM).await;
                block_in_place(|| {
                    self.cluster.node_mut(node).restart()?;
                    self.cluster.until_joined()
                })?;
                self.count("restarts of a NATS server", 1);
                Ok(())
            }
            Fault::NatsRestarted => {
                block_in_place(|| {
                    (0..self.cluster.len()).for_each(|node| self.cluster.node_mut(node).stop());
                    (0..self.cluster.len()).try_for_each(|node| self.cluster.node_mut(node).restart())?;
                    self.cluster.until_joined()
                })?;
                self.count("restarts of all NATS servers", 1);
                Ok(())
            }
        }
    }

    /// Replaces a server. Either drains it after its successor has started, or kills it before.
    fn replace_server(&mut self, drained: bool) -> Result<(), BoxError> {
        let place = self.round % self.servers.len();
        let mut old = self.servers.remove(place);
        if drained {
            let new = self.start_server(place)?;
            self.servers.insert(place, new);
            old.tell("drain")?;
            let status = block_in_place(|| old.until_ended())?;
            if !status.success() {
                return Err(format!("a server that was drained has ended with {status}").into());
            }
        } else {
            old.kill()?;
            let new = self.start_server(place)?;
            self.servers.insert(place, new);
        }
        self.count(if drained { "servers drained" } else { "servers killed" }, 1);
        Ok(())
    }

    /// Kills the first client. Another one makes the remaining calls.
    fn replace_client(&mut self) -> Result<(), BoxError> {
        let old = self.clients.remove(0);
        // A client that has made its calls is replaced, too, so that the other one has the same faults until its end.
        old.peer.kill()?;
        let made = fs::read_to_string(old.notes)?.lines().count() as u64;
        let left = old.calls.saturating_sub(made.max(1)).max(1);
        let at_least = old.at_least.mul_f64(left as f64 / old.calls as f64);
        let new = self.start_client(0, left, at_least)?;
        self.clients.insert(0, new);
        self.count("clients killed", 1);
        Ok(())
    }

    /// Pauses a server. Some pauses are longer than the timeout of an idempotent call.
    async fn pause_server(&mut self) -> Result<(), BoxError> {
        let long = self.round.is_multiple_of(2);
        let millis = if long { self.between(5500, 7000) } else { self.between(200, 3000) };
        let server = &self.servers[self.round % SERVERS];
        pause(server, Duration::from_millis(millis)).await?;
        self.count("pauses of a server", 1);
        Ok(())
    }

    /// Pauses the first client.
    async fn pause_client(&mut self) -> Result<(), BoxError> {
        let millis = self.between(200, LONGEST_PAUSE.as_millis() as u64);
        pause(&self.clients[0].peer, Duration::from_millis(millis)).await?;
        self.count("pauses of a client", 1);
        Ok(())
    }

    /// Runs a client that floods the servers, and waits until it ends.
    fn flood(&mut self) -> Result<(), BoxError> {
        // So that a short run also has servers that are not optimized.
        let count = self.between(self.options.calls / 10, self.options.calls / 5 + 1);
        let (urls, first) = (self.cluster.urls().join(","), self.next_id);
        self.next_id += count;
        let arguments = [
            ("--nats", urls),
            ("--notes", self.notes("ended").display().to_string()),
            ("--first", first.to_string()),
            ("--count", count.to_string()),
        ];
        let mut peer = self.start_peer("flood", arguments)?;
        let line = block_in_place(|| peer.next_line())?;
        let counts: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [handshakes, messages, calls] = counts[..] else {
            return Err(format!("a flood prints `{line}`, and not three numbers").into());
        };
        self.count("handshakes of a flood", handshakes);
        self.count("messages of one byte of a flood", messages);
        self.count("calls of a flood", calls);
        let status = block_in_place(|| peer.until_ended())?;
        if status.success() { Ok(()) } else { Err(format!("a flood has ended with {status}").into()) }
    }

    /// A random number in this range.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.random.next() % (high - low)
    }

    /// Ends the fault. Then the calls of all clients must succeed, and all servers must drain. Returns the events.
    async fn end(mut self) -> Result<Events, BoxError> {
        for proxy in &self.proxies {
            proxy.clear();
        }
        for client in &mut self.clients {
            client.peer.tell("recover")?;
        }
        for client in &mut self.clients {
            let status = block_in_place(|| client.peer.until_ended())?;
            if !status.success() {
                return Err(format!("a client has not recovered and has ended with {status}").into());
            }
        }
        for server in &mut self.servers {
            server.tell("drain")?;
        }
        for server in &mut self.servers {
            let status = block_in_place(|| server.until_ended())?;
            if !status.success() {
                return Err(format!("a server that was drained has ended with {status}").into());
            }
        }
        let nodes = (0..self.cluster.len()).map(|node| self.cluster.node(node));
        let slow: usize = nodes.map(|node| node.log().matches("Slow Consumer").count()).sum();
        self.count("connections ended by NATS as slow consumers", slow as u64);
        Ok(self.events)
    }
}

/// Pauses a process for this time.
#[cfg(unix)]
async fn pause(peer: &Peer, time: Duration) -> Result<(), BoxError> {
    block_in_place(|| peer.pause())?;
    tokio::time::sleep(time).await;
    Ok(peer.resume()?)
}

#[cfg(not(unix))]
async fn pause(_: &Peer, _: Duration) -> Result<(), BoxError> {
    Err("processes are only paused on Unix".into())
}
