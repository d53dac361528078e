//! Finds the program `nats-server`: named by `NATS_SERVER`, on the path, installed by an earlier run, or installed now.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::install::{self, INSTALLERS, Installer};
use crate::command::{self, RunError};
use crate::folders::{target_dir, workspace_dir};

#[cfg(windows)]
pub(crate) const FILE_NAME: &str = "nats-server.exe";
#[cfg(not(windows))]
pub(crate) const FILE_NAME: &str = "nats-server";

/// The bound for `nats-server --version`, which takes milliseconds.
const PROBE_BOUND: Duration = Duration::from_secs(30);

const ADVICE: &str = "\
Install a NATS server (2.9 or newer) and run this again:
  Linux    apt-get install nats-server (Debian, Ubuntu), brew install nats-server, or Python's pip, which is then used here
  macOS    brew install nats-server
  Windows  scoop install nats-server
  any      an archive from https://github.com/nats-io/nats-server/releases
One that is not on the path is named with NATS_SERVER=/path/to/nats-server.";

/// A program that has been checked to be a NATS server.
#[derive(Clone, Debug)]
pub struct NatsProgram {
    path: PathBuf,
    version: String,
    origin: Origin,
}

/// The source of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `NATS_SERVER` names it.
    Variable,
    /// It is on the path.
    Path,
    /// An earlier run installed it.
    Kept,
    /// This run installed it.
    Installed {
        /// The command that installed it.
        by: String,
    },
}

/// The places to search, in the order of the fields.
#[derive(Clone, Debug)]
pub struct Search {
    /// The value of `NATS_SERVER`: a path, relative to the workspace. If it is set, nothing else is tried.
    pub variable: Option<OsString>,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// The file of an installed server.
    pub kept: PathBuf,
    /// The installers to try.
    pub installers: &'static [Installer],
}

/// The error of a search that found no NATS server.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// `NATS_SERVER` does not name a NATS server.
    #[error("NATS_SERVER names {}, which is not a NATS server that runs here", .path.display())]
    Variable {
        /// The value of the variable.
        path: PathBuf,
        /// The reason why it is not accepted.
        source: ProbeError,
    },
    /// No server was found, and none could be installed.
    #[error("no NATS server was found, and none could be installed.\nTried:\n{}\n{ADVICE}", list(.tried))]
    NotFound {
        /// Each attempt, and why it failed.
        tried: Vec<Attempt>,
    },
}

/// A failed attempt to find a NATS server.
#[derive(Debug)]
pub struct Attempt {
    /// The attempt.
    pub what: String,
    /// The reason why it failed.
    pub error: AttemptError,
}

/// The error of an attempt.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The program does not exist.
    #[error("not found")]
    Missing,
    /// The program is not a NATS server.
    #[error("not a NATS server")]
    Probe(#[source] ProbeError),
    /// The installer does not exist.
    #[error("the installer was not found")]
    NoInstaller(#[source] RunError),
    /// The installer failed: no network, no wheel for this platform, a wrong sum.
    #[error("the installer failed")]
    Install(#[source] RunError),
    /// The installer succeeded, but the package lacks the program.
    #[error("the package does not contain {FILE_NAME}")]
    NothingUnpacked,
    /// The folder for the program cannot be written.
    #[error("the folder cannot be written")]
    Folder(#[source] io::Error),
}

/// The reason why a program is not accepted as a NATS server.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be executed.
    #[error("`--version` fails")]
    Run(#[source] RunError),
    /// It is another program.
    #[error("`--version` prints `{0}`, not `nats-server: v…`")]
    OtherProgram(String),
}

impl NatsProgram {
    /// The NATS server of this process, found or installed on first use.
    ///
    /// # Errors
    /// The error of the search. Later calls return it again.
    pub fn find() -> Result<&'static Self, Arc<FindError>> {
        // Concurrent callers wait for the first search, so that a process installs at most once.
        static FOUND: OnceLock<Result<NatsProgram, Arc<FindError>>> = OnceLock::new();
        FOUND.get_or_init(|| Search::from_env().run().map_err(Arc::new)).as_ref().map_err(Arc::clone)
    }

    pub(crate) fn probe(path: PathBuf, origin: Origin) -> Result<Self, ProbeError> {
        let output =
            command::output(Command::new(&path).arg("--version"), PROBE_BOUND).map_err(ProbeError::Run)?;
        match output.strip_prefix("nats-server: v") {
            Some(version) => Ok(Self { path, version: version.to_owned(), origin }),
            None => Err(ProbeError::OtherProgram(output.lines().next().unwrap_or_default().to_owned())),
        }
    }

    /// The program's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, such as `2.15.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The source of the program.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for NatsProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nats-server {} at {} ({})", self.version, self.path.display(), self.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("named by NATS_SERVER"),
            Self::Path => f.write_str("found on the path"),
            Self::Kept => f.write_str("installed earlier"),
            Self::Installed { by } => write!(f, "installed just now by {by}"),
        }
    }
}

impl Search {
    /// The search that the environment of this process describes. Installed servers are in the target folder.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            variable: env::var_os("NATS_SERVER").filter(|value| !value.is_empty()),
            path: env::var_os("PATH"),
            kept: target_dir().join("nats-server").join(install::VERSION).join(FILE_NAME),
            installers: INSTALLERS,
        }
    }

    /// Searches, and installs if necessary.
    ///
    /// # Errors
    /// If `NATS_SERVER` is wrong, or all attempts have failed.
    pub fn run(&self) -> Result<NatsProgram, FindError> {
        if let Some(variable) = &self.variable {
            let path = workspace_dir().join(variable);
            return NatsProgram::probe(path.clone(), Origin::Variable)
                .map_err(|source| FindError::Variable { path, source });
        }

        let mut tried = Vec::new();
        let on_path = self.on_path();
        if on_path.is_empty() {
            tried.push(Attempt { what: format!("{FILE_NAME} on the path"), error: AttemptError::Missing });
        }
        let on_path = on_path.into_iter().map(|path| (path, Origin::Path));
        for (path, origin) in on_path.chain([(self.kept.clone(), Origin::Kept)]) {
            let what = path.display().to_string();
            if !path.is_file() {
                tried.push(Attempt { what, error: AttemptError::Missing });
                continue;
            }
            match NatsProgram::probe(path, origin) {
                Ok(program) => return Ok(program),
                Err(error) => tried.push(Attempt { what, error: AttemptError::Probe(error) }),
            }
        }

        install::install(&self.kept, self.installers, &mut tried).ok_or(FindError::NotFound { tried })
    }

    /// Every candidate on the path, as an absolute path, because a test does not run in the folder of `cargo xtask test`.
    fn on_path(&self) -> Vec<PathBuf> {
        let files = self.path.iter().flat_map(env::split_paths).map(|folder| folder.join(FILE_NAME));
        files.filter(|file| file.is_file()).filter_map(|file| std::path::absolute(file).ok()).collect()
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        let mut next: Option<&dyn std::error::Error> = Some(&self.error);
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

/// The attempts as an indented list. The output of programs is indented further.
fn list(tried: &[Attempt]) -> String {
    let lines = tried.iter().map(|attempt| format!("  {}", attempt.to_string().replace('\n', "\n    ")));
    lines.collect::<Vec<_>>().join("\n")
}
