//! A NATS server for one test: a process, a folder for its files, and a watchdog.
//!
//! Every wait is for the event itself (the ports file, the state of the process), within a bound.

pub(crate) mod install;
mod process;
pub(crate) mod program;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[cfg(unix)]
use process::POLL;
use process::{CONFIG, Ports, Process, read_log};

use program::{FindError, NatsProgram};

#[cfg(unix)]
use crate::signal;

/// The bound for a server to handle a signal.
#[cfg(unix)]
const SIGNAL_BOUND: Duration = Duration::from_secs(30);

/// A NATS server on a free port of 127.0.0.1. It ends when this is dropped, and when the process that holds this is killed.
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
    ports: Ports,
    /// The cluster of this node.
    cluster: Option<Membership>,
    /// `None` between `stop` and `restart`.
    process: Option<Process>,
}

/// The settings of a server.
#[derive(Clone, Debug, Default)]
#[must_use = "a server runs once it is started"]
pub struct Builder {
    config: String,
    cluster: Option<Membership>,
}

/// The settings of a node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The port for other nodes. With `None`, the node chooses one.
    pub(crate) port: Option<u16>,
    /// The ports of other nodes.
    pub(crate) routes: Vec<u16>,
}

impl Membership {
    fn config(&self) -> String {
        let port = self.port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let routes = self.routes.iter().map(|port| format!("nats://127.0.0.1:{port}"));
        let routes = routes.collect::<Vec<_>>().join(", ");
        format!("cluster {{ name: {}, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n", self.cluster)
    }
}

/// The error of a server that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No NATS server was found.
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
        /// The error.
        source: io::Error,
    },
    /// The process exited before it listened.
    #[error("{program} exited with {status} before it listened; its log:\n{log}")]
    Ended {
        /// The program.
        program: &'static NatsProgram,
        /// The exit status.
        status: ExitStatus,
        /// Its log.
        log: String,
    },
    /// The nodes of the cluster have not connected to each other.
    #[error("the nodes of the cluster have not connected to each other after {} s; the log of one:\n{log}", .bound.as_secs())]
    NotJoined {
        /// The bound of the wait.
        bound: Duration,
        /// Its log.
        log: String,
    },
    /// The process runs but does not listen.
    #[error("{program} does not listen after {} s; its log:\n{log}", .bound.as_secs())]
    TimedOut {
        /// The program.
        program: &'static NatsProgram,
        /// The bound of the wait.
        bound: Duration,
        /// Its log.
        log: String,
    },
}

/// The error of a server that did not reload its settings.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The server does not run, or cannot be signalled.
    #[error("the NATS server cannot be signalled")]
    Process(#[source] io::Error),
    /// The server rejects the settings and keeps the old ones.
    #[error("the NATS server rejects the settings; its log:\n{log}")]
    Refused {
        /// Its log.
        log: String,
    },
}

impl Builder {
    /// The largest payload of a message, in bytes. The default of NATS is 1 MiB.
    pub fn max_payload(self, bytes: usize) -> Self {
        self.config(format_args!("max_payload: {bytes}"))
    }

    /// Adds lines to the configuration file. The harness sets `listen` and `port`.
    pub fn config(mut self, line: impl std::fmt::Display) -> Self {
        writeln!(self.config, "{line}").expect("writing to a string does not fail");
        self
    }

    /// Starts the server and returns when it listens. Blocks the thread, for about 20 ms.
    ///
    /// # Errors
    /// If no server is found, or it does not start. The error has the log of the server.
    pub fn start(self) -> Result<NatsServer, StartError> {
        let program = NatsProgram::find()?;
        let folder = tempfile::Builder::new().prefix("nats-server-").tempdir().map_err(StartError::Folder)?;
        fs::write(folder.path().join(CONFIG), self.text()).map_err(StartError::Folder)?;
        let (process, ports) = Process::start(program, folder.path(), None)?;
        let mut cluster = self.cluster.clone();
        if let Some(member) = &mut cluster {
            // A node keeps its port after a restart, because the other nodes are configured with it.
            member.port = ports.cluster;
            let kept = Self { cluster: cluster.clone(), ..self };
            fs::write(folder.path().join(CONFIG), kept.text()).map_err(StartError::Folder)?;
        }
        Ok(NatsServer { program, folder, ports, cluster, process: Some(process) })
    }

    pub(crate) fn member(mut self, cluster: Membership) -> Self {
        self.cluster = Some(cluster);
        self
    }

    fn text(&self) -> String {
        let cluster = self.cluster.as_ref().map(Membership::config).unwrap_or_default();
        format!("{}{cluster}", self.config)
    }
}

impl NatsServer {
    /// Starts a server with the defaults of NATS; see [`Builder::start`].
    ///
    /// # Errors
    /// If no server is found, or it does not start. The error has the log of the server.
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// A server with settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The URL for clients, such as `nats://127.0.0.1:38109`. A restart does not change it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// The port of that address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.client
    }

    /// The port for other nodes of its cluster.
    pub(crate) fn cluster_port(&self) -> Option<u16> {
        self.ports.cluster
    }

    /// The log since the first start.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// Connects a client.
    ///
    /// # Errors
    /// If the server does not reply, for example because it is stopped or paused.
    ///
    /// # Cancellation
    /// Dropping the future closes the connection.
    #[cfg(feature = "client")]
    pub async fn client(&self) -> Result<async_nats::Client, async_nats::ConnectError> {
        async_nats::connect(self.url()).await
    }

    /// Kills the server, as in a crash. Does nothing if it is stopped already.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts the server on the same port with the same settings. Stops it first if it runs.
    ///
    /// # Errors
    /// If it does not start, for example because another program has bound the port since.
    pub fn restart(&mut self) -> Result<(), StartError> {
        self.stop();
        let (process, _) = Process::start(self.program, self.folder.path(), Some(self.ports.client))?;
        self.process = Some(process);
        Ok(())
    }

    /// Whether the server runs, that is, is not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The id of its process, or `None` if it is stopped.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.server.id())
    }

    /// Pauses the server (SIGSTOP) and returns when it is paused. Its connections stay open.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn pause(&self) -> io::Result<()> {
        signal::pause(self.pid()?)
    }

    /// Resumes a paused server (SIGCONT). Does nothing if it is not paused.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn resume(&self) -> io::Result<()> {
        signal::resume(self.pid()?)
    }

    /// Replaces the settings of the server (SIGHUP) and returns when they are in effect. A restart keeps them.
    ///
    /// # Errors
    /// If the server does not run, or rejects the settings. The error has its log.
    #[cfg(unix)]
    pub fn reload(&mut self, settings: Builder) -> Result<(), ReloadError> {
        use rustix::process::{Signal, kill_process};

        let settings = Builder { cluster: self.cluster.clone(), ..settings };
        fs::write(self.folder.path().join(CONFIG), settings.text()).map_err(ReloadError::Process)?;
        let ends = ["Reloaded server configuration", "Failed to reload server configuration"];
        let count = |log: &str| ends.map(|end| log.matches(end).count());
        let [taken, refused] = count(&self.log());
        kill_process(self.pid().map_err(ReloadError::Process)?, Signal::HUP)
            .map_err(|error| ReloadError::Process(error.into()))?;
        let log = self.until_logged(|log| count(log) != [taken, refused]).map_err(ReloadError::Process)?;
        if count(&log) == [taken + 1, refused] { Ok(()) } else { Err(ReloadError::Refused { log }) }
    }

    /// Puts the server into lame duck mode (SIGUSR2) and returns when it is in it. The server then accepts no connections.
    /// After `lame_duck_grace_period` it closes its connections one by one, within `lame_duck_duration`.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn lame_duck(&self) -> io::Result<()> {
        rustix::process::kill_process(self.pid()?, rustix::process::Signal::USR2)?;
        self.until_logged(|log| log.contains("Entering lame duck mode")).map(drop)
    }

    /// Waits until the log satisfies the predicate.
    #[cfg(unix)]
    fn until_logged(&self, holds: impl Fn(&str) -> bool) -> io::Result<String> {
        let deadline = Instant::now() + SIGNAL_BOUND;
        loop {
            let log = self.log();
            if holds(&log) {
                return Ok(log);
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(POLL);
        }
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
