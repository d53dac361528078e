//! The peer in Go: the tutorial's service with the sessions of the legacy Go package, built from `tests/interop/go`.
//!
//! Each process builds it once, into the target folder. The cache of Go makes further builds quick.

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

/// The bound for `go version`.
const PROBE_BOUND: Duration = Duration::from_secs(60);
/// The bound for a build, including the download of its modules.
const BUILD_BOUND: Duration = Duration::from_secs(300);
/// The folder into which Go's instructions install it.
#[cfg(not(windows))]
const USUAL: &str = "/usr/local/go/bin";
#[cfg(windows)]
const USUAL: &str = r"C:\Program Files\Go\bin";

/// A Go peer that is built: `peer server` and `peer client`. Its source documents its commands and output.
#[derive(Clone, Debug)]
pub struct GoPeer {
    path: PathBuf,
    go: String,
}

/// The reason why the Go peer is not available.
#[derive(Debug, thiserror::Error)]
pub enum GoPeerError {
    /// Go was not found.
    #[error("Go was not found on the path or at {USUAL}; install 1.26 or newer from https://go.dev/dl")]
    NoGo,
    /// `go version` fails.
    #[error("`{} version` fails", .path.display())]
    Version {
        /// The program.
        path: PathBuf,
        /// The error.
        source: RunError,
    },
    /// The folder for the build cannot be written.
    #[error("the folder for the Go peer cannot be written")]
    Folder(#[source] io::Error),
    /// The build fails, for example because its modules cannot be downloaded.
    #[error("the Go peer does not build")]
    Build(#[source] RunError),
}

impl GoPeer {
    /// The Go peer of this process, built on first use.
    ///
    /// # Errors
    /// The error of the build. Later calls return it again.
    pub fn build() -> Result<&'static Self, Arc<GoPeerError>> {
        static BUILT: OnceLock<Result<GoPeer, Arc<GoPeerError>>> = OnceLock::new();
        BUILT.get_or_init(|| build(env::var_os("PATH")).map_err(Arc::new)).as_ref().map_err(Arc::clone)
    }

    /// The Go peer, or `None` if Go is missing. It prints then that the test is skipped.
    ///
    /// # Panics
    /// If the build fails, or if Go is missing and the variable `CI` is set, because CI skips no test.
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
    // Builds under a temporary name, because a concurrent test may run the old program.
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
