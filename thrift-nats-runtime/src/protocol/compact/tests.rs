//! Tests of the compact protocol against known and malformed bytes.

use bytes::Bytes;

use super::*;
use crate::Protocol;
use crate::protocol::tree::Tree;
use crate::protocol::{
    DecodeErrorKind, InputProtocol, Limits, MessageHeader, MessageType, OutputProtocol, TType, from_bytes,
};

/// `{1: string "a\"/\x01é☃", 4: i8 -1, 9: i32 -2, 11: i64 2^40}`, as Apache Python writes it.
const KNOWN: [u8; 25] = [
    0x18, 0x09, 0x61, 0x22, 0x2f, 0x01, 0xc3, 0xa9, 0xe2, 0x98, 0x83, // string
    0x33, 0xff, // i8
    0x55, 0x03, // i32
    0x26, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, // i64
    0x00, 0, 0,
];

fn read(bytes: &[u8], ttype: TType) -> Result<Tree, DecodeErrorKind> {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut reader = CompactReader::new(&bytes, Limits::DEFAULT);
    let tree = Tree::read(&mut reader, ttype).map_err(|error| error.kind().clone())?;
    reader.end().map_err(|error| error.kind().clone())?;
    Ok(tree)
}

fn header(bytes: &[u8]) -> Result<MessageHeader<'static>, DecodeErrorKind> {
    let bytes = Bytes::copy_from_slice(bytes);
    CompactReader::new(&bytes, Limits::DEFAULT)
        .message_begin()
        .map(|header| MessageHeader { name: header.name.into_owned().into(), ..header })
        .map_err(|error| error.kind().clone())
}

#[test]
fn known_struct_has_known_bytes() {
    let tree = Tree::Struct(vec![
        (1, Tree::String("a\"/\u{1}é☃".into())),
        (4, Tree::I8(-1)),
        (9, Tree::I32(-2)),
        (11, Tree::I64(1 << 40)),
    ]);
    let known = &KNOWN[..23];
    assert_eq!(tree.bytes(Protocol::Compact), known);
    assert_eq!(read(known, TType::Struct), Ok(tree));
}

#[test]
fn every_type_has_known_bytes() {
    let many = vec![Tree::I8(5); 15];
    for (tree, bytes) in [
        (Tree::Bool(true), &[1][..]),
        (Tree::Bool(false), &[2]),
        (Tree::I8(-2), &[0xfe]),
        (Tree::I16(-2), &[3]),
        (Tree::I16(i16::MIN), &[0xff, 0xff, 3]),
        (Tree::I32(150), &[0xac, 2]),
        (Tree::I32(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        (Tree::I64(i64::MIN), &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        (Tree::Double(1.5_f64.to_bits()), &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f]),
        (Tree::Uuid(0x0102 << 112), &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Tree::String(b"hi".into()), &[2, b'h', b'i']),
        (Tree::Struct(vec![]), &[0]),
        (Tree::Struct(vec![(1, Tree::Bool(true)), (2, Tree::Bool(false))]), &[0x11, 0x12, 0]),
        (Tree::List(TType::Bool, vec![Tree::Bool(true), Tree::Bool(false)]), &[0x21, 1, 2]),
        (Tree::Set(TType::I8, many.clone()), &[&[0xf3, 15][..], &[5; 15]].concat()),
        (Tree::List(TType::Struct, vec![]), &[0x0c]),
        (Tree::Map(TType::I8, TType::I8, vec![]), &[0]),
        (Tree::Map(TType::I8, TType::Bool, vec![(Tree::I8(5), Tree::Bool(true))]), &[1, 0x31, 5, 1]),
    ] {
        assert_eq!(tree.bytes(Protocol::Compact), bytes, "{tree:?}");
        assert_eq!(read(bytes, tree.ttype()), Ok(tree));
    }
}

#[test]
fn delta_of_fifteen_is_read_in_both_forms_and_written_short() {
    let tree = Tree::Struct(vec![(15, Tree::I8(7)), (31, Tree::I8(8))]);
    assert_eq!(tree.bytes(Protocol::Compact), [0xf3, 7, 0x03, 62, 8, 0]);
    assert_eq!(read(&[0xf3, 7, 0x03, 62, 8, 0], TType::Struct), Ok(tree.clone()));
    assert_eq!(read(&[0x03, 30, 7, 0x03, 62, 8, 0], TType::Struct), Ok(tree));
}

#[test]
fn ids_that_do_not_increase_are_written_in_full() {
    let tree = Tree::Struct(vec![
        (5, Tree::I8(1)),
        (5, Tree::I8(2)),
        (-1, Tree::Bool(true)),
        (i16::MIN, Tree::I8(3)),
        (i16::MAX, Tree::I8(4)),
    ]);
    let bytes = tree.bytes(Protocol::Compact);
    assert_eq!(bytes[..8], [0x53, 1, 0x03, 10, 2, 0x01, 1, 0x03]);
    assert_eq!(read(&bytes, TType::Struct), Ok(tree));
}

#[test]
fn last_id_is_restored_after_a_nested_struct() {
    let inner = Tree::Struct(vec![(1, Tree::I8(1)), (9, Tree::I8(2))]);
    let tree = Tree::Struct(vec![(3, inner), (4, Tree::I8(3))]);
    let bytes = [0x3c, 0x13, 1, 0x83, 2, 0, 0x13, 3, 0];
    assert_eq!(tree.bytes(Protocol::Compact), bytes);
    assert_eq!(read(&bytes, TType::Struct), Ok(tree));
}

#[test]
fn bool_elements_are_read_in_both_forms() {
    let list = Ok(Tree::List(TType::Bool, vec![Tree::Bool(true), Tree::Bool(false), Tree::Bool(false)]));
    assert_eq!(read(&[0x31, 1, 2, 0], TType::List), list);
    assert_eq!(read(&[0x32, 1, 0, 2], TType::List), list);
}

#[test]
fn field_ids_beyond_i16_are_rejected() {
    let id = i32::from(i16::MAX);
    let mut bytes = vec![0x03];
    CompactWriter::new(&mut bytes, Limits::DEFAULT).i32(id);
    bytes.extend([1, 0x13, 1, 0]);
    assert_eq!(read(&bytes, TType::Struct), Err(DecodeErrorKind::FieldIdOutOfRange));
    let mut bytes = vec![0x03];
    CompactWriter::new(&mut bytes, Limits::DEFAULT).i32(id + 1);
    assert_eq!(read(&bytes, TType::Struct), Err(DecodeErrorKind::NumberOutOfRange(TType::I16)));
}

#[test]
fn varints_that_are_too_long_are_rejected() {
    use DecodeErrorKind::{InvalidVarint, UnexpectedEnd};
    for (ttype, most) in [(TType::I16, 5), (TType::I32, 5), (TType::I64, 10)] {
        assert_eq!(read(&[0x80; 100], ttype), Err(InvalidVarint), "{ttype}");
        assert_eq!(read(&vec![0x80; most - 1], ttype), Err(UnexpectedEnd), "{ttype}");
        // The last byte has too many bits.
        let mut bytes = vec![0xff; most - 1];
        bytes.push(0x7f);
        assert_eq!(read(&bytes, ttype), Err(InvalidVarint), "{ttype}");
    }
    // Redundant zeros are allowed.
    assert_eq!(read(&[0x82, 0x80, 0x80, 0x80, 0], TType::I32), Ok(Tree::I32(1)));
    assert_eq!(read(&[0x80; 6], TType::String), Err(InvalidVarint));
}

#[test]
fn lengths_beyond_i32_or_beyond_the_input_are_rejected() {
    use DecodeErrorKind::{LengthBeyondEnd, NegativeLength};
    let negative = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let what = "string";
    let string = |bytes: &[u8]| {
        from_bytes::<String>(Protocol::Compact, bytes.to_vec()).map_err(|error| error.kind().clone())
    };
    assert_eq!(string(&negative), Err(NegativeLength { what, len: -1 }));
    assert_eq!(string(&[9, b'a']), Err(LengthBeyondEnd { what, len: 9 }));
    let list = [&[0xf3][..], &negative].concat();
    assert_eq!(read(&list, TType::List), Err(NegativeLength { what: "list", len: -1 }));
    let million = [0xc0, 0x84, 0x3d];
    for number in 1..=13 {
        let list = [&[0xf0 | number][..], &million, &[0; 1000]].concat();
        let beyond = |what| Err(LengthBeyondEnd { what, len: 1_000_000 });
        assert_eq!(read(&list, TType::List), beyond("list"));
        assert_eq!(read(&list, TType::Set), beyond("set"));
        let map = [&million[..], &[number << 4 | number], &[0; 1000]].concat();
        assert_eq!(read(&map, TType::Map), beyond("map"));
    }
}

#[test]
fn unknown_types_are_rejected() {
    for number in [0, 14, 15] {
        let unknown = Err(DecodeErrorKind::UnknownType(number));
        assert_eq!(read(&[0x10 | number, 0, 0], TType::List), unknown);
        assert_eq!(read(&[1, number << 4 | 3, 0, 0], TType::Map), unknown);
        assert_eq!(read(&[1, 0x30 | number, 0, 0], TType::Map), unknown);
        assert_eq!(read(&[0x10 | number, 0], TType::Struct), unknown);
        assert_eq!(read(&[number], TType::List), Ok(Tree::List(TType::I8, vec![])), "empty container");
    }
}

#[test]
fn message_header_has_known_bytes() {
    let written = MessageHeader { name: "f".into(), kind: MessageType::Reply, seqid: -1 };
    let mut bytes = Vec::new();
    CompactWriter::new(&mut bytes, Limits::DEFAULT).message_begin(&written).unwrap();
    assert_eq!(bytes, [0x82, 0x41, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'f']);
    assert_eq!(header(&bytes), Ok(written));
}

#[test]
fn malformed_headers_are_rejected() {
    assert_eq!(header(&[0x80, 1, 0, 0]), Err(DecodeErrorKind::NotAMessage(0x80)));
    assert_eq!(header(&[0x82, 0x22, 0, 0]), Err(DecodeErrorKind::UnknownVersion(0x8222)));
    for kind in [0, 5, 6, 7] {
        assert_eq!(header(&[0x82, kind << 5 | 1, 0, 0]), Err(DecodeErrorKind::UnknownMessageType(kind)));
    }
    for len in 0..4 {
        assert!(header(&[0x82, 0x21, 0, 1, b'f'][..len]).is_err());
    }
}
