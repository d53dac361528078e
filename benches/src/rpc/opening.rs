//! Opening sessions, one after the other.

use std::time::{Duration, Instant};

use thrift_nats_benches::paired::Samples;
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_runtime::Server;
use thrift_nats_tests::GoPeer;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::calls::{per_call, shown, thousands};
use crate::contestants::Go;
use crate::load::Load;
use crate::services::Adder;
use crate::tutorial::{CalculatorClient, CalculatorServer};
use crate::{BoxError, Options, THREADS, process};

const SUBJECT: &str = "opening";
/// The bound for the sessions of a turn to end.
const CLOSING: Duration = Duration::from_secs(30);

pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    broker: &Broker,
    peer: Option<&GoPeer>,
    options: Options,
) -> Result<(), BoxError> {
    let (server, nats) = runtime.block_on(async {
        let server = Server::builder(&broker.connect().await?, SUBJECT).serve(CalculatorServer::new(Adder));
        Ok::<_, BoxError>((server.await?, broker.connect().await?))
    })?;
    let mut go = peer.map(|peer| Go::start(broker, peer, THREADS)).transpose()?;
    // The first session of each is opened before the measurement, because it adds subscriptions.
    runtime.block_on(open(&nats, &server, Duration::ZERO))?;
    if let Some(go) = &mut go {
        go.open(Duration::ZERO)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut cpu = Vec::new();
    for _ in 0..options.turns.max(1) {
        let before = process::cpu(std::process::id());
        let (load, after) = runtime.block_on(open(&nats, &server, options.time))?;
        cpu.push(per_call(before, after, load.calls));
        ours.push(load.per_second());
        if let Some(go) = &mut go {
            theirs.push(go.open(options.time)?.per_second());
        }
    }
    report.heading("Opening sessions, one after the other");
    let mut table = Table::new(["", "sessions per second", "thrift-nats is", "CPU per session"]);
    let ours = Samples::new(ours);
    table.row(["thrift-nats".to_owned(), thousands(ours.median()), String::new(), shown(&cpu)]);
    if go.is_some() {
        let theirs = Samples::new(theirs);
        let ratio = format!("{} times as fast", ours.over(&theirs));
        table.row(["Go peer".to_owned(), thousands(theirs.median()), ratio, "–".to_owned()]);
    }
    report.table(&table);
    report.text("Opening a session of thrift-nats takes one round trip and adds no NATS subscription.");
    Ok(())
}

/// Opens sessions for `time`, then closes them. Returns their number and the processor time before they are closed.
async fn open(
    nats: &async_nats::Client,
    server: &Server,
    time: Duration,
) -> Result<(Load, Option<Duration>), BoxError> {
    let nats = nats.clone();
    // In a task, so that it runs on the threads of the server.
    let opening = tokio::spawn(async move {
        let mut clients = Vec::new();
        let begun = Instant::now();
        loop {
            clients.push(CalculatorClient::connect(&nats, SUBJECT).await?);
            if begun.elapsed() >= time {
                break;
            }
        }
        let load = Load { calls: clients.len() as u64, time: begun.elapsed() };
        Ok::<_, BoxError>((load, process::cpu(std::process::id()), clients))
    });
    let (load, cpu, clients) = opening.await??;
    drop(clients);
    let until = Instant::now() + CLOSING;
    while server.sessions() > 0 {
        if Instant::now() > until {
            return Err("the sessions do not end".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok((load, cpu))
}
