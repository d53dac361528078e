//! Forwards one direction of a connection: reads operations, applies the rules, and writes the result.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::Shared;
use super::operation::{Direction, Operation};
use super::parser::Parser;
use super::rule::Action;

pub(super) struct Pump {
    pub(super) direction: Direction,
    pub(super) from: OwnedReadHalf,
    pub(super) to: OwnedWriteHalf,
    /// Injected operations.
    pub(super) injected: mpsc::UnboundedReceiver<Operation>,
    pub(super) shared: Arc<Shared>,
}

/// The operations to write, and those that are delayed.
#[derive(Default)]
struct Out {
    bytes: BytesMut,
    /// Reordered messages, each with the number of messages to let pass.
    held: Vec<(usize, Operation)>,
}

impl Pump {
    /// Forwards until either side is closed, or a rule cuts the connection.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut parser = Parser::default();
        let mut out = Out::default();
        loop {
            while let Some(operation) = parser.next().map_err(io::Error::other)? {
                if !self.pass(operation, &mut out).await? {
                    return Ok(());
                }
            }
            self.flush(&mut out).await?;
            tokio::select! {
                read = self.from.read_buf(parser.buffer()) => if read? == 0 {
                    return Ok(());
                },
                Some(operation) = self.injected.recv() => out.put(&operation),
            }
        }
    }

    /// Applies the rules. Returns false if the connection is cut.
    async fn pass(&mut self, operation: Operation, out: &mut Out) -> io::Result<bool> {
        let action = self.shared.rules.action(self.direction, &operation);
        if matches!(action, Action::Stall) {
            self.shared.stall(self.direction, true);
        }
        self.stand_still(out).await?;
        match action {
            Action::Count | Action::Stall => out.put(&self.on_the_proxy(operation)),
            Action::Drop => {}
            Action::Delay(time) => {
                self.flush(out).await?;
                tokio::time::sleep(time).await;
                out.put(&operation);
            }
            Action::Reorder(behind) => out.held.push((behind, operation)),
            Action::Duplicate => {
                out.put(&operation);
                out.put(&operation);
            }
            Action::Cut(len) => {
                let mut bytes = BytesMut::new();
                operation.encode(&mut bytes);
                bytes.truncate(len);
                out.bytes.extend_from_slice(&bytes);
                self.flush(out).await?;
                return Ok(false);
            }
            Action::Inject(other) => {
                out.put(&operation);
                out.put(&other);
            }
            Action::Replace(other) => out.put(&other),
        }
        Ok(true)
    }

    /// Waits while the direction is stalled.
    async fn stand_still(&mut self, out: &mut Out) -> io::Result<()> {
        let mut stalled = self.shared.stalled(self.direction).subscribe();
        if *stalled.borrow() {
            self.flush(out).await?;
            // An error means that the proxy is dropped, which ends this task, too.
            let _ = stalled.wait_for(|stalled| !stalled).await;
        }
        Ok(())
    }

    async fn flush(&mut self, out: &mut Out) -> io::Result<()> {
        self.to.write_all(&out.bytes).await?;
        out.bytes.clear();
        Ok(())
    }

    /// An `INFO` that names only this proxy as a server, so that clients stay on it.
    fn on_the_proxy(&self, operation: Operation) -> Operation {
        match operation {
            Operation::Control(line) if line.starts_with(b"INFO ") => {
                Operation::Control(rewritten(&line, &self.shared.address).unwrap_or(line))
            }
            other => other,
        }
    }
}

impl Out {
    fn put(&mut self, operation: &Operation) {
        operation.encode(&mut self.bytes);
        if operation.message().is_none() {
            return;
        }
        let mut due = Vec::new();
        self.held.retain_mut(|(behind, held)| {
            *behind = behind.saturating_sub(1);
            if *behind == 0 {
                due.push(held.clone());
            }
            *behind > 0
        });
        for held in due {
            held.encode(&mut self.bytes);
        }
    }
}

fn rewritten(line: &Bytes, address: &str) -> Option<Bytes> {
    let mut info: serde_json::Value = serde_json::from_slice(line.strip_prefix(b"INFO ")?).ok()?;
    let urls = info.as_object_mut()?.get_mut("connect_urls")?;
    *urls = serde_json::Value::from(vec![address]);
    Some(Bytes::from(format!("INFO {info}")))
}
