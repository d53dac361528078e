//! Tests that run with the scanner of every protocol.

use allocation_counter::measure;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocol::tree::{Mutation, any_message_of, any_protocol};
use crate::protocol::{DecodeErrorKind, InputProtocol, TType, with_reader};

/// The length of the message at the start of `bytes`, according to the reader.
fn read_len(protocol: Protocol, bytes: &Bytes) -> Result<usize, DecodeErrorKind> {
    with_reader!(protocol, bytes, Limits::DEFAULT, |reader| {
        let read = reader.message_begin().map(drop).and_then(|()| reader.skip(TType::Struct));
        let rest = reader.rest();
        // A JSON message ends with a bracket after its body.
        let rest = match protocol {
            Protocol::Json => rest.trim_ascii_start().strip_prefix(b"]"),
            Protocol::Binary | Protocol::Compact => Some(rest),
        };
        let left = rest.ok_or(DecodeErrorKind::UnexpectedEnd)?;
        read.map(|()| bytes.len() - left.len()).map_err(|error| error.kind().clone())
    })
}

/// The result of a scanner that receives the bytes in chunks of `step`.
fn scan_in_chunks(
    protocol: Protocol,
    limits: Limits,
    bytes: &[u8],
    step: usize,
) -> Result<Option<usize>, DecodeError> {
    let mut scanner = Scanner::new(protocol, limits);
    let mut arrived = 0;
    loop {
        arrived = bytes.len().min(arrived + step);
        match scanner.scan(&bytes[..arrived]) {
            Ok(None) if arrived < bytes.len() => {}
            end => break end,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_end_of_any_message_is_found(
        (protocol, (message, _, _)) in any_protocol().prop_flat_map(|it| (Just(it), any_message_of(it))),
        trailing in vec(any::<u8>(), 0..9),
        step in 1_usize..40,
    ) {
        for len in 0..message.len() {
            let found = Scanner::new(protocol, Limits::DEFAULT).scan(&message[..len]);
            prop_assert_eq!(found, Ok(None), "{} bytes", len);
        }
        let bytes = [&message[..], &trailing].concat();
        prop_assert_eq!(scan_in_chunks(protocol, Limits::DEFAULT, &bytes, step), Ok(Some(message.len())));
    }

    #[test]
    fn message_limit_is_exact(
        (protocol, (message, _, _)) in any_protocol().prop_flat_map(|it| (Just(it), any_message_of(it))),
        step in 1_usize..40,
        shorter in any::<prop::sample::Index>(),
    ) {
        let len = message.len();
        let limits = Limits::DEFAULT.with_message(len);
        prop_assert_eq!(scan_in_chunks(protocol, limits, &message, step), Ok(Some(len)));
        let limits = limits.with_message(shorter.index(len));
        let error = scan_in_chunks(protocol, limits, &message, step).expect_err("too long");
        prop_assert!(matches!(error.kind(), DecodeErrorKind::TooLong { .. }), "{}", error);
    }

    #[test]
    fn scanner_and_reader_agree_on_the_end(
        (protocol, (message, _, _)) in any_protocol().prop_flat_map(|it| (Just(it), any_message_of(it))),
        mutations in vec(Mutation::any(), 0..4),
        step in 1_usize..50,
    ) {
        let mut bytes = Vec::from(message);
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
        let bytes = Bytes::from(bytes);
        let found = Scanner::new(protocol, Limits::DEFAULT).scan(&bytes);
        match (&found, read_len(protocol, &bytes)) {
            (Ok(Some(found)), Ok(read)) => prop_assert_eq!(*found, read),
            // The reader reports everything that the scanner does not need to find the end.
            (_, Err(_)) => {}
            // The reader skips leading white space. The receiver detects JSON by its first byte, so the scanner does not.
            (Err(_), Ok(_)) if protocol == Protocol::Json && bytes.first() != Some(&b'[') => {}
            (found, Ok(_)) => prop_assert!(false, "{:?}, but the reader succeeds", found),
        }
        // The result does not depend on the chunks.
        prop_assert_eq!(scan_in_chunks(protocol, Limits::DEFAULT, &bytes, step), found);
    }

    #[test]
    fn arbitrary_bytes_never_panic_or_over_allocate(bytes in vec(any::<u8>(), 0..200), protocol in any_protocol()) {
        let info = measure(|| drop(Scanner::new(protocol, Limits::DEFAULT).scan(&bytes)));
        prop_assert!(info.bytes_max < 20_000, "{} bytes", info.bytes_max);
    }
}

#[test]
fn json_message_starts_with_a_bracket() {
    let error = Scanner::new(Protocol::Json, Limits::DEFAULT).scan(b"\t[1,\"f\",1,0,{}]").unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::NotAMessage(b'\t'));
}

/// In chunks of one byte. A scanner that started over with each chunk would take quadratic time.
#[test]
fn message_in_many_chunks_takes_linear_time() {
    let text = "x".repeat(400_000);
    for protocol in Protocol::ALL.iter().copied() {
        let list = vec![7_i64; 200_000];
        let body = crate::protocol::to_bytes(protocol, &Both { list, text: text.clone() }).unwrap();
        let header = crate::protocol::MessageHeader {
            name: "f".into(),
            kind: crate::protocol::MessageType::Call,
            seqid: 1,
        };
        let mut message = Vec::new();
        crate::protocol::with_writer!(protocol, &mut message, Limits::DEFAULT, |writer| {
            use crate::protocol::OutputProtocol as _;
            writer.message_begin(&header).unwrap();
            writer.body(&body, &[]);
            writer.message_end();
        });
        let start = std::time::Instant::now();
        let end = scan_in_chunks(protocol, Limits::DEFAULT, &message, 1);
        assert_eq!(end, Ok(Some(message.len())), "{protocol}");
        assert!(start.elapsed().as_secs() < 5, "{protocol}: {:?}", start.elapsed());
    }
}

struct Both {
    list: Vec<i64>,
    text: String,
}

impl crate::protocol::Value for Both {
    const TTYPE: TType = TType::Struct;

    fn write<O: crate::protocol::OutputProtocol>(&self, output: &mut O) -> crate::protocol::EncodeResult {
        output.struct_begin()?;
        output.field(1, &self.list)?;
        output.field(2, &self.text)?;
        output.struct_end();
        Ok(())
    }

    fn read<I: InputProtocol>(_: &mut I) -> Result<Self, DecodeError> {
        unreachable!("this type is only written")
    }
}
