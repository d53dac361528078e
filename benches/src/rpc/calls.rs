//! The call `add` of the tutorial, at several numbers of concurrent calls.

use std::time::Duration;

use thrift_nats_benches::paired::{Samples, nanoseconds};
use thrift_nats_benches::plot::{Bars, Lines};
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_tests::GoPeer;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::contestants::{Contestant, Go, Grpc, Ours, PingPong, Responder};
use crate::{BoxError, Options, THREADS, process};

/// The name of this project among the contestants. [`crate::against`] looks for it in the tables of other builds.
pub(crate) const OURS: &str = "thrift-nats";
/// The numbers of concurrent calls.
pub(crate) const LEVELS: [usize; 4] = [1, 16, 64, 256];
/// The unmeasured time at the start of a level, in which buffers grow and Go opens its sessions.
const WARM_UP: Duration = Duration::from_millis(50);

/// The samples of a contestant at a level, one per turn.
#[derive(Default)]
struct Results {
    /// Calls per second.
    rates: Vec<f64>,
    /// Nanoseconds of processor time per call, of the client and the server together.
    own: Vec<f64>,
    /// The same for the NATS server.
    nats: Vec<f64>,
}

pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    broker: &Broker,
    peer: Option<&GoPeer>,
    options: Options,
    who: Option<&str>,
    levels: &[usize],
) -> Result<(), BoxError> {
    let mut contestants: Vec<Box<dyn Contestant>> = vec![
        Box::new(runtime.block_on(Ours::start(broker))?),
        Box::new(runtime.block_on(Responder::start(broker))?),
        Box::new(runtime.block_on(PingPong::start(broker))?),
    ];
    if let Some(peer) = peer {
        contestants.push(Box::new(Go::start(broker, peer, THREADS)?));
    }
    contestants.push(Box::new(runtime.block_on(Grpc::start())?));
    contestants.retain(|contestant| who.is_none_or(|who| contestant.name() == who));
    if contestants.is_empty() {
        return Err("no contestant has that name".into());
    }

    report.heading("Calls of `add`");
    report.text(&format!(
        "Each contestant runs its server and its client in one process with {THREADS} threads, and each side has its \
         own connection. *thrift-nats*: one client with one session. *async-nats request*: the NATS client's own \
         `request` with a body of 40 bytes, and a task that sends the body back, without a codec or a service. \
         *ping-pong*: two tasks that publish back each message they receive, with as many messages of 40 bytes in \
         flight as there are calls. It matches no responses and wakes no callers, so it shows the limit of one NATS \
         message per request and response. *Go peer*: one session for each concurrent call, because a legacy session \
         handles one call at a time. *tonic*: one TCP connection, without NATS."
    ));
    let mut lines: Vec<Vec<(f64, f64)>> = vec![Vec::new(); contestants.len()];
    let names: Vec<_> = contestants.iter().map(|contestant| contestant.name()).collect();
    let mut cpu = Bars::new(
        "Processor time per call of client, server and NATS server",
        "µs (less is better)",
        names.iter().copied(),
    );
    for &level in levels {
        let results = turns(runtime, broker, &mut contestants, level, options)?;
        let s = if level == 1 { "" } else { "s" };
        report.text(&format!("**{level} concurrent call{s}**"));
        let mut table =
            Table::new(["", "calls per second", "thrift-nats is", "CPU per call", "NATS server CPU"]);
        let ours = Samples::new(results[0].rates.clone());
        for (who, results) in results.iter().enumerate() {
            let rates = Samples::new(results.rates.clone());
            lines[who].push((level as f64, rates.median()));
            let ratio = if who == 0 { String::new() } else { format!("{} times as fast", ours.over(&rates)) };
            table.row([
                names[who].to_owned(),
                thousands(rates.median()),
                ratio,
                shown(&results.own),
                shown(&results.nats),
            ]);
        }
        report.table(&table);
        let sum = |results: &Results| {
            let median = |samples: &[f64]| Samples::new(samples.to_vec()).median();
            (median(&results.own) + median(&results.nats)) / 1e3
        };
        cpu.group(format!("{level} concurrent"), results.iter().map(sum));
    }
    let mut plot = Lines::new("Calls of `add`", "concurrent calls", "calls per second").logarithmic_x();
    names.iter().zip(lines).for_each(|(name, points)| plot.line(*name, points));
    report.plot("calls", "calls per second by the number of concurrent calls", &plot);
    report.plot("cpu", "processor time per call", &cpu);
    Ok(())
}

fn turns(
    runtime: &Runtime,
    broker: &Broker,
    contestants: &mut [Box<dyn Contestant>],
    level: usize,
    options: Options,
) -> Result<Vec<Results>, BoxError> {
    let mut results: Vec<_> = contestants.iter().map(|_| Results::default()).collect();
    for contestant in contestants.iter_mut() {
        contestant.run(runtime, level, WARM_UP)?;
    }
    for turn in 0..options.turns.max(1) {
        for position in 0..contestants.len() {
            let who = (turn + position) % contestants.len();
            let (contestant, results) = (&mut contestants[who], &mut results[who]);
            let process = contestant.process();
            let before = (process::cpu(process), broker.cpu());
            let load = contestant.run(runtime, level, options.time)?;
            let after = (process::cpu(process), broker.cpu());
            results.rates.push(load.per_second());
            results.own.push(per_call(before.0, after.0, load.calls));
            results.nats.push(per_call(before.1, after.1, load.calls));
        }
    }
    Ok(results)
}

/// Nanoseconds per call, or NaN if the system does not report the time.
pub(crate) fn per_call(before: Option<Duration>, after: Option<Duration>, calls: u64) -> f64 {
    let (Some(before), Some(after)) = (before, after) else { return f64::NAN };
    after.saturating_sub(before).as_secs_f64() * 1e9 / calls as f64
}

/// The median of nanoseconds, or a dash for NaN.
pub(crate) fn shown(samples: &[f64]) -> String {
    let median = Samples::new(samples.to_vec()).median();
    if median.is_nan() { "–".to_owned() } else { nanoseconds(median) }
}

/// A number in groups of three digits.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
