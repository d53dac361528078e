//! Shared by the benchmarks: paired measurements, plots and reports.
//!
//! `cargo xtask bench NAME` runs the program `NAME` of this package, optimised. Each prints tables; with `--report` it also
//! writes `docs/benchmarks/NAME.md` and its plots.
//!
//! ```no_run
//! use std::time::Duration;
//! use thrift_nats_benches::paired::{per_run, take_turns};
//! use thrift_nats_benches::report::{Report, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut report = Report::from_args("sums", "Sums", &["plotters"]);
//! let mut ours = per_run(Duration::from_millis(20), || (0..1000_u64).sum::<u64>());
//! let mut theirs = per_run(Duration::from_millis(20), || (0..1000_u64).fold(0, |a, b| a + b));
//! let [ours, theirs] = take_turns(15, [&mut ours, &mut theirs]);
//! let mut table = Table::new(["", "ours", "theirs", "ratio"]);
//! table.row(["a thousand".to_owned(), ours.ns(), theirs.ns(), theirs.over(&ours).to_string()]);
//! report.table(&table);
//! report.finish()?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod machine;
pub mod paired;
pub mod plot;
pub mod report;
