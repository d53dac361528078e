//! The project's tasks: `cargo xtask ci` runs what must pass before a change lands.

use std::process::{Command, ExitCode};

/// A step: its name, the arguments for cargo, and the environment.
type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const STEPS: &[Step] = &[
    ("format", &["fmt", "--all", "--check"], &[]),
    ("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
    ("docs", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
    ("tests", &["test", "--workspace"], &[]),
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("ci") {
        eprintln!("usage: cargo xtask ci");
        return ExitCode::from(2);
    }
    for (name, args, envs) in STEPS {
        println!("== {name}");
        let status = Command::new(env!("CARGO")).args(*args).envs(envs.iter().copied()).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("== {name} failed");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
