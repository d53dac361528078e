//! Writes the input as two files. The bytes after the first zero byte are `other.thrift`, which the rest can include.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

/// One folder for all inputs of a run. It is never dropped, because libFuzzer ends the process. `cargo xtask fuzz` removes
/// it.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary folder can be created"));

/// Writes the files, and returns the path of the first.
pub(crate) fn write(bytes: &[u8]) -> PathBuf {
    let split = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (root, other) = (FOLDER.path().join("main.thrift"), FOLDER.path().join("other.thrift"));
    fs::write(&root, &bytes[..split]).expect("the input can be written");
    fs::write(&other, bytes.get(split + 1..).unwrap_or_default()).expect("the input can be written");
    root
}
