//! The process of a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thrift_nats_runtime::{Context, Error, Server};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::api::oracle::{Garbled, Oracle, OracleAgainError, OracleOnceError, OracleServer, Parcel};
use super::notes::Notes;
use super::plan::{LINGERS, Plan};
use super::{BoxError, SUBJECT};

/// The timeout of a drain. Handlers take milliseconds, except those of `linger`, which must have been cancelled.
const DRAIN: Duration = Duration::from_secs(20);

/// The options of a server.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The NATS servers, in the order of preference.
    pub urls: Vec<String>,
    /// The file for its records.
    pub notes: PathBuf,
}

/// Serves until the standard input has the line `drain`, or closes. Prints the number of sessions after the line `sessions`.
///
/// # Errors
/// If it cannot start or shut down.
pub async fn serve(options: ServeOptions) -> Result<(), BoxError> {
    let notes = Arc::new(Notes::open(&options.notes)?);
    let nats = super::peer::connect(options.urls).await?;
    // Sessions of killed clients should end within seconds.
    let server = Server::builder(&nats, SUBJECT).heartbeat(Duration::from_secs(1));
    let running = server.serve(OracleServer::new(Handler { notes })).await?;
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "sessions" => println!("{}", running.sessions()),
            "drain" => return Ok(running.drain(DRAIN).await?),
            _ => return Err(format!("a server does not know `{line}`").into()),
        }
    }
    // The parent process has exited.
    Ok(running.stop().await?)
}

#[derive(Debug)]
struct Handler {
    notes: Arc<Notes>,
}

impl Handler {
    /// Records the call first, then takes the time of its plan.
    async fn run(&self, id: i64) -> Result<Plan, Error> {
        let plan = Plan::of(id.cast_unsigned());
        self.notes.runs(plan.id).map_err(internal)?;
        if !plan.takes.is_zero() {
            tokio::time::sleep(plan.takes).await;
        }
        Ok(plan)
    }

    async fn checked(&self, parcel: Parcel) -> Result<Result<Parcel, Garbled>, Error> {
        let plan = self.run(parcel.id).await?;
        Ok(if plan.is_parcel(&parcel) { Ok(parcel) } else { Err(Garbled { id: parcel.id }) })
    }
}

fn internal(error: std::io::Error) -> Error {
    thrift_nats_runtime::ApplicationException::revealed(error.to_string()).into()
}

impl Oracle for Handler {
    async fn once(&self, _cx: &Context, parcel: Parcel) -> Result<Parcel, OracleOnceError> {
        Ok(self.checked(parcel).await??)
    }

    async fn again(&self, _cx: &Context, parcel: Parcel) -> Result<Parcel, OracleAgainError> {
        Ok(self.checked(parcel).await??)
    }

    async fn make(&self, _cx: &Context, id: i64, _len: i32) -> Result<Parcel, Error> {
        Ok(self.run(id).await?.parcel())
    }

    async fn tell(&self, _cx: &Context, parcel: Parcel) -> Result<(), Error> {
        self.run(parcel.id).await.map(drop)
    }

    async fn linger(&self, _cx: &Context, id: i64) -> Result<(), Error> {
        self.notes.runs(id.cast_unsigned()).map_err(internal)?;
        tokio::time::sleep(LINGERS).await;
        Ok(())
    }
}
