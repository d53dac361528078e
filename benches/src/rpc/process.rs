//! Processor time and memory of a process, as Linux reports them. Reports have a dash on other systems.

use std::fs;
use std::time::Duration;

/// The processor time of all running threads of a process.
pub(crate) fn cpu(process: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanos = tasks.filter_map(|task| {
        // Nanoseconds on a processor, nanoseconds of waiting, and the number of time slices. The thread may have exited.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident(process: u32) -> Option<u64> {
    memory(process, "VmRSS:")
}

/// The most resident memory that a process has had, in bytes.
pub(crate) fn peak(process: u32) -> Option<u64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
