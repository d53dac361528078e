//! The errors of closing a client, and of draining or stopping a server.

use std::time::Duration;

use super::NatsError;

/// A client was not closed, or a server not drained or stopped, in the way that was asked for. It has ended in any case.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The server was not drained before the timeout, and was stopped.
    #[error("not drained within {timeout:?}: {}", unfinished(*calls))]
    NotDrained {
        /// The timeout.
        timeout: Duration,
        /// Number of requests that had not finished: they ran, or waited to run. If it is zero, NATS had not confirmed that
        /// the server left the queue group, or had not taken all replies.
        calls: usize,
    },
    /// NATS did not confirm the disconnect messages. Peers may notice the end later.
    #[error("{0}")]
    Nats(NatsError),
}

/// What a server that was not drained waited for.
fn unfinished(calls: usize) -> String {
    match calls {
        0 => "NATS had not confirmed that the server left the queue group, or had not taken all replies"
            .to_owned(),
        1 => "1 unfinished call was dropped".to_owned(),
        _ => format!("{calls} unfinished calls were dropped"),
    }
}

impl ShutdownError {
    /// A name for metrics and logs that stays the same from version to version.
    ///
    /// | kind | variant |
    /// | --- | --- |
    /// | `not_drained` | [`NotDrained`](Self::NotDrained) |
    /// | `nats` | [`Nats`](Self::Nats) |
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotDrained { .. } => "not_drained",
            Self::Nats(_) => "nats",
        }
    }
}

impl From<NatsError> for ShutdownError {
    fn from(error: NatsError) -> Self {
        Self::Nats(error)
    }
}
