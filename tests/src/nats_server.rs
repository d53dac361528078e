//! A NATS server of a test's own: a process, a folder for its files, and a watchdog.
//!
//! Everything here waits for the event itself (the ports file, the process's state), within a bound.

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

/// How long the kernel may take to stop a process that was told to.
#[cfg(unix)]
const PAUSE_BOUND: Duration = Duration::from_secs(10);
/// How long a server may take to do what a signal tells it to.
#[cfg(unix)]
const SIGNAL_BOUND: Duration = Duration::from_secs(30);

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
    ports: Ports,
    /// The cluster that it is a node of.
    cluster: Option<Membership>,
    /// `None` between `stop` and `restart`.
    process: Option<Process>,
}

/// What a server is told before it starts.
#[derive(Clone, Debug, Default)]
#[must_use = "a server runs once it is started"]
pub struct Builder {
    config: String,
    cluster: Option<Membership>,
}

/// What a node of a cluster is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The node's port for other nodes; `None`: one that it chooses.
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
    /// It runs, and does not find the other nodes of its cluster.
    #[error("the nodes of the cluster have not found each other after {} s; the log of one:\n{log}", .bound.as_secs())]
    NotJoined {
        /// How long it was waited for.
        bound: Duration,
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

/// Why a server did not take other settings.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It does not run, or could not be told.
    #[error("the NATS server cannot be told")]
    Process(#[source] io::Error),
    /// It goes on with those that it had.
    #[error("the NATS server refuses the settings; its log:\n{log}")]
    Refused {
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
        fs::write(folder.path().join(CONFIG), self.text()).map_err(StartError::Folder)?;
        let (process, ports) = Process::start(program, folder.path(), None)?;
        let mut cluster = self.cluster.clone();
        if let Some(member) = &mut cluster {
            // It keeps its port when it is restarted: the others know it by that.
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
        let (process, _) = Process::start(self.program, self.folder.path(), Some(self.ports.client))?;
        self.process = Some(process);
        Ok(())
    }

    /// Whether the server runs: it is not stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The id of its process; `None` if it is stopped.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.server.id())
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

    /// Gives the server other settings, and returns once it has taken them (SIGHUP). They replace those that it was built
    /// with; a restart keeps them.
    ///
    /// # Errors
    /// If the server does not run, or refuses the settings; the error shows its log.
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

    /// Puts the server into lame duck mode (SIGUSR2), and returns once it is: it takes no new connections, and closes those
    /// that it has, one by one, after a grace period (`lame_duck_grace_period`), within `lame_duck_duration`.
    ///
    /// # Errors
    /// If the server does not run, or the kernel refuses.
    #[cfg(unix)]
    pub fn lame_duck(&self) -> io::Result<()> {
        rustix::process::kill_process(self.pid()?, rustix::process::Signal::USR2)?;
        self.until_logged(|log| log.contains("Entering lame duck mode")).map(drop)
    }

    /// The log, once something holds of it.
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
