//! A process of the oracle's program, and its connection to NATS.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::BoxError;

/// The bound for a process to start, to reply, and to exit.
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
///
/// All methods block the thread.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    input: Option<ChildStdin>,
    /// The lines that it prints. A thread reads them until the process exits, so that its output never fills the pipe.
    output: Receiver<String>,
}

impl Peer {
    /// Starts a process and waits until it prints that it is ready.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(program: &Path, arguments: &[String]) -> Result<Self, BoxError> {
        let mut process =
            Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (lines, received) = channel();
        thread::spawn(move || {
            let lines_of = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            lines_of.map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let peer = Self { process, input, output: received };
        let line = peer.next_line()?;
        if line != "ready" {
            return Err(format!("a process of the oracle says `{line}`, not `ready`").into());
        }
        Ok(peer)
    }

    /// Starts a server of the oracle's service that prefers the NATS servers in this order. It writes its records to `notes`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn server(program: &Path, urls: &[String], notes: &Path) -> Result<Self, BoxError> {
        let notes = notes.display().to_string();
        Self::start(program, &["serve", "--nats", &urls.join(","), "--notes", &notes].map(str::to_owned))
    }

    /// Sends the process a line.
    ///
    /// # Errors
    /// If it has exited.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| writeln!(input, "{line}"))
    }

    /// The next line that the process prints.
    ///
    /// # Errors
    /// If it exits or prints nothing within a minute.
    pub fn next_line(&self) -> Result<String, BoxError> {
        self.output.recv_timeout(BOUND).map_err(|error| match error {
            RecvTimeoutError::Timeout => "a process of the oracle does not print a line".into(),
            RecvTimeoutError::Disconnected => "a process of the oracle has exited".into(),
        })
    }

    /// The next line, if the process has printed one.
    pub(super) fn try_line(&self) -> Option<String> {
        self.output.try_recv().ok()
    }

    /// Pauses the process (SIGSTOP). Its connections stay open.
    ///
    /// # Errors
    /// If it has exited.
    #[cfg(unix)]
    pub fn pause(&self) -> io::Result<()> {
        crate::signal::pause(rustix::process::Pid::from_child(&self.process))
    }

    /// Resumes the paused process (SIGCONT).
    ///
    /// # Errors
    /// If it has exited.
    #[cfg(unix)]
    pub fn resume(&self) -> io::Result<()> {
        crate::signal::resume(rustix::process::Pid::from_child(&self.process))
    }

    /// Its exit status, if it has exited.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits until it exits.
    ///
    /// # Errors
    /// If it does not exit within a minute.
    pub fn until_ended(&mut self) -> Result<ExitStatus, BoxError> {
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
    ///
    /// # Errors
    /// If it has exited.
    pub fn kill(mut self) -> io::Result<()> {
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
