//! The oldest compiler that the published packages build with: `rust-version` in the workspace's `Cargo.toml`.

use std::process::Command;

use crate::step::{Failed, Step};

/// As `Cargo.toml` states it.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");
/// The packages that users get.
const PUBLISHED: [&str; 4] =
    ["thrift-nats-codegen", "thrift-nats-macros", "thrift-nats-parser", "thrift-nats-runtime"];

/// Checks the published packages with exactly that compiler, which rustup installs if it is missing. If rustup cannot,
/// the step only says so: a test compares the number with those of the locked dependencies.
pub(crate) fn check() -> Result<(), Failed> {
    let installed = Command::new("rustup")
        .args(["toolchain", "install", RUST_VERSION, "--profile", "minimal", "--no-self-update"])
        .output();
    let error = match installed {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("rustup does not start: {error}")),
    };
    if let Some(error) = error {
        println!("== rust-version: NOT BUILT, rustup cannot install Rust {RUST_VERSION}: {error}");
        return Ok(());
    }
    let packages = PUBLISHED.iter().flat_map(|package| ["-p", package]);
    Step::program("rust-version", "rustup".into(), ["run", RUST_VERSION, "cargo", "check", "--locked"])
        .args(["--all-features"])
        .args(packages)
        .run()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::env;

    use serde_json::Value;
    use thrift_nats_tests::workspace_dir;

    use super::*;

    /// `1.90` and `1.90.0` are the same.
    fn parse(version: &str) -> [u32; 3] {
        let mut parts = version.split('.').map(|part| part.parse().unwrap());
        std::array::from_fn(|_| parts.next().unwrap_or(0))
    }

    fn metadata() -> Value {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["metadata", "--locked", "--all-features", "--format-version", "1"];
        let output = Command::new(cargo).args(arguments).current_dir(workspace_dir()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The packages of the list and their dependencies, without those of their tests.
    fn dependencies<'a>(metadata: &'a Value, packages: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
        let nodes: BTreeMap<_, _> = metadata["resolve"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| (node["id"].as_str().unwrap(), node["deps"].as_array().unwrap()))
            .collect();
        let published = |package: &Value| {
            package["source"].is_null() && PUBLISHED.contains(&package["name"].as_str().unwrap())
        };
        let mut next: Vec<_> =
            packages.iter().filter(|(_, package)| published(package)).map(|(id, _)| *id).collect();
        assert_eq!(next.len(), PUBLISHED.len());
        let mut seen = BTreeSet::new();
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                let normal = nodes[id].iter().filter(|dependency| {
                    dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
                });
                next.extend(normal.map(|dependency| dependency["pkg"].as_str().unwrap()));
            }
        }
        seen
    }

    #[test]
    fn no_locked_dependency_needs_a_newer_compiler() {
        let metadata = metadata();
        let packages: BTreeMap<_, _> = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| (package["id"].as_str().unwrap(), package))
            .collect();
        let dependencies = dependencies(&metadata, &packages);
        let needed =
            dependencies.iter().map(|id| packages[id]).filter(|package| !package["source"].is_null());
        let needed = needed.filter_map(|package| {
            Some((parse(package["rust_version"].as_str()?), package["name"].as_str().unwrap()))
        });
        let (highest, package) = needed.max().unwrap();
        assert!(
            parse(RUST_VERSION) >= highest,
            "{package} needs {highest:?}; Cargo.toml says {RUST_VERSION}"
        );
    }

    #[test]
    fn every_published_package_is_checked() {
        let metadata = metadata();
        let packages = metadata["packages"].as_array().unwrap().iter();
        // `publish = false` is an empty list of registries. A published package has null.
        let published =
            packages.filter(|package| package["source"].is_null() && package["publish"].is_null());
        let names: BTreeSet<_> = published.map(|package| package["name"].as_str().unwrap()).collect();
        assert_eq!(names, BTreeSet::from(PUBLISHED));
    }
}
