//! A process that the oracle has started, and its connection to NATS.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::BoxError;

/// The bound for a process to start and to exit.
const BOUND: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// A connection that reconnects quickly, to any of the servers.
pub(super) async fn connect(urls: Vec<String>) -> Result<async_nats::Client, BoxError> {
    let options = async_nats::ConnectOptions::new()
        .retain_servers_order()
        .max_reconnects(None)
        .reconnect_delay_callback(|_| Duration::from_millis(20));
    Ok(options.connect(urls).await?)
}

/// A process of the oracle's program. It exits when its standard input closes, and is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Peer {
    process: Child,
    input: Option<ChildStdin>,
}

impl Peer {
    /// Starts a process and waits until it prints that it is ready.
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Self, BoxError> {
        let mut process =
            Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let peer = Self { process, input };
        let mut line = String::new();
        // The read ends with the process, and a process that fails to start exits.
        let read = output.map(|output| BufReader::new(output).read_line(&mut line)).transpose()?;
        if read.is_none() || line.trim_end() != "ready" {
            return Err(format!("a process of the oracle says `{}`, not `ready`", line.trim_end()).into());
        }
        Ok(peer)
    }

    /// Sends the process a line.
    pub(super) fn tell(&mut self, line: &str) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| writeln!(input, "{line}"))
    }

    /// Its exit status, if it has exited.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits until it exits.
    pub(super) fn until_ended(&mut self) -> Result<ExitStatus, BoxError> {
        let end = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err("a process of the oracle does not end".into());
            }
            thread::sleep(POLL);
        }
    }

    /// Kills it, as `kill -9` does.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only if the process has exited and been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
