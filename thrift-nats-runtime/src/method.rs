//! Encoding and decoding of calls and results, for generated clients and servers.

use std::borrow::Cow;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::arguments::{Arguments, Parameters};
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{
    DecodeError, EncodeError, EncodeErrorKind, FieldHeader, InputProtocol, Limits, MIN_SHARED, MessageHeader,
    MessageType, OutputProtocol, SharedSlices, Value, with_reader, with_writer,
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
        Self::read(frame.inflate(limits)?, limits)
    }

    /// The same for a request that is rejected: of a compressed one, the body is incomplete.
    pub(crate) fn parse_start(frame: Frame, limits: Limits) -> Result<Self, DecodeError> {
        Self::read(frame.inflate_start()?, limits)
    }

    fn read(inflated: Inflated, limits: Limits) -> Result<Self, DecodeError> {
        let Inflated { format, headers, message, bytes: inflated } = inflated;
        with_reader!(format.protocol, &message, limits, |reader| {
            let MessageHeader { name, kind, seqid } = reader.message_begin()?;
            let name = SmolStr::new(name);
            // A slice: `Request::arguments` drops it before the handler waits for anything.
            let body = message.slice_ref(reader.body()?);
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
    Long(Vec<Bytes>),
}

impl Body {
    /// The length, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Short(body) => body.len(),
            Self::Long(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// The body in this buffer, with these values at their places.
    fn new(buffer: Vec<u8>, shared: SharedSlices) -> Self {
        if buffer.len() + shared.len() < MIN_SHARED {
            Self::Short(buffer)
        } else {
            Self::Long(shared.join(buffer))
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(body: Vec<u8>) -> Self {
        Self::new(body, SharedSlices::default())
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
        let none = &[][..];
        let (short, long, apart) = match body {
            Body::Short(body) => (&**body, none, none),
            Body::Long(parts) if may_be_apart(format) => (&[][..], none, &**parts),
            Body::Long(parts) => (&[][..], &**parts, none),
        };
        let around = match format.transport {
            Transport::Buffered => 0,
            Transport::Framed => 4,
            Transport::Header => HEADER_LEN,
        };
        // Exact for the binary protocol. Without spare capacity the buffer becomes shared bytes without another allocation.
        let len = around + header_len(format.protocol) + name.len() + short.len() + total_len(long);
        let mut buffer = Vec::with_capacity(len);
        let start = begin_frame(&mut buffer, format, seqid, headers, limits)?;
        let header = MessageHeader { name: Cow::Borrowed(name), kind, seqid };
        let place = with_writer!(format.protocol, &mut buffer, limits, |writer| {
            writer.message_begin(&header)?;
            let place = writer.body(short, long);
            writer.message_end();
            place
        });
        end_frame(&mut buffer, format, start, total_len(apart))?;
        let mut message = Bytes::from(buffer);
        if apart.is_empty() {
            return Ok(message.into());
        }
        // JSON has bytes after the body.
        let after = message.split_off(place);
        Ok(Parts::new(message, apart.iter().cloned().chain([after])))
    }
}

fn total_len(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

/// The most bytes that the header transport puts around a message without headers.
const HEADER_LEN: usize = 20;

/// Encodes the arguments of a call. `name` is the length of the function's name as it is sent.
pub(crate) fn encode_arguments(
    protocol: Protocol,
    name: usize,
    arguments: &impl Arguments,
    limits: Limits,
) -> Result<Body, EncodeError> {
    let (mut buffer, mut shared) = (Vec::with_capacity(64), SharedSlices::default());
    with_writer!(protocol, &mut buffer, limits, |writer| {
        writer.share_with(&mut shared);
        arguments.write(&mut writer)
    })
    .map_err(|error| error.in_root("arguments"))?;
    check_size(protocol, name, buffer.len() + shared.len(), limits)?;
    Ok(Body::new(buffer, shared))
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
) -> Result<(MessageType, Body), EncodeError> {
    let (mut buffer, mut shared) = (Vec::with_capacity(64), SharedSlices::default());
    let kind = with_writer!(protocol, &mut buffer, limits, |writer| {
        writer.share_with(&mut shared);
        write_result(&mut writer, result)?
    });
    check_size(protocol, 0, buffer.len() + shared.len(), limits)?;
    Ok((kind, Body::new(buffer, shared)))
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
    use std::time::{Duration, Instant};

    use allocation_counter::measure;

    use super::*;
    use crate::arguments::Argument;
    use crate::service::{Origin, Request};
    use crate::transport::Receiver;

    #[test]
    fn request_that_runs_does_not_keep_the_other_requests_of_its_chunk() {
        let format = WireFormat::default();
        let headers = Headers::default();
        let envelope = Envelope { format, headers: &headers, name: "f", kind: MessageType::Call, seqid: 1 };
        let body = Body::from(vec![0]);
        let request = envelope.seal(&body, Limits::DEFAULT).unwrap().joined();
        let (received, max_timeout) = (Instant::now(), Duration::MAX);
        let origin = Origin { session: None, legacy: false, received, timeout: None, max_timeout };
        let mut running = Vec::with_capacity(100);
        let info = measure(|| {
            for _ in 0..100 {
                let chunk = Bytes::from(request.repeat(64 * 1024 / request.len()));
                let mut first = None;
                let mut receiver = Receiver::expecting(format, Limits::DEFAULT);
                receiver.receive(chunk, |frame| first = first.take().or(Some(frame))).unwrap();
                let message = Message::parse(first.unwrap(), Limits::DEFAULT).unwrap();
                let (request, _) = Request::new(message, origin.clone(), Limits::DEFAULT);
                request.arguments(()).unwrap();
                running.push(request);
            }
        });
        assert!(info.bytes_current < 100 * 1000, "{} bytes", info.bytes_current);
    }

    #[test]
    fn the_body_of_a_rejected_request_is_not_decompressed() {
        let format = WireFormat { zlib: true, ..WireFormat::new(Protocol::Compact, Transport::Header) };
        let headers = Headers::default();
        let envelope = Envelope { format, headers: &headers, name: "f", kind: MessageType::Oneway, seqid: 7 };
        let body = Body::from((0..4 << 20).map(|at: u32| (at / 40) as u8).collect::<Vec<_>>());
        let message = envelope.seal(&body, Limits::DEFAULT).unwrap().joined();
        let mut frames = Vec::new();
        let mut receiver = Receiver::expecting(format, Limits::DEFAULT);
        receiver.receive(message, |frame| frames.push(frame)).unwrap();
        let frame = frames.remove(0);
        let whole = Message::parse(frame.clone(), Limits::DEFAULT).unwrap();
        assert!(whole.inflated > 4 << 20);
        let mut start = None;
        let info = measure(|| start = Some(Message::parse_start(frame, Limits::DEFAULT).unwrap()));
        assert!(info.bytes_max < 128 * 1024, "{} bytes", info.bytes_max);
        let start = start.unwrap();
        assert_eq!((&*start.name, start.kind, start.seqid), ("f", MessageType::Oneway, 7));
    }

    /// A call with the arguments `{1: "small", 2: binary, 3: [binary, binary], 4: "end"}`, and its two long values.
    fn with_long_values(protocol: Protocol) -> (Body, [Bytes; 2]) {
        let [first, second] = [b'a', b'b'].map(|byte| Bytes::from(vec![byte; 20 * MIN_SHARED]));
        let list = [Bytes::from("short"), second.clone()];
        let (small, end) = ("small", "end");
        let arguments = ((1, small), (2, &first), (3, &list[..]), (4, end));
        (encode_arguments(protocol, 1, &arguments, Limits::DEFAULT).unwrap(), [first, second])
    }

    #[test]
    fn long_values_are_sent_from_their_own_memory() {
        for protocol in [Protocol::Binary, Protocol::Compact] {
            for transport in Transport::ALL {
                let (body, values) = with_long_values(protocol);
                let (format, headers) = (WireFormat::new(protocol, *transport), Headers::default());
                let envelope =
                    Envelope { format, headers: &headers, name: "f", kind: MessageType::Call, seqid: 1 };
                let mut message = envelope.seal(&body, Limits::DEFAULT).unwrap();
                let len = message.len();
                let parts: Vec<_> = std::iter::repeat_with(|| message.take(10 * MIN_SHARED))
                    .take_while(|part| !part.is_empty())
                    .collect();
                assert_eq!(parts.iter().map(Bytes::len).sum::<usize>(), len);
                for value in &values {
                    let shared = parts.iter().filter(|part| value.as_ptr_range().contains(&part.as_ptr()));
                    let shared: usize = shared.map(Bytes::len).sum();
                    assert!(shared >= value.len() / 2, "{protocol} {transport}: {shared} bytes");
                }
            }
        }
    }

    #[test]
    fn long_values_arrive_in_every_format() {
        for protocol in Protocol::ALL {
            let (body, [first, second]) = with_long_values(*protocol);
            for transport in Transport::ALL {
                for zlib in [false, *transport == Transport::Header] {
                    let format = WireFormat { zlib, ..WireFormat::new(*protocol, *transport) };
                    if format.check().is_err() {
                        continue;
                    }
                    let headers = Headers::default();
                    let envelope =
                        Envelope { format, headers: &headers, name: "f", kind: MessageType::Call, seqid: 1 };
                    let stream = envelope.seal(&body, Limits::DEFAULT).unwrap().joined();
                    let mut frames = Vec::new();
                    let mut receiver = Receiver::expecting(format, Limits::DEFAULT);
                    receiver.receive(stream, |frame| frames.push(frame)).unwrap();
                    let message = Message::parse(frames.remove(0), Limits::DEFAULT).unwrap();
                    let parameters = ((1, "a"), (2, "b"), (3, "c"), (4, "d"));
                    let arguments = decode_arguments(*protocol, &message.body, parameters, Limits::DEFAULT);
                    let list = vec![Bytes::from("short"), second.clone()];
                    let expected = ("small".to_owned(), first.clone(), list, "end".to_owned());
                    assert_eq!(arguments, Ok(expected), "{format:?}");
                }
            }
        }
    }

    #[test]
    fn short_message_has_one_part() {
        let value = Bytes::from(vec![0; 1000]);
        for protocol in Protocol::ALL {
            let body = encode_arguments(*protocol, 1, &((1, &value),), Limits::DEFAULT).unwrap();
            assert!(matches!(body, Body::Short(_)));
            let (format, headers) = (WireFormat::new(*protocol, Transport::Buffered), Headers::default());
            let envelope =
                Envelope { format, headers: &headers, name: "f", kind: MessageType::Call, seqid: 1 };
            let mut message = envelope.seal(&body, Limits::DEFAULT).unwrap();
            message.take(usize::MAX);
            assert!(message.is_empty());
        }
    }

    /// The memory that encoding and decoding a value of 1 MB takes, in bytes.
    #[track_caller]
    fn assert_memory<T: Success + Argument>(value: &T, protocol: Protocol, encode: u64, decode: u64) {
        let format = WireFormat::new(protocol, Transport::Buffered);
        let headers = Headers::default();
        let envelope = Envelope { format, headers: &headers, name: "f", kind: MessageType::Reply, seqid: 1 };
        let mut message = None;
        let info = measure(|| {
            let body = encode_arguments(protocol, 1, &((0, value),), Limits::DEFAULT).unwrap();
            message = Some(envelope.seal(&body, Limits::DEFAULT).unwrap());
        });
        assert!(info.bytes_total <= encode, "{protocol}: {} bytes to encode", info.bytes_total);
        let message = message.unwrap().joined();
        let info = measure(|| {
            let mut reply = None;
            let mut receiver = Receiver::expecting(format, Limits::DEFAULT);
            let deliver = |frame| reply = Some(Message::parse(frame, Limits::DEFAULT).unwrap());
            receiver.receive(message, deliver).unwrap();
            decode_result::<T, Error>("f", &reply.unwrap(), Limits::DEFAULT).unwrap();
        });
        assert!(info.bytes_total <= decode, "{protocol}: {} bytes to decode", info.bytes_total);
    }

    #[test]
    fn long_value_is_copied_at_most_once() {
        const LEN: u64 = 1_000_000;
        let small = 2_000;
        for protocol in [Protocol::Binary, Protocol::Compact] {
            assert_memory(&Bytes::from(vec![0; LEN as usize]), protocol, small, small);
            assert_memory(&"x".repeat(LEN as usize), protocol, LEN + small, LEN + small);
        }
        let text = LEN.div_ceil(3) * 4;
        assert_memory(&Bytes::from(vec![0; LEN as usize]), Protocol::Json, text + small, text + small);
        assert_memory(&"x".repeat(LEN as usize), Protocol::Json, LEN + small, LEN + small);
    }

    #[test]
    fn the_size_limit_counts_the_header_of_a_message() {
        let arguments = ();
        let protocol = Protocol::Binary;
        let body = encode_arguments(protocol, 3, &arguments, Limits::DEFAULT).unwrap();
        let headers = Headers::default();
        let format = WireFormat { protocol, ..WireFormat::default() };
        let envelope = Envelope { format, headers: &headers, name: "add", kind: MessageType::Call, seqid: 1 };
        let len = envelope.seal(&body, Limits::DEFAULT).unwrap().len();
        let limited = |limit| encode_arguments(protocol, 3, &arguments, Limits::DEFAULT.with_message(limit));
        assert_eq!(limited(len), Ok(body));
        let error = EncodeErrorKind::TooLong { what: "message", len, limit: len - 1 }.into();
        assert_eq!(limited(len - 1), Err(error));
    }
}
