//! Pauses and resumes processes. Never signals a process that the tests have not started.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// The bound for the kernel to stop a process.
const BOUND: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// Pauses a child process (SIGSTOP) and returns when it is paused.
pub(crate) fn pause(pid: Pid) -> io::Result<()> {
    kill_process(pid, Signal::STOP)?;
    let deadline = Instant::now() + BOUND;
    // NOWAIT leaves the exit status, if there is one, to `Child::wait`.
    let options =
        WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(pid), options)? {
            Some(status) if status.stopped() => return Ok(()),
            Some(_) => return Err(io::Error::other("the process has ended")),
            None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(POLL),
        }
    }
}

/// Resumes a paused process (SIGCONT). Does nothing if it is not paused.
pub(crate) fn resume(pid: Pid) -> io::Result<()> {
    Ok(kill_process(pid, Signal::CONT)?)
}
