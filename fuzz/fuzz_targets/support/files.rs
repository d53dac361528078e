//! The input as files: what stands behind the first zero byte is `other.thrift`, which the rest may include.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

/// One folder for all inputs of a run. Nothing drops it, as libFuzzer ends the process: `cargo xtask fuzz` clears it.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the input"));

/// Writes the files, and gives the path of the first.
pub(crate) fn write(bytes: &[u8]) -> PathBuf {
    let split = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (root, other) = (FOLDER.path().join("main.thrift"), FOLDER.path().join("other.thrift"));
    fs::write(&root, &bytes[..split]).expect("the input is written");
    fs::write(&other, bytes.get(split + 1..).unwrap_or_default()).expect("the input is written");
    root
}
