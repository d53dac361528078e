//! The oracle: `oracle drive` makes calls while things break, and starts `oracle serve` and `oracle call`.
//!
//! Exit codes: 0, nothing happened that must not; 1, something did, or it could not be tried; 2, the command line is wrong.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use thrift_nats_tests::oracle::{self, BoxError, CallOptions, DriveOptions, Fault, ServeOptions};

/// Makes calls while things break, and tells whether anything happened that must not.
#[derive(Debug, Parser)]
#[command(name = "oracle")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Start NATS servers, servers and clients, break them, and tell what came of the calls
    Drive {
        /// How many calls in all
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
        /// How many at a time, of each of two clients
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
        /// The shortest time for the calls of one fault, in milliseconds
        #[arg(long, default_value_t = 5000)]
        at_least: u64,
        /// Only the fault with this name; all of them otherwise
        #[arg(long)]
        fault: Option<String>,
        /// For what is random
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Be a server
    Serve {
        /// NATS servers, the first one first
        #[arg(long, value_delimiter = ',')]
        nats: Vec<String>,
        /// The file for notes
        #[arg(long)]
        notes: PathBuf,
    },
    /// Be a client
    Call {
        /// NATS servers, the first one first
        #[arg(long, value_delimiter = ',')]
        nats: Vec<String>,
        /// The file for notes
        #[arg(long)]
        notes: PathBuf,
        /// The number of the first call
        #[arg(long)]
        first: u64,
        /// How many calls
        #[arg(long)]
        calls: u64,
        /// How many at a time
        #[arg(long)]
        concurrency: usize,
        /// The shortest time for all of them, in milliseconds
        #[arg(long)]
        at_least: u64,
    },
}

fn main() -> ExitCode {
    let role = Cli::parse().role;
    let result = tokio::runtime::Runtime::new().map_err(BoxError::from).and_then(|runtime| {
        let result = runtime.block_on(run(role));
        // A read of the standard input cannot be given up: it ends with the process.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(role: Role) -> Result<bool, BoxError> {
    match role {
        Role::Drive { calls, concurrency, at_least, fault, seed } => {
            let faults = Fault::ALL.into_iter();
            let faults: Vec<_> =
                faults.filter(|it| fault.as_ref().is_none_or(|name| it.to_string() == *name)).collect();
            let options = DriveOptions {
                program: std::env::current_exe()?,
                calls,
                concurrency,
                at_least: Duration::from_millis(at_least),
                faults,
                seed,
            };
            let report = oracle::drive(options).await?;
            print!("{report}");
            return Ok(report.violations().is_empty());
        }
        Role::Serve { nats, notes } => oracle::serve(ServeOptions { urls: nats, notes }).await?,
        Role::Call { nats, notes, first, calls, concurrency, at_least } => {
            let at_least = Duration::from_millis(at_least);
            oracle::call(CallOptions { urls: nats, notes, first, calls, concurrency, at_least }).await?;
        }
    }
    Ok(true)
}
