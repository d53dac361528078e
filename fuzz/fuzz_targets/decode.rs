//! Decodes arbitrary bytes as a value. The first byte selects the protocol.
//!
//! Checks that every kind of generated type decodes the same bytes, that a value that decodes can also be skipped, and that
//! it survives a round trip in every protocol.
#![no_main]

#[path = "support/values.rs"]
mod values;

use libfuzzer_sys::fuzz_target;
use thrift_nats_runtime::Bytes;
use thrift_nats_runtime::Protocol;
use thrift_nats_runtime::protocol::{
    BinaryReader, CompactReader, DecodeError, EncodeErrorKind, InputProtocol, JsonReader, Limits, TType,
    Value, from_bytes, to_bytes,
};

use values::{keeping, owned, shared};

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let protocol = Protocol::ALL[usize::from(*choice) % Protocol::ALL.len()];
    let bytes = Bytes::copy_from_slice(bytes);

    let value = from_bytes::<owned::Everything>(protocol, bytes.clone());
    let same = from_bytes::<shared::Everything>(protocol, bytes.clone());
    assert_eq!(value.as_ref().err(), same.as_ref().err(), "owned and shared types decode the same bytes");
    let skipped = skip(protocol, &bytes);
    // Decoding checks more than skipping.
    if value.is_ok() {
        skipped.expect("a value that decodes can be skipped");
    }
    drop(message(protocol, &bytes));
    if let Ok(value) = from_bytes::<keeping::Everything>(protocol, bytes) {
        assert_survives(protocol, &value);
    }

    if let Ok(value) = value {
        Protocol::ALL.iter().for_each(|protocol| assert_survives(*protocol, &value));
    }
});

/// Checks that a decoded value can be encoded, and that its bytes decode to the same value.
#[track_caller]
fn assert_survives<T: Value>(protocol: Protocol, value: &T) {
    let bytes = match to_bytes(protocol, value) {
        Ok(bytes) => bytes,
        // The value of an unknown union field is not kept, so it cannot be encoded.
        Err(error) if matches!(error.kind(), EncodeErrorKind::UnknownUnionField { .. }) => return,
        Err(error) => panic!("a decoded value can be encoded: {error}"),
    };
    let again = from_bytes::<T>(protocol, bytes.clone()).expect("encoded bytes decode");
    // Compares bytes, because a NaN is not equal to itself.
    assert_eq!(to_bytes(protocol, &again).expect("the same value was encoded before"), bytes);
}

/// Runs `$do` with the reader of `$protocol`.
macro_rules! with_reader {
    ($protocol:expr, $bytes:expr, |$reader:ident| $do:expr) => {
        match $protocol {
            Protocol::Binary => {
                let mut $reader = BinaryReader::new($bytes, Limits::DEFAULT);
                $do
            }
            Protocol::Compact => {
                let mut $reader = CompactReader::new($bytes, Limits::DEFAULT);
                $do
            }
            _ => {
                let mut $reader = JsonReader::new($bytes, Limits::DEFAULT);
                $do
            }
        }
    };
}

fn skip(protocol: Protocol, bytes: &Bytes) -> Result<(), DecodeError> {
    with_reader!(protocol, bytes, |reader| {
        reader.skip(TType::Struct)?;
        reader.end()
    })
}

/// Reads the bytes as a message and skips its body.
fn message(protocol: Protocol, bytes: &Bytes) -> Result<(), DecodeError> {
    with_reader!(protocol, bytes, |reader| {
        reader.message_begin()?;
        reader.skip(TType::Struct)?;
        reader.message_end()
    })
}
