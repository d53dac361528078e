//! The process of a client.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Outcome};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::oracle::{OracleAgainError, OracleClient, OracleOnceError, Parcel};
use super::notes::{Ended, Ending, Notes};
use super::plan::{DEADLINE, Function, GRACE, Plan};
use super::{BoxError, SUBJECT};

/// The pause after a failed call. It limits the number of failed calls during an outage.
const PAUSE: Duration = Duration::from_millis(5);
/// Timeout of a client's wait for the first server, and of a call's wait for the next one.
const SERVER_BOUND: Duration = Duration::from_secs(5);

/// The options of a client.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The NATS servers, in the order of preference.
    pub urls: Vec<String>,
    /// The file for its records.
    pub notes: PathBuf,
    /// The number of its first call.
    pub first: u64,
    /// The number of its calls.
    pub calls: u64,
    /// The number of concurrent calls.
    pub concurrency: usize,
    /// The shortest time for all of them.
    pub at_least: Duration,
}

/// Makes the calls. Exits early if the standard input closes.
///
/// # Errors
/// If it cannot start, or cannot write its records.
pub async fn call(options: CallOptions) -> Result<(), BoxError> {
    let mut gone = tokio::io::stdin();
    tokio::select! {
        result = make_calls(options) => result,
        // The parent process has exited.
        _ = gone.read_u8() => Ok(()),
    }
}

async fn make_calls(options: CallOptions) -> Result<(), BoxError> {
    let notes = Arc::new(Notes::open(&options.notes)?);
    let nats = super::peer::connect(options.urls).await?;
    let client = connect(&nats).await?;
    println!("ready");
    let oracle = OracleClient::new(client.clone());
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let (first, calls, at_least) = (options.first, options.calls, options.at_least);
    let mut callers = JoinSet::new();
    for _ in 0..options.concurrency {
        let (oracle, notes, next) = (oracle.clone(), Arc::clone(&notes), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= calls {
                    return Ok(());
                }
                tokio::time::sleep_until(begun + at_least.mul_f64(n as f64 / calls as f64)).await;
                let plan = Plan::of(first + n);
                let made = Instant::now();
                let ending = tokio::time::timeout(DEADLINE + GRACE, make(&oracle, plan)).await;
                let ending = ending.unwrap_or(Ending::Hung);
                let failed = ending != Ending::Answered;
                notes.ended(&Ended { id: plan.id, ending, took: made.elapsed() })?;
                if failed {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
    }
    while let Some(result) = callers.join_next().await {
        let ended: std::io::Result<()> = result?;
        ended?;
    }
    // Sends the last oneway calls. They may be lost, so an error does not matter.
    let _ = client.close().await;
    Ok(())
}

/// Opens the first session. Servers may still be starting.
async fn connect(nats: &async_nats::Client) -> Result<Client, BoxError> {
    let end = Instant::now() + SERVER_BOUND * 4;
    loop {
        let builder =
            Client::builder(nats, SUBJECT).timeout(DEADLINE).sessions(3).wait_for_server(SERVER_BOUND);
        match builder.connect().await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() >= end => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn make(oracle: &OracleClient, plan: Plan) -> Ending {
    let parcel = match plan.function {
        Function::Once => match oracle.once(&plan.parcel()).await {
            Err(OracleOnceError::Garbled(garbled)) => return wrong(&garbled),
            Err(OracleOnceError::Rpc(error)) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Again => match oracle.again(&plan.parcel()).await {
            Err(OracleAgainError::Garbled(garbled)) => return wrong(&garbled),
            Err(OracleAgainError::Rpc(error)) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Make => match oracle.make(plan.id.cast_signed(), plan.len as i32).await {
            Err(error) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Tell => {
            return match oracle.tell(&plan.parcel()).await {
                Err(error) => failed(&error),
                Ok(()) => Ending::Answered,
            };
        }
    };
    if plan.is_parcel(&parcel) { Ending::Answered } else { wrong_parcel(&parcel) }
}

fn wrong(garbled: &super::api::oracle::Garbled) -> Ending {
    Ending::Wrong(format!("the request came garbled, as {}", garbled.id))
}

fn wrong_parcel(parcel: &Parcel) -> Ending {
    Ending::Wrong(format!("the reply is {} with {} bytes", parcel.id, parcel.payload.len()))
}

fn failed(error: &Error) -> Ending {
    let kind = kind(error);
    match (error, error.outcome()) {
        // Both mean that a message was decoded wrongly: faults lose messages, but never change them.
        (Error::Decode(_) | Error::Encode(_), _)
        | (Error::SessionEnded { reason: CloseReason::Malformed(_), .. }, _) => {
            Ending::Wrong(format!("{error}"))
        }
        (_, Outcome::NotRun) => Ending::NotRun(kind),
        (_, Outcome::Unknown) => Ending::Unknown(kind),
    }
}

/// The names of the error's variant and of its reason.
fn kind(error: &Error) -> String {
    let variant =
        |debug: String| debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let reason = match error {
        Error::SessionEnded { reason: CloseReason::Disconnected { reason, .. }, .. } => {
            let told = reason.map_or("no reason".to_owned(), |reason| format!("{reason:?}"));
            format!("Disconnected: {told}")
        }
        Error::SessionEnded { reason: CloseReason::PeerGone { chunk }, .. } => {
            // NATS could not deliver it.
            format!("PeerGone: {}", if chunk.is_some() { "a chunk" } else { "a heartbeat or a question" })
        }
        Error::SessionEnded { reason, .. } | Error::Connect(ConnectError::Handshake { reason, .. }) => {
            variant(format!("{reason:?}"))
        }
        Error::Application(exception) => format!("{}", exception.kind),
        _ => return variant(format!("{error:?}")),
    };
    format!("{} ({reason})", variant(format!("{error:?}")))
}
