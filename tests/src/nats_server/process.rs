//! The process of a NATS server: a child, a watchdog, and the files in its folder.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::StartError;
use super::program::NatsProgram;

/// The bound for a server to listen, which takes about 20 ms on an idle machine.
const START_BOUND: Duration = Duration::from_secs(30);
/// The interval at which the ports file is polled.
pub(super) const POLL: Duration = Duration::from_millis(2);

pub(super) const CONFIG: &str = "nats-server.conf";
const LOG: &str = "nats-server.log";

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) server: Child,
    #[cfg(unix)]
    watchdog: Option<Child>,
}

impl Process {
    /// Starts a server in its folder and waits until it listens. Without a port, the server chooses one.
    pub(super) fn start(
        program: &'static NatsProgram,
        folder: &Path,
        port: Option<u16>,
    ) -> Result<(Self, Ports), StartError> {
        let ports =
            tempfile::Builder::new().prefix("ports-").tempdir_in(folder).map_err(StartError::Folder)?;
        let log =
            File::options().create(true).append(true).open(folder.join(LOG)).map_err(StartError::Folder)?;
        let server = Command::new(program.path())
            .arg("--config")
            .arg(folder.join(CONFIG))
            .args(["--addr", "127.0.0.1", "--port"])
            .arg(port.map_or_else(|| "-1".to_owned(), |port| port.to_string()))
            .arg("--ports_file_dir")
            .arg(ports.path())
            // Each server has its own store.
            .arg("--store_dir")
            .arg(folder.join("store"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|source| StartError::Spawn { program, source })?;
        #[cfg(unix)]
        let mut process = Self { watchdog: watchdog(server.id()), server };
        #[cfg(not(unix))]
        let mut process = Self { server };

        let deadline = Instant::now() + START_BOUND;
        loop {
            // The server writes the file once it is ready for connections.
            if let Some(ports) = Ports::read(ports.path()) {
                return Ok((process, ports));
            }
            if let Some(status) = process.server.try_wait().map_err(StartError::Folder)? {
                return Err(StartError::Ended { program, status, log: read_log(folder) });
            }
            if Instant::now() >= deadline {
                return Err(StartError::TimedOut { program, bound: START_BOUND, log: read_log(folder) });
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog ends first. Until the server is waited for, no other process can get its id.
        #[cfg(unix)]
        if let Some(watchdog) = &mut self.watchdog {
            end(watchdog);
        }
        end(&mut self.server);
    }
}

/// Kills the child and waits for it. That takes milliseconds, because a kill cannot be caught.
fn end(child: &mut Child) {
    // Both fail only if the child has exited and been waited for.
    let _ = child.kill();
    let _ = child.wait();
}

/// A shell that kills the server when this process has exited or was killed: its standard input is a pipe whose other end
/// only this process holds. It ignores the signals of a terminal. Without a shell, the server outlives a test that is
/// killed.
#[cfg(unix)]
fn watchdog(server: u32) -> Option<Child> {
    const SCRIPT: &str = "trap '' HUP INT TERM; read -r _; kill -s KILL \"$1\"";
    Command::new("sh")
        .args(["-c", SCRIPT, "watchdog", &server.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// The ports of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// For clients.
    pub(super) client: u16,
    /// For the other servers of a cluster.
    pub(super) cluster: Option<u16>,
}

impl Ports {
    /// The ports in the ports file, once it is complete:
    /// `{"nats":["nats://127.0.0.1:38109"],"cluster":["nats://127.0.0.1:40001"]}`.
    fn read(folder: &Path) -> Option<Self> {
        let file = fs::read_dir(folder).ok()?.next()?.ok()?.path();
        let text = fs::read_to_string(file).ok()?;
        let whole = text.trim_end().strip_suffix('}')?;
        let port = |list: &str| {
            let (_, rest) = whole.split_once(list)?.1.split_once("127.0.0.1:")?;
            rest.split_once('"')?.0.parse().ok()
        };
        Some(Self { client: port("\"nats\"")?, cluster: port("\"cluster\"") })
    }
}

pub(super) fn read_log(folder: &Path) -> String {
    fs::read(folder.join(LOG)).map_or_else(
        |error| format!("(the log cannot be read: {error})"),
        |log| String::from_utf8_lossy(&log).trim_end().to_owned(),
    )
}
