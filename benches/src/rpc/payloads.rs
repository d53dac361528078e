//! Calls with a megabyte in the request and in the reply.

use bytes::Bytes;
use thrift_nats_benches::paired::Samples;
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_runtime::{Client, Server};
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::calls::{per_call, shown};
use crate::contestants::{Responder, request};
use crate::echo::{EchoClient, EchoServer};
use crate::load::{Load, drive};
use crate::services::Repeat;
use crate::{BoxError, Options, process};

const MEGABYTE: usize = 1 << 20;
/// The numbers of concurrent calls.
const LEVELS: [usize; 2] = [1, 8];
/// The length of a chunk that fits a megabyte and its message.
const WHOLE: usize = MEGABYTE + 64 * 1024;

/// Makes concurrent calls for the time of a turn.
type Run<'a> = Box<dyn FnMut(usize) -> Result<Load, BoxError> + 'a>;

pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    broker: &Broker,
    options: Options,
) -> Result<(), BoxError> {
    let (servers, clients, responder) = runtime.block_on(async {
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for (subject, limit) in [("echo", None), ("echo-whole", Some(WHOLE))] {
            let (mut server, nats) =
                (Server::builder(&broker.connect().await?, subject), broker.connect().await?);
            let mut client = Client::builder(&nats, subject);
            if let Some(limit) = limit {
                (server, client) = (server.chunk_limit(limit), client.chunk_limit(limit));
            }
            servers.push(server.serve(EchoServer::new(Repeat)).await?);
            clients.push(EchoClient::new(client.connect().await?));
        }
        Ok::<_, BoxError>((servers, clients, Responder::start(broker).await?))
    })?;
    let payload = Bytes::from(vec![b'x'; MEGABYTE]);
    let time = options.time;
    let mut runs: Vec<(&str, Run<'_>)> = Vec::new();
    for (name, client) in ["thrift-nats", "thrift-nats, chunks of 1 MB"].into_iter().zip(clients) {
        let payload = payload.clone();
        let run = move |level| {
            let (client, payload) = (client.clone(), payload.clone());
            runtime.block_on(drive(level, time, move |_| {
                let call = client.echo(&payload);
                async move {
                    let reply = call.await?;
                    if reply.len() == MEGABYTE { Ok(()) } else { Err("a wrong reply".into()) }
                }
            }))
        };
        runs.push((name, Box::new(run)));
    }
    let run = move |level| {
        let (client, payload) = (responder.client().clone(), payload.clone());
        runtime.block_on(drive(level, time, move |_| request(client.clone(), payload.clone())))
    };
    runs.push(("async-nats request", Box::new(run)));

    report.heading("Echo of one megabyte");
    report.text(
        "The NATS server accepts messages of 8 MB in this part, so that `request` can send a megabyte in one \
         message. *thrift-nats* sends at most 1 MiB in one NATS message, its default: the message with a megabyte is \
         a little longer, and is cut into two. *chunks of 1 MB* sends it in one.",
    );
    for level in LEVELS {
        let mut rates = vec![Vec::new(); runs.len()];
        let (mut own, mut nats) = (rates.clone(), rates.clone());
        for turn in 0..options.turns.max(1) {
            for position in 0..runs.len() {
                let who = (turn + position) % runs.len();
                let before = (process::cpu(std::process::id()), broker.cpu());
                let load = runs[who].1(level)?;
                let after = (process::cpu(std::process::id()), broker.cpu());
                rates[who].push(load.per_second());
                own[who].push(per_call(before.0, after.0, load.calls));
                nats[who].push(per_call(before.1, after.1, load.calls));
            }
        }
        let s = if level == 1 { "" } else { "s" };
        report.text(&format!("**{level} concurrent call{s}**"));
        let mut table = Table::new([
            "",
            "MB per second each way",
            "ratio to async-nats request",
            "CPU per call",
            "NATS server CPU",
        ]);
        let rates: Vec<_> = rates.into_iter().map(Samples::new).collect();
        let request = &rates[runs.len() - 1];
        for (who, (name, _)) in runs.iter().enumerate() {
            let last = who + 1 == runs.len();
            let ratio = if last { String::new() } else { rates[who].over(request).to_string() };
            table.row([
                (*name).to_owned(),
                format!("{:.0}", rates[who].median()),
                ratio,
                shown(&own[who]),
                shown(&nats[who]),
            ]);
        }
        report.table(&table);
    }
    drop(runs);
    drop(servers);
    Ok(())
}
