//! A cluster of three NATS servers, on free ports.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::nats_server::{Builder, Membership, NatsServer, StartError};

/// The bound for the servers to connect to each other, which takes about 100 ms.
const JOIN_BOUND: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A cluster of NATS servers, each a [`NatsServer`] that can be killed and restarted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut cluster = thrift_nats_tests::Cluster::start()?;
/// cluster.node_mut(1).stop();
/// cluster.node_mut(1).restart()?;
/// cluster.until_joined()?;
/// println!("node 0 of {} is at {}", cluster.len(), cluster.node(0).url());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<NatsServer>,
}

impl Cluster {
    /// Three servers with the defaults of NATS, connected to each other.
    ///
    /// # Errors
    /// If a server does not start, or they do not connect to each other.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(&NatsServer::builder())
    }

    /// Three servers with these settings, connected to each other.
    ///
    /// # Errors
    /// If a server does not start, or they do not connect to each other.
    pub fn start_with(settings: &Builder) -> Result<Self, StartError> {
        let mut nodes: Vec<NatsServer> = Vec::new();
        for _ in 0..3 {
            // Each is configured with those before it, and learns about the others from them.
            let routes = nodes.iter().filter_map(NatsServer::cluster_port).collect();
            let member = Membership { cluster: "tests".to_owned(), port: None, routes };
            nodes.push(settings.clone().member(member).start()?);
        }
        let cluster = Self { nodes };
        cluster.until_joined()?;
        Ok(cluster)
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Always false.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// One of the servers.
    ///
    /// # Panics
    /// If no node has this number.
    #[must_use]
    pub fn node(&self, number: usize) -> &NatsServer {
        &self.nodes[number]
    }

    /// The same, to stop, restart or reconfigure it.
    ///
    /// # Panics
    /// If no node has this number.
    pub fn node_mut(&mut self, number: usize) -> &mut NatsServer {
        &mut self.nodes[number]
    }

    /// The URLs of all nodes, for a client that may connect to any.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsServer::url).collect()
    }

    /// Waits until every running server announces all running servers to its clients. A subscription at one may reach
    /// the others a moment later.
    ///
    /// # Errors
    /// If they do not connect to each other within 30 s.
    pub fn until_joined(&self) -> Result<(), StartError> {
        let deadline = Instant::now() + JOIN_BOUND;
        let running: Vec<_> = self.nodes.iter().filter(|node| node.is_running()).collect();
        for node in &running {
            while !running.iter().all(|other| tells_of(node, other)) {
                if Instant::now() >= deadline {
                    return Err(StartError::NotJoined { bound: JOIN_BOUND, log: node.log() });
                }
                thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

/// Whether the greeting of a server names the other server, or is from that server.
fn tells_of(node: &NatsServer, other: &NatsServer) -> bool {
    if node.port() == other.port() {
        return true;
    }
    let Ok(stream) = TcpStream::connect(("127.0.0.1", node.port())) else { return false };
    let mut info = String::new();
    if stream.set_read_timeout(Some(JOIN_BOUND)).is_err()
        || BufReader::new(stream).read_line(&mut info).is_err()
    {
        return false;
    }
    let urls = info.split_once("\"connect_urls\":[").and_then(|(_, rest)| rest.split_once(']'));
    urls.is_some_and(|(urls, _)| urls.contains(&format!("127.0.0.1:{}\"", other.port())))
}
