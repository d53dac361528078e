//! `fuzz`: builds the targets of `fuzz/`, and runs each on its corpus and then on new inputs of libFuzzer.
//!
//! The corpus contains the inputs of fixed bugs. A new failing input is written to `fuzz/artifacts/`, and its path is in the
//! error.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use thrift_nats_tests::{target_dir, workspace_dir};

use crate::step::{Failed, Step};

const CARGO_FUZZ: &str = "0.13.2";
/// The seconds after which an input counts as a hang. Inputs take less than a tenth of this on a busy machine.
const HANG: &str = "20";
/// The limit of memory in MiB. No target keeps data between inputs.
const MEMORY: &str = "1024";

/// Runs `target`, or all targets, for this time each. Runs as many concurrently as there are processors.
pub(crate) fn fuzz(target: Option<String>, time: Duration) -> Result<(), Failed> {
    let alone = format!("cargo xtask fuzz --seconds {}", time.as_secs());
    let failed = |error: Box<dyn Error + Send + Sync>| Failed::new("fuzz", &alone, error);
    let all = targets().map_err(|error| failed(error.into()))?;
    let chosen = match target {
        None => all,
        Some(target) if all.contains(&target) => vec![target],
        Some(target) => {
            return Err(failed(
                format!("unknown target `{target}`; the targets are {}", all.join(", ")).into(),
            ));
        }
    };
    if let Err(why) = can_build() {
        let text = format!("libFuzzer cannot be built here: {why}");
        if env::var_os("CI").is_some() {
            return Err(failed(text.into()));
        }
        println!("== fuzz: NOT RUN. {text}");
        return Ok(());
    }
    let folder = build().map_err(|error| error.alone(&alone))?;
    let runs = chosen.iter().map(|target| Run { target, time, folder: &folder }).collect::<Vec<_>>();
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    for some in runs.chunks(at_once) {
        let ended: Vec<Result<(), Failed>> = thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|run| scope.spawn(|| run.run())).collect();
            running.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
        });
        ended.into_iter().collect::<Result<(), Failed>>()?;
    }
    Ok(())
}

/// The names of the files in `fuzz/fuzz_targets/`.
fn targets() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace_dir().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Checks the requirements of libFuzzer: a supported system and a C++ compiler.
fn can_build() -> Result<(), String> {
    if cfg!(windows) {
        return Err("cargo-fuzz runs on Linux and macOS; under Windows, use WSL".to_owned());
    }
    let named = env::var_os("CXX").filter(|name| !name.is_empty());
    let name = named.unwrap_or_else(|| "c++".into());
    let works =
        Command::new(&name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if works {
        return Ok(());
    }
    Err(format!(
        "the C++ compiler `{}` was not found; install g++ or clang, or name one with the variable CXX",
        name.display()
    ))
}

/// Builds all targets and returns their folder.
fn build() -> Result<PathBuf, Failed> {
    let tools = target_dir().join("tools");
    let installed = tools.join("bin/cargo-fuzz");
    let version = Command::new(&installed).arg("--version").output();
    let is_there = version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).split_whitespace().last() == Some(CARGO_FUZZ)
    });
    if !is_there {
        Step::cargo("cargo-fuzz", ["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ])
            .args([OsString::from("--root"), tools.clone().into()])
            .run()?;
    }
    let host = host().map_err(|error| Failed::new("fuzz", "rustc -vV", error))?;
    let folder = target_dir().join("fuzz");
    // The stable compiler can instrument coverage, but cargo-fuzz passes unstable flags. A sanitizer is not needed without
    // unsafe code.
    Step::program("fuzz targets", installed, ["build", "--sanitizer", "none"])
        .args(["--target", &host])
        .args([OsString::from("--target-dir"), folder.clone().into()])
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    Ok(folder.join(host).join("release"))
}

/// The target triple of the host.
fn host() -> Result<String, Box<dyn Error + Send + Sync>> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("`rustc -vV` does not print the host")?.to_owned())
}

/// A run of a target.
struct Run<'a> {
    target: &'a str,
    time: Duration,
    /// The folder of the program.
    folder: &'a Path,
}

impl Run<'_> {
    fn run(&self) -> Result<(), Failed> {
        let alone = format!("cargo xtask fuzz {} --seconds {}", self.target, self.time.as_secs());
        let failed = |error: Box<dyn Error + Send + Sync>| Failed::new("fuzz", &alone, error);
        println!("== fuzz: {alone}");
        let (status, said) = self.start().map_err(|error| failed(error.into()))?;
        let runs = said.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or_default();
        if status.success() {
            println!("== fuzz: {}: {}", self.target, runs.trim_start_matches("Done "));
            return Ok(());
        }
        // The output of libFuzzer is long. Its end has the panic and the path of the input.
        let lines: Vec<&str> = said.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        let input = said.lines().rev().find_map(|line| line.split_once("Test unit written to "));
        Err(failed(match input {
            Some((_, path)) => format!(
                "`{}` fails for the input {path}\n== fix the cause, and move the input to fuzz/corpus/{}/ under a name that \
                 describes it",
                self.target, self.target
            )
            .into(),
            None => format!("`{}` exited with {status} and wrote no input", self.target).into(),
        }))
    }

    /// Runs the program and returns its output.
    fn start(&self) -> io::Result<(ExitStatus, String)> {
        let target = self.target;
        let made = target_dir().join("fuzz/made").join(target);
        let kept = workspace_dir().join("fuzz/corpus").join(target);
        let artifacts = workspace_dir().join("fuzz/artifacts").join(target);
        let temporary = target_dir().join("fuzz/tmp").join(target);
        // A killed run leaves it behind.
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        for folder in [&made, &kept, &artifacts, &temporary] {
            fs::create_dir_all(folder)?;
        }
        let log = target_dir().join("fuzz").join(format!("{target}.log"));
        let output = File::create(&log)?;
        let status = Command::new(self.folder.join(target))
            .arg(format!("-max_total_time={}", self.time.as_secs()))
            .arg(format!("-timeout={HANG}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            // New inputs go to the first folder, so that the corpus stays small.
            .args([made, kept])
            .env("TMPDIR", &temporary)
            .current_dir(workspace_dir())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()?;
        let mut said = Vec::new();
        File::open(log)?.read_to_end(&mut said)?;
        Ok((status, String::from_utf8_lossy(&said).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_declared_and_has_a_corpus() {
        let manifest = fs::read_to_string(workspace_dir().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.iter().any(|target| target == "idl"));
        for target in targets {
            let line = format!("path = \"fuzz_targets/{target}.rs\"");
            assert!(manifest.contains(&line), "no line for {target} in fuzz/Cargo.toml");
            let inputs = workspace_dir().join("fuzz/corpus").join(&target);
            assert!(fs::read_dir(&inputs).is_ok_and(|mut inputs| inputs.next().is_some()), "{target}");
        }
    }
}
