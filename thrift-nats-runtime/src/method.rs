//! Encoding and decoding of calls and results, for generated clients and servers.

use std::borrow::Cow;
use std::ops::Deref;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::arguments::{Arguments, Parameters};
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{
    DecodeError, EncodeError, EncodeErrorKind, FieldHeader, InputProtocol, Limits, MessageHeader,
    MessageType, OutputProtocol, Value, share, with_reader, with_writer,
};
use crate::transport::{Frame, Headers, Inflated, Parts, begin_frame, end_frame, may_be_apart};

/// The error of a function: its declared exceptions, and [`Error`] for every other failure. Generated for functions that
/// throw.
pub trait MethodError: From<Error> + Send + 'static {
    /// The error, unless it is a declared exception.
    fn undeclared(&self) -> Option<&Error>;

    /// Writes a declared exception as a field of the result.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write_declared<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    /// Reads a declared exception. If the field is not one, reads nothing and returns `None`.
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

/// The result type of a function: a [`Value`], or `()` for `void`.
pub trait Success: Sized + Send + 'static {
    #[doc(hidden)]
    fn write_success<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    #[doc(hidden)]
    fn read_success<I: InputProtocol>(input: &mut I, field: FieldHeader)
    -> Result<Option<Self>, DecodeError>;

    /// The result that a reply without a field stands for, if there is one.
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

/// A received message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) format: WireFormat,
    pub(crate) headers: Headers,
    pub(crate) name: SmolStr,
    pub(crate) kind: MessageType,
    pub(crate) seqid: i32,
    /// The bytes after the header.
    pub(crate) body: Bytes,
    /// The memory that decompressing the message took, in bytes. 0 if it was not compressed.
    pub(crate) inflated: usize,
}

impl Message {
    /// Decompresses a message and reads its header. The task that runs or made the call does this, not the receive loop.
    pub(crate) fn parse(frame: Frame, limits: Limits) -> Result<Self, DecodeError> {
        let Inflated { format, headers, message, bytes: inflated } = frame.inflate(limits)?;
        with_reader!(format.protocol, &message, limits, |reader| {
            let MessageHeader { name, kind, seqid } = reader.message_begin()?;
            let name = SmolStr::new(name);
            // A short body does not keep the NATS message alive, of which only the length of the body is counted.
            let body = share(&message, reader.body()?);
            Ok(Self { format, headers, name, kind, seqid, body, inflated })
        })
    }

    /// The error in it, if it is a reply with an exception that the IDL does not declare.
    pub(crate) fn exception(&self, limits: Limits) -> Option<Error> {
        (self.kind == MessageType::Exception).then(|| {
            decode_body::<ApplicationException>(self.format.protocol, &self.body, limits)
                .map_or_else(Error::from, Error::from)
        })
    }
}

/// The encoded bytes after the header of a message to send.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Short(Vec<u8>),
    /// Shared, so that sending it, even several times, copies nothing.
    Long(Bytes),
}

impl Body {
    /// The shortest length of a long body, in bytes. Copying less costs no more than sending it as a part of its own.
    const LONG: usize = 16 * 1024;
}

impl From<Vec<u8>> for Body {
    fn from(body: Vec<u8>) -> Self {
        if body.len() < Self::LONG { Self::Short(body) } else { Self::Long(body.into()) }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(body) => body,
            Self::Long(body) => body,
        }
    }
}

/// The header of a message to send, whose body is encoded already.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) format: WireFormat,
    pub(crate) headers: &'a Headers,
    pub(crate) name: &'a str,
    pub(crate) kind: MessageType,
    pub(crate) seqid: i32,
}

impl Envelope<'_> {
    /// The whole message with this body, as it is sent.
    pub(crate) fn seal(&self, body: &Body, limits: Limits) -> Result<Parts, EncodeError> {
        let Self { format, headers, name, kind, seqid } = *self;
        let (body, apart) = match body {
            // JSON has bytes after the body.
            Body::Long(body) if format.protocol != Protocol::Json && may_be_apart(format) => {
                (&[][..], body.clone())
            }
            body => (&**body, Bytes::new()),
        };
        let around = match format.transport {
            Transport::Buffered => 0,
            Transport::Framed => 4,
            Transport::Header => HEADER_LEN,
        };
        // Exact for the binary protocol. Without spare capacity the buffer becomes shared bytes without another allocation.
        let len = around + header_len(format.protocol) + name.len() + body.len();
        let mut buffer = Vec::with_capacity(len);
        let start = begin_frame(&mut buffer, format, seqid, headers, limits)?;
        let header = MessageHeader { name: Cow::Borrowed(name), kind, seqid };
        with_writer!(format.protocol, &mut buffer, limits, |writer| {
            writer.message_begin(&header)?;
            writer.body(body);
            writer.message_end();
        });
        end_frame(&mut buffer, format, start, apart.len())?;
        Ok(Parts { head: buffer.into(), body: apart })
    }
}

/// The most bytes that the header transport puts around a message without headers.
const HEADER_LEN: usize = 20;

/// Encodes the arguments of a call. `name` is the length of the function's name as it is sent.
pub(crate) fn encode_arguments(
    protocol: Protocol,
    name: usize,
    arguments: &impl Arguments,
    limits: Limits,
) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    with_writer!(protocol, &mut buffer, limits, |writer| arguments.write(&mut writer))
        .map_err(|error| error.in_root("arguments"))?;
    check_size(protocol, name, buffer.len(), limits)?;
    Ok(buffer)
}

/// Encodes the body of a message.
pub(crate) fn encode_body<T: Value>(
    protocol: Protocol,
    value: &T,
    limits: Limits,
) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    with_writer!(protocol, &mut buffer, limits, |writer| value.write(&mut writer)?);
    check_size(protocol, 0, buffer.len(), limits)?;
    Ok(buffer)
}

/// The most bytes of a message besides its name and its body.
const fn header_len(protocol: Protocol) -> usize {
    match protocol {
        // A version and kind, the name's length, and a seqid.
        Protocol::Binary => 12,
        // The same, of variable length but for the kind.
        Protocol::Compact => 12,
        // `[1,"",1,-2147483648,]`
        Protocol::Json => 21,
    }
}

/// Checks the size of the whole message, because the peer limits that: the header with the name, and the body.
fn check_size(protocol: Protocol, name: usize, body: usize, limits: Limits) -> Result<(), EncodeError> {
    let len = header_len(protocol) + name + body;
    if len > limits.message {
        return Err(EncodeErrorKind::TooLong { what: "message", len, limit: limits.message }.into());
    }
    Ok(())
}

/// Decodes the arguments of a call. No bytes may remain.
pub(crate) fn decode_arguments<T>(
    protocol: Protocol,
    body: &Bytes,
    parameters: impl Parameters<T>,
    limits: Limits,
) -> Result<T, DecodeError> {
    with_reader!(protocol, body, limits, |reader| {
        let arguments = parameters.read(&mut reader)?;
        reader.end()?;
        Ok(arguments)
    })
}

/// Decodes the body of a message. No bytes may remain.
pub(crate) fn decode_body<T: Value>(
    protocol: Protocol,
    body: &Bytes,
    limits: Limits,
) -> Result<T, DecodeError> {
    with_reader!(protocol, body, limits, |reader| {
        let value = T::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    })
}

/// Encodes the result of a call: the kind of the message, and its body.
pub(crate) fn encode_result<T: Success, E: MethodError>(
    protocol: Protocol,
    result: &Result<T, E>,
    limits: Limits,
) -> Result<(MessageType, Vec<u8>), EncodeError> {
    let mut buffer = Vec::with_capacity(64);
    let kind = with_writer!(protocol, &mut buffer, limits, |writer| write_result(&mut writer, result)?);
    check_size(protocol, 0, buffer.len(), limits)?;
    Ok((kind, buffer))
}

fn write_result<T: Success, E: MethodError>(
    writer: &mut impl OutputProtocol,
    result: &Result<T, E>,
) -> Result<MessageType, EncodeError> {
    match result {
        Ok(success) => {
            writer.struct_begin()?;
            success.write_success(writer)?;
            writer.struct_end();
            Ok(MessageType::Reply)
        }
        Err(error) => match error.undeclared() {
            Some(error) => {
                ApplicationException::from(error).write(writer)?;
                Ok(MessageType::Exception)
            }
            None => {
                writer.struct_begin()?;
                error.write_declared(writer)?;
                writer.struct_end();
                Ok(MessageType::Reply)
            }
        },
    }
}

/// Decodes the reply to a call of `method`.
pub(crate) fn decode_result<T: Success, E: MethodError>(
    method: &str,
    reply: &Message,
    limits: Limits,
) -> Result<T, E> {
    if let Some(error) = reply.exception(limits) {
        return Err(error.into());
    }
    match reply.kind {
        MessageType::Reply | MessageType::Exception => {}
        MessageType::Call | MessageType::Oneway => {
            let text = format!("the reply to `{method}` is a request");
            return Err(Error::from(ApplicationException::new(
                ApplicationExceptionKind::INVALID_MESSAGE_TYPE,
                text,
            ))
            .into());
        }
    }
    if reply.name != method {
        let text = format!("the reply to `{method}` names `{}`", reply.name);
        return Err(Error::from(ApplicationException::new(
            ApplicationExceptionKind::WRONG_METHOD_NAME,
            text,
        ))
        .into());
    }
    let result = with_reader!(reply.format.protocol, &reply.body, limits, |reader| read_result(&mut reader));
    match result {
        Ok(Some(result)) => result,
        Ok(None) => T::absent().ok_or_else(|| {
            let text = format!("the reply to `{method}` has neither a result nor a declared exception");
            Error::from(ApplicationException::new(ApplicationExceptionKind::MISSING_RESULT, text)).into()
        }),
        Err(error) => Err(Error::from(error).into()),
    }
}

fn read_result<T: Success, E: MethodError>(
    reader: &mut impl InputProtocol,
) -> Result<Option<Result<T, E>>, DecodeError> {
    let mut result = None;
    reader.struct_begin()?;
    while let Some(field) = reader.field_begin()? {
        if let Some(success) = T::read_success(reader, field)? {
            result = Some(Ok(success));
        } else if let Some(exception) = E::read_declared(reader, field)? {
            result = Some(Err(exception));
        } else {
            reader.skip(field.ttype)?;
        }
    }
    reader.struct_end();
    reader.end()?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;

    use super::*;
    use crate::transport::Receiver;

    #[test]
    fn request_that_runs_does_not_keep_the_other_requests_of_its_chunk() {
        let format = WireFormat::default();
        let headers = Headers::default();
        let envelope = Envelope { format, headers: &headers, name: "f", kind: MessageType::Call, seqid: 1 };
        let body = Body::from(vec![0]);
        let request = envelope.seal(&body, Limits::DEFAULT).unwrap().joined();
        let mut running = Vec::with_capacity(100);
        let info = measure(|| {
            for _ in 0..100 {
                let chunk = Bytes::from(request.repeat(64 * 1024 / request.len()));
                let mut first = None;
                let mut receiver = Receiver::expecting(format, Limits::DEFAULT);
                receiver.receive(chunk, |frame| first = first.take().or(Some(frame))).unwrap();
                running.push(Message::parse(first.unwrap(), Limits::DEFAULT).unwrap());
            }
        });
        assert!(info.bytes_current < 100 * 100, "{} bytes", info.bytes_current);
    }

    #[test]
    fn the_size_limit_counts_the_header_of_a_message() {
        let arguments = ();
        let protocol = Protocol::Binary;
        let body = encode_arguments(protocol, 3, &arguments, Limits::DEFAULT).unwrap();
        let headers = Headers::default();
        let format = WireFormat { protocol, ..WireFormat::default() };
        let envelope = Envelope { format, headers: &headers, name: "add", kind: MessageType::Call, seqid: 1 };
        let len = envelope.seal(&Body::from(body.clone()), Limits::DEFAULT).unwrap().len();
        let limited = |limit| encode_arguments(protocol, 3, &arguments, Limits::DEFAULT.with_message(limit));
        assert_eq!(limited(len), Ok(body));
        let error = EncodeErrorKind::TooLong { what: "message", len, limit: len - 1 }.into();
        assert_eq!(limited(len - 1), Err(error));
    }
}
