//! Compares two builds of this program: runs each in turn, and prints the ratios of their calls.
//!
//! The other build may be of an older revision. The only interface between the two is the command line of `--only calls`
//! and the row [`OURS`] of its tables, whose columns [`Row`] reads; a change of either breaks the comparison with all older
//! revisions.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use thrift_nats_benches::paired::{Samples, nanoseconds};
use thrift_nats_benches::report::Table;

use crate::BoxError;
use crate::calls::{OURS, thousands};

/// One level in one turn of one build.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    /// Calls per second.
    rate: f64,
    /// Nanoseconds of processor time per call; NaN where the system does not report it.
    cpu: f64,
}

/// The samples of one build at one level, a turn each.
#[derive(Clone, Debug, Default)]
struct Build {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

/// Runs the program `old` and this one in turn, and prints the ratios new/old at each of `levels`.
///
/// Each turn starts both programs again, each with its own NATS server, and measures all levels. The order changes from
/// turn to turn.
pub(crate) fn compare(old: &Path, turns: usize, time: Duration, levels: &[usize]) -> Result<(), BoxError> {
    let new = env::current_exe()?;
    let mut results = vec![[Build::default(), Build::default()]; levels.len()];
    for turn in 0..turns.max(1) {
        for position in 0..2 {
            let which = (turn + position) % 2;
            let rows = measure([old, &new][which], time, levels)?;
            for (result, row) in results.iter_mut().zip(rows) {
                result[which].rates.push(row.rate);
                result[which].cpu.push(row.cpu);
            }
        }
        eprint!("\rturn {} of {}", turn + 1, turns.max(1));
    }
    eprintln!();

    println!(
        "New/old of calls per second (above 1: the new one is faster) and of the processor time per call of client and \
         server (below 1: the new one needs less): the median of the ratios within a turn, in brackets the quartiles; \
         {turns} turns of {} ms.\n",
        time.as_millis()
    );
    let mut table = Table::new([
        "concurrent calls",
        "old per second",
        "new per second",
        "new/old",
        "old CPU",
        "new CPU",
        "new/old",
    ]);
    for (level, [old, new]) in levels.iter().zip(results) {
        let [old_rates, new_rates] = [old.rates, new.rates].map(Samples::new);
        let [old_cpu, new_cpu] = [old.cpu, new.cpu].map(Samples::new);
        table.row([
            level.to_string(),
            thousands(old_rates.median()),
            thousands(new_rates.median()),
            quartiles(&new_rates, &old_rates),
            nanoseconds(old_cpu.median()),
            nanoseconds(new_cpu.median()),
            quartiles(&new_cpu, &old_cpu),
        ]);
    }
    println!("{}", table.markdown());
    Ok(())
}

/// The ratio with three decimals: the differences that matter here are a few per cent.
fn quartiles(new: &Samples, old: &Samples) -> String {
    let ratio = new.over(old);
    format!("{:.3} ({:.3}–{:.3})", ratio.median, ratio.low, ratio.high)
}

/// Runs `program` for one turn of each level.
fn measure(program: &Path, time: Duration, levels: &[usize]) -> Result<Vec<Row>, BoxError> {
    let mut command = Command::new(program);
    command.args(["--only", "calls", "--who", OURS, "--turns", "1", "--time", &time.as_millis().to_string()]);
    // All levels without the option; older builds take one level with it.
    if let [level] = levels {
        command.args(["--level", &level.to_string()]);
    }
    let failed = |why: &str| format!("{}: {why}", program.display());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        failed(&format!("does not start: {error}; `cargo xtask bench rpc --against REVISION` builds it"))
    })?;
    if !output.status.success() {
        return Err(failed(&format!("ended with {}", output.status)).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    if rows.len() != levels.len() {
        return Err(failed(&format!("printed {} rows of {OURS}, not {}", rows.len(), levels.len())).into());
    }
    Ok(rows)
}

/// Reads `| thrift-nats | 31,337 | 1.00 (1.00–1.00) times as fast | 12.3 µs | 4.56 µs |`.
fn row(line: &str) -> Option<Row> {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    let ["", OURS, rate, _, cpu, ..] = cells[..] else { return None };
    Some(Row { rate: rate.replace(',', "").parse().ok()?, cpu: time(cpu) })
}

/// Reads what [`nanoseconds`] writes; NaN for a dash.
fn time(text: &str) -> f64 {
    const UNITS: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];
    let parsed = text.split_once(' ').and_then(|(value, unit)| {
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(value.parse::<f64>().ok()? * factor)
    });
    parsed.unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_of_thrift_nats_is_read_from_the_table() {
        let line = "| thrift-nats |           31,337 |              | 12.3 µs | 4.56 µs |";
        let read = row(line).unwrap();
        assert_eq!(read.rate, 31_337.0);
        assert!((read.cpu - 12_300.0).abs() < 1e-6, "{read:?}");
        for other in ["| tonic | 1 | | 2 µs | 3 µs |", "| ----------- | ---: |", "**16 calls at once**", ""]
        {
            assert_eq!(row(other), None, "{other}");
        }
    }

    #[test]
    fn processor_time_that_the_system_does_not_report_is_not_a_number() {
        assert!(row("| thrift-nats | 5 | | – | – |").unwrap().cpu.is_nan());
    }
}
