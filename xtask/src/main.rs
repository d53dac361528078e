//! The tasks of the project. `cargo xtask help` lists them.
//!
//! Exit codes: 0, success; 1, a step failed; 2, the command line is wrong.

mod bench;
mod fuzz;
mod rust_version;
mod step;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use thrift_nats_tests::{ApachePython, GoPeer, GoPeerError, NatsProgram, NatsServer, workspace_dir};

use step::{Failed, Step};

/// The tasks of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find the tools that the tests need, or install them into the target folder
    Setup,
    /// Run setup, then all tests
    Test {
        /// Arguments for `cargo test`, such as `-p thrift-nats-tests some_name` or `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Run the calculator over a NATS server, which is started unless one is named
    Demo {
        /// A running NATS server, such as nats://localhost:4222; the variable NATS_URL sets it, too
        #[arg(long, value_name = "URL")]
        nats: Option<OsString>,
        /// Arguments for the demo
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Run the checks that every change must pass: format, clippy, docs, rust-version, test, then fuzz
    Ci,
    /// Build the fuzz targets, and run each on its corpus and on new inputs
    Fuzz {
        /// Run only this target
        target: Option<String>,
        /// The time for each target, in seconds
        #[arg(long, default_value_t = FUZZ_SECONDS, value_name = "N")]
        seconds: u64,
    },
    /// Make calls under faults of servers, clients and NATS, and check that the guarantees hold
    Oracle {
        /// Arguments for the oracle, such as `--calls 10000` (the default is a million) or `--fault "rolling restart"`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Run a benchmark and print its tables
    Bench {
        /// The benchmark
        #[command(subcommand)]
        what: Bench,
    },
}

/// The time for each target in CI.
const FUZZ_SECONDS: u64 = 60;

#[derive(Debug, Subcommand)]
enum Bench {
    /// The generator, compared with Apache's compiler and pilota's parser, and the cost of its output
    Idl(BenchArguments),
    /// Encoding and decoding, compared with the crates `pilota` and `thrift`
    Codec(BenchArguments),
    /// Calls, sessions and long payloads, compared with async-nats, Go and tonic
    Rpc {
        /// Compare the calls of this build with those of another instead: a git revision, or the folder of a checkout
        #[arg(long, value_name = "REVISION|FOLDER")]
        against: Option<String>,
        #[command(flatten)]
        arguments: BenchArguments,
    },
}

#[derive(Debug, clap::Args)]
struct BenchArguments {
    /// Arguments for the benchmark; `--report` writes docs/benchmarks
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Cli::parse_from(keep_separator(env::args_os())).task {
        Task::Setup => setup().map(drop),
        Task::Test { arguments } => test(arguments),
        Task::Demo { nats, arguments } => demo(nats, arguments),
        Task::Oracle { arguments } => oracle(arguments),
        Task::Ci => ci(),
        Task::Fuzz { target, seconds } => fuzz::fuzz(target, Duration::from_secs(seconds)),
        Task::Bench { what: Bench::Idl(BenchArguments { arguments }) } => bench::idl(arguments),
        Task::Bench { what: Bench::Codec(BenchArguments { arguments }) } => {
            bench::program("codec", arguments)
        }
        Task::Bench { what: Bench::Rpc { against: None, arguments: BenchArguments { arguments } } } => {
            bench::program("rpc", arguments)
        }
        Task::Bench {
            what: Bench::Rpc { against: Some(other), arguments: BenchArguments { arguments } },
        } => find_nats_server().and_then(|server| bench::rpc_against(&other, server, arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}

/// Doubles the `--` of `test -- --nocapture`, because clap consumes one and `cargo test` needs one.
fn keep_separator(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    if arguments.get(1).is_some_and(|task| task == "test")
        && arguments.get(2).is_some_and(|next| next == "--")
    {
        arguments.insert(2, "--".into());
    }
    arguments
}

fn setup() -> Result<&'static NatsProgram, Failed> {
    let server = find_nats_server()?;
    let corpus = env::var_os("THRIFT_IDL_CORPUS")
        .map_or_else(|| workspace_dir().join("../shared/idl-corpus"), PathBuf::from);
    match corpus.canonicalize() {
        Ok(corpus) => println!("IDL corpus at {}", corpus.display()),
        Err(_) => {
            println!(
                "no IDL corpus at {}, so its tests will be skipped; set THRIFT_IDL_CORPUS to its folder",
                corpus.display()
            );
        }
    }
    match GoPeer::build() {
        Ok(peer) => println!("{peer}"),
        Err(error) if matches!(*error, GoPeerError::NoGo) => {
            println!("{error}; the tests with the Go peer will be skipped, or fail if CI is set");
        }
        Err(source) => return Err(Failed::new("setup", "cargo xtask setup", source)),
    }
    match ApachePython::find() {
        Ok(python) => println!("{python}"),
        Err(error) => println!("{error}; the tests against it will be skipped"),
    }
    Ok(server)
}

fn find_nats_server() -> Result<&'static NatsProgram, Failed> {
    let program = NatsProgram::find().map_err(|source| Failed::new("setup", "cargo xtask setup", source))?;
    println!("{program}");
    Ok(program)
}

fn test(arguments: Vec<OsString>) -> Result<(), Failed> {
    println!("== setup");
    let server = setup()?;
    let mut step = Step::cargo("tests", ["test"]).env("NATS_SERVER", server.path());
    // With --workspace, cargo ignores -p.
    if !names_package(&arguments) {
        step = step.args(["--workspace"]);
    }
    step.args(["--all-features"]).args(arguments).run()
}

/// Whether the arguments name packages. Those after `--` are for the tests.
fn names_package(arguments: &[OsString]) -> bool {
    let names = |argument: &OsString| {
        argument.to_str().is_some_and(|argument| {
            argument.starts_with("--package") || (argument.starts_with("-p") && !argument.starts_with("--"))
        })
    };
    arguments.iter().take_while(|argument| *argument != "--").any(names)
}

fn demo(nats: Option<OsString>, arguments: Vec<OsString>) -> Result<(), Failed> {
    const CALCULATOR: [&str; 4] = ["-p", "thrift-nats-examples", "--bin", "calculator"];
    Step::cargo("build", ["build"]).args(CALCULATOR).run()?;
    let run = |url: OsString| {
        let step = Step::cargo("demo", ["run", "--quiet"]).args(CALCULATOR).args(["--", "demo", "--nats"]);
        step.args([url]).args(arguments.clone()).run()
    };

    if let Some(url) = nats.or_else(|| env::var_os("NATS_URL").filter(|url| !url.is_empty())) {
        return run(url);
    }
    // The printed command repeats the whole task, because the server in the command of the step is gone by then.
    let alone = Step::cargo("demo", ["xtask", "demo"]).args(arguments.clone()).to_string();
    find_nats_server()?;
    let server = NatsServer::start().map_err(|source| Failed::new("NATS server", &alone, source))?;
    println!("NATS server for this demo at {}", server.url());
    run(server.url().into()).map_err(|failed| failed.alone(alone))
}

fn oracle(arguments: Vec<OsString>) -> Result<(), Failed> {
    const ORACLE: [&str; 5] = ["--release", "-p", "thrift-nats-tests", "--bin", "oracle"];
    let server = find_nats_server()?;
    Step::cargo("build", ["build"]).args(ORACLE).run()?;
    Step::cargo("oracle", ["run", "--quiet"])
        .args(ORACLE)
        .args(["--", "drive"])
        .env("NATS_SERVER", server.path())
        .args(arguments)
        .run()
}

fn ci() -> Result<(), Failed> {
    Step::cargo("format", ["fmt", "--all", "--check"]).run()?;
    Step::cargo("format", ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]).run()?;
    Step::cargo(
        "clippy",
        ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    )
    .run()?;
    Step::cargo("docs", ["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    rust_version::check()?;
    test(Vec::new())?;
    fuzz::fuzz(None, Duration::from_secs(FUZZ_SECONDS))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Task {
        let arguments = ["cargo xtask"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        Cli::try_parse_from(keep_separator(arguments)).unwrap().task
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_after_test_are_passed_on_unchanged() {
        for line in
            ["", "-p thrift-nats-tests harness", "-- --nocapture", "--release name -- --ignored", "-- -- x"]
        {
            let Task::Test { arguments } = parse(&format!("test {line}")) else { panic!("{line}") };
            assert_eq!(arguments.join(" ".as_ref()), line);
        }
    }

    #[test]
    fn demo_takes_a_server_and_passes_on_other_arguments() {
        let Task::Demo { nats, arguments } = parse("demo --nats nats://host:1 --calls 5 x") else { panic!() };
        assert_eq!(
            (nats, arguments.join(" ".as_ref())),
            (Some("nats://host:1".into()), "--calls 5 x".into())
        );
        let Task::Demo { nats, arguments } = parse("demo --calls 5") else { panic!() };
        assert_eq!((nats, arguments.join(" ".as_ref())), (None, "--calls 5".into()));
    }

    #[test]
    fn packages_are_named_before_the_separator() {
        let names =
            |line: &str| names_package(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        assert!(names("-p x") && names("-px") && names("--package x") && names("--package=x -- y"));
        assert!(!names("") && !names("name --release") && !names("-- -p"));
    }
}
