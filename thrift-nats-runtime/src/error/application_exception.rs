//! Thrift's own exception, TApplicationException.

use std::fmt;

use super::{Error, Outcome};
use crate::protocol::{DecodeError, EncodeError, InputProtocol, OutputProtocol, TType, Value};

/// Thrift's own exception: what a server answers when a call fails in a way that the IDL does not declare.
#[derive(Clone, Debug)]
pub struct ApplicationException {
    /// What went wrong, for a person.
    pub message: String,
    /// What went wrong, for a program.
    pub kind: ApplicationExceptionKind,
    /// Whether a server answered it; else it was made here.
    received: bool,
}

/// Two are equal that say the same, wherever they were made.
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

/// The kinds of [`ApplicationException`]: an open enum, as every enum of Thrift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationExceptionKind(pub i32);

impl ApplicationExceptionKind {
    /// None of the others.
    pub const UNKNOWN: Self = Self(0);
    /// The service has no such function.
    pub const UNKNOWN_METHOD: Self = Self(1);
    /// The message is no call.
    pub const INVALID_MESSAGE_TYPE: Self = Self(2);
    /// The answer names another function.
    pub const WRONG_METHOD_NAME: Self = Self(3);
    /// The answer has another sequence number.
    pub const BAD_SEQUENCE_ID: Self = Self(4);
    /// The answer has neither a result nor an exception.
    pub const MISSING_RESULT: Self = Self(5);
    /// The handler failed.
    pub const INTERNAL_ERROR: Self = Self(6);
    /// The arguments cannot be read.
    pub const PROTOCOL_ERROR: Self = Self(7);
    /// The transform is not known.
    pub const INVALID_TRANSFORM: Self = Self(8);
    /// The protocol is not known.
    pub const INVALID_PROTOCOL: Self = Self(9);
    /// The client is of a kind that is not served.
    pub const UNSUPPORTED_CLIENT_TYPE: Self = Self(10);
    /// The server has more to do than it takes; the call was not run. From here on, as in fbthrift.
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

impl fmt::Display for ApplicationExceptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Display for ApplicationException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for ApplicationException {}

impl ApplicationException {
    /// The exception of this kind and text.
    pub fn new(kind: ApplicationExceptionKind, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, received: false }
    }

    /// The exception of a handler that failed, for a handler to return.
    pub fn internal_error(message: impl Into<String>) -> Self {
        Self::new(ApplicationExceptionKind::INTERNAL_ERROR, message)
    }
}

impl From<&Error> for ApplicationException {
    /// What a server answers when a call ends in this error.
    fn from(error: &Error) -> Self {
        match error {
            // What another server said of a call that the handler made is not true of the handler's own, which was run.
            Error::Application(exception) if exception.received && error.outcome() == Outcome::NotRun => {
                Self::internal_error(format!("a call that the handler made failed: {exception}"))
            }
            Error::Application(exception) => exception.clone(),
            Error::Decode(error) => Self::new(ApplicationExceptionKind::PROTOCOL_ERROR, error.to_string()),
            Error::InvalidSubject { .. }
            | Error::InvalidFormat { .. }
            | Error::HeadersNotCarried { .. }
            | Error::NoServer { .. }
            | Error::Connect { .. }
            | Error::QueueFull { .. }
            | Error::TooManyCalls { .. }
            | Error::DeadlineExceeded { .. }
            | Error::SessionEnded { .. }
            | Error::Encode(_)
            | Error::NotDrained { .. }
            | Error::Nats { .. } => Self::internal_error(error.to_string()),
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
        exception.received = true;
        Ok(exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{from_bytes, to_bytes};

    #[test]
    fn a_handler_that_passes_on_that_another_call_was_not_run_does_not_say_so_of_its_own() {
        let made = ApplicationException::new(ApplicationExceptionKind::LOADSHEDDING, "enough");
        let bytes = to_bytes(Protocol::Binary, &made).unwrap();
        let received: ApplicationException = from_bytes(Protocol::Binary, bytes).unwrap();
        assert_eq!(received, made);
        let error = Error::from(received);
        assert_eq!(error.outcome(), Outcome::NotRun, "as the caller sees it");
        let passed_on = ApplicationException::from(&error);
        assert_eq!(passed_on.kind, ApplicationExceptionKind::INTERNAL_ERROR);
        assert!(passed_on.message.ends_with("LOADSHEDDING: enough"), "{}", passed_on.message);
        // Its own word it may give.
        assert_eq!(ApplicationException::from(&Error::from(made.clone())), made);
    }
}
