//! A NATS server of a test's own: a process, a folder for its files, and a watchdog.
//!
//! Everything here waits for the event itself (the ports file, the process's state), within a bound.

pub(crate) mod install;
pub(crate) mod program;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use program::{FindError, NatsProgram};

/// How long a server may take until it listens. It takes some 20 ms; the rest is for a machine under load.
const START_BOUND: Duration = Duration::from_secs(30);
/// How often the ports file is looked for.
const POLL: Duration = Duration::from_millis(2);
/// How long the kernel may take to stop a process that was told to.
#[cfg(unix)]
const PAUSE_BOUND: Duration = Duration::from_secs(10);

/// A NATS server on a port of its own of 127.0.0.1. It ends when this is dropped, and also when the process that holds
/// this is killed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = thrift_nats_tests::NatsServer::builder().max_payload(64 * 1024).start()?;
/// # #[cfg(feature = "client")]
/// assert_eq!(server.client().await?.server_info().max_payload, 64 * 1024);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct NatsServer {
    program: &'static NatsProgram,
    folder: TempDir,
    port: u16,
    /// `None` between `stop` and `restart`.
    process: Option<Process>,
}

/// What a server is told before it starts.
#[derive(Clone, Debug, Default)]
#[must_use = "a server runs once it is started"]
pub struct Builder {
    config: String,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no server to start.
    #[error(transparent)]
    Find(#[from] Arc<FindError>),
    /// The folder for the server's files cannot be written.
    #[error("the NATS server's folder cannot be written")]
    Folder(#[source] io::Error),
    /// The program could not be run.
    #[error("{program} does not start")]
    Spawn {
        /// The program.
        program: &'static NatsProgram,
        /// Why.
        source: io::Error,
    },
    /// It ended before it listened.
    #[error("{program} ended with {status} before it listened; its log:\n{log}")]
    Ended {
        /// The program.
        program: &'static NatsProgram,
        /// What it ended with.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// It runs, but does not listen.
    #[error("{program} does not listen after {} s; its log:\n{log}", .bound.as_secs())]
    TimedOut {
        /// The program.
        program: &'static NatsProgram,
        /// How long it was waited for.
        bound: Duration,
        /// What it said.
        log: String,
    },
}

impl Builder {
    /// The largest payload of a message, in bytes; a server's default is 1 MiB.
    pub fn max_payload(self, bytes: usize) -> Self {
        self.config(format_args!("max_payload: {bytes}"))
    }

    /// A line (or more) of a NATS server's configuration file. `listen` and `port` are the harness's own.
    pub fn config(mut self, line: impl std::fmt::Display) -> Self {
        writeln!(self.config, "{line}").expect("writing to a string does not fail");
        self
    }

    /// Starts the server, and returns once it listens. Blocks its thread, as a rule for some 20 ms.
    ///
    /// # Errors
    /// If no server is found, or it does not start; the error shows the server's log.
    pub fn start(self) -> Result<NatsServer, StartError> {
        let program = NatsProgram::find()?;
        let folder = tempfile::Builder::new().prefix("nats-server-").tempdir().map_err(StartError::Folder)?;
        fs::write(folder.path().join(CONFIG), self.config).map_err(StartError::Folder)?;
        let (process, port) = Process::start(program, folder.path(), None)?;
        Ok(NatsServer { program, folder, port, process: Some(process) })
    }
}

impl NatsServer {
    /// Starts a server with a NATS server's defaults; see [`Builder::start`].
    ///
    /// # Errors
    /// If no server is found, or it does not start; the error shows the server's log.
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// A server with settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where clients connect, such as `nats://127.0.0.1:38109`. A restart does not change it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port of that address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has written to its log since it was first started.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// A new client, connected.
    ///
    /// # Errors
    /// If the server does not answer, for one because it is stopped or paused.
    ///
    /// # Cancellation
    /// Dropping the future gives the connection up.
    #[cfg(feature = "client")]
    pub async fn client(&self) -> Result<async_nats::Client, async_nats::ConnectError> {
        async_nats::connect(self.url()).await
    }

    /// Kills the server as a crash would: without a word to its clients. Does nothing if it is stopped already.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server anew on the same port, with the same settings; stops it first if it runs.
    ///
    /// # Errors
    /// If it does not start, for one because another program has taken the port meanwhile.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.stop();
        let (process, _) = Process::start(self.program, self.folder.path(), Some(self.port))?;
        self.process = Some(process);
        Ok(())
    }

    /// Freezes the server (SIGSTOP), and returns once it is frozen. Its connections stay open, and nothing moves.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn pause(&self) -> io::Result<()> {
        use rustix::process::{Signal, WaitId, WaitIdOptions, kill_process, waitid};

        let pid = self.pid()?;
        kill_process(pid, Signal::STOP)?;
        let deadline = Instant::now() + PAUSE_BOUND;
        // NOWAIT leaves the child's end, should it have ended, to `Child::wait`.
        let options =
            WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::Pid(pid), options)? {
                Some(status) if status.stopped() => return Ok(()),
                Some(_) => return Err(io::Error::other("the NATS server has ended")),
                None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
                None => thread::sleep(POLL),
            }
        }
    }

    /// Lets a paused server go on (SIGCONT). Does nothing to one that is not paused.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn resume(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.pid()?, rustix::process::Signal::CONT)?)
    }

    #[cfg(unix)]
    fn pid(&self) -> io::Result<rustix::process::Pid> {
        let process = self.process.as_ref().ok_or_else(|| io::Error::other("the NATS server is stopped"))?;
        Ok(rustix::process::Pid::from_child(&process.server))
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("log of the NATS server at {}:\n{}", self.url(), self.log());
        }
    }
}

const CONFIG: &str = "nats-server.conf";
const LOG: &str = "nats-server.log";

/// A running server. Dropping it kills it.
#[derive(Debug)]
struct Process {
    server: Child,
    #[cfg(unix)]
    watchdog: Option<Child>,
}

impl Process {
    /// Starts a server in its folder, and waits until it listens; without a port, on one that the server chooses.
    fn start(
        program: &'static NatsProgram,
        folder: &Path,
        port: Option<u16>,
    ) -> Result<(Self, u16), StartError> {
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
            // What a server stores, if it is configured to, is its own.
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
            if let Some(port) = listening_port(ports.path()) {
                return Ok((process, port));
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
        // The watchdog goes first: while the server is a child that nobody has waited for, its id is nobody else's.
        #[cfg(unix)]
        if let Some(watchdog) = &mut self.watchdog {
            end(watchdog);
        }
        end(&mut self.server);
    }
}

/// Kills the child, and waits for its end: at most milliseconds, since a kill cannot be caught.
fn end(child: &mut Child) {
    // Either fails only for a child that has ended and been waited for.
    let _ = child.kill();
    let _ = child.wait();
}

/// A shell that kills the server once this process is gone, however it went: its standard input is a pipe of which only
/// this process holds the other end. It ignores what a terminal sends to all of its programs at once. Without it (no
/// shell) the server outlives a test that is killed, and nothing else.
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

/// The port from the ports file, `{"nats":["nats://127.0.0.1:38109"]}`, once it is there and whole.
fn listening_port(folder: &Path) -> Option<u16> {
    let file = fs::read_dir(folder).ok()?.next()?.ok()?.path();
    let text = fs::read_to_string(file).ok()?;
    let (_, rest) = text.split_once("\"nats://127.0.0.1:")?;
    rest.split_once('"')?.0.parse().ok()
}

fn read_log(folder: &Path) -> String {
    fs::read(folder.join(LOG)).map_or_else(
        |error| format!("(the log cannot be read: {error})"),
        |log| String::from_utf8_lossy(&log).trim_end().to_owned(),
    )
}
