//! `bench idl`: how long the generator takes, beside Apache's compiler, and by the length of a file.
//!
//! Whole processes, in turn, and the shortest time of many: other work on the machine only makes them longer. What is
//! compared is run in the same minute on the same files; the ratio counts, not the milliseconds.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use thrift_nats_tests::{target_dir, workspace_dir};

use crate::step::{Failed, Step};

const RUNS: usize = 40;

/// Runs a program of `benches/`, which is a workspace of its own, optimised. Each program is a feature there too, so that
/// one need not build what another compares with.
pub(crate) fn program(name: &'static str, arguments: Vec<OsString>) -> Result<(), Failed> {
    Step::cargo("bench", ["run", "--release", "--manifest-path", "benches/Cargo.toml"])
        .args(["--bin", name, "--features", name, "--target-dir"])
        .args([target_dir().join("benches")])
        .args(["--"])
        .args(arguments)
        .run()
}

pub(crate) fn idl() -> Result<(), Failed> {
    Step::cargo("build", ["build", "--release", "-q", "-p", "thrift-nats-codegen", "--features", "command"])
        .run()?;
    let ours = target_dir().join("release/thrift-nats-gen");
    let folder = target_dir().join("bench-idl");
    let failed = |error| Failed::new("bench", "cargo xtask bench idl", error);
    fs::create_dir_all(&folder).map_err(failed)?;

    println!("\n## Time by the length of a file\n");
    println!("| lines | check | per line | generate | per line |\n| ---: | ---: | ---: | ---: | ---: |");
    for lines in [1_000, 10_000, 100_000] {
        let file = folder.join(format!("lines{lines}.thrift"));
        fs::write(&file, synthetic(lines)).map_err(failed)?;
        let runs = if lines > 10_000 { 5 } else { RUNS };
        let commands = [check(&ours, &file), generate(&ours, &file, &folder)];
        let times = shortest(&commands, runs);
        let per_line = |time: Duration| format!("{:.2} µs", time.as_secs_f64() * 1e6 / f64::from(lines));
        println!(
            "| {lines} | {} | {} | {} | {} |",
            shown(times[0]),
            per_line(times[0]),
            shown(times[1]),
            per_line(times[1])
        );
    }

    let corpus = env::var_os("THRIFT_IDL_CORPUS")
        .map_or_else(|| workspace_dir().join("../shared/idl-corpus"), PathBuf::from);
    let hive = corpus.join("real/cloudera+impyla/impala/thrift/hive_metastore.thrift");
    let apache = Command::new("thrift").arg("--version").stdout(Stdio::null()).status();
    if !hive.is_file() || !apache.is_ok_and(|status| status.success()) {
        println!(
            "\nNo comparison: it needs the IDL corpus (THRIFT_IDL_CORPUS) and Apache's `thrift` on the path."
        );
        return Ok(());
    }
    println!("\n## hive_metastore.thrift beside Apache's compiler\n");
    let theirs = |generator: &str| {
        let mut command = Command::new("thrift");
        command.args(["--gen", generator, "-o"]).arg(&folder).arg(&hive);
        command
    };
    let commands = [check(&ours, &hive), theirs("json"), generate(&ours, &hive, &folder), theirs("rs")];
    let times = shortest(&commands, RUNS);
    println!("| | thrift-nats-gen | Apache | ratio |\n| --- | ---: | ---: | ---: |");
    for (what, pair) in ["check / `--gen json`", "generate / `--gen rs`"].into_iter().zip(times.chunks(2)) {
        let ratio = pair[0].as_secs_f64() / pair[1].as_secs_f64();
        println!("| {what} | {} | {} | {ratio:.2} |", shown(pair[0]), shown(pair[1]));
    }
    let text = fs::read_to_string(&hive).map_err(failed)?;
    let fields = text.lines().filter(|line| is_field(line)).count();
    let lines = |path: PathBuf| fs::read_to_string(path).map(|text| text.lines().count());
    let (here, there) =
        (lines(folder.join("mod.rs")).map_err(failed)?, lines(folder.join("hive_metastore.rs")));
    println!("\n## Size of what is generated from it\n");
    println!("| | lines | per IDL field |\n| --- | ---: | ---: |");
    println!("| thrift-nats-gen | {here} | {:.1} |", here as f64 / fields as f64);
    if let Ok(there) = there {
        println!("| Apache | {there} | {:.1} |", there as f64 / fields as f64);
    }
    Ok(())
}

/// Whether a line has the field of a struct.
fn is_field(line: &str) -> bool {
    let line = line.trim_start();
    line.split_once(':').is_some_and(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

fn check(program: &Path, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("check").arg(file);
    command
}

fn generate(program: &Path, file: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(file).arg("--out").arg(folder);
    command
}

/// The shortest time of each command; they are run in turn.
fn shortest(commands: &[Command], runs: usize) -> Vec<Duration> {
    let mut times = vec![Duration::MAX; commands.len()];
    for _ in 0..runs {
        for (command, time) in commands.iter().zip(&mut times) {
            let mut again = Command::new(command.get_program());
            again.args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            // What fails is fast, and shows in the table.
            if again.status().is_ok_and(|status| status.success()) {
                *time = start.elapsed().min(*time);
            }
        }
    }
    times
}

fn shown(time: Duration) -> String {
    if time == Duration::MAX { "failed".to_owned() } else { format!("{:.1} ms", time.as_secs_f64() * 1e3) }
}

/// An IDL file of about so many lines: structs with fields of all kinds, enums and services.
fn synthetic(lines: i32) -> String {
    let mut text = String::new();
    for number in 0..lines / 20 {
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "/** Structure {number}. */\n\
             struct Record{number} {{\n\
             \x20 1: required i64 id,\n\
             \x20 2: optional string name,\n\
             \x20 3: list<i32> numbers,\n\
             \x20 4: map<string, list<double>> table,\n\
             \x20 5: Kind{number} kind = Kind{number}.FIRST,\n\
             \x20 6: optional Record{} other,\n\
             }}\n\
             \n\
             enum Kind{number} {{\n\
             \x20 FIRST = 1,\n\
             \x20 SECOND,\n\
             }}\n\
             \n\
             service Service{number} {{\n\
             \x20 Record{number} get(1: i64 id),\n\
             \x20 void put(1: Record{number} record),\n\
             }}\n\
             \n",
            number / 2
        );
    }
    text
}
