//! The errors of calls.

use std::time::Duration;

use super::{ApplicationException, ApplicationExceptionKind, CloseReason, ConnectError, Outcome};
use crate::protocol::{DecodeError, EncodeError};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call failed, other than with an exception that the IDL declares.
///
/// [`outcome`](Self::outcome) says whether the call may have run, and so whether it is safe to make it again;
/// [`kind`](Self::kind) names the error for metrics. A handler returns it, too: a call that it makes fails with it, and
/// `?` passes it on.
///
/// ```
/// use thrift_nats_runtime::{ConnectError, Error, Outcome};
///
/// fn can_be_repeated(error: &Error) -> bool {
///     match error {
///         Error::Connect(ConnectError::NoServer { .. }) => false, // until a server is started
///         error => error.outcome() == Outcome::NotRun,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server replied with a TApplicationException.
    #[error(transparent)]
    Application(#[from] ApplicationException),
    /// No session is open, and none could be opened.
    #[error("{0}")]
    Connect(ConnectError),
    /// The call has headers, which cannot be sent. It was not sent.
    #[error("cannot send the headers of the call: {reason}")]
    HeadersUnsupported {
        /// The reason.
        reason: &'static str,
    },
    /// The session's queue of requests that are not yet handed to the NATS connection is full. The call was not sent. Only
    /// a request that is longer than the limit, or a call that is to [fail fast](crate::ClientBuilder::fail_fast), fails
    /// with it.
    #[error(
        "the session's queue is too full for a request of {len} bytes: {queued} of {limit} bytes are in use; \
         send less at a time, or raise `queue_limit`"
    )]
    QueueFull {
        /// The length of the request, in bytes.
        len: usize,
        /// Number of queued bytes.
        queued: usize,
        /// The option [`queue_limit`](crate::ClientBuilder::queue_limit).
        limit: usize,
    },
    /// As many calls are in flight on the session as are allowed, and the call is to
    /// [fail fast](crate::ClientBuilder::fail_fast). It was not sent.
    #[error("{limit} calls are in flight on the session; wait for a reply, or raise `max_calls_per_session`")]
    TooManyCalls {
        /// The option [`max_calls_per_session`](crate::ClientBuilder::max_calls_per_session).
        limit: usize,
    },
    /// The reply did not arrive before the call's deadline.
    #[error("`{method}` got no reply within {timeout:?}; {}", outcome_text(*outcome))]
    DeadlineExceeded {
        /// The function that was called.
        method: String,
        /// The timeout of the call.
        timeout: Duration,
        /// Whether the call may have run, or may still be running.
        outcome: Outcome,
    },
    /// The session ended before the reply arrived.
    #[error("session ended: {reason}; {}", outcome_text(*outcome))]
    SessionEnded {
        /// The reason why it ended.
        reason: CloseReason,
        /// Whether the call may have run.
        outcome: Outcome,
    },
    /// The arguments or the result cannot be written.
    #[error("cannot encode: {0}")]
    Encode(EncodeError),
    /// The message that was received is malformed.
    #[error("cannot decode: {0}")]
    Decode(DecodeError),
}

const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotRun => "the call was not run and can be retried",
        Outcome::Unknown => "outcome unknown: the call may have run",
    }
}

impl Error {
    /// Whether the call may have run. A call that did not run can be made again without harm.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(_)
            | Self::HeadersUnsupported { .. }
            | Self::QueueFull { .. }
            | Self::TooManyCalls { .. }
            | Self::Encode(_) => Outcome::NotRun,
            Self::Application(exception) => match exception.kind {
                ApplicationExceptionKind::UNKNOWN_METHOD | ApplicationExceptionKind::LOADSHEDDING => {
                    Outcome::NotRun
                }
                _ => Outcome::Unknown,
            },
            Self::DeadlineExceeded { outcome, .. } | Self::SessionEnded { outcome, .. } => *outcome,
            Self::Decode(_) => Outcome::Unknown,
        }
    }

    /// A name for metrics and logs that stays the same from version to version.
    ///
    /// | kind | variant |
    /// | --- | --- |
    /// | `application_exception` | [`Application`](Self::Application) |
    /// | that of the [`ConnectError`](ConnectError::kind) | [`Connect`](Self::Connect) |
    /// | `headers_unsupported` | [`HeadersUnsupported`](Self::HeadersUnsupported) |
    /// | `queue_full` | [`QueueFull`](Self::QueueFull) |
    /// | `too_many_calls` | [`TooManyCalls`](Self::TooManyCalls) |
    /// | `deadline_exceeded` | [`DeadlineExceeded`](Self::DeadlineExceeded) |
    /// | `session_ended` | [`SessionEnded`](Self::SessionEnded) |
    /// | `encode` | [`Encode`](Self::Encode) |
    /// | `decode` | [`Decode`](Self::Decode) |
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Application(_) => "application_exception",
            Self::Connect(error) => error.kind(),
            Self::HeadersUnsupported { .. } => "headers_unsupported",
            Self::QueueFull { .. } => "queue_full",
            Self::TooManyCalls { .. } => "too_many_calls",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::SessionEnded { .. } => "session_ended",
            Self::Encode(_) => "encode",
            Self::Decode(_) => "decode",
        }
    }
}

impl Error {
    /// Logs what a handler of `method` that failed with this error hides from the caller.
    pub(crate) fn log_hidden(&self, method: &str) {
        if let Self::Application(exception) = self {
            exception.log_hidden(method);
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
