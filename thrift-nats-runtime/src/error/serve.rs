//! The errors of serving.

use super::{InvalidOption, NatsError};

/// A server could not start to listen, or cannot serve any more: see [`Server::failed`](crate::Server::failed).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// No service can have this subject.
    #[error("`{subject}` cannot be the subject of a service: {reason}")]
    InvalidSubject {
        /// The subject.
        subject: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// An option is out of its range.
    #[error("{0}")]
    InvalidOption(InvalidOption),
    /// The task that starts the server does not run in a tokio runtime, which the server needs for its tasks and timers.
    #[error("no tokio runtime runs here; serve in a task of one, or inside its `block_on`")]
    NoRuntime,
    /// NATS did not carry out an operation.
    #[error("{0}")]
    Nats(NatsError),
    /// A task of the server has panicked, so that it cannot serve any more.
    #[error("a task of the server panicked; please report it with the panic's message")]
    Panicked,
}

impl ServeError {
    /// A name for metrics and logs that stays the same from version to version.
    ///
    /// | kind | variant |
    /// | --- | --- |
    /// | `invalid_subject` | [`InvalidSubject`](Self::InvalidSubject) |
    /// | `invalid_option` | [`InvalidOption`](Self::InvalidOption) |
    /// | `no_runtime` | [`NoRuntime`](Self::NoRuntime) |
    /// | `nats` | [`Nats`](Self::Nats) |
    /// | `panicked` | [`Panicked`](Self::Panicked) |
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidSubject { .. } => "invalid_subject",
            Self::InvalidOption(_) => "invalid_option",
            Self::NoRuntime => "no_runtime",
            Self::Nats(_) => "nats",
            Self::Panicked => "panicked",
        }
    }
}

impl From<InvalidOption> for ServeError {
    fn from(error: InvalidOption) -> Self {
        Self::InvalidOption(error)
    }
}

impl From<NatsError> for ServeError {
    fn from(error: NatsError) -> Self {
        Self::Nats(error)
    }
}
