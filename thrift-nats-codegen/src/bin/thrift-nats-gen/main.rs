//! The command `thrift-nats-gen`: generates code to check in, and has tools for IDL files.

mod ast;
mod audit;
mod check;
mod docs;
mod fmt;
mod generate;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Typed async Rust from Apache Thrift IDL, and tools for the IDL itself.
#[derive(Debug, Parser)]
#[command(name = "thrift-nats-gen", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    generate: generate::Generate,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate Rust (the default command)
    Generate(generate::Generate),
    /// Report errors and warnings, and generate nothing
    Check(check::Check),
    /// Format files, with all their comments
    Fmt(fmt::Fmt),
    /// Report breaking changes between two versions of an IDL
    Audit(audit::Audit),
    /// Write the syntax tree of a file to the standard output
    Ast(ast::Ast),
    /// Write documentation as HTML: a page for each file, and an index
    Docs(docs::Docs),
    /// Write completions for a shell to the standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

const AFTER_HELP: &str = "\
Examples:
  thrift-nats-gen idl/tutorial.thrift --out src/api          write src/api/mod.rs
  thrift-nats-gen idl/tutorial.thrift --out src/api --check  fail if it is out of date
  thrift-nats-gen -I idl/common idl/orders.thrift            show what would be written
  thrift-nats-gen check idl/*.thrift                         show every mistake
  thrift-nats-gen fmt --check idl/*.thrift                   fail if a file is not formatted
  thrift-nats-gen audit v1/orders.thrift v2/orders.thrift    show what breaks from v1 to v2
  thrift-nats-gen ast idl/tutorial.thrift                    show the syntax tree, as JSON
  thrift-nats-gen docs idl/*.thrift --out target/idl-docs    write target/idl-docs/index.html

Exit codes:
  0  all went well
  1  the IDL has errors, a change breaks peers (audit), a file is out of date or not formatted (--check), or cannot be written
  2  the command line is wrong";

fn main() -> ExitCode {
    let Cli { command, generate } = Cli::parse();
    let result = match command {
        None => match misspelt(&generate.files) {
            Some(error) => error.exit(),
            None => generate::run(&generate),
        },
        Some(Command::Generate(arguments)) => generate::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Fmt(arguments)) => fmt::run(&arguments),
        Some(Command::Audit(arguments)) => audit::run(&arguments),
        Some(Command::Ast(arguments)) => ast::run(&arguments),
        Some(Command::Docs(arguments)) => docs::run(&arguments),
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "thrift-nats-gen", &mut text);
            show::output(&String::from_utf8_lossy(&text));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        show::report(error.report());
        ExitCode::FAILURE
    })
}

/// A hint, if the first file does not exist and its name is nearly that of a command.
fn misspelt(files: &[PathBuf]) -> Option<clap::Error> {
    let written = files.first().filter(|file| !file.exists())?.to_str()?;
    let mut cli = Cli::command();
    let near = |name: &str| strsim::damerau_levenshtein(name, written) <= 1 + written.len() / 6;
    let meant = cli.get_subcommands().map(clap::Command::get_name).find(|name| near(name))?.to_owned();
    let message = format!("there is neither a file nor a command `{written}`; there is a command `{meant}`");
    Some(cli.error(ErrorKind::InvalidSubcommand, message))
}
