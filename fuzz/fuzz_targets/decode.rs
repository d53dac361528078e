//! Any bytes, as a value in the protocol that the first byte chooses. What is read is the same for every kind of type, can
//! be skipped, and survives every protocol.
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
    assert_eq!(value.as_ref().err(), same.as_ref().err(), "the kind of type makes no difference");
    let skipped = skip(protocol, &bytes);
    // What is read by its type is checked for more than what is skipped.
    if value.is_ok() {
        skipped.expect("what can be read can be skipped");
    }
    drop(message(protocol, &bytes));
    if let Ok(value) = from_bytes::<keeping::Everything>(protocol, bytes) {
        assert_survives(protocol, &value);
    }

    if let Ok(value) = value {
        Protocol::ALL.iter().for_each(|protocol| assert_survives(*protocol, &value));
    }
});

/// What was read can be written, and is read again as it was.
#[track_caller]
fn assert_survives<T: Value>(protocol: Protocol, value: &T) {
    let bytes = match to_bytes(protocol, value) {
        Ok(bytes) => bytes,
        // The one thing that was read without its value.
        Err(error) if matches!(error.kind(), EncodeErrorKind::UnknownUnionField { .. }) => return,
        Err(error) => panic!("what was read can be written: {error}"),
    };
    let again = from_bytes::<T>(protocol, bytes.clone()).expect("it was just written");
    // In bytes: a NaN is not equal to itself.
    assert_eq!(to_bytes(protocol, &again).expect("it was written before"), bytes);
}

/// Does something with a reader of the protocol.
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

/// The same bytes as a message, whatever is in it.
fn message(protocol: Protocol, bytes: &Bytes) -> Result<(), DecodeError> {
    with_reader!(protocol, bytes, |reader| {
        reader.message_begin()?;
        reader.skip(TType::Struct)?;
        reader.message_end()
    })
}
