//! The conditions of a measurement: the machine, the compiler, and the versions of the packages.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::process::Command;
use std::thread;

/// The lock file of this build.
const LOCK: &str = include_str!("../Cargo.lock");

/// The machine and the compiler, in one line.
#[must_use]
pub fn facts() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = cpu().unwrap_or_else(|| "CPU of unknown model".to_owned());
    let s = if cores == 1 { "" } else { "s" };
    format!("{cpu}, {cores} core{s}, {OS} on {ARCH}, {}", env!("BENCH_RUSTC"))
}

/// The model of the processor, as the system reports it.
fn cpu() -> Option<String> {
    let name = if cfg!(target_os = "linux") {
        let info = fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':')?.1.to_owned()
    } else {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?
    };
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The version of a package in this build, or `None` if the build does not have it.
#[must_use]
pub fn version(package: &str) -> Option<&'static str> {
    let mut lines = LOCK.lines();
    lines.find(|line| {
        line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"')) == Some(package)
    })?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(version("plotters").is_some_and(|version| version.starts_with("0.3.")));
        assert_eq!(version("plotter"), None);
    }
}
