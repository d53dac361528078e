//! The calculator of the Thrift tutorial, over NATS: `calculator demo`, or `calculator server` and `calculator client`.

mod client;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use thrift_nats_runtime::{Protocol, Transport};
use thrift_nats_tests::NatsServer;

/// The calculator of the Thrift tutorial, over NATS.
#[derive(Debug, Parser)]
#[command(name = "calculator")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until Ctrl-C; without a NATS server that is named, start one
    Server(Common),
    /// Make some calls to a server, and print what they gave
    Client {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        format: Format,
    },
    /// Both in one go; without a NATS server that is named, start one
    Demo {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        format: Format,
    },
}

/// What the client speaks; the server finds out by itself, and serves all.
#[derive(Clone, Copy, Debug, Args)]
struct Format {
    /// How values are written: binary, compact, json
    #[arg(long, value_name = "NAME", default_value_t)]
    protocol: Protocol,
    /// How messages are told apart: buffered, framed, header
    #[arg(long, value_name = "NAME", default_value_t)]
    transport: Transport,
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// The NATS server, such as nats://localhost:4222
    #[arg(long, value_name = "URL", env = "NATS_URL")]
    nats: Option<String>,
    /// The subject of the service
    #[arg(long, default_value = "calculator")]
    subject: String,
    /// How long the server waits for each heartbeat of a client: 5s, 500ms; 0s wants none
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
    let (url, _started) = nats_server(common)?;
    let server = server::start(&connect(&url).await?, common).await?;
    println!("serving on `{}` at {url}; Ctrl-C to end", common.subject);
    println!("in another terminal: calculator client --nats {url} --subject {}", common.subject);
    tokio::select! {
        ended = ended() => ended?,
        // Such as that the connection was closed for good: nobody can call here any more.
        error = server.failed() => return Err(error.into()),
    }
    // What was taken up is answered; clients move to another server without losing a call.
    Ok(server.drain(Duration::from_secs(10)).await?)
}

async fn call(common: &Common, format: Format) -> Result<(), BoxError> {
    let url = common.nats.as_deref().filter(|url| !url.is_empty()).unwrap_or("nats://localhost:4222");
    client::run(&connect(url).await?, &common.subject, format).await
}

async fn demo(common: &Common, format: Format) -> Result<(), BoxError> {
    let (url, _started) = nats_server(common)?;
    let nats = connect(&url).await?;
    let server = server::start(&nats, common).await?;
    client::run(&nats, &common.subject, format).await?;
    Ok(server.drain(Duration::from_secs(10)).await?)
}

/// Waits for Ctrl-C, or for whoever runs services to end this one.
async fn ended() -> std::io::Result<()> {
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

/// The URL that was given, or that of a NATS server which lives as long as what is returned with it.
fn nats_server(common: &Common) -> Result<(String, Option<NatsServer>), BoxError> {
    if let Some(url) = common.nats.as_ref().filter(|url| !url.is_empty()) {
        return Ok((url.clone(), None));
    }
    let server = NatsServer::start()?;
    Ok((server.url().to_owned(), Some(server)))
}

async fn connect(url: &str) -> Result<async_nats::Client, BoxError> {
    async_nats::connect(url).await.map_err(|error| {
        // What stands before the `@` is nobody's business.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        format!("cannot connect to NATS at {shown}: {error}; name a running server with --nats or NATS_URL")
            .into()
    })
}
