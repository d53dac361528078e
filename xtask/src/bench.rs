//! `bench`: the programs of `benches/`.

use std::ffi::OsString;

use thrift_nats_tests::target_dir;

use crate::step::{Failed, Step};

/// Runs a program of `benches/`, which is a workspace of its own, optimised. Each program is a feature there too, so that
/// one need not build what another compares with.
pub(crate) fn program(name: &'static str, arguments: Vec<OsString>) -> Result<(), Failed> {
    Step::cargo("bench", ["run", "--release", "--manifest-path", "benches/Cargo.toml"])
        .args(["--bin", name, "--features", name, "--target-dir"])
        .args([target_dir().join("benches")])
        .args(["--"])
        .args(arguments)
        .run()
}

/// The generator: `bench idl` also measures the command, which is built first.
pub(crate) fn idl(mut arguments: Vec<OsString>) -> Result<(), Failed> {
    Step::cargo("build", ["build", "--release", "-p", "thrift-nats-codegen", "--features", "command"])
        .run()?;
    arguments.extend(["--generator".into(), target_dir().join("release/thrift-nats-gen").into()]);
    program("idl", arguments)
}
