//! Requests that differ from each other, and replies that differ from their requests.

use bytes::Bytes;

use super::Random;
use crate::format::WireFormat;
use crate::method::{Envelope, Message};
use crate::protocol::{
    InputProtocol, Limits, MessageType, OutputProtocol, TType, Value, with_reader, with_writer,
};
use crate::transport::{Frame, Headers};

/// The payload of a call: `len` bytes, different for each call.
pub(super) fn payload(id: usize, len: usize) -> Vec<u8> {
    let mut random = Random(id as u64);
    let mut payload = vec![0; len];
    // A long payload repeats each number, because random numbers take long to make.
    let (step, count) = if len > 10_000 { (512, 64) } else { (8, 1) };
    for chunk in payload.chunks_mut(step) {
        chunk.copy_from_slice(&random.next().to_be_bytes().repeat(count)[..chunk.len()]);
    }
    payload
}

/// The handler's work on a payload, so that a reply differs from its request.
pub(super) fn transform(payload: &mut [u8]) {
    payload.reverse();
    payload.iter_mut().for_each(|byte| *byte = !*byte);
}

/// A message whose body is `{1: i32 id, 2: binary payload}`, in the default format.
pub(super) fn message(kind: MessageType, seqid: i32, id: usize, payload: &[u8]) -> Vec<u8> {
    message_in(WireFormat::default(), kind, seqid, id, payload)
}

/// The same, in any format.
pub(super) fn message_in(
    format: WireFormat,
    kind: MessageType,
    seqid: i32,
    id: usize,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    let payload = Bytes::copy_from_slice(payload);
    with_writer!(format.protocol, &mut body, Limits::DEFAULT, |writer| {
        writer.struct_begin().expect("it is within the limits");
        (id as i32).write_field(&mut writer, 1).expect("it is within the limits");
        payload.write_field(&mut writer, 2).expect("it is within the limits");
        writer.struct_end();
    });
    let headers = Headers::default();
    let envelope = Envelope { format, headers: &headers, name: "f", kind, seqid };
    let message = envelope.seal(&body.into(), Limits::DEFAULT).expect("it is within the limits");
    message.joined().into()
}

/// A message of the default format that has been received.
pub(super) fn unframed(payload: &Bytes) -> Frame {
    Frame::plain(WireFormat::default(), Headers::default(), payload.clone())
}

/// Kind, seqid, id and payload of a [`message`].
pub(super) fn parse(frame: &Frame) -> (MessageType, i32, usize, Vec<u8>) {
    let message = Message::parse(frame.clone(), Limits::DEFAULT).expect("whole messages are delivered");
    let (id, payload) = with_reader!(message.format.protocol, &message.body, Limits::DEFAULT, |reader| {
        reader.struct_begin().expect("a struct");
        let field = reader.field_begin().expect("a field").expect("a field");
        assert_eq!((field.ttype, field.id), (TType::I32, 1));
        let id = reader.i32().expect("an i32") as usize;
        let field = reader.field_begin().expect("a field").expect("a field");
        assert_eq!((field.ttype, field.id), (TType::String, 2));
        let payload = reader.binary().expect("a binary").to_vec();
        assert_eq!(reader.field_begin().expect("the end"), None);
        reader.struct_end();
        reader.end().expect("the end");
        (id, payload)
    });
    (message.kind, message.seqid, id, payload)
}
