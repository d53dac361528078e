//! `bench rpc`: calls, sessions and long payloads, compared with other systems.
//!
//! | option | effect |
//! | --- | --- |
//! | `--turns N` | the number of turns (11; 31 with `--against`) |
//! | `--time MS` | the time of a measurement in a turn (200) |
//! | `--sessions N` | the number of idle sessions (100,000) |
//! | `--only PART` | measures one part: `calls`, `opening`, `idle` or `payloads` |
//! | `--who NAME`, `--level N` | measures the calls of one contestant, and at one number of concurrent calls, for a profiler |
//! | `--against PROGRAM` | only compares the calls of this build with those of another build of this program |
//! | `--large MINUTES` | only echoes 20 MiB, eight at a time, with small calls beside them, and checks that no call fails |
//! | `--soak MINUTES` | only runs the full load for this time, and checks that resources do not grow |
//! | `--report` | writes `docs/benchmarks/rpc.md` |

mod against;
mod broker;
mod calls;
mod contestants;
mod idle;
mod large;
mod load;
mod opening;
mod payloads;
mod process;
mod services;
mod soak;

use std::env;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thrift_nats_benches::report::Report;
use thrift_nats_tests::{GoPeer, GoPeerError};
use tokio::runtime::{Builder, Runtime};

use broker::Broker;

mod generated {
    thrift_nats_runtime::include_thrift!("rpc.rs");
}
use generated::{echo, shared, tutorial};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The number of threads of a contestant.
const THREADS: usize = 2;

/// The options of all parts.
#[derive(Clone, Copy, Debug)]
struct Options {
    turns: usize,
    time: Duration,
    sessions: usize,
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = env::args().collect();
    if let [_, command, url] = &arguments[..]
        && command.starts_with("idle-")
    {
        return idle::child(command, url);
    }
    if let [_, command, url] = &arguments[..]
        && command == large::SERVER
    {
        return large::server(url);
    }
    let levels = option(&arguments, "--level")?.map_or(calls::LEVELS.to_vec(), |level| vec![level]);
    if let Some(old) = option::<PathBuf>(&arguments, "--against")? {
        let turns = option(&arguments, "--turns")?.unwrap_or(31);
        let time = Duration::from_millis(option(&arguments, "--time")?.unwrap_or(200));
        return against::compare(&old, turns, time, &levels);
    }
    let options = Options {
        turns: option(&arguments, "--turns")?.unwrap_or(11),
        time: Duration::from_millis(option(&arguments, "--time")?.unwrap_or(200)),
        sessions: option(&arguments, "--sessions")?.unwrap_or(100_000),
    };
    let runtime = runtime()?;
    let broker = Broker::start()?;
    if let Some(minutes) = option::<f64>(&arguments, "--soak")? {
        return soak::soak(&runtime, &broker, Duration::from_secs_f64(minutes * 60.0));
    }
    if let Some(minutes) = option::<f64>(&arguments, "--large")? {
        return large::large(&runtime, &broker, Duration::from_secs_f64(minutes * 60.0));
    }
    let only = option::<String>(&arguments, "--only")?;
    let measures = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let peer = match GoPeer::build() {
        Ok(peer) => Some(peer),
        Err(error) if matches!(*error, GoPeerError::NoGo) => None,
        Err(error) => return Err(error.into()),
    };

    let packages = ["thrift-nats-runtime", "async-nats", "tokio", "tonic", "prost"];
    let mut report = Report::from_args("rpc", "Calls", &packages);
    report.text(
        "All contestants of a table take turns, many times in one run, on one NATS server that only this run uses. \
         The NATS server and both sides of every contestant share the machine. A rate is the median of the turns. A \
         ratio is the median of the ratios within each turn; the range in brackets holds the middle half of them. \
         Processor time is counted by the operating system, so other work on the machine disturbs it less than it \
         disturbs rates.",
    );
    match peer {
        Some(peer) => report.text(&format!(
            "The Go peer is the one of this repository's tests ({peer}). It uses Apache's codecs. Its sessions \
             follow the description of the legacy package's protocol, because the package itself is not available \
             from the Go module proxy.",
            peer = peer.version()
        )),
        None => report.text("The Go peer is left out, because Go was not found."),
    }
    if measures("calls") {
        let who = option::<String>(&arguments, "--who")?;
        calls::measure(&mut report, &runtime, &broker, peer, options, who.as_deref(), &levels)?;
    }
    if measures("opening") {
        opening::measure(&mut report, &runtime, &broker, peer, options)?;
    }
    if measures("idle") {
        idle::measure(&mut report, &broker, options)?;
    }
    if measures("payloads") {
        payloads::measure(&mut report, &runtime, &broker, options)?;
    }
    report.finish()?;
    Ok(())
}

fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?)
}

/// The value after `name` on the command line.
fn option<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    arguments: &[String],
    name: &str,
) -> Result<Option<T>, BoxError> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else { return Ok(None) };
    let value = arguments.get(at + 1).ok_or_else(|| format!("{name} needs a value"))?;
    Ok(Some(value.parse().map_err(|error| format!("{name} {value}: {error}"))?))
}
