//! The Go peer of the tests, as `peer bench`: a server and a client in one process, each with a connection.
//!
//! A legacy session handles one call at a time, so that n concurrent calls need n sessions.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use thrift_nats_tests::GoPeer;
use tokio::runtime::Runtime;

use super::Contestant;
use crate::BoxError;
use crate::broker::Broker;
use crate::load::Load;

pub(crate) struct Go {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Go {
    /// Starts the process. Its goroutines run on `threads` threads.
    pub(crate) fn start(broker: &Broker, peer: &GoPeer, threads: usize) -> Result<Self, BoxError> {
        let mut process = Command::new(peer.path())
            .env("GOMAXPROCS", threads.to_string())
            .arg(format!("--nats={}", broker.url()))
            .args(["--subject=go", "bench"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err("no pipe to the Go peer".into());
        };
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Opens sessions one after the other, for `time`.
    pub(crate) fn open(&mut self, time: Duration) -> Result<Load, BoxError> {
        self.ask(&json!({ "open": true, "nanos": time.as_nanos() as u64 }))
    }

    fn ask(&mut self, question: &Value) -> Result<Load, BoxError> {
        writeln!(self.input, "{question}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        let answer: Value = serde_json::from_str(&answer)?;
        let number = |name: &str| {
            answer[name].as_u64().ok_or_else(|| format!("unexpected output of the Go peer: {answer}"))
        };
        Ok(Load { calls: number("calls")?, time: Duration::from_nanos(number("nanos")?) })
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        // Both fail only if the process has exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Contestant for Go {
    fn name(&self) -> &'static str {
        "Go peer"
    }

    fn run(&mut self, _runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError> {
        self.ask(&json!({ "callers": calls, "nanos": time.as_nanos() as u64 }))
    }

    fn process(&self) -> u32 {
        self.process.id()
    }
}
