//! The process of a client that floods the servers.
//!
//! It sends what any client may send, as fast as it can: handshakes, messages of one byte on a session of a legacy client,
//! and calls. It sends nothing that is malformed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::oracle::OracleClient;
use super::call::Caller;
use super::notes::Notes;
use super::plan::{FLOOD, Plan};
use super::{BoxError, SUBJECT};
use crate::raw::{RawClient, request};

/// The longest time of a flood.
const LONGEST: Duration = Duration::from_secs(3);
/// The number of calls that are made at once.
const BURST: u64 = 10_000;

/// The options of a flood.
#[derive(Clone, Debug)]
pub struct FloodOptions {
    /// The NATS servers, in the order of preference.
    pub urls: Vec<String>,
    /// The file for its records.
    pub notes: PathBuf,
    /// The number of its first call.
    pub first: u64,
    /// The number of its handshakes, of its messages of one byte, and of its calls.
    pub count: u64,
}

/// Floods the servers once, for three seconds at most. Prints the numbers of handshakes, of messages of one byte, and of
/// calls.
///
/// # Errors
/// If it cannot connect, or cannot write its records.
pub async fn flood(options: FloodOptions) -> Result<(), BoxError> {
    println!("ready");
    let (handshakes, messages, calls) =
        tokio::join!(handshakes(&options), messages(&options), calls(&options));
    println!("{} {} {}", handshakes?, messages?, calls?);
    Ok(())
}

/// Sends handshakes, each with another reply subject.
async fn handshakes(options: &FloodOptions) -> Result<u64, BoxError> {
    let nats = super::peer::connect(options.urls.clone()).await?;
    let inbox = nats.new_inbox();
    let end = Instant::now() + LONGEST;
    let mut sent = 0;
    while sent < options.count && Instant::now() < end {
        nats.publish_with_reply(SUBJECT, format!("{inbox}.{sent}"), Bytes::new()).await?;
        sent += 1;
    }
    nats.flush().await?;
    Ok(sent)
}

/// Sends the bytes of requests, each in a message of its own.
async fn messages(options: &FloodOptions) -> Result<u64, BoxError> {
    let nats = super::peer::connect(options.urls.clone()).await?;
    let end = Instant::now() + LONGEST;
    let mut sent = 0;
    let Ok(client) = tokio::time::timeout(LONGEST, RawClient::legacy(&nats, SUBJECT)).await else {
        return Ok(0);
    };
    // The servers may refuse the session.
    while sent < options.count && Instant::now() < end && client.listen.as_str() != "DISCONNECT" {
        for byte in request("flood", sent as u32) {
            client.send(vec![byte]).await;
            sent += 1;
        }
    }
    nats.flush().await?;
    Ok(sent)
}

/// Makes calls, many at once. They may fail.
async fn calls(options: &FloodOptions) -> Result<u64, BoxError> {
    let nats = super::peer::connect(options.urls.clone()).await?;
    let Ok(client) = super::call::connect(&nats).await else {
        return Ok(0);
    };
    let caller = Caller {
        oracle: OracleClient::new(client.clone()),
        notes: Arc::new(Notes::open(&options.notes)?),
        spare: Arc::new(AtomicU64::new(0)),
    };
    let end = Instant::now() + LONGEST;
    let mut made = 0;
    while made < options.count && Instant::now() < end {
        let mut burst = JoinSet::new();
        for _ in 0..BURST.min(options.count - made) {
            let (caller, plan) = (caller.clone(), Plan::of((options.first + made) | FLOOD));
            burst.spawn(async move { caller.make(plan).await });
            made += 1;
        }
        while let Some(result) = burst.join_next().await {
            result??;
        }
    }
    // An error does not matter: the flood is over.
    let _ = client.close().await;
    Ok(made)
}
