//! The calculator of the Thrift tutorial, over NATS: `calculator server` and `calculator client`, or `calculator demo` for
//! both in one process.

mod client;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use thrift_nats_runtime::{Protocol, Transport};

// The modules `tutorial` and `shared`, which the build script generates from `idl/tutorial.thrift`.
thrift_nats_runtime::include_thrift!();

/// The calculator of the Thrift tutorial, over NATS.
#[derive(Debug, Parser)]
#[command(name = "calculator")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until Ctrl-C
    Server(Common),
    /// Make some calls and print their results
    Client {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        format: Format,
    },
    /// Run a server and a client in one process
    Demo {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        format: Format,
    },
}

/// The wire format of the client. The server detects it, and supports all of them.
#[derive(Clone, Copy, Debug, Args)]
struct Format {
    /// The encoding of values: binary, compact, json
    #[arg(long, value_name = "NAME", default_value_t)]
    protocol: Protocol,
    /// The framing of messages: buffered, framed, header
    #[arg(long, value_name = "NAME", default_value_t)]
    transport: Transport,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// The NATS server
    #[arg(long, value_name = "URL", env = "NATS_URL", default_value = "nats://localhost:4222")]
    nats: String,
    /// The subject of the service
    #[arg(long, default_value = "calculator")]
    subject: String,
    /// The interval of a client's heartbeats: 5s, 500ms; 0s disables them
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Server(common) => serve(&common).await,
        Command::Client { common, format } => call(&common, format).await,
        Command::Demo { common, format } => demo(&common, format).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(common: &Common) -> Result<(), BoxError> {
    let server = server::start(&connect(&common.nats).await?, common).await?;
    println!("serving on `{}`; Ctrl-C to end", common.subject);
    tokio::select! {
        ended = terminated() => ended?,
        // The connection was closed for good, for example: no client can call this server any more.
        error = server.failed() => return Err(error.into()),
    }
    // Calls in flight complete. Clients make later calls on another server; none is lost.
    Ok(server.drain(Duration::from_secs(10)).await?)
}

async fn call(common: &Common, format: Format) -> Result<(), BoxError> {
    client::run(&connect(&common.nats).await?, &common.subject, format).await
}

async fn demo(common: &Common, format: Format) -> Result<(), BoxError> {
    let nats = connect(&common.nats).await?;
    let server = server::start(&nats, common).await?;
    client::run(&nats, &common.subject, format).await?;
    Ok(server.drain(Duration::from_secs(10)).await?)
}

/// Waits for Ctrl-C or SIGTERM.
async fn terminated() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

async fn connect(url: &str) -> Result<async_nats::Client, BoxError> {
    async_nats::connect(url).await.map_err(|error| {
        // Without the user name and the password, which come before the `@`.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        format!("cannot connect to NATS at {shown}: {error}; name a running server with --nats or NATS_URL")
            .into()
    })
}
