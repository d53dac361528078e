//! `bench idl`: the time of the generator, compared with Apache's compiler and pilota's parser, and the cost of its output.
//!
//! `--generator PATH` names the program `thrift-nats-gen`; `cargo xtask bench idl` builds and passes it. `--compile N` sets how
//! often the outputs are compiled (3), which takes minutes and some GiB of disk each time.

mod compile;
mod files;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pilota_thrift_parser::{FileParser, FileSource};
use thrift_nats_benches::paired::{Samples, nanoseconds, per_run, take_turns};
use thrift_nats_benches::plot::Lines;
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_codegen::Options;

/// The time of one measurement in a turn.
const SLICE: Duration = Duration::from_millis(5);
const TURNS: usize = 41;
/// The number of starts of a program.
const STARTS: usize = 61;
const LENGTHS: [usize; 5] = [1_000, 3_000, 10_000, 30_000, 100_000];
const NO_APACHE: &str = "Apache's compiler `thrift` is left out, because it is not on the path. Debian and Ubuntu have it \
                         as `thrift-compiler`, Homebrew as `thrift`.";
const NO_CORPUS: &str = "`hive_metastore.thrift` is left out, because the IDL corpus was not found: name its folder \
                         in the variable THRIFT_IDL_CORPUS.";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let generator = option("--generator").map(PathBuf::from);
    let compile = option("--compile").map_or(Ok(3), |turns| turns.parse())?;
    let folder = files::folder()?;
    let packages = ["thrift-nats-codegen", "pilota-thrift-parser", "pilota-build", "pilota", "thrift"];
    let mut report = Report::from_args("idl", "From IDL to Rust", &packages);
    if let Some(version) = apache_version() {
        report.text(&format!("Apache's compiler is `{version}`."));
    }
    report.text(
        "The programs compared in a table take turns. A time is that of the fastest turn. A ratio is the median of \
         the ratios within each turn; the range in brackets holds the middle half of them.",
    );
    let hive = files::hive();
    lengths(&mut report, &folder)?;
    parsers(&mut report, &folder, hive.as_deref())?;
    match &hive {
        None => report.text(NO_CORPUS),
        Some(hive) => {
            match &generator {
                Some(generator) => processes(&mut report, generator, hive, &folder),
                None => report.text("The command is left out: no `--generator` is named."),
            }
            let outputs = compile::generate(hive, &folder)?;
            compile::sizes(&mut report, hive, &outputs)?;
            if compile > 0 {
                compile::times(&mut report, &outputs, &folder, compile)?;
            }
        }
    }
    report.finish()?;
    Ok(())
}

fn apache_version() -> Option<String> {
    let output = Command::new("thrift").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The time per line, by the length of the file.
fn lengths(report: &mut Report, folder: &Path) -> Result<(), Box<dyn Error>> {
    report.heading("Time by file length");
    report.text(
        "Generated files of structs, enums and services, read within one process. The time per line stays \
                 constant where the time is proportional to the length of the file.",
    );
    let mut table = Table::new(["lines", "parse", "per line", "check", "per line", "generate", "per line"]);
    let names = ["parse", "check", "generate"];
    let mut lines = names.map(|_| Vec::new());
    for length in LENGTHS {
        let (path, text) = files::synthetic(folder, length)?;
        let options = Options::new();
        let mut parse = per_run(SLICE, || thrift_parser::parse(&text));
        let mut check = per_run(SLICE, || options.check([&path]));
        let mut generate = per_run(SLICE, || options.generate([&path]).map(|generated| generated.code.len()));
        let turns = if length > 10_000 { 5 } else { TURNS };
        let samples = take_turns(turns, [&mut parse, &mut check, &mut generate]);
        let count = text.lines().count() as f64;
        let mut row = vec![text.lines().count().to_string()];
        for (samples, points) in samples.iter().zip(&mut lines) {
            row.extend([nanoseconds(samples.min()), nanoseconds(samples.min() / count)]);
            points.push((count, samples.min() / count / 1e3));
        }
        table.row(row);
    }
    report.table(&table);
    let mut plot = Lines::new("Time per line", "lines of the file", "µs per line").logarithmic_x();
    names.into_iter().zip(lines).for_each(|(name, points)| plot.line(name, points));
    report.plot("lengths", "time per line of parse, check and generate, by file length", &plot);
    Ok(())
}

/// Our parser and pilota's, on the same texts in memory.
fn parsers(report: &mut Report, folder: &Path, hive: Option<&Path>) -> Result<(), Box<dyn Error>> {
    report.heading("Parsers");
    report.text(
        "From text in memory to a syntax tree. A ratio is our time divided by pilota's. Our tree keeps the place of \
         every node and every comment; pilota's does not.",
    );
    let mut table = Table::new(["file", "lines", "thrift-parser", "pilota-thrift-parser", "ratio"]);
    let mut texts = Vec::new();
    if let Some(hive) = hive {
        texts.push(("hive_metastore".to_owned(), std::fs::read_to_string(hive)?));
    }
    texts.push((
        "tutorial".to_owned(),
        std::fs::read_to_string(files::workspace().join("idl/tutorial.thrift"))?,
    ));
    for length in [1_000, 10_000, 100_000] {
        texts.push((format!("{length} generated lines"), files::synthetic(folder, length)?.1));
    }
    for (name, text) in texts {
        let theirs = || FileParser::new(FileSource::new(&text)).parse();
        if !thrift_parser::parse(&text).errors.is_empty() || theirs().is_err() {
            report.text(&format!("`{name}` is left out, because one of the parsers rejects it."));
            continue;
        }
        let mut ours = per_run(SLICE, || thrift_parser::parse(&text));
        let mut theirs = per_run(SLICE, theirs);
        let turns = if text.len() > 200_000 { 7 } else { TURNS };
        let [ours, theirs] = take_turns(turns, [&mut ours, &mut theirs]);
        let ratio = ours.over(&theirs).to_string();
        let lines = text.lines().count().to_string();
        table.row([name, lines, nanoseconds(ours.min()), nanoseconds(theirs.min()), ratio]);
    }
    report.table(&table);
    Ok(())
}

/// Whole programs, from start to exit.
fn processes(report: &mut Report, generator: &Path, hive: &Path, folder: &Path) {
    report.heading("The command, compared with Apache's compiler");
    if apache_version().is_none() {
        return report.text(NO_APACHE);
    }
    report.text(
        "Whole processes, from start to exit, on `hive_metastore.thrift` and its includes. A ratio is our \
                 time divided by Apache's.",
    );
    let ours =
        |arguments: &[&str]| run(Command::new(generator).args(arguments).arg(hive).arg("--out").arg(folder));
    let theirs =
        |language: &str| run(Command::new("thrift").args(["--gen", language, "-o"]).arg(folder).arg(hive));
    let mut check = || run(Command::new(generator).arg("check").arg(hive));
    let (mut json, mut rs) = (|| theirs("json"), || theirs("rs"));
    let mut generate = || ours(&["generate"]);
    let [check, json, generate, rs] = take_turns(STARTS, [&mut check, &mut json, &mut generate, &mut rs]);
    let mut table = Table::new(["", "thrift-nats-gen", "Apache", "ratio"]);
    let mut row = |name: &str, ours: &Samples, theirs: &Samples| {
        let ratio = ours.over(theirs).to_string();
        table.row([name.to_owned(), nanoseconds(ours.min()), nanoseconds(theirs.min()), ratio]);
    };
    row("check / `--gen json`", &check, &json);
    row("generate / `--gen rs`", &generate, &rs);
    report.table(&table);
}

/// Nanoseconds of a program, or NaN if it fails.
fn run(command: &mut Command) -> f64 {
    let start = Instant::now();
    match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => start.elapsed().as_secs_f64() * 1e9,
        _ => f64::NAN,
    }
}
