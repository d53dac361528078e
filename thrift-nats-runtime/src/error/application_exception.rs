//! Thrift's own exception, TApplicationException.

use std::fmt;

use super::{BoxError, Error, Outcome, SharedError};
use crate::log_limit::limited;
use crate::protocol::{DecodeError, EncodeError, InputProtocol, OutputProtocol, TType, Value};
use crate::shared_error::ErrorChain;

/// Thrift's own exception (TApplicationException): the reply to a call that fails in a way that the IDL does not declare.
///
/// A handler that cannot continue returns one. [`internal`](Self::internal) makes one from any error and keeps the text of
/// that error on the server; [`revealed`](Self::revealed) shows it to the caller.
///
/// ```
/// use thrift_nats_runtime::{ApplicationException, Context, Error};
///
/// # trait Users { fn load(&self, cx: &Context, path: &str) -> Result<String, Error>; }
/// # struct Handler;
/// # impl Users for Handler {
/// fn load(&self, _cx: &Context, path: &str) -> Result<String, Error> {
///     // The caller gets "INTERNAL_ERROR: internal error"; the log of the server has the path's error.
///     let user = std::fs::read_to_string(path).map_err(ApplicationException::internal)?;
///     // The caller gets "INTERNAL_ERROR: invalid digit found in string".
///     let id: u32 = user.trim().parse().map_err(ApplicationException::revealed)?;
///     Ok(format!("user {id}"))
/// }
/// # }
/// ```
///
/// Two exceptions are equal if their kinds and messages are.
#[derive(Clone)]
pub struct ApplicationException {
    /// A description for people.
    pub message: String,
    /// The kind of the error, for programs.
    pub kind: ApplicationExceptionKind,
    provenance: Provenance,
}

/// The origin of an exception.
#[derive(Clone, Debug)]
enum Provenance {
    /// It came in a reply.
    Received,
    /// It was made in this process.
    Local,
    /// It was made in this process, from an error that the caller does not see.
    Hides(SharedError),
}

impl PartialEq for ApplicationException {
    fn eq(&self, other: &Self) -> bool {
        (&self.message, self.kind) == (&other.message, other.kind)
    }
}

impl Eq for ApplicationException {}

impl std::hash::Hash for ApplicationException {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.message, self.kind).hash(state);
    }
}

/// The kinds of [`ApplicationException`]: an open enum, as every enum of Thrift. Up to 10 they are those of Apache Thrift,
/// 11 and 12 those of fbthrift.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApplicationExceptionKind(pub i32);

impl ApplicationExceptionKind {
    /// An error of no other kind.
    pub const UNKNOWN: Self = Self(0);
    /// The service does not have the function. The call was not run.
    pub const UNKNOWN_METHOD: Self = Self(1);
    /// The message is not of the kind that was expected, for one a reply where a request was expected.
    pub const INVALID_MESSAGE_TYPE: Self = Self(2);
    /// The reply names another function.
    pub const WRONG_METHOD_NAME: Self = Self(3);
    /// The reply has another sequence number.
    pub const BAD_SEQUENCE_ID: Self = Self(4);
    /// The reply has neither a result nor an exception.
    pub const MISSING_RESULT: Self = Self(5);
    /// The handler failed.
    pub const INTERNAL_ERROR: Self = Self(6);
    /// The arguments are malformed.
    pub const PROTOCOL_ERROR: Self = Self(7);
    /// The transform of the header transport is unknown.
    pub const INVALID_TRANSFORM: Self = Self(8);
    /// The protocol is unknown.
    pub const INVALID_PROTOCOL: Self = Self(9);
    /// The server does not serve this type of client.
    pub const UNSUPPORTED_CLIENT_TYPE: Self = Self(10);
    /// The server runs as many calls as it is allowed to. The call was not run.
    pub const LOADSHEDDING: Self = Self(11);
    /// The deadline of the call has passed.
    pub const TIMEOUT: Self = Self(12);

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::UNKNOWN => "UNKNOWN",
            Self::UNKNOWN_METHOD => "UNKNOWN_METHOD",
            Self::INVALID_MESSAGE_TYPE => "INVALID_MESSAGE_TYPE",
            Self::WRONG_METHOD_NAME => "WRONG_METHOD_NAME",
            Self::BAD_SEQUENCE_ID => "BAD_SEQUENCE_ID",
            Self::MISSING_RESULT => "MISSING_RESULT",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INVALID_TRANSFORM => "INVALID_TRANSFORM",
            Self::INVALID_PROTOCOL => "INVALID_PROTOCOL",
            Self::UNSUPPORTED_CLIENT_TYPE => "UNSUPPORTED_CLIENT_TYPE",
            Self::LOADSHEDDING => "LOADSHEDDING",
            Self::TIMEOUT => "TIMEOUT",
            Self(_) => return None,
        })
    }
}

/// The name of the kind, or its number.
impl fmt::Display for ApplicationExceptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// The name of the kind, or its number.
impl fmt::Debug for ApplicationExceptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ApplicationException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// The kind and the message, and the error that [`internal`](ApplicationException::internal) was given.
impl fmt::Debug for ApplicationException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ApplicationException");
        text.field("kind", &self.kind).field("message", &self.message);
        if let Some(error) = self.hidden() {
            text.field("source", &error);
        }
        text.finish()
    }
}

impl std::error::Error for ApplicationException {
    /// The error that [`internal`](Self::internal) was given, which the text does not contain.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.hidden()
    }
}

impl ApplicationException {
    /// An exception of this kind, with a message that the caller sees.
    pub fn new(kind: ApplicationExceptionKind, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, provenance: Provenance::Local }
    }

    /// The exception of a handler that failed with this error. The caller sees `INTERNAL_ERROR` with the message "internal
    /// error". The error itself stays on the server: it is logged when the reply is written, and returned from `source()`.
    ///
    /// Accepts every error that `Box<dyn Error + Send + Sync>` can be made from, and text.
    pub fn internal(error: impl Into<BoxError>) -> Self {
        Self {
            provenance: Provenance::Hides(SharedError::new(error)),
            ..Self::new(ApplicationExceptionKind::INTERNAL_ERROR, "internal error")
        }
    }

    /// The exception of a handler that failed with this error, whose text the caller sees: `INTERNAL_ERROR` with the text
    /// of the error and of its sources as the message, separated by ": ".
    ///
    /// Accepts every error that `Box<dyn Error + Send + Sync>` can be made from, and text.
    pub fn revealed(error: impl Into<BoxError>) -> Self {
        let message = ErrorChain(&*error.into()).to_string();
        Self::new(ApplicationExceptionKind::INTERNAL_ERROR, message)
    }

    fn hidden(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.provenance {
            Provenance::Hides(error) => Some(error.get()),
            Provenance::Received | Provenance::Local => None,
        }
    }

    /// Logs the error that the caller of `method` does not see.
    pub(crate) fn log_hidden(&self, method: &str) {
        if let Some(error) = self.hidden() {
            limited!(error, method, error, "handler failed");
        }
    }
}

impl From<&Error> for ApplicationException {
    /// The reply to a call that ended in this error.
    fn from(error: &Error) -> Self {
        match error {
            Error::Application(exception) => match exception.provenance {
                // "Not run" is true of the call that the handler made, but not of the handler's own call.
                Provenance::Received if error.outcome() == Outcome::NotRun => {
                    Self::revealed(format!("a call that the handler made failed: {exception}"))
                }
                Provenance::Received | Provenance::Local | Provenance::Hides(_) => exception.clone(),
            },
            Error::Decode(error) => Self::new(ApplicationExceptionKind::PROTOCOL_ERROR, error.to_string()),
            Error::Connect(_)
            | Error::HeadersUnsupported { .. }
            | Error::QueueFull { .. }
            | Error::TooManyCalls { .. }
            | Error::DeadlineExceeded { .. }
            | Error::SessionEnded { .. }
            | Error::Encode(_) => Self::new(ApplicationExceptionKind::INTERNAL_ERROR, error.to_string()),
        }
    }
}

impl Value for ApplicationException {
    const TTYPE: TType = TType::Struct;

    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.struct_begin()?;
        self.message.write_field(output, 1)?;
        self.kind.0.write_field(output, 2)?;
        output.struct_end();
        Ok(())
    }

    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        let mut exception = Self::new(ApplicationExceptionKind::UNKNOWN, "");
        input.struct_begin()?;
        while let Some(field) = input.field_begin()? {
            match (field.id, field.ttype) {
                (1, TType::String) => exception.message = input.read_field("message")?,
                (2, TType::I32) => exception.kind = ApplicationExceptionKind(input.read_field("type")?),
                _ => input.skip(field.ttype)?,
            }
        }
        input.struct_end();
        exception.provenance = Provenance::Received;
        Ok(exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Protocol;
    use crate::protocol::{from_bytes, to_bytes};

    #[test]
    fn not_run_is_not_passed_on_by_the_handler_that_made_the_call() {
        let made = ApplicationException::new(ApplicationExceptionKind::LOADSHEDDING, "enough");
        let bytes = to_bytes(Protocol::Binary, &made).unwrap();
        let received: ApplicationException = from_bytes(Protocol::Binary, bytes).unwrap();
        assert_eq!(received, made);
        let error = Error::from(received);
        assert_eq!(error.outcome(), Outcome::NotRun, "for the handler that made the call");
        let passed_on = ApplicationException::from(&error);
        assert_eq!(passed_on.kind, ApplicationExceptionKind::INTERNAL_ERROR);
        assert!(passed_on.message.ends_with("LOADSHEDDING: enough"), "{}", passed_on.message);
        let own = ApplicationException::from(&Error::from(made.clone()));
        assert_eq!(own, made, "a handler may return it for its call");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the account")]
    struct Outer(#[source] Cause);

    #[derive(Debug, thiserror::Error)]
    #[error("password of the database is wrong")]
    struct Cause;

    #[test]
    fn the_text_of_an_internal_error_is_hidden_from_the_caller() {
        let exception = ApplicationException::internal(Outer(Cause));
        assert_eq!(exception.to_string(), "INTERNAL_ERROR: internal error");
        let source = std::error::Error::source(&exception).unwrap();
        assert!(source.is::<Outer>(), "{source:?}");
        let reply = ApplicationException::from(&Error::from(exception));
        let bytes = to_bytes(Protocol::Binary, &reply).unwrap();
        let received: ApplicationException = from_bytes(Protocol::Binary, bytes).unwrap();
        assert_eq!(received.message, "internal error");
    }

    #[test]
    fn the_text_of_a_revealed_error_includes_its_sources() {
        let exception = ApplicationException::revealed(Outer(Cause));
        let text = "INTERNAL_ERROR: cannot read the account: password of the database is wrong";
        assert_eq!(exception.to_string(), text);
        assert!(std::error::Error::source(&exception).is_none());
    }

    #[test]
    fn debug_of_a_kind_is_its_name_or_number() {
        assert_eq!(format!("{:?}", ApplicationExceptionKind::LOADSHEDDING), "LOADSHEDDING");
        assert_eq!(format!("{:?}", ApplicationExceptionKind(99)), "99");
    }
}
