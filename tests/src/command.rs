//! Runs a helper program to its end, within a bound. Captures its output.

use std::io::{self, Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which the child is polled, because std has no wait with a timeout.
const POLL: Duration = Duration::from_millis(5);

/// The error of a helper program.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program does not exist or cannot be executed.
    #[error("the program does not start")]
    Spawn(#[source] io::Error),
    /// Its output could not be captured.
    #[error("the output cannot be captured")]
    Output(#[source] io::Error),
    /// It exceeded the bound and was killed.
    #[error("the program was killed after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It exited with another status than 0.
    #[error("the program exited with {status}:\n{output}")]
    Failed {
        /// The exit status.
        status: ExitStatus,
        /// The output of both streams, in order.
        output: String,
    },
}

/// The output of both streams, in order, if the program exits with status 0 within the bound.
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

/// Waits for the child. Kills it after the bound; it has no status then.
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
    fn both_streams_are_captured() {
        let output = output(&mut sh("echo one; echo two >&2"), Duration::from_secs(10)).unwrap();
        assert_eq!(output, "one\ntwo");
    }

    #[test]
    fn error_of_a_failed_program_has_its_output() {
        let error = output(&mut sh("echo no luck >&2; exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(matches!(&error, RunError::Failed { output, .. } if output == "no luck"), "{error}");
    }

    #[test]
    fn program_that_exceeds_the_bound_is_killed() {
        let error = output(&mut sh("exec sleep 600"), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, RunError::TimedOut(_)), "{error}");
    }
}
