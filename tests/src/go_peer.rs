//! The peer in Go: the tutorial's service with the sessions of the legacy Go package, built from `tests/interop/go`.
//!
//! It is built once for each process that asks, into the target folder; Go's own cache makes the second time quick.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::command::{self, RunError};
use crate::folders::{target_dir, workspace_dir};

/// How long Go may take to say its version.
const PROBE_BOUND: Duration = Duration::from_secs(60);
/// How long a build may take, the modules' way through the network included.
const BUILD_BOUND: Duration = Duration::from_secs(300);
/// Where an archive of Go is unpacked to, by its own instructions.
#[cfg(not(windows))]
const USUAL: &str = "/usr/local/go/bin";
#[cfg(windows)]
const USUAL: &str = r"C:\Program Files\Go\bin";

/// A Go peer that is built: `peer server` and `peer client`. What it takes and says is in its source.
#[derive(Clone, Debug)]
pub struct GoPeer {
    path: PathBuf,
    go: String,
}

/// Why there is no Go peer.
#[derive(Debug, thiserror::Error)]
pub enum GoPeerError {
    /// There is no Go.
    #[error("no Go on the path or at {USUAL} (1.26 or newer; https://go.dev/dl)")]
    NoGo,
    /// Go is there, and fails.
    #[error("{} does not say its version", .path.display())]
    Version {
        /// The program.
        path: PathBuf,
        /// What came of it.
        source: RunError,
    },
    /// The folder that it is built into cannot be written.
    #[error("the folder for the Go peer cannot be written")]
    Folder(#[source] io::Error),
    /// It does not build: for one because its modules cannot be fetched.
    #[error("the Go peer does not build")]
    Build(#[source] RunError),
}

impl GoPeer {
    /// The Go peer of this process, built if need be.
    ///
    /// # Errors
    /// The first build's error, again each time.
    pub fn build() -> Result<&'static Self, Arc<GoPeerError>> {
        static BUILT: OnceLock<Result<GoPeer, Arc<GoPeerError>>> = OnceLock::new();
        BUILT.get_or_init(|| build(env::var_os("PATH")).map_err(Arc::new)).as_ref().map_err(Arc::clone)
    }

    /// The Go peer, or `None` where Go is missing: then a line says that the test is skipped.
    ///
    /// # Panics
    /// If Go is there and the peer does not build; and if Go is missing in CI (`CI` is set), where nothing is skipped.
    #[must_use]
    pub fn or_skip() -> Option<&'static Self> {
        match Self::build() {
            Ok(peer) => Some(peer),
            Err(error) if matches!(*error, GoPeerError::NoGo) && env::var_os("CI").is_none() => {
                println!("skipped: {error}");
                None
            }
            Err(error) => panic!("{}", command::with_causes(&error)),
        }
    }

    /// The program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of Go that built it, such as `go1.26.0 linux/amd64`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.go
    }
}

impl fmt::Display for GoPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Go peer at {} (built by {})", self.path.display(), self.go)
    }
}

fn build(path: Option<OsString>) -> Result<GoPeer, GoPeerError> {
    let go = find_go(path).ok_or(GoPeerError::NoGo)?;
    let version = command::output(Command::new(&go).arg("version"), PROBE_BOUND)
        .map_err(|source| GoPeerError::Version { path: go.clone(), source })?;
    let folder = target_dir().join("interop-go");
    fs::create_dir_all(&folder).map_err(GoPeerError::Folder)?;
    // Under another name first: a test that runs meanwhile keeps the whole program that it has.
    let building =
        tempfile::Builder::new().prefix("building-").tempdir_in(&folder).map_err(GoPeerError::Folder)?;
    let built = building.path().join("peer");
    let mut build = Command::new(&go);
    build.args(["build", "-mod=readonly", "-o"]).arg(&built).arg(".");
    build.current_dir(workspace_dir().join("tests/interop/go"));
    command::output(&mut build, BUILD_BOUND).map_err(GoPeerError::Build)?;
    let kept = folder.join(if cfg!(windows) { "peer.exe" } else { "peer" });
    fs::rename(built, &kept).map_err(GoPeerError::Folder)?;
    let go = version.strip_prefix("go version ").unwrap_or(&version).to_owned();
    Ok(GoPeer { path: kept, go })
}

fn find_go(path: Option<OsString>) -> Option<PathBuf> {
    let name = if cfg!(windows) { "go.exe" } else { "go" };
    let folders = path.iter().flat_map(env::split_paths).chain([PathBuf::from(USUAL)]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
