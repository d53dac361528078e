//! Reads arbitrary bytes as a frame of the header transport, after its length and magic number; and writes them as headers,
//! which are read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrift_nats_runtime::internals::{Framing, MessageReader, seqid, wrap};
use thrift_nats_runtime::protocol::{DecodeError, Limits};
use thrift_nats_runtime::{Bytes, Protocol, Transport};

fuzz_target!(|input: &[u8]| {
    // The limit on decompressed messages.
    let limits = Limits::DEFAULT.with_message(1 << 16);
    let mut frame = Vec::new();
    let len = u32::try_from(input.len() + 2).expect("libFuzzer inputs are below 4 GiB");
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(&[0x0f, 0xff]);
    frame.extend_from_slice(input);
    if let Ok(Some((framing, message))) = receive(frame, limits) {
        assert_eq!(framing.transport, Transport::Header);
        assert!(message.len() <= 1 << 16, "{} bytes", message.len());
        assert_survives(&message, &framing, limits);
    }

    // The words of the input are names and values. They are separated by the byte 255, which UTF-8 never contains.
    let Some((choice, rest)) = input.split_first() else { return };
    let words: Vec<_> =
        rest.split(|byte| *byte == 0xff).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let headers: Vec<_> = words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let protocol = if choice & 1 == 0 { Protocol::Binary } else { Protocol::Compact };
    let mut headers: Vec<_> = headers.into_iter().collect();
    headers.sort();
    headers.dedup_by(|a, b| a.0 == b.0);
    let framing = Framing { protocol, transport: Transport::Header, zlib: choice & 2 != 0, headers };
    assert_survives(rest, &framing, limits);
});

fn receive(frame: Vec<u8>, limits: Limits) -> Result<Option<(Framing, Bytes)>, DecodeError> {
    let mut received = None;
    MessageReader::new(limits).receive(frame.into(), |framing, message| {
        assert!(received.is_none(), "a frame has one message");
        received = Some((framing, message));
    })?;
    Ok(received)
}

/// Checks that a message and its headers survive a round trip.
fn assert_survives(message: &[u8], framing: &Framing, limits: Limits) {
    // The number in the frame of a compressed message has to be that of the message.
    let seqid = seqid(framing.protocol, message).unwrap_or(7);
    let Ok(frame) = wrap(message, framing, seqid, limits) else { return };
    let (again, payload) =
        receive(frame, limits).expect("a written frame can be read").expect("the frame is complete");
    assert_eq!((&again, &payload[..]), (framing, message));
}
