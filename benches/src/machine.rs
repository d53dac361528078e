//! What a number depends on besides the program: the machine, the compiler, the versions of what was compared.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::process::Command;
use std::thread;

/// The lock file that all of this was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// One line on the machine and the compiler.
#[must_use]
pub fn facts() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = cpu().unwrap_or_else(|| "CPU of unknown model".to_owned());
    let s = if cores == 1 { "" } else { "s" };
    format!("{cpu}, {cores} core{s}, {OS} on {ARCH}, {}", env!("BENCH_RUSTC"))
}

/// The model of the processor, as the system names it.
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

/// The version of a package that this was built with, or `None` if it was not.
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
