//! What a call, a client or a server can fail with.

mod application_exception;
mod unknown_enum_value;

use std::time::Duration;

pub use self::application_exception::{ApplicationException, ApplicationExceptionKind};
pub use self::unknown_enum_value::UnknownEnumValue;
use crate::format::{Protocol, Transport};
pub use crate::proto::{AcceptError, CloseReason, Outcome, PeerReason};
use crate::protocol::{DecodeError, EncodeError};
pub(crate) use crate::shared_error::BoxError;
pub use crate::shared_error::SharedError;

/// What a call or an operation of the runtime comes to.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that is not in the IDL and can go wrong with a call, a client or a server.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with a TApplicationException. A handler may return one, too.
    #[error(transparent)]
    Application(#[from] ApplicationException),
    /// The subject of a service is none that NATS takes.
    #[error("`{subject}` is no subject for a service: {reason}")]
    InvalidSubject {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The transport cannot carry the protocol.
    #[error("the {transport} transport does not carry the {protocol} protocol: {reason}")]
    InvalidFormat {
        /// The protocol that was asked for.
        protocol: Protocol,
        /// The transport that was asked for.
        transport: Transport,
        /// Why not.
        reason: &'static str,
    },
    /// The call has headers, and there is no way to send them. It was not made.
    #[error("the headers of the call cannot be sent: {reason}")]
    HeadersNotCarried {
        /// Why not.
        reason: &'static str,
    },
    /// Nobody listens on the service's subject.
    #[error("no server listens on `{subject}`")]
    NoServer {
        /// The subject of the service.
        subject: String,
    },
    /// The session could not be opened.
    #[error("cannot open a session with `{subject}`: {reason}")]
    Connect {
        /// The subject of the service.
        subject: String,
        /// Why.
        reason: CloseReason,
    },
    /// The session has too many bytes of requests that NATS has not taken yet. The call was not made.
    #[error(
        "a request of {len} bytes does not fit into the session's queue: {queued} bytes of at most {limit} wait to be sent"
    )]
    QueueFull {
        /// The length of the request, in bytes.
        len: usize,
        /// How many bytes wait to be sent.
        queued: usize,
        /// How many may: the option [`queue_limit`](crate::ClientBuilder::queue_limit).
        limit: usize,
    },
    /// There are as many calls in flight on the session as there may be. The call was not made.
    #[error("{limit} calls are in flight, and no more may be")]
    TooManyCalls {
        /// How many may be: the option [`max_calls`](crate::ClientBuilder::max_calls).
        limit: usize,
    },
    /// The call was not answered by its deadline.
    #[error("`{method}` was not answered within {timeout:?}; {}", outcome_text(*outcome))]
    DeadlineExceeded {
        /// The function that was called.
        method: String,
        /// How long the call was given.
        timeout: Duration,
        /// Whether the call may have been run, or may be still.
        outcome: Outcome,
    },
    /// The session ended before the call was answered.
    #[error("session ended: {reason}; {}", outcome_text(*outcome))]
    SessionEnded {
        /// Why.
        reason: CloseReason,
        /// Whether the call may have been run.
        outcome: Outcome,
    },
    /// A server was not drained within its time. It has stopped all the same.
    #[error("not drained within {timeout:?}: {calls} calls still ran, and were dropped")]
    NotDrained {
        /// How long it was given.
        timeout: Duration,
        /// How many calls still ran. None where only a client had not left, or NATS had not taken all answers.
        calls: usize,
    },
    /// The arguments or the result cannot be written.
    #[error("cannot encode: {0}")]
    Encode(#[from] EncodeError),
    /// The message that came cannot be read.
    #[error("cannot decode: {0}")]
    Decode(#[from] DecodeError),
    /// NATS, or the library that speaks to it, refused something. Where a call ends in it, no session could be opened.
    #[error("{what}: {source}")]
    Nats {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        source: SharedError,
    },
}

const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotRun => "the call was not run",
        Outcome::Unknown => "outcome unknown: the call may have been run",
    }
}

impl Error {
    /// Whether a call that ended in this error may have been run. One that was not can be made again without harm.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::InvalidSubject { .. }
            | Self::InvalidFormat { .. }
            | Self::HeadersNotCarried { .. }
            | Self::NoServer { .. }
            | Self::Connect { .. }
            | Self::QueueFull { .. }
            | Self::TooManyCalls { .. }
            | Self::Encode(_)
            // Once a session is open, what NATS refuses ends it.
            | Self::Nats { .. } => Outcome::NotRun,
            Self::Application(exception) => match exception.kind {
                ApplicationExceptionKind::UNKNOWN_METHOD | ApplicationExceptionKind::LOADSHEDDING => {
                    Outcome::NotRun
                }
                _ => Outcome::Unknown,
            },
            Self::DeadlineExceeded { outcome, .. } | Self::SessionEnded { outcome, .. } => *outcome,
            Self::Decode(_) | Self::NotDrained { .. } => Outcome::Unknown,
        }
    }

    pub(crate) fn nats(what: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Nats { what, source: SharedError::new(source) }
    }
}
