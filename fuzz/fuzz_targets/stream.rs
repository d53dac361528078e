//! Any bytes, as what a session receives: detection, the search for the end of each message, and frames. The same messages
//! come of it however it is cut (the first byte says how), and a message ends where its reader ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrift_nats_runtime::internals::{Framing, MessageReader, seqid};
use thrift_nats_runtime::protocol::{
    BinaryReader, CompactReader, DecodeError, DecodeErrorKind, InputProtocol, JsonReader, Limits, TType,
};
use thrift_nats_runtime::{Bytes, Protocol, Transport};

fuzz_target!(|input: &[u8]| {
    let Some((piece, bytes)) = input.split_first() else { return };
    // Small, so that inputs can break them.
    let limits =
        Limits::DEFAULT.with_message(1 << 14).with_string(1 << 12).with_container(1 << 12).with_depth(16);
    let (whole, end) = receive(bytes, bytes.len().max(1), limits);
    let (cut, cut_end) = receive(bytes, usize::from(*piece % 17) + 1, limits);
    assert_eq!(whole, cut, "the pieces make no difference");
    assert_eq!(end, cut_end, "nor do they for what is wrong");
    for (framing, payload) in &whole {
        let result = read(framing.protocol, payload, limits);
        let _ = seqid(framing.protocol, payload);
        // The end of a message without a frame was found without reading it. The reader may find fault with what is in it,
        // but not with its length.
        let Err(error) = result else { continue };
        if framing.transport == Transport::Buffered {
            let kind = error.kind();
            assert!(
                !matches!(
                    kind,
                    DecodeErrorKind::UnexpectedEnd
                        | DecodeErrorKind::LengthBeyondEnd { .. }
                        | DecodeErrorKind::TrailingBytes(_)
                ),
                "{framing:?}: {error} in {payload:?}"
            );
        }
    }
});

type Received = Vec<(Framing, Bytes)>;

fn receive(bytes: &[u8], piece: usize, limits: Limits) -> (Received, Option<DecodeError>) {
    let (mut received, mut messages) = (Vec::new(), MessageReader::new(limits));
    for chunk in bytes.chunks(piece) {
        let result = messages.receive(Bytes::copy_from_slice(chunk), |framing, payload| {
            received.push((framing, payload));
        });
        if let Err(error) = result {
            return (received, Some(error));
        }
    }
    (received, None)
}

fn read(protocol: Protocol, message: &Bytes, limits: Limits) -> Result<(), DecodeError> {
    fn all(mut reader: impl InputProtocol) -> Result<(), DecodeError> {
        reader.message_begin()?;
        reader.skip(TType::Struct)?;
        reader.message_end()
    }
    match protocol {
        Protocol::Binary => all(BinaryReader::new(message, limits)),
        Protocol::Compact => all(CompactReader::new(message, limits)),
        _ => all(JsonReader::new(message, limits)),
    }
}
