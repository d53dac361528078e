//! The receiving side of a session's byte stream: chunks in, complete messages out.

use bytes::{Bytes, BytesMut};

use super::detect::{Start, detect};
use super::frame::{Frame, LONG_CHUNK};
use super::header;
use super::headers::Headers;
use super::scanner::Scanner;
use crate::format::{Protocol, ServedFormats, Transport, WireFormat};
use crate::protocol::{DecodeError, DecodeErrorKind, Limits};

/// Cuts a stream, which arrives in chunks, into messages.
///
/// The first message decides the protocol and transport of all others. Messages in the header transport can stand between
/// messages in another transport, but must be in the same protocol. After an error the receiver must not be used again.
#[derive(Debug)]
pub(crate) struct Receiver {
    limits: Limits,
    /// The formats that are accepted.
    served: ServedFormats,
    /// The protocol of the stream, once it is known.
    protocol: Option<Protocol>,
    /// The transport of the messages that are not in the header transport, once it is known.
    transport: Option<Transport>,
    /// The format of the message that is arriving, once it is known.
    start: Option<Start>,
    /// Kept from message to message, because the protocol of the stream does not change. Boxed, because idle sessions have
    /// none until their first message.
    scanner: Option<Box<Scanner>>,
    /// The start of a message that is not complete yet.
    partial: BytesMut,
    /// The chunks after `partial`, while the message is known to be longer. Boxed, because idle sessions have none.
    later: Option<Box<LaterChunks>>,
}

/// Long chunks of a message that is not complete yet. They are joined when the message can be complete, so that each byte
/// is copied once.
#[derive(Debug, Default)]
struct LaterChunks {
    chunks: Vec<Bytes>,
    len: usize,
}

impl Receiver {
    /// A receiver of requests, which detects the format by the first message. `served` are the accepted formats.
    pub(crate) fn detecting(served: ServedFormats, limits: Limits) -> Self {
        Self {
            limits,
            served,
            protocol: None,
            transport: None,
            start: None,
            scanner: None,
            partial: BytesMut::new(),
            later: None,
        }
    }

    /// A receiver of replies to requests in this format.
    pub(crate) fn expecting(format: WireFormat, limits: Limits) -> Self {
        Self {
            protocol: Some(format.protocol),
            transport: Some(format.transport),
            ..Self::detecting(ServedFormats::ALL, limits)
        }
    }

    /// Number of bytes of the message that is not complete yet.
    pub(crate) fn held(&self) -> usize {
        self.partial.len() + self.later.as_ref().map_or(0, |later| later.len)
    }

    /// Forgets the message that is not complete. Nothing may be received after this.
    pub(crate) fn clear(&mut self) {
        self.partial = BytesMut::new();
        self.later = None;
    }

    /// The limits on messages.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// Adds the next chunk of the stream, and passes every message that is now complete to `deliver`. A message that lies
    /// within one chunk is a slice of it.
    ///
    /// # Errors
    /// If a message is malformed, exceeds a limit, or is not in the format of the stream. The messages before it have been
    /// delivered.
    pub(crate) fn receive(
        &mut self,
        mut chunk: Bytes,
        mut deliver: impl FnMut(Frame),
    ) -> Result<(), DecodeError> {
        if !self.partial.is_empty() {
            let arrived = self.partial.len() + self.later.as_ref().map_or(0, |later| later.len) + chunk.len();
            if chunk.len() >= LONG_CHUNK && arrived < self.needed() {
                let later = self.later.get_or_insert_default();
                later.len += chunk.len();
                later.chunks.push(chunk);
                return Ok(());
            }
            let mut partial = std::mem::take(&mut self.partial);
            if let Some(later) = self.later.take() {
                partial.reserve(later.len + chunk.len());
                later.chunks.iter().for_each(|chunk| partial.extend_from_slice(chunk));
            }
            partial.extend_from_slice(&chunk);
            let Some((len, start)) = self.scan(&partial)? else {
                self.partial = partial;
                return Ok(());
            };
            let mut whole = partial.freeze();
            deliver(self.unwrap(start, whole.split_to(len))?);
            chunk = whole;
        }
        while !chunk.is_empty() {
            match self.scan(&chunk)? {
                Some((len, start)) => deliver(self.unwrap(start, chunk.split_to(len))?),
                None => {
                    self.partial.extend_from_slice(&chunk);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The length and the format of the message at the start of `bytes`, if it is complete.
    fn scan(&mut self, bytes: &[u8]) -> Result<Option<(usize, Start)>, DecodeError> {
        let start = match self.start {
            Some(start) => start,
            None => {
                let Some(start) = detect(bytes, self.limits)? else { return Ok(None) };
                match start.format() {
                    Some(format) => {
                        self.expect_transport(format.transport)?;
                        self.expect_protocol(format.protocol)?;
                    }
                    // It can stand between messages in another transport.
                    None => self.expect_served(Transport::Header)?,
                }
                self.start = Some(start);
                start
            }
        };
        let len = match start {
            Start::Unframed(protocol) => {
                let limits = self.limits;
                self.scanner.get_or_insert_with(|| Box::new(Scanner::new(protocol, limits))).scan(bytes)?
            }
            Start::Framed { end, .. } | Start::Header { end } => (bytes.len() >= end).then_some(end),
        };
        if len.is_some() {
            self.start = None;
        }
        Ok(len.map(|len| (len, start)))
    }

    /// A lower bound on the length of the message that is arriving, in bytes.
    fn needed(&self) -> usize {
        match self.start {
            Some(Start::Framed { end, .. } | Start::Header { end }) => end,
            Some(Start::Unframed(_)) => self.scanner.as_ref().map_or(0, |scanner| scanner.needed()),
            None => 0,
        }
    }

    fn expect_protocol(&mut self, found: Protocol) -> Result<(), DecodeError> {
        if !self.served.has_protocol(found) {
            return Err(DecodeErrorKind::ProtocolNotServed(found).into());
        }
        match *self.protocol.get_or_insert(found) {
            expected if expected != found => {
                Err(DecodeErrorKind::UnexpectedProtocol { expected, found }.into())
            }
            _ => Ok(()),
        }
    }

    fn expect_served(&self, found: Transport) -> Result<(), DecodeError> {
        match self.served.has_transport(found) {
            true => Ok(()),
            false => Err(DecodeErrorKind::TransportNotServed(found).into()),
        }
    }

    fn expect_transport(&mut self, found: Transport) -> Result<(), DecodeError> {
        self.expect_served(found)?;
        match *self.transport.get_or_insert(found) {
            expected if expected != found => {
                Err(DecodeErrorKind::UnexpectedTransport { expected, found }.into())
            }
            _ => Ok(()),
        }
    }

    /// Removes the frame of a message.
    fn unwrap(&mut self, start: Start, mut message: Bytes) -> Result<Frame, DecodeError> {
        match start {
            Start::Unframed(protocol) => {
                let format = WireFormat::new(protocol, Transport::Buffered);
                Ok(Frame::plain(format, Headers::default(), message))
            }
            Start::Framed { protocol, .. } => {
                let format = WireFormat::new(protocol, Transport::Framed);
                Ok(Frame::plain(format, Headers::default(), message.split_off(4)))
            }
            Start::Header { .. } => {
                let frame = header::read(&message, self.limits)?;
                self.expect_protocol(frame.format.protocol)?;
                if frame.format.zlib && !self.served.has_compression() {
                    return Err(DecodeErrorKind::CompressionNotServed.into());
                }
                Ok(frame)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::frame::Inflated;
    use super::super::frame_writer::{begin_frame, end_frame};
    use super::*;
    use crate::protocol::tree::{any_message_of, any_protocol};

    fn detecting() -> Receiver {
        Receiver::detecting(ServedFormats::ALL, Limits::DEFAULT)
    }

    #[test]
    fn messages_are_found_for_every_chunk_length() {
        let message =
            [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 11, 0, 1, 0, 0, 0, 9][..], b"some text", &[0]]
                .concat();
        let stream = message.repeat(5);
        for step in 1..=stream.len() {
            let mut transport = detecting();
            let mut messages = Vec::new();
            for chunk in stream.chunks(step) {
                transport
                    .receive(Bytes::copy_from_slice(chunk), |frame| messages.push(frame.payload))
                    .unwrap();
            }
            assert_eq!(messages, vec![message.clone(); 5], "chunks of {step}");
        }
    }

    #[test]
    fn long_and_short_chunks_are_joined_in_order() {
        let text: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
        let length = (text.len() as u32).to_be_bytes();
        let field = [&[11, 0, 1][..], &length, &text].concat();
        let message = [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1][..], &field, &field, &[0]].concat();
        let stream = Bytes::from(message.repeat(3));
        for steps in [[LONG_CHUNK, 1], [LONG_CHUNK - 1, LONG_CHUNK + 1], [5000, 30_000], [100_000, 7]] {
            let (mut receiver, mut messages, mut rest) = (detecting(), Vec::new(), stream.clone());
            for step in steps.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let chunk = rest.split_to(step.min(rest.len()));
                receiver.receive(chunk, |frame| messages.push(frame.payload)).unwrap();
            }
            assert_eq!(messages, vec![message.clone(); 3], "{steps:?}");
        }
    }

    #[test]
    fn message_within_a_chunk_is_a_slice_of_it() {
        let message = [0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 0];
        let chunk = Bytes::from(message.repeat(2));
        let addresses = [chunk.as_ptr(), chunk[message.len()..].as_ptr()];
        let mut messages = Vec::new();
        detecting().receive(chunk, |frame| messages.push(frame.payload.as_ptr())).unwrap();
        assert_eq!(messages, addresses);
    }

    #[test]
    fn short_chunks_do_not_keep_the_buffers_that_they_were_received_in() {
        let message =
            [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 11, 0, 1, 0, 0x10, 0, 0][..], &[0; 99_980]];
        let mut receiver = detecting();
        let info = measure(|| {
            for chunk in message.concat().chunks(5000) {
                let mut buffer = chunk.to_vec();
                buffer.resize(64 * 1024, 0);
                let chunk = Bytes::from(buffer).split_to(chunk.len());
                receiver.receive(chunk, |_| panic!("the message is not complete")).unwrap();
            }
        });
        let held = receiver.held() as i64;
        assert!(info.bytes_current < 2 * held + 4096, "{} bytes for {held}", info.bytes_current);
    }

    #[test]
    fn long_message_is_copied_once() {
        let text = vec![b'x'; 1 << 20];
        let message =
            [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 11, 0, 1, 0, 0x10, 0, 0][..], &text, &[0]]
                .concat();
        for transport in Transport::ALL {
            let stream = Bytes::from(framed(*transport, &message, &Headers::default()));
            let chunks: Vec<_> = stream.chunks(64 * 1024).map(|chunk| stream.slice_ref(chunk)).collect();
            let mut messages = Vec::with_capacity(1);
            let mut receiver = detecting();
            let info = measure(|| {
                for chunk in &chunks {
                    receiver.receive(chunk.clone(), |frame| messages.push(frame.payload)).unwrap();
                }
            });
            assert_eq!(messages, [&message[..]], "{transport}");
            // The joined message, its first chunk, and the list of chunks.
            let most = stream.len() + 2 * 64 * 1024;
            assert!(info.bytes_total < most as u64, "{} bytes", info.bytes_total);
        }
    }

    #[test]
    fn claimed_length_reserves_no_memory() {
        let length = |len: i32| len.to_be_bytes();
        for claim in [
            [&[11, 0, 1][..], &length(60_000_000)].concat(),
            [&[15, 0, 1, 12][..], &length(16_000_000)].concat(),
            [&[15, 0, 1, 10][..], &length(8_000_000)].concat(),
            [&[13, 0, 1, 12, 12][..], &length(16_000_000)].concat(),
        ] {
            let bytes = [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1][..], &claim, &[0; 1000]].concat();
            let info = measure(|| {
                let mut transport = detecting();
                for chunk in bytes.chunks(10) {
                    transport
                        .receive(Bytes::copy_from_slice(chunk), |_| panic!("the message is not complete"))
                        .unwrap();
                }
            });
            assert!(info.bytes_max < 10_000, "{} bytes", info.bytes_max);
        }
    }

    #[test]
    fn messages_before_garbage_are_delivered() {
        let message = [0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 0];
        let mut messages = Vec::new();
        let chunk = Bytes::from([&message[..], b"GET / HTTP/1.1"].concat());
        assert!(detecting().receive(chunk, |frame| messages.push(frame.payload)).is_err());
        assert_eq!(messages, [&message[..]]);
    }

    /// The message in a frame of the transport.
    fn framed(transport: Transport, message: &[u8], headers: &Headers) -> Vec<u8> {
        framed_as(WireFormat { transport, ..WireFormat::default() }, message, headers)
    }

    fn framed_as(format: WireFormat, message: &[u8], headers: &Headers) -> Vec<u8> {
        let mut frame = Vec::new();
        let start = begin_frame(&mut frame, format, 7, headers, Limits::DEFAULT).unwrap();
        frame.extend_from_slice(message);
        end_frame(&mut frame, format, start, 0).unwrap();
        frame
    }

    const CALL: [u8; 14] = [0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 7, 0];

    fn receive(receiver: &mut Receiver, stream: &[u8]) -> (Vec<Frame>, Option<DecodeErrorKind>) {
        let mut frames = Vec::new();
        let result = receiver.receive(Bytes::copy_from_slice(stream), |frame| frames.push(frame));
        (frames, result.err().map(|error| error.kind().clone()))
    }

    #[test]
    fn format_is_detected_by_the_first_bytes() {
        let old = [0, 0, 0, 1, b'f', 1, 0, 0, 0, 1, 0];
        for transport in Transport::ALL {
            for message in [&CALL[..], &old] {
                let (frames, error) =
                    receive(&mut detecting(), &framed(*transport, message, &Headers::default()));
                let format = WireFormat::new(Protocol::Binary, *transport);
                assert_eq!(error, None);
                assert_eq!(frames.len(), 1);
                assert_eq!((frames[0].format, &frames[0].payload[..]), (format, message));
            }
        }
    }

    #[test]
    fn only_header_frames_can_be_mixed_with_another_transport() {
        let mut headers = Headers::default();
        headers.insert("traceparent", "00-1-2-03");
        let frame = |transport, headers: &Headers| framed(transport, &CALL, headers);
        let none = Headers::default();
        for (transport, other) in
            [(Transport::Buffered, Transport::Framed), (Transport::Framed, Transport::Buffered)]
        {
            let mut receiver = detecting();
            let stream = [
                frame(Transport::Header, &headers),
                frame(transport, &none),
                frame(Transport::Header, &none),
                frame(transport, &none),
            ];
            let (frames, error) = receive(&mut receiver, &stream.concat());
            assert_eq!(error, None);
            let found: Vec<_> = frames.iter().map(|frame| frame.format.transport).collect();
            assert_eq!(found, [Transport::Header, transport, Transport::Header, transport]);
            assert_eq!(frames[0].headers, headers);
            assert_eq!(frames[2].headers, none);
            let (frames, error) = receive(&mut receiver, &frame(other, &none));
            assert_eq!(frames, []);
            let expected = transport;
            assert_eq!(error, Some(DecodeErrorKind::UnexpectedTransport { expected, found: other }));
        }
    }

    #[test]
    fn protocol_that_is_not_served_is_rejected() {
        for transport in Transport::ALL {
            let mut receiver = Receiver::detecting(ServedFormats::ALL.with_protocols(&[]), Limits::DEFAULT);
            let (frames, error) = receive(&mut receiver, &framed(*transport, &CALL, &Headers::default()));
            assert_eq!(frames, []);
            assert_eq!(error, Some(DecodeErrorKind::ProtocolNotServed(Protocol::Binary)));
        }
    }

    #[test]
    fn transport_that_is_not_served_is_rejected() {
        for transport in Transport::ALL {
            let others: Vec<_> = Transport::ALL.iter().copied().filter(|other| other != transport).collect();
            let mut receiver =
                Receiver::detecting(ServedFormats::ALL.with_transports(&others), Limits::DEFAULT);
            let (frames, error) = receive(&mut receiver, &framed(*transport, &CALL, &Headers::default()));
            assert_eq!(frames, []);
            assert_eq!(error, Some(DecodeErrorKind::TransportNotServed(*transport)));
        }
        // Also between messages in a transport that is.
        let served = ServedFormats::ALL.with_transports(&[Transport::Framed]);
        let mut receiver = Receiver::detecting(served, Limits::DEFAULT);
        let stream = [Transport::Framed, Transport::Header].map(|it| framed(it, &CALL, &Headers::default()));
        let (frames, error) = receive(&mut receiver, &stream.concat());
        assert_eq!((frames.len(), error), (1, Some(DecodeErrorKind::TransportNotServed(Transport::Header))));
    }

    #[test]
    fn compression_that_is_not_served_is_rejected() {
        let served = ServedFormats::ALL.with_compression(false);
        let plain = WireFormat { zlib: false, ..ZLIB };
        let stream = [plain, ZLIB].map(|format| framed_as(format, &CALL, &Headers::default()));
        let (frames, error) = receive(&mut Receiver::detecting(served, Limits::DEFAULT), &stream.concat());
        assert_eq!((frames.len(), error), (1, Some(DecodeErrorKind::CompressionNotServed)));
    }

    #[test]
    fn message_limit_applies_in_every_transport() {
        let len = CALL.len();
        for transport in Transport::ALL {
            let stream = framed(*transport, &CALL, &Headers::default());
            let receive = |limits| receive(&mut Receiver::detecting(ServedFormats::ALL, limits), &stream).1;
            assert_eq!(receive(Limits::DEFAULT.with_message(len)), None);
            let error = receive(Limits::DEFAULT.with_message(len - 1));
            assert!(matches!(error, Some(DecodeErrorKind::TooLong { .. })), "{transport}: {error:?}");
        }
        let error = receive(&mut detecting(), &[0x0f, 0, 0, 0, 0x80]).1;
        assert!(matches!(error, Some(DecodeErrorKind::TooLong { what: "frame", .. })), "{error:?}");
    }

    /// A frame of the header transport with these headers and `CALL`.
    fn header_frame(words: u16, headers: &[u8]) -> Vec<u8> {
        let rest = [&[0x0f, 0xff, 0, 0, 0, 0, 0, 7][..], &words.to_be_bytes(), headers, &CALL].concat();
        [&(rest.len() as u32).to_be_bytes()[..], &rest].concat()
    }

    #[test]
    fn malformed_headers_are_rejected() {
        use DecodeErrorKind::*;
        let error = |words, headers: &[u8]| receive(&mut detecting(), &header_frame(words, headers)).1;
        assert_eq!(error(1, &[0, 0, 0, 0]), None);
        assert_eq!(error(1, &[9, 0, 0, 0]), Some(UnknownProtocol(9)));
        assert_eq!(error(1, &[2, 0, 0, 0]), None, "the receiver does not decode the message");
        assert_eq!(error(1, &[0, 1, 3, 0]), Some(UnknownTransform(3)));
        assert_eq!(error(1, &[0, 0, 7, 9]), None, "an unknown block");
        assert_eq!(error(1, &[0, 0, 1, 2]), Some(UnexpectedEnd));
        let what = "header";
        assert_eq!(error(2, &[0, 0, 1, 1, 0x7f, 0, 0, 0]), Some(LengthBeyondEnd { what, len: 127 }));
        assert_eq!(error(2, &[0, 0, 1, 1, 1, 0xff, 1, b'a']), Some(InvalidUtf8));
        assert_eq!(error(2, &[0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0]), Some(InvalidVarint));
        assert_eq!(error(0, &[]), Some(UnexpectedEnd));
        let beyond = LengthBeyondEnd { what: "headers", len: 400 };
        assert_eq!(error(100, &[0, 0, 0, 0]), Some(beyond));
        let long = TooLong { what: "headers", len: 65_540, limit: 65_536 };
        assert_eq!(error(16_385, &[0, 0, 0, 0]), Some(long));
        let mut count = vec![0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f];
        count.resize(64, 0);
        let info = measure(|| assert_eq!(error(16, &count), Some(UnexpectedEnd)));
        assert!(info.bytes_max < 10_000, "{} bytes", info.bytes_max);
        for len in 6..18 {
            let mut frame = header_frame(1, &[0, 0, 0, 0]);
            frame.truncate(len);
            frame[..4].copy_from_slice(&(len as u32 - 4).to_be_bytes());
            assert!(receive(&mut detecting(), &frame).1.is_some(), "{len}");
        }
    }

    const ZLIB: WireFormat =
        WireFormat { protocol: Protocol::Binary, transport: Transport::Header, zlib: true };

    /// The result of decompressing the one message in `stream`.
    fn inflate(stream: &[u8], limits: Limits) -> Result<Inflated, DecodeErrorKind> {
        let (mut frames, error) = receive(&mut Receiver::detecting(ServedFormats::ALL, limits), stream);
        assert_eq!((frames.len(), error), (1, None), "the receiver does not decompress it");
        frames.remove(0).inflate(limits).map_err(|error| error.kind().clone())
    }

    /// A frame with a message of zeros, compressed as well as possible.
    fn bomb(len: usize) -> Vec<u8> {
        let headers = Headers::default();
        let mut frame = Vec::new();
        begin_frame(&mut frame, ZLIB, 7, &headers, Limits::DEFAULT).unwrap();
        let mut encoder = flate2::write::ZlibEncoder::new(&mut frame, flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; len]).unwrap();
        encoder.finish().unwrap();
        let len = frame.len() as u32 - 4;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        frame
    }

    #[test]
    fn receiver_does_not_decompress() {
        let bomb = bomb(10_000_000);
        assert!(bomb.len() < 20_000);
        let mut frames = Vec::new();
        let info = measure(|| frames = receive(&mut detecting(), &bomb).0);
        assert!(info.bytes_total < 3 * bomb.len() as u64, "{} bytes", info.bytes_total);
        assert_eq!(frames[0].seqid(), Some(7), "the number in the frame");
    }

    #[test]
    fn message_limit_applies_to_decompressed_messages() {
        let random: Vec<_> =
            (0..100_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let stream = framed_as(ZLIB, &[&CALL[..], &random].concat(), &Headers::default());
        let limit = CALL.len() + random.len();
        assert!(inflate(&stream, Limits::DEFAULT.with_message(limit)).is_ok());
        let mut result = None;
        let limits = Limits::DEFAULT.with_message(limit - 1);
        let info = measure(|| result = inflate(&stream, limits).err());
        let (what, len) = ("message", limit as u64);
        assert_eq!(result, Some(DecodeErrorKind::TooLong { what, len, limit: len - 1 }));
        assert!(info.bytes_max < 6 * len, "{} bytes", info.bytes_max);
    }

    #[test]
    fn compression_ratio_is_limited() {
        let bomb = bomb(10_000_000);
        let mut result = None;
        let info = measure(|| result = inflate(&bomb, Limits::DEFAULT).err());
        let Some(DecodeErrorKind::CompressionRatio { compressed, limit }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(limit, 128 * compressed);
        assert!(info.bytes_max < 4 * limit, "{} bytes", info.bytes_max);
        let long: Vec<_> = (0..1000_u32).flat_map(|at| [&at.to_be_bytes()[..], &[7; 396]].concat()).collect();
        for message in [[&CALL[..], &[0; 16_000]].concat(), [&CALL[..], &long].concat()] {
            let stream = framed_as(ZLIB, &message, &Headers::default());
            assert!(stream.len() < message.len() / 20, "it is compressed: {} bytes", stream.len());
            assert_eq!(inflate(&stream, Limits::DEFAULT).unwrap().message, message);
        }
    }

    #[test]
    fn message_that_compresses_too_well_is_sent_without_compression() {
        let message = [&CALL[..], &vec![0; 10_000_000]].concat();
        let stream = framed_as(ZLIB, &message, &Headers::default());
        assert!(stream.len() > message.len());
        let inflated = inflate(&stream, Limits::DEFAULT.with_message(message.len())).unwrap();
        assert_eq!(inflated.message, message);
        assert!(inflated.bytes >= message.len());
    }

    #[test]
    fn damaged_compression_is_rejected() {
        let mut damaged = framed_as(ZLIB, &CALL, &Headers::default());
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let error = inflate(&damaged, Limits::DEFAULT).err();
        assert_eq!(error, Some(DecodeErrorKind::InvalidZlib), "wrong checksum");
        let cut = damaged.len() - 6;
        damaged.truncate(cut);
        damaged[..4].copy_from_slice(&(cut as u32 - 4).to_be_bytes());
        assert_eq!(inflate(&damaged, Limits::DEFAULT).err(), Some(DecodeErrorKind::InvalidZlib));
    }

    #[test]
    fn sequence_number_of_a_compressed_message_must_be_that_of_its_frame() {
        let mut call = CALL;
        assert!(inflate(&framed_as(ZLIB, &call, &Headers::default()), Limits::DEFAULT).is_ok());
        call[12] = 8;
        let error = inflate(&framed_as(ZLIB, &call, &Headers::default()), Limits::DEFAULT).err();
        assert_eq!(error, Some(DecodeErrorKind::UnexpectedSeqid { expected: 7, found: 8 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn messages_survive_a_round_trip_in_any_chunks(
            (protocol, messages) in any_protocol().prop_flat_map(|protocol| {
                let message = any_message_of(protocol).prop_map(|(message, _, _)| message);
                (Just(protocol), vec(message, 0..6))
            }),
            transports in vec((0..Transport::ALL.len()).prop_map(|index| Transport::ALL[index]), 6),
            headers in vec((any::<String>(), any::<String>()), 0..4),
            zlib in any::<bool>(),
            steps in vec(1_usize..100, 1..10),
        ) {
            let mut some = Headers::default();
            headers.into_iter().for_each(|(name, value)| some.insert(name, value));
            let none = Headers::default();
            let transports = match protocol {
                Protocol::Json => vec![transports[0]; 6],
                Protocol::Binary | Protocol::Compact => transports,
            };
            let mut stream = Vec::new();
            let mut formats = Vec::new();
            for (message, transport) in messages.iter().zip(&transports) {
                let transport = if *transport == Transport::Header { *transport } else { transports[0] };
                let mut format = WireFormat::new(protocol, transport);
                if format.check().is_err() {
                    format.transport = Transport::Framed;
                }
                format.zlib = zlib && format.transport == Transport::Header;
                let headers = if format.transport == Transport::Header { &some } else { &none };
                stream.extend(framed_as(format, message, headers));
                formats.push((format, headers.clone()));
            }
            let mut transport = detecting();
            let (mut out, mut rest) = (Vec::new(), &stream[..]);
            for step in steps.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, later) = rest.split_at(rest.len().min(*step));
                transport.receive(Bytes::copy_from_slice(chunk), |frame| out.push(frame)).unwrap();
                rest = later;
            }
            let found: Vec<_> =
                out.iter().map(|frame| (frame.format, frame.headers.clone())).collect();
            prop_assert_eq!(found, formats);
            let payload = |frame: Frame| match frame.format.zlib {
                true => header::decompress(&frame.payload, usize::MAX).unwrap().into(),
                false => frame.payload,
            };
            prop_assert_eq!(out.into_iter().map(payload).collect::<Vec<_>>(), messages);
            prop_assert!(transport.partial.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_or_over_allocate(
            mut bytes in vec(any::<u8>(), 0..300),
            start in prop::sample::select(vec![
                &b""[..], &[0x80, 1], &[0x82, 0x21], b"[1,", &[0, 0, 0, 40, 0x80], &[0, 0, 0, 40, 0x82],
                &[0, 0, 0, 40, 0x0f, 0xff, 0, 0, 0, 0, 0, 0, 0, 2], &[0, 0, 0, 40, b'['],
            ]),
            step in 1_usize..100,
        ) {
            bytes.splice(0..0, start.iter().copied());
            let info = measure(|| {
                let mut receiver = detecting();
                for chunk in bytes.chunks(step) {
                    if receiver.receive(Bytes::copy_from_slice(chunk), drop).is_err() {
                        break;
                    }
                }
            });
            prop_assert!(info.bytes_max < 30_000, "{} bytes", info.bytes_max);
        }
    }
}
