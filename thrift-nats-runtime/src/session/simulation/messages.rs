//! Requests that differ from each other, and answers that differ from their requests.

use bytes::Bytes;

use super::Random;
use crate::method::{Message, write_message};
use crate::protocol::{
    BinaryReader, BinaryWriter, InputProtocol, Limits, MessageType, OutputProtocol, TType, Value,
};

/// The payload of a call: so many bytes, which no other call has.
pub(super) fn payload(id: usize, len: usize) -> Vec<u8> {
    let mut random = Random(id as u64);
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_be_bytes()).take(len).collect()
}

/// What the handler does with a payload: an answer is no echo.
pub(super) fn transform(payload: &mut [u8]) {
    payload.reverse();
    payload.iter_mut().for_each(|byte| *byte = !*byte);
}

/// A message whose body is `{1: i32 id, 2: binary payload}`.
pub(super) fn message(kind: MessageType, seqid: i32, id: usize, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut writer = BinaryWriter::new(&mut body, Limits::DEFAULT);
    writer.struct_begin().expect("it is within the limits");
    (id as i32).write_field(&mut writer, 1).expect("it is within the limits");
    Bytes::copy_from_slice(payload).write_field(&mut writer, 2).expect("it is within the limits");
    writer.struct_end();
    let mut message = Vec::new();
    write_message(&mut message, "f", kind, seqid, &body).expect("it is within the limits");
    message
}

/// Kind, seqid, id and payload of a [`message`].
pub(super) fn parse(message: &Bytes) -> (MessageType, i32, usize, Vec<u8>) {
    let message = Message::parse(message, Limits::DEFAULT).expect("whole messages are delivered");
    let mut reader = BinaryReader::new(&message.body, Limits::DEFAULT);
    reader.struct_begin().expect("a struct");
    let field = reader.field_begin().expect("a field").expect("a field");
    assert_eq!((field.ttype, field.id), (TType::I32, 1));
    let id = reader.i32().expect("an i32") as usize;
    let field = reader.field_begin().expect("a field").expect("a field");
    assert_eq!((field.ttype, field.id), (TType::String, 2));
    let payload = reader.binary().expect("a binary").to_vec();
    assert_eq!(reader.field_begin().expect("the end"), None);
    reader.struct_end();
    reader.message_end().expect("the end");
    (message.kind, message.seqid, id, payload)
}
