//! Finds the program `nats-server`: named by the person, on the path, kept from before, or installed.

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

/// How long `nats-server --version` may take; it takes milliseconds.
const PROBE_BOUND: Duration = Duration::from_secs(30);

const ADVICE: &str = "\
Install a NATS server (2.9 or newer) and run this again:
  Linux    apt-get install nats-server (Debian, Ubuntu), brew install nats-server, or Python's pip, which is then used here
  macOS    brew install nats-server
  Windows  scoop install nats-server
  any      an archive from https://github.com/nats-io/nats-server/releases
One that is not on the path is named with NATS_SERVER=/path/to/nats-server.";

/// A program that has said that it is a NATS server.
#[derive(Clone, Debug)]
pub struct NatsProgram {
    path: PathBuf,
    version: String,
    origin: Origin,
}

/// How a program was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `NATS_SERVER` names it.
    Variable,
    /// It is on the path.
    Path,
    /// An earlier run installed it.
    Kept,
    /// It was installed just now.
    Installed {
        /// The command that did it.
        by: String,
    },
}

/// Where to look, in the order of the fields.
#[derive(Clone, Debug)]
pub struct Search {
    /// The value of `NATS_SERVER`: a path, from the workspace if relative. If it is set, nothing else is tried.
    pub variable: Option<OsString>,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// The file that an installed server is kept as.
    pub kept: PathBuf,
    /// What is asked to install one.
    pub installers: &'static [Installer],
}

/// Why there is no NATS server to start.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// `NATS_SERVER` is set to something else.
    #[error("NATS_SERVER names {}, which is no NATS server that runs here", .path.display())]
    Variable {
        /// What the variable names.
        path: PathBuf,
        /// What is wrong with it.
        source: ProbeError,
    },
    /// Nothing is found, and nothing could be installed.
    #[error("no NATS server is found, and none could be installed.\nTried:\n{}\n{ADVICE}", list(.tried))]
    NotFound {
        /// Each way that was tried, and why it failed.
        tried: Vec<Attempt>,
    },
}

/// A way to a NATS server that led nowhere.
#[derive(Debug)]
pub struct Attempt {
    /// What was tried.
    pub what: String,
    /// Why it failed.
    pub error: AttemptError,
}

/// Why a way led nowhere.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// There is no such program.
    #[error("not there")]
    Missing,
    /// There is a program, but no NATS server.
    #[error("no NATS server")]
    Probe(#[source] ProbeError),
    /// The installer is not on this machine.
    #[error("no such installer")]
    NoInstaller(#[source] RunError),
    /// The installer failed: no network, no wheel for this platform, a wrong sum.
    #[error("the installer failed")]
    Install(#[source] RunError),
    /// The installer was content, but there is no program.
    #[error("the package holds no {FILE_NAME}")]
    NothingUnpacked,
    /// The folder for the program cannot be written.
    #[error("the folder cannot be written")]
    Folder(#[source] io::Error),
}

/// Why a program is not taken for a NATS server.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not run.
    #[error("`--version` fails")]
    Run(#[source] RunError),
    /// It runs, and is something else.
    #[error("`--version` answers `{0}`, not `nats-server: v…`")]
    OtherProgram(String),
}

impl NatsProgram {
    /// The NATS server of this process: searched for, and installed if need be, once.
    ///
    /// # Errors
    /// The first search's error, again each time.
    pub fn find() -> Result<&'static Self, Arc<FindError>> {
        // Whoever comes while the search goes on waits for it, so that a process installs no more than once.
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

    /// How it was found.
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
    /// The search that this process's environment asks for; servers are kept in the target folder.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            variable: env::var_os("NATS_SERVER").filter(|value| !value.is_empty()),
            path: env::var_os("PATH"),
            kept: target_dir().join("nats-server").join(install::VERSION).join(FILE_NAME),
            installers: INSTALLERS,
        }
    }

    /// Searches, and installs if need be.
    ///
    /// # Errors
    /// If `NATS_SERVER` is wrong, or all of the rest has failed.
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

    /// Every file on the path that could be a server, as an absolute path: a test's folder is not the one of the
    /// `cargo xtask test` that names it.
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

/// The attempts as an indented list, what a program printed set in further.
fn list(tried: &[Attempt]) -> String {
    let lines = tried.iter().map(|attempt| format!("  {}", attempt.to_string().replace('\n', "\n    ")));
    lines.collect::<Vec<_>>().join("\n")
}
