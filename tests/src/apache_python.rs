//! Apache's Python library, which the tests compare with. Finds it, or installs it into the target folder.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::command::{self, RunError};
use crate::folders::{target_dir, workspace_dir};
use crate::nats_server::install::{INSTALL_BOUND, INSTALLERS, PROBE_BOUND};

/// The release that is installed.
const VERSION: &str = "0.25.0";
/// The SHA-256 of its source, which is the same for every system.
const SOURCE_SUM: &str = "e85615ae9245f5622a5e36a9d2d867e1e7b17a8ca467b257dece5dc1642ccd73";

/// A Python that has Apache's library, and the scripts of `tests/vectors`.
#[derive(Clone, Debug)]
pub struct ApachePython {
    /// The folder that the library is in.
    library: PathBuf,
}

impl fmt::Display for ApachePython {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apache Thrift {VERSION} for Python at {}", self.library.display())
    }
}

/// The reason why the library is not available.
#[derive(Debug, thiserror::Error)]
#[error("Apache Thrift {VERSION} for Python is not available: {0}")]
pub struct NoApachePython(String);

impl ApachePython {
    /// The library, installed if necessary. If it cannot be installed, this prints the reason to standard error, and that
    /// the test is skipped.
    ///
    /// # Panics
    /// If the library is not available and the variable `CI` is set, because CI skips no test.
    pub fn or_skip() -> Option<Self> {
        static FOUND: OnceLock<Result<ApachePython, String>> = OnceLock::new();
        match FOUND.get_or_init(|| Self::find().map_err(|error| error.to_string())) {
            Ok(python) => Some(python.clone()),
            Err(error) if env::var_os("CI").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    /// The library, installed if necessary.
    ///
    /// # Errors
    /// If Python or an installer of packages is missing.
    pub fn find() -> Result<Self, NoApachePython> {
        let library = target_dir().join("apache-python").join(VERSION);
        let python = Self { library };
        if python.probe().is_ok() {
            return Ok(python);
        }
        let mut tried = String::new();
        for installer in INSTALLERS {
            match python.install(installer).and_then(|()| python.probe()) {
                Ok(()) => return Ok(python),
                Err(error) => {
                    let (name, cause) = (installer.join(" "), std::error::Error::source(&error));
                    tried += &format!("\n  {name}: {error}");
                    tried += &cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                }
            }
        }
        Err(NoApachePython(tried))
    }

    /// A command that runs a script of `tests/vectors`.
    #[must_use]
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(if cfg!(windows) { "python" } else { "python3" });
        command.arg("-B").arg(workspace_dir().join("tests/vectors").join(name));
        command.env("PYTHONPATH", &self.library).env("PYTHONIOENCODING", "utf-8");
        command
    }

    /// The output of a script of `tests/vectors`.
    ///
    /// # Errors
    /// If it fails, or runs for more than a minute.
    pub fn output(&self, name: &str) -> Result<String, RunError> {
        command::output(&mut self.script(name), Duration::from_secs(60))
    }

    fn probe(&self) -> Result<(), RunError> {
        if !self.library.is_dir() {
            return Err(RunError::Spawn(std::io::ErrorKind::NotFound.into()));
        }
        self.output("spec.py").map(drop)
    }

    fn install(&self, installer: &[&str]) -> Result<(), RunError> {
        let (program, arguments) = installer.split_first().expect("an installer names a program");
        let command = || {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        };
        command::output(command().arg("--help"), PROBE_BOUND)?;
        let folder = self.library.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).map_err(RunError::Output)?;
        let scratch =
            tempfile::Builder::new().prefix("install-").tempdir_in(folder).map_err(RunError::Output)?;
        let requirements = scratch.path().join("requirements.txt");
        fs::write(&requirements, format!("thrift=={VERSION} --hash=sha256:{SOURCE_SUM}\n"))
            .map_err(RunError::Output)?;
        let unpacked = scratch.path().join("unpacked");
        command::output(
            command()
                .args(["install", "--no-deps", "--no-binary", "thrift", "--require-hashes", "--target"])
                .arg(&unpacked)
                .arg("-r")
                .arg(&requirements)
                // The user's settings that conflict with --target.
                .env("PIP_USER", "0")
                .env("PIP_REQUIRE_VIRTUALENV", "0")
                .env("PIP_RETRIES", env::var_os("PIP_RETRIES").unwrap_or_else(|| "2".into())),
            INSTALL_BOUND,
        )?;
        // The rename is atomic. If another process was faster, its folder is equal.
        match fs::rename(&unpacked, &self.library) {
            Err(error) if !self.library.is_dir() => Err(RunError::Output(error)),
            _ => Ok(()),
        }
    }
}
