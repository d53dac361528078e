//! The process of a client.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use thrift_nats_runtime::{Client, CloseReason, ConnectError, Error, Outcome};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::oracle::{OracleAgainError, OracleClient, OracleOnceError, Parcel};
use super::notes::{Ended, Ending, Notes};
use super::plan::{DEADLINE, Function, LINGER, LINGERS, Plan};
use super::{BoxError, SUBJECT};

/// The pause after a failed call. It limits the number of failed calls during an outage.
const PAUSE: Duration = Duration::from_millis(5);
/// Timeout of a client's wait for the first server, and of a call's wait for the next one.
const SERVER_BOUND: Duration = Duration::from_secs(5);

/// The time for which the calls of a storm are in flight.
const STORM: Duration = Duration::from_millis(500);
/// The number of successful calls in a row that show that a client has recovered, and the bound for it.
const IN_A_ROW: u32 = 100;
const RECOVERY: Duration = Duration::from_secs(10);

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

/// Makes the calls and prints `made` then. Understands two lines of the standard input: after `storm N`, it makes `N` calls
/// and drops them; after `recover`, it returns when calls succeed again. Exits early if the standard input closes.
///
/// # Errors
/// If it cannot start, cannot write its records, or calls do not succeed again.
pub async fn call(options: CallOptions) -> Result<(), BoxError> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let notes = Arc::new(Notes::open(&options.notes)?);
    let nats = super::peer::connect(options.urls.clone()).await?;
    let client = connect(&nats).await?;
    println!("ready");
    let caller = Caller {
        oracle: OracleClient::new(client.clone()),
        notes,
        // After the calls of the options.
        spare: Arc::new(AtomicU64::new(options.first + options.calls)),
    };
    let mut calls = pin!(caller.make_calls(&options));
    let mut made = false;
    let mut storms = JoinSet::new();
    loop {
        tokio::select! {
            result = &mut calls, if !made => {
                result?;
                made = true;
                println!("made");
            }
            line = lines.next_line() => match line?.as_deref() {
                // The parent process has exited.
                None => return Ok(()),
                Some("recover") => break,
                Some(line) => match line.strip_prefix("storm ").map(str::parse) {
                    Some(Ok(calls)) => drop(storms.spawn(caller.clone().storm(calls))),
                    _ => return Err(format!("a client does not know `{line}`").into()),
                },
            },
        }
    }
    while let Some(result) = storms.join_next().await {
        result??;
    }
    caller.recover().await?;
    // Sends the last oneway calls. They may be lost, so an error does not matter.
    let _ = client.close().await;
    Ok(())
}

/// Makes calls and records how they end.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) oracle: OracleClient,
    pub(super) notes: Arc<Notes>,
    /// The next number for calls besides those of the options.
    pub(super) spare: Arc<AtomicU64>,
}

impl Caller {
    async fn make_calls(&self, options: &CallOptions) -> Result<(), BoxError> {
        let next = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let (first, calls, at_least) = (options.first, options.calls, options.at_least);
        let mut callers = JoinSet::new();
        for _ in 0..options.concurrency {
            let (caller, next) = (self.clone(), Arc::clone(&next));
            callers.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= calls {
                        return Ok(());
                    }
                    tokio::time::sleep_until(begun + at_least.mul_f64(n as f64 / calls as f64)).await;
                    if !caller.make(Plan::of(first + n)).await? {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            });
        }
        while let Some(result) = callers.join_next().await {
            let ended: std::io::Result<()> = result?;
            ended?;
        }
        Ok(())
    }

    /// Makes a call. Returns whether it succeeded.
    pub(super) async fn make(&self, plan: Plan) -> std::io::Result<bool> {
        let made = Instant::now();
        let ending = tokio::time::timeout(plan.hangs(), make(&self.oracle, plan)).await;
        let ending = ending.unwrap_or(Ending::Hung);
        let succeeded = ending == Ending::Answered;
        self.notes.ended(&Ended { id: plan.id, ending, took: made.elapsed() })?;
        Ok(succeeded)
    }

    /// Makes calls of a function that returns after an hour, and drops them all at once after a moment.
    async fn storm(self, calls: u64) -> std::io::Result<()> {
        let made = Instant::now();
        let mut all: Vec<_> = (0..calls)
            .map(|_| Plan::of(self.spare.fetch_add(1, Ordering::Relaxed) | LINGER))
            .map(|plan| {
                let call = self.oracle.linger(plan.id.cast_signed()).timeout(LINGERS);
                (plan, Some(Box::pin(call.into_future())))
            })
            .collect();
        let mut ended = Vec::new();
        // Sends the calls. One that is rejected ends.
        let end = made + STORM;
        while Instant::now() < end {
            for (plan, call) in &mut all {
                let result = call.as_mut().and_then(|call| call.now_or_never());
                if let Some(result) = result {
                    *call = None;
                    let ending = match result {
                        Ok(()) => Ending::Wrong("`linger` has returned".to_owned()),
                        Err(error) => failed(&error),
                    };
                    ended.push(Ended { id: plan.id, ending, took: made.elapsed() });
                }
            }
            tokio::time::sleep(STORM / 10).await;
        }
        let dropped = all.iter().filter(|(_, call)| call.is_some());
        let took = made.elapsed();
        ended.extend(dropped.map(|(plan, _)| Ended { id: plan.id, ending: Ending::Dropped, took }));
        drop(all);
        ended.iter().try_for_each(|ended| self.notes.ended(ended))
    }

    /// Makes calls until many in a row have succeeded.
    async fn recover(&self) -> Result<(), BoxError> {
        let end = Instant::now() + RECOVERY;
        let mut in_a_row = 0;
        while in_a_row < IN_A_ROW {
            let spare = std::iter::repeat_with(|| self.spare.fetch_add(1, Ordering::Relaxed));
            let plan = spare.map(Plan::of).find(|plan| plan.may_be_run_again()).expect("it does not end");
            in_a_row = if self.make(plan).await? { in_a_row + 1 } else { 0 };
            if Instant::now() > end {
                return Err(
                    format!("only {in_a_row} calls in a row have succeeded after {RECOVERY:?}").into()
                );
            }
        }
        Ok(())
    }
}

/// Opens the first session. Servers may still be starting.
pub(super) async fn connect(nats: &async_nats::Client) -> Result<Client, BoxError> {
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
    let timeout = plan.timeout();
    let parcel = match plan.function {
        Function::Once => match oracle.once(&plan.parcel()).timeout(timeout).await {
            Err(OracleOnceError::Garbled(garbled)) => return wrong(&garbled),
            Err(OracleOnceError::Rpc(error)) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Again => match oracle.again(&plan.parcel()).timeout(timeout).await {
            Err(OracleAgainError::Garbled(garbled)) => return wrong(&garbled),
            Err(OracleAgainError::Rpc(error)) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Make => match oracle.make(plan.id.cast_signed(), plan.len as i32).timeout(timeout).await {
            Err(error) => return failed(&error),
            Ok(parcel) => parcel,
        },
        Function::Tell => {
            return match oracle.tell(&plan.parcel()).timeout(timeout).await {
                Err(error) => failed(&error),
                Ok(()) => Ending::Answered,
            };
        }
        Function::Linger => {
            return match oracle.linger(plan.id.cast_signed()).timeout(timeout).await {
                Err(error) => failed(&error),
                Ok(()) => Ending::Wrong("`linger` has returned".to_owned()),
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
