//! A proxy between NATS clients and a NATS server that loses, delays, doubles and garbles what it is told to.
//!
//! It understands the client protocol: what happens, happens to whole messages, unless a connection is cut on purpose.
//!
//! ```
//! use thrift_nats_tests::proxy::{Action, Direction, Proxy, Rule};
//! # use futures_util::StreamExt;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = thrift_nats_tests::NatsServer::start()?;
//! let proxy = Proxy::start(&server.url()).await?;
//! let client = async_nats::connect(proxy.url()).await?;
//!
//! let lost = proxy.add(Rule::on(Direction::ToServer).subject("news.*").skip(1).times(1), Action::Drop);
//! let mut news = client.subscribe("news.>").await?;
//! for n in 1..=3 {
//!     client.publish(format!("news.{n}"), "".into()).await?;
//! }
//! assert_eq!(news.next().await.unwrap().subject.as_str(), "news.1");
//! assert_eq!(news.next().await.unwrap().subject.as_str(), "news.3");
//! assert_eq!(lost.applied(), 1);
//! # Ok(()) }
//! ```

mod operation;
mod parser;
mod pump;
pub(crate) mod random;
mod rule;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

pub use self::operation::{Direction, Message, Operation};
use self::pump::Pump;
use self::rule::Rules;
pub use self::rule::{Action, Added, Rule};

/// A proxy on a port of its own of 127.0.0.1. It ends when it is dropped, and all its connections with it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// Where it listens: host and port.
    address: String,
    /// Where the server listens: host and port.
    target: Mutex<String>,
    rules: Rules,
    to_server_stalled: watch::Sender<bool>,
    to_client_stalled: watch::Sender<bool>,
    refuses: AtomicBool,
    accepted: AtomicU64,
    connections: Mutex<Vec<Connection>>,
}

/// The two ways into a connection, and its end.
#[derive(Debug)]
struct Connection {
    to_server: mpsc::UnboundedSender<Operation>,
    to_client: mpsc::UnboundedSender<Operation>,
    ended: AbortHandle,
}

impl Proxy {
    /// A proxy of the server with this URL; its dice are thrown with the seed 0.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(server: &str) -> io::Result<Self> {
        Self::with_seed(server, 0).await
    }

    /// A proxy of the server with this URL, and a seed for rules with a probability. With more than one connection, or
    /// both directions, what happens also depends on which is faster.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn with_seed(server: &str, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let shared = Arc::new(Shared {
            address: listener.local_addr()?.to_string(),
            target: Mutex::new(host_and_port(server)),
            rules: Rules::new(seed),
            to_server_stalled: watch::Sender::new(false),
            to_client_stalled: watch::Sender::new(false),
            refuses: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            connections: Mutex::new(Vec::new()),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, accepting })
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.shared.address)
    }

    /// Has an action done to all operations that a rule means, from now on. Of several rules the first counts.
    pub fn add(&self, rule: Rule, action: Action) -> Added {
        let added = Added::new(rule, action);
        self.shared.rules.add(added.clone());
        added
    }

    /// Puts a rule out of force.
    pub fn remove(&self, rule: &Added) {
        self.shared.rules.remove(rule);
    }

    /// Puts all rules out of force.
    pub fn clear(&self) {
        self.shared.rules.clear();
    }

    /// Has nothing more arrive in a direction, until [`go_on`](Self::go_on).
    pub fn stall(&self, direction: Direction) {
        self.shared.stall(direction, true);
    }

    /// Ends a stall: what has come meanwhile arrives.
    pub fn go_on(&self, direction: Direction) {
        self.shared.stall(direction, false);
    }

    /// Closes all connections, on both sides.
    pub fn cut(&self) {
        for connection in lock(&self.shared.connections).drain(..) {
            connection.ended.abort();
        }
    }

    /// Closes new connections at once from now on, or takes them again.
    pub fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Sends new connections to another server.
    pub fn retarget(&self, server: &str) {
        *lock(&self.shared.target) = host_and_port(server);
    }

    /// The same, if new connections go to `from` now.
    pub fn retarget_from(&self, from: &str, to: &str) {
        let mut target = lock(&self.shared.target);
        if *target == host_and_port(from) {
            *target = host_and_port(to);
        }
    }

    /// Has an operation arrive on every connection, now.
    pub fn inject(&self, direction: Direction, operation: &Operation) {
        for connection in &*lock(&self.shared.connections) {
            let way = match direction {
                Direction::ToServer => &connection.to_server,
                Direction::ToClient => &connection.to_client,
            };
            // An error means that the connection has ended.
            let _ = way.send(operation.clone());
        }
    }

    /// How many connections there have been, those that were refused aside.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.shared.connections).iter().filter(|connection| !connection.ended.is_finished()).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    fn stalled(&self, direction: Direction) -> &watch::Sender<bool> {
        match direction {
            Direction::ToServer => &self.to_server_stalled,
            Direction::ToClient => &self.to_client_stalled,
        }
    }

    fn stall(&self, direction: Direction, stalled: bool) {
        self.stalled(direction).send_replace(stalled);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn host_and_port(url: &str) -> String {
    url.split_once("://").map_or(url, |(_, address)| address).to_owned()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // A failed accept is the client's end of a connection that went away.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let target = lock(&shared.target).clone();
        // A server that is not there refuses: so does the proxy.
        let Ok(server) = reach(&target).await else { continue };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let (to_server, for_server) = mpsc::unbounded_channel();
        let (to_client, for_client) = mpsc::unbounded_channel();
        let carried = carry(client, server, for_server, for_client, Arc::clone(&shared));
        let ended = tokio::spawn(carried).abort_handle();
        let mut connections = lock(&shared.connections);
        connections.retain(|connection| !connection.ended.is_finished());
        connections.push(Connection { to_server, to_client, ended });
    }
}

/// Connects to the server, with a small buffer for what it sends: one that is not read from is to notice it soon.
async fn reach(target: &str) -> io::Result<TcpStream> {
    let address = tokio::net::lookup_host(target).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.connect(address).await
}

/// Carries a connection until either direction ends; then both sides are closed.
async fn carry(
    client: TcpStream,
    server: TcpStream,
    for_server: mpsc::UnboundedReceiver<Operation>,
    for_client: mpsc::UnboundedReceiver<Operation>,
    shared: Arc<Shared>,
) {
    // Small messages are not to wait for each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut pumps = JoinSet::new();
    let up = Pump {
        direction: Direction::ToServer,
        from: from_client,
        to: to_server,
        injected: for_server,
        shared: Arc::clone(&shared),
    };
    let down = Pump {
        direction: Direction::ToClient,
        from: from_server,
        to: to_client,
        injected: for_client,
        shared,
    };
    pumps.spawn(up.run());
    pumps.spawn(down.run());
    if let Some(Ok(Err(error))) = pumps.join_next().await
        && error.kind() == io::ErrorKind::Other
    {
        eprintln!("the proxy ends a connection: {error}");
    }
}
