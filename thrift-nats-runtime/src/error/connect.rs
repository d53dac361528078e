//! The errors of connecting a client.

use std::fmt;

use super::{CloseReason, NatsError};
use crate::format::{Protocol, Transport};

/// A client could not be connected, or a call could not open the session that it needs. No call has run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No service can have this subject.
    #[error("`{subject}` cannot be the subject of a service: {reason}")]
    InvalidSubject {
        /// The subject.
        subject: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The transport cannot carry the protocol.
    #[error("the {transport} transport cannot carry the {protocol} protocol: {reason}")]
    InvalidFormat {
        /// The option [`protocol`](crate::ClientBuilder::protocol).
        protocol: Protocol,
        /// The option [`transport`](crate::ClientBuilder::transport).
        transport: Transport,
        /// The reason.
        reason: &'static str,
    },
    /// An option is out of its range.
    #[error("{0}")]
    InvalidOption(InvalidOption),
    /// NATS has no subscriber on the subject of the service ("no responders").
    #[error("no server listens on `{subject}`; check that one runs, and that both use the same NATS account")]
    NoServer {
        /// The subject of the service.
        subject: String,
    },
    /// A server did not accept the session: it did not reply in time, it refused, or its reply was malformed.
    #[error("cannot open a session with `{subject}`: {reason}")]
    Handshake {
        /// The subject of the service.
        subject: String,
        /// The reason why the session was not opened.
        reason: CloseReason,
    },
    /// The task that connects or calls does not run in a tokio runtime, which the session needs for its tasks and timers.
    #[error("no tokio runtime runs here; connect and call in a task of one, or inside its `block_on`")]
    NoRuntime,
    /// NATS did not carry out an operation.
    #[error("{0}")]
    Nats(NatsError),
}

/// An option of a client or a server that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` is {value}; it must be {range}")]
pub struct InvalidOption {
    /// The name of the option: that of the builder's method.
    pub option: &'static str,
    /// Its value.
    pub value: String,
    /// The values that it may have.
    pub range: &'static str,
}

impl ConnectError {
    /// A name for metrics and logs that stays the same from version to version.
    ///
    /// | kind | variant |
    /// | --- | --- |
    /// | `invalid_subject` | [`InvalidSubject`](Self::InvalidSubject) |
    /// | `invalid_format` | [`InvalidFormat`](Self::InvalidFormat) |
    /// | `invalid_option` | [`InvalidOption`](Self::InvalidOption) |
    /// | `no_server` | [`NoServer`](Self::NoServer) |
    /// | `handshake` | [`Handshake`](Self::Handshake) |
    /// | `no_runtime` | [`NoRuntime`](Self::NoRuntime) |
    /// | `nats` | [`Nats`](Self::Nats) |
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidSubject { .. } => "invalid_subject",
            Self::InvalidFormat { .. } => "invalid_format",
            Self::InvalidOption(_) => "invalid_option",
            Self::NoServer { .. } => "no_server",
            Self::Handshake { .. } => "handshake",
            Self::NoRuntime => "no_runtime",
            Self::Nats(_) => "nats",
        }
    }
}

impl ConnectError {
    /// Whether a later attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoServer { .. } => true,
            Self::Handshake { reason, .. } => reason.is_transient(),
            Self::InvalidSubject { .. }
            | Self::InvalidFormat { .. }
            | Self::InvalidOption(_)
            | Self::NoRuntime
            | Self::Nats(_) => false,
        }
    }
}

impl InvalidOption {
    /// Checks an option. `range` says in words what `is_valid` accepts.
    pub(crate) fn check<T: fmt::Debug>(
        option: &'static str,
        value: T,
        range: &'static str,
        is_valid: impl FnOnce(&T) -> bool,
    ) -> Result<(), Self> {
        if is_valid(&value) {
            return Ok(());
        }
        Err(Self { option, value: format!("{value:?}"), range })
    }

    /// Checks an option that is a number of bytes.
    pub(crate) fn check_bytes(option: &'static str, bytes: usize) -> Result<(), Self> {
        Self::check(option, bytes, "1 byte or more", |bytes| *bytes > 0)
    }
}

impl From<InvalidOption> for ConnectError {
    fn from(error: InvalidOption) -> Self {
        Self::InvalidOption(error)
    }
}

impl From<NatsError> for ConnectError {
    fn from(error: NatsError) -> Self {
        Self::Nats(error)
    }
}
