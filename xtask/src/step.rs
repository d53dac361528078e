//! A step of a task: one command, usually of cargo, that can be run alone.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use thrift_nats_tests::workspace_dir;

/// A command that runs in the folder of the workspace.
#[derive(Debug)]
pub(crate) struct Step {
    name: &'static str,
    /// `None` for cargo.
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    envs: Vec<(&'static str, OsString)>,
}

/// A failed step: its name, the error, and the command that runs it alone.
#[derive(Debug)]
pub(crate) struct Failed {
    step: &'static str,
    alone: String,
    source: Box<dyn Error + Send + Sync>,
}

impl Step {
    pub(crate) fn cargo<const N: usize>(name: &'static str, arguments: [&str; N]) -> Self {
        Self { name, program: None, arguments: arguments.map(OsString::from).to_vec(), envs: Vec::new() }
    }

    pub(crate) fn program<const N: usize>(
        name: &'static str,
        program: PathBuf,
        arguments: [&str; N],
    ) -> Self {
        Self { program: Some(program), ..Self::cargo(name, arguments) }
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.envs.push((name, value.into()));
        self
    }

    pub(crate) fn run(self) -> Result<(), Failed> {
        println!("== {}: {self}", self.name);
        // The cargo that runs this has the right toolchain.
        let cargo = || env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let program = self.program.clone().map_or_else(cargo, PathBuf::into_os_string);
        let status = Command::new(program)
            .args(&self.arguments)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(workspace_dir())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failed::new(self.name, &self, Ended(status))),
            Err(error) => Err(Failed::new(self.name, &self, NoStart(error))),
        }
    }
}

/// The command as typed into a shell.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.envs {
            write!(f, "{name}={} ", quoted(value))?;
        }
        match &self.program {
            Some(program) => f.write_str(&quoted(program.as_os_str()))?,
            None => f.write_str("cargo")?,
        }
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl Failed {
    pub(crate) fn new(
        step: &'static str,
        alone: impl fmt::Display,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { step, alone: alone.to_string(), source: source.into() }
    }

    pub(crate) fn alone(self, command: impl fmt::Display) -> Self {
        Self { alone: command.to_string(), ..self }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "== {} failed: {}", self.step, self.source)?;
        let mut next = self.source.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        write!(f, "\n== to run this step alone: {}", self.alone)
    }
}

#[derive(Debug)]
struct Ended(ExitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exited with {}", self.0)
    }
}

impl Error for Ended {}

#[derive(Debug)]
struct NoStart(io::Error);

impl fmt::Display for NoStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("does not start")
    }
}

impl Error for NoStart {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_is_displayed_as_a_shell_command() {
        let step =
            Step::cargo("docs", ["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").args(["it's"]);
        assert_eq!(step.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn failure_has_the_step_every_cause_and_the_command() {
        let failed = Failed::new("docs", "cargo doc", NoStart(io::Error::other("no such file")));
        assert_eq!(
            failed.to_string(),
            "== docs failed: does not start: no such file\n== to run this step alone: cargo doc"
        );
    }
}
