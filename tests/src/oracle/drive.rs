//! Starts NATS servers, servers and clients, and injects faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::block_in_place;

use super::BoxError;
use super::peer::Peer;
use super::plan::{Fault, HEAVY};
use super::verdict::Report;
use crate::cluster::Cluster;
use crate::nats_server::NatsServer;
use crate::proxy::{Action, Direction, Proxy, Rule};

const SERVERS: usize = 3;
const CLIENTS: usize = 2;
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
        let (calls, heavy) = fault.calls(if last { left } else { share });
        left = left.saturating_sub(calls);
        let folder = tempfile::Builder::new().prefix("oracle-").tempdir()?;
        let mut phase = Phase::start(&options, number as u64, calls, heavy, &folder).await?;
        let begun = Instant::now();
        phase.run(*fault).await?;
        let took = begun.elapsed();
        // Servers may still run calls that have expired.
        let slow_consumers = phase.end()?;
        report.add(*fault, folder.path(), took, slow_consumers)?;
    }
    Ok(report)
}

/// A client that makes calls.
struct Caller {
    peer: Peer,
    notes: PathBuf,
    calls: u64,
    at_least: Duration,
}

/// The processes of one fault.
struct Phase<'a> {
    options: &'a DriveOptions,
    folder: &'a Path,
    cluster: Cluster,
    /// The proxies of the clients.
    proxies: Vec<Proxy>,
    servers: Vec<Peer>,
    clients: Vec<Option<Caller>>,
    /// The next unassigned number of a call.
    next_id: u64,
    /// The number of processes so far.
    processes: u64,
    /// The number of times the fault has happened.
    round: usize,
}

impl<'a> Phase<'a> {
    async fn start(
        options: &'a DriveOptions,
        number: u64,
        calls: u64,
        heavy: bool,
        folder: &'a TempDir,
    ) -> Result<Self, BoxError> {
        // Few for a slow consumer, so that NATS does not close another connection as one.
        let pending = if heavy { 4_000_000 } else { 64_000_000 };
        let settings = NatsServer::builder()
            .config("write_deadline: \"500ms\"")
            .config(format_args!("max_pending: {pending}"));
        let cluster = block_in_place(|| Cluster::start_with(&settings))?;
        let mut proxies = Vec::new();
        for client in 0..CLIENTS {
            let url = cluster.node(client % cluster.len()).url();
            proxies.push(Proxy::with_seed(&url, options.seed.wrapping_add(number)).await?);
        }
        let mut phase = Self {
            options,
            folder: folder.path(),
            cluster,
            proxies,
            servers: Vec::new(),
            clients: Vec::new(),
            next_id: (number << 40) | if heavy { HEAVY } else { 0 },
            processes: 0,
            round: 0,
        };
        for server in 0..SERVERS {
            let peer = phase.start_server(server)?;
            phase.servers.push(peer);
        }
        for client in 0..CLIENTS {
            let caller = phase.start_client(client, calls.div_ceil(CLIENTS as u64), options.at_least)?;
            phase.clients.push(Some(caller));
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
        let notes = self.notes("runs").display().to_string();
        let arguments = ["serve", "--nats", &urls.join(","), "--notes", &notes].map(str::to_owned);
        block_in_place(|| Peer::start(&self.options.program, &arguments))
    }

    /// A client on its proxy, with its number of calls.
    fn start_client(&mut self, client: usize, calls: u64, at_least: Duration) -> Result<Caller, BoxError> {
        let first = self.next_id;
        self.next_id += calls;
        let notes = self.notes("ended");
        let arguments = [
            ("--nats", self.proxies[client].url()),
            ("--notes", notes.display().to_string()),
            ("--first", first.to_string()),
            ("--calls", calls.to_string()),
            ("--concurrency", self.options.concurrency.to_string()),
            ("--at-least", at_least.as_millis().to_string()),
        ];
        let arguments: Vec<String> = ["call".to_owned()]
            .into_iter()
            .chain(arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]))
            .collect();
        let peer = block_in_place(|| Peer::start(&self.options.program, &arguments))?;
        Ok(Caller { peer, notes, calls, at_least })
    }

    /// Repeats the fault until all calls are made.
    async fn run(&mut self, fault: Fault) -> Result<(), BoxError> {
        if fault == Fault::ChunksDropped {
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
                self.happen(fault).await?;
                self.round += 1;
            }
        }
        Ok(())
    }

    /// Whether a client still makes calls. An error if a client has failed.
    fn still_calls(&mut self) -> Result<bool, BoxError> {
        for client in &mut self.clients {
            match client.as_mut().map(|caller| caller.peer.ended()).transpose()?.flatten() {
                Some(status) if status.success() => *client = None,
                Some(status) => return Err(format!("a client has ended with {status}").into()),
                None => {}
            }
        }
        Ok(self.clients.iter().any(Option::is_some))
    }

    async fn happen(&mut self, fault: Fault) -> Result<(), BoxError> {
        match fault {
            Fault::None | Fault::ChunksDropped => Ok(()),
            Fault::RollingRestart => self.replace_server(true),
            Fault::ServerKilled => self.replace_server(false),
            Fault::ClientKilled => self.replace_client(),
            Fault::SlowConsumer => {
                let proxy = &self.proxies[self.round % self.proxies.len()];
                proxy.stall(Direction::ToClient);
                tokio::time::sleep(4 * CALM).await;
                proxy.go_on(Direction::ToClient);
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
                Ok(())
            }
            Fault::NatsRestarted => {
                block_in_place(|| {
                    (0..self.cluster.len()).for_each(|node| self.cluster.node_mut(node).stop());
                    (0..self.cluster.len()).try_for_each(|node| self.cluster.node_mut(node).restart())?;
                    self.cluster.until_joined()
                })?;
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
        Ok(())
    }

    /// Kills a client. Another one makes the remaining calls.
    fn replace_client(&mut self) -> Result<(), BoxError> {
        let place = self.round % self.clients.len();
        if let Some(Caller { peer, notes, calls, at_least }) = self.clients[place].take() {
            peer.kill()?;
            let made = fs::read_to_string(notes)?.lines().count() as u64;
            let left = calls.saturating_sub(made.max(1));
            if left > 0 {
                let at_least = at_least.mul_f64(left as f64 / calls as f64);
                self.clients[place] = Some(self.start_client(place, left, at_least)?);
            }
        }
        Ok(())
    }

    /// Drains the servers. Returns how often NATS has closed a connection of a slow consumer.
    fn end(mut self) -> Result<u64, BoxError> {
        for proxy in &self.proxies {
            proxy.clear();
        }
        for server in &mut self.servers {
            server.tell("drain")?;
        }
        for server in &mut self.servers {
            block_in_place(|| server.until_ended())?;
        }
        let nodes = (0..self.cluster.len()).map(|node| self.cluster.node(node));
        Ok(nodes.map(|node| node.log().matches("Slow Consumer").count() as u64).sum())
    }
}
