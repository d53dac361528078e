//! The NATS server of a run.

use std::io::{Read, Write};
use std::net::TcpStream;

use thrift_nats_tests::NatsServer;

use crate::BoxError;
use crate::process;

/// The largest payload: enough for a megabyte in one message.
const MAX_PAYLOAD: usize = 8 << 20;

pub(crate) struct Broker {
    server: NatsServer,
    monitor: String,
}

impl Broker {
    pub(crate) fn start() -> Result<Self, BoxError> {
        let builder = NatsServer::builder().max_payload(MAX_PAYLOAD).config("http: \"127.0.0.1:-1\"");
        let server = builder.start()?;
        const BEFORE: &str = "Starting http monitor on ";
        let log = server.log();
        let monitor = log.lines().find_map(|line| line.split_once(BEFORE)).map(|(_, address)| address);
        let monitor = monitor.ok_or("the log of the NATS server has no address of the monitor")?.to_owned();
        Ok(Self { server, monitor })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.server.process_id().expect("it is never stopped")
    }

    /// Its processor time.
    pub(crate) fn cpu(&self) -> Option<std::time::Duration> {
        process::cpu(self.id())
    }

    /// The number of its subscriptions, including its own.
    pub(crate) fn subscriptions(&self) -> Result<u64, BoxError> {
        let mut monitor = TcpStream::connect(&self.monitor)?;
        write!(monitor, "GET /subsz HTTP/1.0\r\n\r\n")?;
        let mut response = String::new();
        monitor.read_to_string(&mut response)?;
        let (_, body) = response.split_once("\r\n\r\n").ok_or("malformed HTTP response")?;
        let facts: serde_json::Value = serde_json::from_str(body)?;
        Ok(facts["num_subscriptions"]
            .as_u64()
            .ok_or("the monitor does not report the number of subscriptions")?)
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<async_nats::Client, BoxError> {
        connect(&self.url()).await
    }
}

/// A connection whose queues are long enough for a burst of handshakes.
pub(crate) async fn connect(url: &str) -> Result<async_nats::Client, BoxError> {
    Ok(async_nats::ConnectOptions::new().subscription_capacity(1 << 20).connect(url).await?)
}
