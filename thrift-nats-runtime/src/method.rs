//! How calls and results lie in messages: what generated clients and servers have in common.

use std::borrow::Cow;

use bytes::Bytes;

use crate::arguments::{Arguments, Parameters};
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::protocol::{
    BinaryReader, BinaryWriter, DecodeError, DecodeErrorKind, EncodeError, FieldHeader, InputProtocol,
    Limits, MessageHeader, MessageType, OutputProtocol, Value,
};

/// The error of a function: its declared exceptions, and [`Error`] for all else. Generated for functions that throw.
pub trait MethodError: From<Error> + Send + 'static {
    /// The error, if it is none of the declared exceptions.
    fn undeclared(&self) -> Option<&Error>;

    /// Writes a declared exception as a field of the result.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write_declared<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    /// Reads a declared exception; `None`, with nothing read, where the field is none.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn read_declared<I: InputProtocol>(
        input: &mut I,
        field: FieldHeader,
    ) -> Result<Option<Self>, DecodeError>;
}

/// The error of a function that declares no exceptions.
impl MethodError for Error {
    fn undeclared(&self) -> Option<&Error> {
        Some(self)
    }

    fn write_declared<O: OutputProtocol>(&self, _output: &mut O) -> Result<(), EncodeError> {
        Ok(())
    }

    fn read_declared<I: InputProtocol>(
        _input: &mut I,
        _field: FieldHeader,
    ) -> Result<Option<Self>, DecodeError> {
        Ok(None)
    }
}

/// What a function returns: a [`Value`], or `()` for `void`.
pub trait Success: Sized + Send + 'static {
    #[doc(hidden)]
    fn write_success<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    #[doc(hidden)]
    fn read_success<I: InputProtocol>(input: &mut I, field: FieldHeader)
    -> Result<Option<Self>, DecodeError>;

    /// The result of an answer without any field, if that is one.
    #[doc(hidden)]
    fn absent() -> Option<Self>;
}

impl Success for () {
    fn write_success<O: OutputProtocol>(&self, _output: &mut O) -> Result<(), EncodeError> {
        Ok(())
    }

    fn read_success<I: InputProtocol>(
        _input: &mut I,
        _field: FieldHeader,
    ) -> Result<Option<Self>, DecodeError> {
        Ok(None)
    }

    fn absent() -> Option<Self> {
        Some(())
    }
}

impl<T: Value + Send + 'static> Success for T {
    fn write_success<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        self.write_field(output, 0)
    }

    fn read_success<I: InputProtocol>(
        input: &mut I,
        field: FieldHeader,
    ) -> Result<Option<Self>, DecodeError> {
        if field.id == 0 && field.ttype == T::TTYPE {
            input.read_field("success").map(Some)
        } else {
            Ok(None)
        }
    }

    fn absent() -> Option<Self> {
        None
    }
}

/// A message that was received, whole.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) kind: MessageType,
    pub(crate) seqid: i32,
    /// What stands behind the header.
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn parse(message: &Bytes, limits: Limits) -> Result<Self, DecodeError> {
        let mut reader = BinaryReader::new(message, limits);
        let MessageHeader { name, kind, seqid } = reader.message_begin()?;
        let name = name.into_owned();
        Ok(Self { name, kind, seqid, body: message.slice_ref(reader.rest()) })
    }
}

/// Writes a message: a header, and a body that is encoded already.
pub(crate) fn write_message(
    buffer: &mut Vec<u8>,
    name: &str,
    kind: MessageType,
    seqid: i32,
    body: &[u8],
) -> Result<(), EncodeError> {
    buffer.reserve(HEADER_LEN + name.len() + body.len());
    let header = MessageHeader { name: Cow::Borrowed(name), kind, seqid };
    BinaryWriter::new(buffer, Limits::DEFAULT).message_begin(&header)?;
    buffer.extend_from_slice(body);
    Ok(())
}

/// Encodes the arguments of a call of `method`.
pub(crate) fn encode_arguments(
    method: &str,
    arguments: &impl Arguments,
    limits: Limits,
) -> Result<Bytes, EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    arguments.write(&mut BinaryWriter::new(&mut buffer, limits))?;
    check_size(method.len(), buffer.len(), limits)?;
    Ok(buffer.into())
}

/// Encodes what stands behind the header of a message.
pub(crate) fn encode_body<T: Value>(value: &T, limits: Limits) -> Result<Bytes, EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    value.write(&mut BinaryWriter::new(&mut buffer, limits))?;
    check_size(0, buffer.len(), limits)?;
    Ok(buffer.into())
}

/// The header of a message without the name: a version and kind, the name's length, and a seqid.
const HEADER_LEN: usize = 12;

/// Checks the whole message, of which the peer counts every byte: the header with its name, and the body.
fn check_size(name: usize, body: usize, limits: Limits) -> Result<(), EncodeError> {
    let len = HEADER_LEN + name + body;
    if len > limits.message {
        return Err(EncodeError::TooLong { what: "message", len, limit: limits.message });
    }
    Ok(())
}

/// Decodes the arguments of a call; nothing may be left over.
pub(crate) fn decode_arguments<T>(
    body: &Bytes,
    parameters: impl Parameters<T>,
    limits: Limits,
) -> Result<T, DecodeError> {
    let mut reader = BinaryReader::new(body, limits);
    let arguments = parameters.read(&mut reader)?;
    reader.message_end()?;
    Ok(arguments)
}

/// Decodes what stands behind the header of a message; nothing may be left over.
pub(crate) fn decode_body<T: Value>(body: &Bytes, limits: Limits) -> Result<T, DecodeError> {
    let mut reader = BinaryReader::new(body, limits);
    let value = T::read(&mut reader)?;
    reader.message_end()?;
    Ok(value)
}

/// Encodes the result of a call as kind of message and body.
pub(crate) fn encode_result<T: Success, E: MethodError>(
    result: &Result<T, E>,
    limits: Limits,
) -> Result<(MessageType, Vec<u8>), EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    let mut writer = BinaryWriter::new(&mut buffer, limits);
    let kind = match result {
        Ok(success) => {
            writer.struct_begin()?;
            success.write_success(&mut writer)?;
            writer.struct_end();
            MessageType::Reply
        }
        Err(error) => match error.undeclared() {
            Some(error) => {
                ApplicationException::from(error).write(&mut writer)?;
                MessageType::Exception
            }
            None => {
                writer.struct_begin()?;
                error.write_declared(&mut writer)?;
                writer.struct_end();
                MessageType::Reply
            }
        },
    };
    check_size(0, buffer.len(), limits)?;
    Ok((kind, buffer))
}

/// Decodes the answer to a call of `method`.
pub(crate) fn decode_result<T: Success, E: MethodError>(
    method: &str,
    answer: &Message,
    limits: Limits,
) -> Result<T, E> {
    match answer.kind {
        MessageType::Exception => {
            let exception: ApplicationException = decode_body(&answer.body, limits).map_err(Error::from)?;
            return Err(Error::from(exception).into());
        }
        MessageType::Reply => {}
        MessageType::Call | MessageType::Oneway => {
            let text = format!("`{method}` was answered with a request");
            return Err(Error::from(ApplicationException::new(
                ApplicationExceptionKind::INVALID_MESSAGE_TYPE,
                text,
            ))
            .into());
        }
    }
    if answer.name != method {
        let text = format!("`{method}` was answered as `{}`", answer.name);
        return Err(Error::from(ApplicationException::new(
            ApplicationExceptionKind::WRONG_METHOD_NAME,
            text,
        ))
        .into());
    }
    match read_result(&answer.body, limits) {
        Ok(Some(result)) => result,
        Ok(None) => T::absent().ok_or_else(|| {
            let text = format!("the answer of `{method}` has no result");
            Error::from(ApplicationException::new(ApplicationExceptionKind::MISSING_RESULT, text)).into()
        }),
        Err(error) => Err(Error::from(error).into()),
    }
}

fn read_result<T: Success, E: MethodError>(
    body: &Bytes,
    limits: Limits,
) -> Result<Option<Result<T, E>>, DecodeError> {
    let mut reader = BinaryReader::new(body, limits);
    let mut result = None;
    reader.struct_begin()?;
    while let Some(field) = reader.field_begin()? {
        if let Some(success) = T::read_success(&mut reader, field)? {
            result = Some(Ok(success));
        } else if let Some(exception) = E::read_declared(&mut reader, field)? {
            result = Some(Err(exception));
        } else {
            reader.skip(field.ttype)?;
        }
    }
    reader.struct_end();
    match reader.rest().len() {
        0 => Ok(result),
        left => Err(DecodeErrorKind::TrailingBytes(left).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_counted_with_its_header() {
        let arguments = ();
        let body = encode_arguments("add", &arguments, Limits::DEFAULT).unwrap();
        let mut message = Vec::new();
        write_message(&mut message, "add", MessageType::Call, 1, &body).unwrap();
        let len = message.len();
        let limited = |limit| encode_arguments("add", &arguments, Limits::DEFAULT.with_message(limit));
        assert_eq!(limited(len), Ok(body));
        let error = EncodeError::TooLong { what: "message", len, limit: len - 1 };
        assert_eq!(limited(len - 1), Err(error));
    }
}
