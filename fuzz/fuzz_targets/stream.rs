//! Receives arbitrary bytes as the stream of a session: detection, scanners and frames.
//!
//! Checks that the messages do not depend on how the stream is cut into chunks, whose length the first byte selects, and
//! that the end of a message is where its reader stops.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrift_nats_runtime::internals::{Framing, MessageReader, seqid};
use thrift_nats_runtime::protocol::{
    BinaryReader, CompactReader, DecodeError, DecodeErrorKind, InputProtocol, JsonReader, Limits, TType,
};
use thrift_nats_runtime::{Bytes, Protocol, Transport};

fuzz_target!(|input: &[u8]| {
    let Some((chunk_len, bytes)) = input.split_first() else { return };
    // Small limits, which short inputs can exceed.
    let limits =
        Limits::DEFAULT.with_message(1 << 14).with_string(1 << 12).with_container(1 << 12).with_depth(16);
    let (whole, end) = receive(bytes, bytes.len().max(1), limits);
    let (cut, cut_end) = receive(bytes, usize::from(*chunk_len % 17) + 1, limits);
    assert_eq!(whole, cut, "the messages do not depend on the chunks");
    assert_eq!(end, cut_end, "the error does not depend on the chunks");
    for (framing, payload) in &whole {
        let result = read(framing.protocol, payload, limits);
        let _ = seqid(framing.protocol, payload);
        // The scanner found the end of a message without a frame. The reader can reject its content, but not its length.
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

fn receive(bytes: &[u8], chunk_len: usize, limits: Limits) -> (Received, Option<DecodeError>) {
    let (mut received, mut messages) = (Vec::new(), MessageReader::new(limits));
    for chunk in bytes.chunks(chunk_len) {
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
