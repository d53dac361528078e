//! The peer in Go as a process. It exits when its standard input closes, and so ends with the test.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use thrift_nats_tests::{GoPeer, NatsServer, eventually};

use crate::wire::Wire;

/// The output of the process.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) listening: bool,
    pub(crate) opened: usize,
    /// The reasons of the sessions that have ended.
    pub(crate) closed: Vec<String>,
    /// The number of runs of each function.
    pub(crate) ran: BTreeMap<String, usize>,
    /// Results that are not consumed yet.
    pub(crate) answers: VecDeque<Value>,
    /// The output has ended.
    pub(crate) ended: bool,
}

pub(crate) struct GoProcess {
    process: Child,
    input: Option<ChildStdin>,
    said: Arc<Mutex<Said>>,
}

impl GoProcess {
    pub(crate) fn start(
        peer: &GoPeer,
        nats: &NatsServer,
        mode: &str,
        wire: Wire,
        heartbeat: Duration,
    ) -> Self {
        let mut process = Process::new(peer.path())
            .arg(format!("--nats={}", nats.url()))
            .args(wire.flags())
            .arg(format!("--heartbeat={}ms", heartbeat.as_millis()))
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let (input, output) = (process.stdin.take(), process.stdout.take().unwrap());
        let saying = Arc::clone(&said);
        // The thread ends with the process.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                take(&mut saying.lock().unwrap(), &line);
            }
            saying.lock().unwrap().ended = true;
        });
        Self { process, input, said }
    }

    /// Sends the process a line.
    pub(crate) fn tell(&mut self, line: impl std::fmt::Display) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Checks a condition on the output.
    pub(crate) fn has(&self, holds: impl FnOnce(&mut Said) -> bool) -> bool {
        holds(&mut self.said.lock().unwrap())
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&mut Said) -> bool) {
        eventually(what, || self.has(|said| holds(said) || said.ended)).await;
        assert!(self.has(|said| holds(said)), "{what}: the Go peer has ended");
    }
}

fn take(said: &mut Said, line: &str) {
    let line: Value = serde_json::from_str(line).unwrap();
    let why = line["why"].as_str().unwrap_or_default().to_owned();
    match line["event"].as_str() {
        None => said.answers.push_back(line),
        Some("listening") => said.listening = true,
        Some("opened") => said.opened += 1,
        Some("closed") => said.closed.push(why),
        Some("ran") => *said.ran.entry(why).or_default() += 1,
        Some(other) => panic!("the Go peer says {other}: {why}"),
    }
}

impl Drop for GoProcess {
    fn drop(&mut self) {
        // It exits when its input closes. The kill is for a process that hangs.
        self.input = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
