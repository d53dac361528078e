//! The oracle: `oracle drive` makes calls under faults, through processes of `oracle serve` and `oracle call`.
//!
//! Exit codes: 0, all guarantees hold; 1, a guarantee is violated or a process failed; 2, the command line is wrong.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use thrift_nats_tests::oracle::{
    self, BoxError, CallOptions, DriveOptions, Fault, FloodOptions, ServeOptions,
};

/// Makes calls under faults and checks that the guarantees of the runtime hold.
#[derive(Debug, Parser)]
#[command(name = "oracle")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Start NATS servers, servers and clients, inject faults, and report the results
    Drive {
        /// The number of calls in total
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
        /// The number of concurrent calls of each of two clients
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
        /// The shortest time for the calls of one fault, in milliseconds
        #[arg(long, default_value_t = 5000)]
        at_least: u64,
        /// Run only the fault with this name, instead of all
        #[arg(long)]
        fault: Option<String>,
        /// The seed of random choices
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Run a server
    Serve {
        /// NATS servers, in the order of preference
        #[arg(long, value_delimiter = ',')]
        nats: Vec<String>,
        /// The file for records
        #[arg(long)]
        notes: PathBuf,
    },
    /// Run a client
    Call {
        /// NATS servers, in the order of preference
        #[arg(long, value_delimiter = ',')]
        nats: Vec<String>,
        /// The file for records
        #[arg(long)]
        notes: PathBuf,
        /// The number of the first call
        #[arg(long)]
        first: u64,
        /// The number of calls
        #[arg(long)]
        calls: u64,
        /// The number of concurrent calls
        #[arg(long)]
        concurrency: usize,
        /// The shortest time for all of them, in milliseconds
        #[arg(long)]
        at_least: u64,
    },
    /// Flood the servers
    Flood {
        /// NATS servers, in the order of preference
        #[arg(long, value_delimiter = ',')]
        nats: Vec<String>,
        /// The file for records
        #[arg(long)]
        notes: PathBuf,
        /// The number of the first call
        #[arg(long)]
        first: u64,
        /// The number of handshakes, of messages of one byte, and of calls
        #[arg(long)]
        count: u64,
    },
}

fn main() -> ExitCode {
    let role = Cli::parse().role;
    let result = tokio::runtime::Runtime::new().map_err(BoxError::from).and_then(|runtime| {
        let result = runtime.block_on(run(role));
        // A read of the standard input cannot be cancelled. It ends with the process.
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
            let faults = Fault::all().into_iter();
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
        Role::Flood { nats, notes, first, count } => {
            oracle::flood(FloodOptions { urls: nats, notes, first, count }).await?;
        }
    }
    Ok(true)
}
