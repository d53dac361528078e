//! `bench`: the programs of `benches/`.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use thrift_nats_tests::{NatsProgram, target_dir, workspace_dir};

use crate::step::{Failed, Step};

/// Runs a program of `benches/`, which is a separate workspace, optimised. Each program has a feature of the same name, so
/// that it is built without the crates that the others compare with.
pub(crate) fn program(name: &'static str, arguments: Vec<OsString>) -> Result<(), Failed> {
    Step::cargo("bench", ["run", "--release", "--manifest-path", "benches/Cargo.toml"])
        .args(["--bin", name, "--features", name, "--target-dir"])
        .args([target_dir().join("benches")])
        .args(["--"])
        .args(arguments)
        .run()
}

/// `bench idl` also measures the command `thrift-nats-gen`, which is built first.
pub(crate) fn idl(mut arguments: Vec<OsString>) -> Result<(), Failed> {
    Step::cargo("build", ["build", "--release", "-p", "thrift-nats-codegen", "--features", "command"])
        .run()?;
    arguments.extend(["--generator".into(), target_dir().join("release/thrift-nats-gen").into()]);
    program("idl", arguments)
}

/// Builds `bench rpc` of another revision, or of the checkout in another folder, and compares this build with it. Each is
/// built from its own `benches/`, because the API may differ.
pub(crate) fn rpc_against(other: &str, server: &NatsProgram, arguments: Vec<OsString>) -> Result<(), Failed> {
    let checkout = checkout(other)?;
    let benches = target_dir().join("benches");
    Step::cargo("old build", ["build", "--release", "--bin", "rpc", "--features", "rpc"])
        .args([OsString::from("--manifest-path"), checkout.join("benches/Cargo.toml").into()])
        .args([OsString::from("--target-dir"), benches.clone().into()])
        .run()?;
    // Both builds share the target folder, and with it the build of their dependencies. The new program replaces the old
    // one, which is therefore copied.
    let built = benches.join("release").join(format!("rpc{EXE_SUFFIX}"));
    let old = benches.join("release").join(format!("rpc-old{EXE_SUFFIX}"));
    fs::copy(&built, &old).map_err(|source| {
        Failed::new("old build", format!("cp {} {}", built.display(), old.display()), source)
    })?;
    Step::cargo("bench", ["run", "--release", "--manifest-path", "benches/Cargo.toml"])
        .args(["--bin", "rpc", "--features", "rpc", "--target-dir"])
        .args([benches])
        .args([OsString::from("--"), "--against".into(), old.into()])
        .args(arguments)
        .env("NATS_SERVER", server.path())
        .run()
}

/// The folder `other`, or else a git worktree of the revision `other` in the target folder.
fn checkout(other: &str) -> Result<PathBuf, Failed> {
    // The current folder may be any of the workspace.
    let folder = Path::new(other);
    if folder.join("benches/Cargo.toml").is_file() {
        return folder
            .canonicalize()
            .map_err(|source| Failed::new("old build", format!("ls {other}"), source));
    }
    let revision = format!("{other}^{{commit}}");
    let arguments = ["rev-parse", "--verify", "--quiet", &revision];
    let alone = format!("git {}", arguments.join(" "));
    let output = Command::new("git")
        .args(arguments)
        .current_dir(workspace_dir())
        .output()
        .map_err(|source| Failed::new("old build", &alone, source))?;
    if !output.status.success() {
        let why = format!("`{other}` is neither a revision nor a folder with a benches/Cargo.toml");
        return Err(Failed::new("old build", &alone, why));
    }
    let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let folder = target_dir().join("against").join(&commit);
    if !folder.join("benches/Cargo.toml").is_file() {
        Step::program("old build", "git".into(), ["worktree", "add", "--force", "--detach"])
            .args([OsString::from(&folder), commit.into()])
            .run()?;
    }
    Ok(folder)
}
