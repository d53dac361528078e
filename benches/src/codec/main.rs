//! `bench codec`: the time to encode and to decode a message, compared with the crates `pilota` and `thrift`.
//!
//! All contestants use types from `idl/codec.thrift` and decode the same bytes. Each encodes into one buffer, which it clears
//! and reuses, and decodes into new values. Pilota takes part with its safe code: `TBinaryProtocol` over `BytesMut` and
//! `Bytes`. Pilota's types have shared strings and hash containers; Apache's have owned strings and B-trees. Ours can have
//! either, and are compared with the same kind.
//!
//! `--only WORD` selects messages and directions by a word in their names; `--turns N` sets the number of turns.

mod contestants;
mod generated;
mod messages;

use std::env;
use std::error::Error;
use std::time::Duration;

use thrift_nats_benches::paired::{Samples, nanoseconds, per_run, take_turns};
use thrift_nats_benches::plot::Bars;
use thrift_nats_benches::report::{Report, Table};

use contestants::{Contestant, Way, contestants};

/// The time of one measurement in a turn.
const SLICE: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let only = option("--only").unwrap_or_default();
    let turns = option("--turns").map_or(Ok(101), |turns| turns.parse())?;

    let packages = ["thrift-nats-runtime", "pilota", "thrift", "bytes", "faststr"];
    let mut report = Report::from_args("codec", "Encoding and decoding", &packages);
    report.text(
        "A turn measures all cells of a row, one after the other. A time is that of the fastest turn, because other \
         work on the machine disturbed it least. A ratio divides two such times; above 1, thrift-nats is faster. The \
         range in brackets holds the middle half of the ratios within each turn. \"Like pilota's\" is thrift-nats with \
         shared strings, hash containers and pilota's hasher. \"Like Apache's\" is thrift-nats with owned strings and \
         B-trees. Pilota is measured with its safe codec (`TBinaryProtocol`, `TCompactOutputProtocol` and \
         `TCompactInputProtocol` over `BytesMut` and `Bytes`). Its compact protocol panics when it reads most of its \
         own messages; those cells show a dash. Pilota does not check strings for UTF-8, and that check takes most \
         of the time of decoding long strings.",
    );
    if !generated::APACHE {
        report.text(
            "Apache is left out: its compiler `thrift` was not on the path when the benchmark was built.",
        );
    }
    for protocol in contestants::PROTOCOLS {
        for way in [Way::Encode, Way::Decode] {
            measure(&mut report, protocol, way, &only, turns);
        }
    }
    report.finish()?;
    Ok(())
}

fn measure(report: &mut Report, protocol: &'static str, way: Way, only: &str, turns: usize) {
    let mut messages = contestants(protocol, way);
    messages.retain(|message| format!("{protocol} {way} {}", message.name).contains(only));
    if messages.is_empty() {
        return;
    }
    report.heading(&format!("{way}, {protocol}"));
    let mut table = Table::new([
        "message",
        "bytes",
        "like pilota's",
        "pilota",
        "pilota's ratio",
        "like Apache's",
        "Apache",
        "Apache's ratio",
        "Apache to like pilota's",
    ]);
    let mut bars = Bars::new(
        format!("{way}, {protocol}: time relative to thrift-nats"),
        "times as long as thrift-nats (less is better)",
        ["thrift-nats", "pilota", "Apache"],
    )
    .cut_at(10.0);
    for message in messages {
        let Contestant { name, bytes, mut shared, pilota, mut owned, apache } = message;
        // A missing contestant has NaN as its samples and a dash in the table.
        let there = [pilota.is_some(), apache.is_some()];
        let [mut pilota, mut apache] = [pilota, apache].map(|run| run.unwrap_or_else(|| Box::new(|| ())));
        let [mut shared, mut pilota, mut owned, mut apache] =
            [&mut shared, &mut pilota, &mut owned, &mut apache].map(|run| per_run(SLICE, run));
        let [shared, pilota, owned, apache] =
            take_turns(turns, [&mut shared, &mut pilota, &mut owned, &mut apache]);
        let [pilota, apache] =
            [(pilota, there[0]), (apache, there[1])].map(|(samples, there)| there.then_some(samples));
        let time = |samples: Option<&Samples>| {
            samples.map_or("–".to_owned(), |samples| nanoseconds(samples.min()))
        };
        let over = |theirs: Option<&Samples>, ours: &Samples| {
            theirs.map_or("–".to_owned(), |theirs| {
                let ratio = theirs.over(ours);
                format!("{:.2} ({:.2}–{:.2})", ratio.best, ratio.low, ratio.high)
            })
        };
        table.row([
            name.to_owned(),
            bytes.to_string(),
            time(Some(&shared)),
            time(pilota.as_ref()),
            over(pilota.as_ref(), &shared),
            time(Some(&owned)),
            time(apache.as_ref()),
            over(apache.as_ref(), &owned),
            over(apache.as_ref(), &shared),
        ]);
        let best = |theirs: Option<Samples>, ours: &Samples| {
            theirs.map_or(f64::NAN, |theirs| theirs.over(ours).best)
        };
        bars.group(name, [1.0, best(pilota, &shared), best(apache, &owned)]);
    }
    report.table(&table);
    let plot = format!("{protocol}-{way}").to_lowercase();
    report.plot(&plot, &format!("{way}, {protocol}, compared with pilota and Apache"), &bars);
}
