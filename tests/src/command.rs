//! Runs a helper program to its end, within a bound. What it prints is kept, never shown.

use std::io::{self, Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a child is asked whether it has ended; std offers no wait with a bound.
const POLL: Duration = Duration::from_millis(5);

/// Why a helper program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program is not there, or is none that this machine runs.
    #[error("it does not start")]
    Spawn(#[source] io::Error),
    /// Its output could not be kept.
    #[error("its output cannot be read")]
    Output(#[source] io::Error),
    /// It ran longer than it may, and was ended.
    #[error("no end after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It ended with another status than 0.
    #[error("it ended with {status}:\n{output}")]
    Failed {
        /// The status it ended with.
        status: ExitStatus,
        /// What it printed, both streams in order.
        output: String,
    },
}

/// What the program printed, both streams in order, if it ended with status 0 within the bound.
pub(crate) fn output(command: &mut Command, bound: Duration) -> Result<String, RunError> {
    let mut kept = tempfile::tempfile().map_err(RunError::Output)?;
    let streams = kept.try_clone().and_then(|out| Ok((out, kept.try_clone()?))).map_err(RunError::Output)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(streams.0).stderr(streams.1).spawn().map_err(RunError::Spawn)?;
    let status = wait(&mut child, bound).map_err(RunError::Output)?.ok_or(RunError::TimedOut(bound))?;

    let mut output = Vec::new();
    kept.rewind().and_then(|()| kept.read_to_end(&mut output)).map_err(RunError::Output)?;
    let output = String::from_utf8_lossy(&output).trim_end().to_owned();
    if status.success() { Ok(output) } else { Err(RunError::Failed { status, output }) }
}

/// The error and all its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

/// Waits for the child's end; one that runs past the bound is killed, and there is no status.
fn wait(child: &mut Child, bound: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept() {
        let output = output(&mut sh("echo one; echo two >&2"), Duration::from_secs(10)).unwrap();
        assert_eq!(output, "one\ntwo");
    }

    #[test]
    fn a_program_that_fails_says_what_it_printed() {
        let error = output(&mut sh("echo no luck >&2; exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(matches!(&error, RunError::Failed { output, .. } if output == "no luck"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let error = output(&mut sh("exec sleep 600"), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, RunError::TimedOut(_)), "{error}");
    }
}
