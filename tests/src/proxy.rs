//! A proxy between NATS clients and a NATS server. Its rules drop, delay, duplicate, reorder and replace messages.
//!
//! It parses the client protocol, so that rules apply to whole messages. Only a cut truncates one.
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

/// A proxy on a free port of 127.0.0.1. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// The host and port that it listens on.
    address: String,
    /// The host and port of the server.
    target: Mutex<String>,
    rules: Rules,
    to_server_stalled: watch::Sender<bool>,
    to_client_stalled: watch::Sender<bool>,
    refuses: AtomicBool,
    accepted: AtomicU64,
    connections: Mutex<Vec<Connection>>,
}

/// The channels into both directions of a connection, and the signal that ends it.
#[derive(Debug)]
struct Connection {
    to_server: mpsc::UnboundedSender<Operation>,
    to_client: mpsc::UnboundedSender<Operation>,
    ended: AbortHandle,
}

impl Proxy {
    /// A proxy of the server with this URL, with the seed 0.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(server: &str) -> io::Result<Self> {
        Self::with_seed(server, 0).await
    }

    /// A proxy of the server with this URL, with a seed for rules with a probability. With several connections or both
    /// directions, the choices also depend on the order in which messages arrive.
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

    /// The URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.shared.address)
    }

    /// Applies an action to all operations that a rule matches, from now on. The first matching rule applies.
    pub fn add(&self, rule: Rule, action: Action) -> Added {
        let added = Added::new(rule, action);
        self.shared.rules.add(added.clone());
        added
    }

    /// Removes a rule.
    pub fn remove(&self, rule: &Added) {
        self.shared.rules.remove(rule);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.shared.rules.clear();
    }

    /// Stalls a direction until [`go_on`](Self::go_on).
    pub fn stall(&self, direction: Direction) {
        self.shared.stall(direction, true);
    }

    /// Ends a stall. The delayed operations are delivered.
    pub fn go_on(&self, direction: Direction) {
        self.shared.stall(direction, false);
    }

    /// Closes all connections, on both sides.
    pub fn cut(&self) {
        for connection in lock(&self.shared.connections).drain(..) {
            connection.ended.abort();
        }
    }

    /// Sets whether new connections are closed at once.
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

    /// Delivers an operation on every connection.
    pub fn inject(&self, direction: Direction, operation: &Operation) {
        for connection in &*lock(&self.shared.connections) {
            let way = match direction {
                Direction::ToServer => &connection.to_server,
                Direction::ToClient => &connection.to_client,
            };
            // An error means that the connection is closed.
            let _ = way.send(operation.clone());
        }
    }

    /// The number of connections so far, without those that were refused.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The number of open connections.
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
    // An accept fails if the client has closed the connection already.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let target = lock(&shared.target).clone();
        // If the server does not accept the connection, the proxy closes it.
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

/// Connects to the server with a small receive buffer, so that a stall blocks the server soon.
async fn reach(target: &str) -> io::Result<TcpStream> {
    let address = tokio::net::lookup_host(target).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.connect(address).await
}

/// Forwards a connection until either direction ends, then closes both sides.
async fn carry(
    client: TcpStream,
    server: TcpStream,
    for_server: mpsc::UnboundedReceiver<Operation>,
    for_client: mpsc::UnboundedReceiver<Operation>,
    shared: Arc<Shared>,
) {
    // Small messages are sent at once.
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
        eprintln!("the proxy closes a connection: {error}");
    }
}
