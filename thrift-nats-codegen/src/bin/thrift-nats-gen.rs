//! The command `thrift-nats-gen`: generated code to be checked in, or to be looked at.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use thrift_nats_codegen::{Error, Generated, Options, Report};

/// Typed async Rust from Apache Thrift IDL.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    /// The `.thrift` files to generate from; what they include is generated, too
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write to this folder; without it the code goes to the standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The name of the file in that folder
    #[arg(long, value_name = "NAME", default_value = "mod.rs")]
    file_name: PathBuf,
    /// Search this folder for included files, after the including file's own
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Write nothing; fail if the file in the folder is not what would be written
    #[arg(long, requires = "out")]
    check: bool,
    /// Generate no clients
    #[arg(long)]
    no_client: bool,
    /// Generate no service traits and servers
    #[arg(long)]
    no_server: bool,
    /// Leave the IDL's comments out
    #[arg(long)]
    no_comments: bool,
    /// Fail if there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// The path of the runtime crate in the generated code
    #[arg(long, value_name = "PATH", default_value = "::thrift_nats_runtime")]
    runtime: String,
}

const AFTER_HELP: &str = "\
Examples:
  thrift-nats-gen idl/tutorial.thrift --out src/api          write src/api/mod.rs
  thrift-nats-gen idl/tutorial.thrift --out src/api --check  fail if it is out of date
  thrift-nats-gen -I idl/common idl/orders.thrift            show what would be written

Exit codes:
  0  all went well
  1  the IDL has errors, the file is out of date (--check), or cannot be written
  2  the command line is wrong";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            show(error.report());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut options = Options::new()
        .client(!arguments.no_client)
        .server(!arguments.no_server)
        .comments(!arguments.no_comments)
        .deny_warnings(arguments.deny_warnings)
        .runtime(&arguments.runtime)?;
    for folder in &arguments.include {
        options = options.include(folder);
    }
    let generated = options.generate(&arguments.files)?;
    show(&generated.warnings);
    let Some(folder) = &arguments.out else {
        let mut output = std::io::stdout().lock();
        // Who reads it may have seen enough.
        let _ = output.write_all(generated.code.as_bytes());
        return Ok(ExitCode::SUCCESS);
    };
    let path = folder.join(&arguments.file_name);
    if arguments.check {
        return Ok(check(&generated, &path));
    }
    generated.write(&path)?;
    Ok(ExitCode::SUCCESS)
}

fn check(generated: &Generated, path: &std::path::Path) -> ExitCode {
    let why = match std::fs::read(path) {
        Ok(present) if present == generated.code.as_bytes() => return ExitCode::SUCCESS,
        Ok(_) => "is not what the IDL gives".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    eprintln!("error: `{}` {why}; run the same command without --check", path.display());
    ExitCode::FAILURE
}

fn show(report: &Report) {
    if !report.is_empty() {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        eprintln!("{}", report.render(colours));
    }
}
