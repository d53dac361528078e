//! The cost of idle sessions: memory on either side, and subscriptions.
//!
//! Server and client run as separate processes of this program. Their memory is read before and after.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_runtime::{Client, Server};

use crate::broker::{Broker, connect};
use crate::calls::thousands;
use crate::services::Adder;
use crate::tutorial::CalculatorServer;
use crate::{BoxError, Options, process};

const SUBJECT: &str = "idle";
/// The number of sessions of each client with a pool.
const POOL: usize = 1000;
/// The number of sessions that are opened concurrently.
const AT_ONCE: usize = 100;
/// The number of sessions that are opened before the first reading, so that one-time allocations do not count.
const BEFORE: usize = 2000;
/// The timeout of a handshake. It is long, because many run concurrently.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// The division of the sessions among clients.
#[derive(Clone, Copy, Debug)]
enum Clients {
    Pools,
    Single,
}

impl Clients {
    const fn word(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::Single => "single",
        }
    }

    const fn sessions(self) -> usize {
        match self {
            Self::Pools => POOL,
            Self::Single => 1,
        }
    }
}

pub(crate) fn measure(report: &mut Report, broker: &Broker, options: Options) -> Result<(), BoxError> {
    report.heading("Idle sessions");
    report.text(&format!(
        "{} sessions of one server, with client and server in a process each. Memory is the growth of a process's \
         resident memory, divided by the number of sessions. Heartbeats are at their default. The number of NATS \
         subscriptions is shown before and after the sessions are opened.",
        thousands(options.sessions as f64)
    ));
    let mut table = Table::new([
        "",
        "client, bytes per session",
        "server, bytes per session",
        "NATS subscriptions",
        "opened per second",
    ]);
    for (name, clients) in
        [("clients with 1,000 sessions", Clients::Pools), ("a client for each session", Clients::Single)]
    {
        let mut server = Side::start("idle-server", broker)?;
        let mut client = Side::start("idle-client", broker)?;
        server.answer()?;
        client.answer()?;
        client.ask(&format!("{} {BEFORE}", clients.word()))?;
        let before = (client.weight()?, server.weight()?, broker.subscriptions()?);
        let begun = Instant::now();
        client.ask(&format!("{} {}", clients.word(), options.sessions))?;
        let taken = begun.elapsed();
        let after = (client.weight()?, server.weight()?, broker.subscriptions()?);
        let each = |before: u64, after: u64| {
            thousands(after.saturating_sub(before) as f64 / options.sessions as f64)
        };
        table.row([
            name.to_owned(),
            each(before.0, after.0),
            each(before.1, after.1),
            format!("{} → {}", before.2, after.2),
            thousands(options.sessions as f64 / taken.as_secs_f64()),
        ]);
    }
    report.table(&table);
    Ok(())
}

/// The process of one side.
struct Side {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Side {
    fn start(command: &str, broker: &Broker) -> Result<Self, BoxError> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([command, &broker.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("no pipe to a process".into()) };
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, command: &str) -> Result<(), BoxError> {
        writeln!(self.input, "{command}")?;
        self.answer()
    }

    /// Waits until it prints that the command is done.
    fn answer(&mut self) -> Result<(), BoxError> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line == "done\n" { Ok(()) } else { Err("a process of one side has failed".into()) }
    }

    fn weight(&self) -> Result<u64, BoxError> {
        process::resident(self.process.id())
            .ok_or_else(|| "this system does not say what a process weighs".into())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Both fail only if the process has exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The main function of the process of one side. It exits when its standard input closes.
pub(crate) fn child(command: &str, url: &str) -> Result<(), BoxError> {
    let runtime = crate::runtime()?;
    if command == "idle-server" {
        return runtime.block_on(async {
            let server =
                Server::builder(&connect(url).await?, SUBJECT).serve(CalculatorServer::new(Adder)).await?;
            println!("done");
            tokio::task::spawn_blocking(|| io::stdin().lines().for_each(drop)).await?;
            drop(server);
            Ok(())
        });
    }
    let nats = runtime.block_on(connect(url))?;
    println!("done");
    let mut clients = Vec::new();
    for line in io::stdin().lines() {
        let line = line?;
        let (word, number) = line.split_once(' ').ok_or("a word and a number")?;
        let each = if word == Clients::Pools.word() { Clients::Pools } else { Clients::Single };
        let count = number.parse::<usize>()?.div_ceil(each.sessions());
        clients.reserve(count);
        runtime.block_on(async {
            let at_once = (AT_ONCE / each.sessions()).max(1);
            let client = |_| {
                Client::builder(&nats, SUBJECT)
                    .handshake_timeout(HANDSHAKE)
                    .sessions(each.sessions())
                    .connect()
            };
            let mut opened = stream::iter(0..count).map(client).buffer_unordered(at_once);
            while let Some(client) = opened.try_next().await? {
                clients.push(client);
            }
            Ok::<_, BoxError>(())
        })?;
        println!("done");
    }
    Ok(())
}
