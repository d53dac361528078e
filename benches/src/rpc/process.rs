//! What a process has used, as Linux says; elsewhere nothing is known, and a report has a dash.

use std::fs;
use std::time::Duration;

/// The processor time of a process, of all its threads that run.
pub(crate) fn cpu(process: u32) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanos = tasks.filter_map(|task| {
        // Nanoseconds on a processor, nanoseconds waited, and how often. A thread may have ended meanwhile.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}

/// The memory of a process that is in the machine's, in bytes.
pub(crate) fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
