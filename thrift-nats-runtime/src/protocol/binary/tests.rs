use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use allocation_counter::measure;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::wire::STOP;
use super::*;
use crate::protocol::tree::{Mutation, Recursive, TTYPES, Tree, any_message, any_ttype};
use crate::protocol::{
    DecodeError, DecodeErrorKind, EncodeErrorKind, InputProtocol, Limits, MessageHeader, MessageType,
    OutputProtocol, TType, Value,
};

/// `{1: string "a\"/\x01é☃", 4: i8 -1, 9: i32 -2, 11: i64 2^40}`.
const KNOWN: [u8; 39] = [
    0x0b, 0, 1, 0, 0, 0, 9, 0x61, 0x22, 0x2f, 0x01, 0xc3, 0xa9, 0xe2, 0x98, 0x83, // string
    0x03, 0, 4, 0xff, // i8
    0x08, 0, 9, 0xff, 0xff, 0xff, 0xfe, // i32
    0x0a, 0, 11, 0, 0, 1, 0, 0, 0, 0, 0, // i64
    0,
];

fn read(bytes: &Bytes, ttype: TType) -> (Result<Tree, DecodeError>, usize) {
    let mut reader = BinaryReader::new(bytes, Limits::DEFAULT);
    let result = Tree::read(&mut reader, ttype);
    (result, reader.rest().len())
}

fn skip(bytes: &Bytes, ttype: TType) -> (Result<(), DecodeError>, usize) {
    let mut reader = BinaryReader::new(bytes, Limits::DEFAULT);
    let result = reader.skip(ttype);
    (result, reader.rest().len())
}

fn kind<T: Value + std::fmt::Debug>(bytes: impl Into<Bytes>) -> DecodeErrorKind {
    let bytes = bytes.into();
    let error = T::read(&mut BinaryReader::new(&bytes, Limits::DEFAULT)).expect_err("malformed");
    error.kind().clone()
}

fn header(bytes: &[u8]) -> Result<MessageHeader<'static>, DecodeErrorKind> {
    let bytes = Bytes::copy_from_slice(bytes);
    let header = BinaryReader::new(&bytes, Limits::DEFAULT)
        .message_begin()
        .map(|header| MessageHeader { name: header.name.into_owned().into(), ..header });
    header.map_err(|error| error.kind().clone())
}

// Known bytes

#[test]
fn known_struct_has_known_bytes() {
    let text = "a\"/\u{1}é☃";
    let tree = Tree::Struct(vec![
        (1, Tree::String(text.into())),
        (4, Tree::I8(-1)),
        (9, Tree::I32(-2)),
        (11, Tree::I64(1 << 40)),
    ]);
    assert_eq!(tree.binary(), KNOWN);
    assert_eq!(read(&Bytes::from_static(&KNOWN), TType::Struct), (Ok(tree), 0));
    let string = Bytes::from_static(&KNOWN[3..]);
    assert_eq!(String::read(&mut BinaryReader::new(&string, Limits::DEFAULT)).as_deref(), Ok(text));
}

#[test]
fn every_type_has_known_bytes() {
    for (tree, bytes) in [
        (Tree::Bool(true), &[1][..]),
        (Tree::Bool(false), &[0]),
        (Tree::I16(-2), &[0xff, 0xfe]),
        (Tree::Double(1.5_f64.to_bits()), &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
        (Tree::Uuid(0x0102 << 112), &[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Tree::Struct(vec![]), &[0]),
        (Tree::List(TType::Bool, vec![Tree::Bool(true)]), &[2, 0, 0, 0, 1, 1]),
        (Tree::Set(TType::I8, vec![Tree::I8(7), Tree::I8(9)]), &[3, 0, 0, 0, 2, 7, 9]),
        (Tree::Map(TType::I8, TType::Bool, vec![(Tree::I8(5), Tree::Bool(true))]), &[3, 2, 0, 0, 0, 1, 5, 1]),
    ] {
        assert_eq!(tree.binary(), bytes, "{tree:?}");
        assert_eq!(read(&Bytes::copy_from_slice(bytes), tree.ttype()), (Ok(tree), 0));
    }
}

#[test]
fn messages_are_written_in_the_strict_form() {
    for kind in [MessageType::Call, MessageType::Reply, MessageType::Exception, MessageType::Oneway] {
        let written = MessageHeader { name: "f".into(), kind, seqid: -2 };
        let mut bytes = Vec::new();
        BinaryWriter::new(&mut bytes, Limits::DEFAULT).message_begin(&written).unwrap();
        assert_eq!(bytes, [0x80, 1, 0, kind as u8, 0, 0, 0, 1, b'f', 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(header(&bytes), Ok(written));
    }
}

#[test]
fn strict_and_old_messages_are_read() {
    let expected = MessageHeader { name: "f".into(), kind: MessageType::Oneway, seqid: 7 };
    assert_eq!(header(&[0x80, 1, 0, 4, 0, 0, 0, 1, b'f', 0, 0, 0, 7]), Ok(expected.clone()));
    assert_eq!(
        header(&[0x80, 1, 0xaa, 4, 0, 0, 0, 1, b'f', 0, 0, 0, 7]),
        Ok(expected.clone()),
        "the third byte is unused"
    );
    assert_eq!(header(&[0, 0, 0, 1, b'f', 4, 0, 0, 0, 7]), Ok(expected));
}

#[test]
fn malformed_headers_are_rejected() {
    use DecodeErrorKind::*;
    let long = |bytes: &[u8]| header(&[bytes, &[b'f'; 5000]].concat());
    let what = "message name";
    assert_eq!(header(&[0x80, 2, 0, 1, 0, 0, 0, 0]), Err(UnknownVersion(0x8002)));
    assert_eq!(header(&[0x82, 0x21, 1, 1, 0, 0, 0, 0]), Err(UnknownVersion(0x8221)));
    assert_eq!(header(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(UnknownMessageType(0)));
    assert_eq!(header(&[0x80, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]), Err(UnknownMessageType(5)));
    assert_eq!(header(&[0x80, 1, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0]), Err(InvalidUtf8));
    assert_eq!(header(&[0x80, 1, 0, 1, 0xff, 0xff, 0xff, 0xff]), Err(NegativeLength { what, len: -1 }));
    assert_eq!(header(&[0x80, 1, 0, 1, 0, 0, 0, 9, b'f']), Err(LengthBeyondEnd { what, len: 9 }));
    assert_eq!(long(&[0x80, 1, 0, 1, 0, 0, 0x10, 1]), Err(TooLong { what, len: 4097, limit: 4096 }));
    assert_eq!(long(&[0, 0, 0x10, 1]), Err(NotAMessage(0)));
    assert_eq!(header(b"GET / HTTP/1.1\r\n"), Err(NotAMessage(b'G')));
    assert_eq!(header(&[0, 0, 0, 9, b'f']), Err(NotAMessage(0)), "longer than the input");
    assert_eq!(header(&[0, 0, 0, 1, b'f', 9, 0, 0, 0, 0]), Err(UnknownMessageType(9)));
    for len in 0..13 {
        let error = header(&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1][..len]);
        assert!(matches!(error, Err(UnexpectedEnd | LengthBeyondEnd { .. })), "{len}: {error:?}");
    }
}

#[test]
fn every_nonzero_byte_is_true() {
    for byte in 0..=255 {
        let bytes = Bytes::from(vec![byte]);
        assert_eq!(bool::read(&mut BinaryReader::new(&bytes, Limits::DEFAULT)), Ok(byte != 0));
    }
}

#[test]
fn seqid_is_found_whatever_the_name() {
    assert_eq!(peek_seqid(&[0x80, 1, 0, 2, 0, 0, 0, 1, b'f', 0, 0, 0, 7, 0]), Some(7));
    assert_eq!(peek_seqid(&[0, 0, 0, 1, b'f', 2, 0xff, 0xff, 0xff, 0xff, 0]), Some(-1));
    assert_eq!(peek_seqid(&[0x80, 1, 0, 2, 0, 0, 0, 1, 0xff, 0, 0, 0, 7, 0]), Some(7), "invalid UTF-8");
    let long = [&[0x80, 1, 0, 2, 0, 0, 0x20, 0][..], &[b'f'; 0x2000], &[0, 0, 0, 7, 0]].concat();
    assert_eq!(peek_seqid(&long), Some(7), "longer than the default limit");
    for bytes in
        [&[][..], &[0x80, 1, 0, 2, 0, 0, 0], &[0x80, 1, 0, 2, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 9, 1]]
    {
        assert_eq!(peek_seqid(bytes), None, "{bytes:?}");
    }
}

// Limits

#[test]
fn every_limit_applies_to_reading_and_skipping() {
    use DecodeErrorKind::*;
    fn read<T: Value + std::fmt::Debug>(limits: Limits, bytes: &[u8]) -> Option<DecodeErrorKind> {
        let bytes = Bytes::copy_from_slice(bytes);
        T::read(&mut BinaryReader::new(&bytes, limits)).err().map(|error| error.kind().clone())
    }
    let limits = Limits::DEFAULT.with_string(3).with_container(3);
    assert_eq!(read::<String>(limits, &[0, 0, 0, 3, 1, 2, 3]), None);
    let (len, limit) = (4, 3);
    assert_eq!(
        read::<String>(limits, &[0, 0, 0, 4, 1, 2, 3, 4]),
        Some(TooLong { what: "string", len, limit })
    );
    assert_eq!(
        read::<Bytes>(limits, &[0, 0, 0, 4, 1, 2, 3, 4]),
        Some(TooLong { what: "binary", len, limit })
    );
    assert_eq!(read::<Vec<i8>>(limits, &[3, 0, 0, 0, 3, 1, 2, 3]), None);
    let list = [3, 0, 0, 0, 4, 1, 2, 3, 4];
    assert_eq!(read::<Vec<i8>>(limits, &list), Some(TooLong { what: "list", len, limit }));
    assert_eq!(read::<BTreeSet<i8>>(limits, &list), Some(TooLong { what: "set", len, limit }));
    let map = [3, 3, 0, 0, 0, 4, 1, 1, 2, 2, 3, 3, 4, 4];
    assert_eq!(read::<BTreeMap<i8, i8>>(limits, &map), Some(TooLong { what: "map", len, limit }));
    // Skipping checks the same limits.
    for (ttype, bytes) in
        [(TType::String, &[0, 0, 0, 4, 1, 2, 3, 4][..]), (TType::List, &list), (TType::Map, &map)]
    {
        let bytes = Bytes::copy_from_slice(bytes);
        let error = BinaryReader::new(&bytes, limits).skip(ttype).expect_err("too long");
        assert!(matches!(error.kind(), TooLong { len: 4, limit: 3, .. }), "{error}");
    }
}

#[test]
fn every_limit_applies_to_writing() {
    let limits = Limits::DEFAULT.with_string(3).with_container(3);
    let write = |tree: Tree| tree.write(&mut BinaryWriter::new(&mut Vec::new(), limits));
    let too_long = |what| Err(EncodeErrorKind::TooLong { what, len: 4, limit: 3 }.into());
    let elements = |len| vec![Tree::I8(1); len];
    assert_eq!(write(Tree::String(b"abc".into())), Ok(()));
    assert_eq!(write(Tree::String(b"abcd".into())), too_long("binary"));
    let string = String::from("abcd").write(&mut BinaryWriter::new(&mut Vec::new(), limits));
    assert_eq!(string, too_long("string"));
    assert_eq!(write(Tree::List(TType::I8, elements(3))), Ok(()));
    assert_eq!(write(Tree::List(TType::I8, elements(4))), too_long("list"));
    assert_eq!(write(Tree::Set(TType::I8, elements(4))), too_long("set"));
    let entries = vec![(Tree::I8(1), Tree::I8(1)); 4];
    assert_eq!(write(Tree::Map(TType::I8, TType::I8, entries)), too_long("map"));
}

/// Structs or containers that are nested `levels` deep.
fn nested(outer: TType, levels: usize) -> Tree {
    (1..levels).fold(Tree::Struct(vec![]), |inner, _| match outer {
        TType::List => Tree::List(inner.ttype(), vec![inner]),
        TType::Set => Tree::Set(inner.ttype(), vec![inner]),
        TType::Map => Tree::Map(TType::I8, inner.ttype(), vec![(Tree::I8(0), inner)]),
        _ => Tree::Struct(vec![(1, inner)]),
    })
}

#[test]
fn depth_limit_applies_to_reading_skipping_and_writing() {
    let limits = Limits::DEFAULT.with_depth(10);
    for outer in [TType::Struct, TType::List, TType::Set, TType::Map] {
        for (levels, error) in [(10, false), (11, true)] {
            let tree = nested(outer, levels);
            let bytes = Bytes::from(tree.binary());
            let read = Tree::read(&mut BinaryReader::new(&bytes, limits), tree.ttype()).map(drop);
            let skipped = BinaryReader::new(&bytes, limits).skip(tree.ttype());
            let expected = DecodeError::from(DecodeErrorKind::TooDeep { limit: 10 });
            let expected = if error { Err(expected) } else { Ok(()) };
            assert_eq!((read, skipped), (expected.clone(), expected), "{levels} levels of {outer}");
            let written = tree.write(&mut BinaryWriter::new(&mut Vec::new(), limits));
            assert_eq!(written.is_err(), error, "{levels} levels of {outer}");
        }
    }
}

#[test]
fn depth_counts_only_open_levels() {
    let limits = Limits::DEFAULT.with_depth(2);
    let i8 = TType::I8;
    let siblings = [
        Tree::Struct(vec![]),
        Tree::List(i8, vec![]),
        Tree::Set(i8, vec![]),
        Tree::Map(i8, i8, vec![]),
        Tree::List(TType::Struct, vec![]),
    ];
    // Twice each: a level that is not left makes the second exceed the limit.
    let fields = siblings.iter().chain(&siblings).cloned().map(|sibling| (1, sibling)).collect();
    let tree = Tree::Struct(fields);
    let mut bytes = Vec::new();
    tree.write(&mut BinaryWriter::new(&mut bytes, limits)).unwrap();
    let bytes = Bytes::from(bytes);
    assert_eq!(BinaryReader::new(&bytes, limits).skip(TType::Struct), Ok(()));
    assert_eq!(Tree::read(&mut BinaryReader::new(&bytes, limits), TType::Struct), Ok(tree));
}

#[test]
fn depth_bombs_are_rejected() {
    let bombs: [(TType, &[u8]); 4] = [
        (TType::Struct, &[12, 0, 1]),
        (TType::List, &[15, 0, 0, 0, 1]),
        (TType::Set, &[14, 0, 0, 0, 1]),
        (TType::Map, &[3, 13, 0, 0, 0, 1, 0]),
    ];
    for (ttype, level) in bombs {
        let bytes = Bytes::from(level.repeat(1_000_000));
        let too_deep = DecodeErrorKind::TooDeep { limit: 64 };
        assert_eq!(skip(&bytes, ttype).0.expect_err("too deep").kind(), &too_deep);
        assert_eq!(read(&bytes, ttype).0.expect_err("too deep").kind(), &too_deep);
    }
}

// Hostile bytes

#[test]
fn negative_lengths_are_rejected() {
    use DecodeErrorKind::NegativeLength;
    let negative = [0xff, 0xff, 0xff, 0xfe];
    let with = |types: &[u8]| [types, &negative, &[0; 100]].concat();
    let len = -2;
    assert_eq!(kind::<String>(with(&[])), NegativeLength { what: "string", len });
    assert_eq!(kind::<Bytes>(with(&[])), NegativeLength { what: "binary", len });
    assert_eq!(kind::<Vec<i8>>(with(&[3])), NegativeLength { what: "list", len });
    assert_eq!(kind::<BTreeSet<i8>>(with(&[3])), NegativeLength { what: "set", len });
    assert_eq!(kind::<BTreeMap<i8, i8>>(with(&[3, 3])), NegativeLength { what: "map", len });
    let least = [&[0x80, 0, 0, 0][..], &[0; 100]].concat();
    assert_eq!(kind::<String>(least), NegativeLength { what: "string", len: i32::MIN.into() });
}

/// Every element takes at least one byte, so a million cannot fit in a thousand bytes.
#[test]
fn container_longer_than_the_input_is_rejected_before_it_allocates() {
    use DecodeErrorKind::LengthBeyondEnd;
    let million = [0, 0x0f, 0x42, 0x40];
    let len = 1_000_000;
    for element in TTYPES {
        let number = element as u8;
        for (ttype, types, what) in [
            (TType::List, &[number][..], "list"),
            (TType::Set, &[number], "set"),
            (TType::Map, &[number, number], "map"),
            (TType::Map, &[number, 12], "map"),
        ] {
            let bytes = Bytes::from([types, &million, &[0; 1000]].concat());
            let read = measure_read(|| read(&bytes, ttype).0.expect_err("too few"));
            assert_eq!(*read.kind(), LengthBeyondEnd { what, len }, "{ttype} of {element}");
            assert_eq!(skip(&bytes, ttype).0, Err(read), "{ttype} of {element}");
        }
    }
    // The input could hold the keys or the values, but not both.
    let map = Bytes::from([[10, 3, 0, 0, 0, 3].as_slice(), &[0; 3 * 9 - 1]].concat());
    let error = read(&map, TType::Map).0.expect_err("too few");
    assert_eq!(*error.kind(), LengthBeyondEnd { what: "map", len: 3 });
    assert_eq!(skip(&map, TType::Map).0, Err(error));
    let more = [[0, 0, 0, 9].as_slice(), b"abc"].concat();
    assert_eq!(kind::<String>(more), LengthBeyondEnd { what: "string", len: 9 });
}

/// Runs `read`, and checks that it allocates less than 1,000 bytes.
fn measure_read<T>(read: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = measure(|| result = Some(read()));
    assert!(info.bytes_max < 1000, "{} bytes", info.bytes_max);
    result.expect("the closure has run")
}

#[test]
fn invalid_utf8_is_rejected() {
    for bytes in [&b"\xff"[..], b"\xc3", b"a\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"] {
        let written = Bytes::from(Tree::String(bytes.into()).binary());
        assert_eq!(kind::<String>(written.clone()), DecodeErrorKind::InvalidUtf8, "{bytes:?}");
        assert_eq!(Bytes::read(&mut BinaryReader::new(&written, Limits::DEFAULT)).as_deref(), Ok(bytes));
    }
}

#[test]
fn trailing_bytes_are_rejected() {
    for left in [1, 2, 1000] {
        let bytes = Bytes::from([&KNOWN[..], &vec![0; left]].concat());
        let mut reader = BinaryReader::new(&bytes, Limits::DEFAULT);
        reader.skip(TType::Struct).unwrap();
        let error = reader.message_end().expect_err("trailing bytes");
        assert_eq!(*error.kind(), DecodeErrorKind::TrailingBytes(left));
    }
}

#[test]
fn unknown_types_are_rejected() {
    for number in (0..=255).filter(|number| TType::from_u8(*number).is_none()) {
        let unknown = DecodeErrorKind::UnknownType(number);
        for (ttype, bytes) in [
            (TType::List, &[number, 0, 0, 0, 1, 0, 0][..]),
            (TType::Set, &[number, 0, 0, 0, 1, 0, 0]),
            (TType::Map, &[number, 3, 0, 0, 0, 1, 0, 0]),
            (TType::Map, &[3, number, 0, 0, 0, 1, 0, 0]),
            (TType::Struct, &[number, 0, 1, 0, 0, 0, 0]),
        ] {
            if (ttype, number) == (TType::Struct, STOP) {
                continue;
            }
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(skip(&bytes, ttype).0.expect_err("unknown").kind(), &unknown, "{ttype}");
            assert_eq!(read(&bytes, ttype).0.expect_err("unknown").kind(), &unknown, "{ttype}");
        }
        assert_eq!(skip(&Bytes::from(vec![number, 0, 0, 0, 0]), TType::List), (Ok(()), 0), "empty container");
        assert_eq!(
            skip(&Bytes::from(vec![number, number, 0, 0, 0, 0]), TType::Map),
            (Ok(()), 0),
            "empty container"
        );
    }
}

#[test]
fn elements_of_another_type_are_rejected_with_their_path() {
    use DecodeErrorKind::UnexpectedType;
    let (expected, found) = (TType::I32, TType::I8);
    assert_eq!(kind::<Vec<i32>>(&[3, 0, 0, 0, 1, 1][..]), UnexpectedType { expected, found });
    assert_eq!(kind::<HashSet<i32>>(&[3, 0, 0, 0, 1, 1][..]), UnexpectedType { expected, found });
    assert_eq!(kind::<HashMap<i32, i8>>(&[3, 3, 0, 0, 0, 1, 1, 1][..]), UnexpectedType { expected, found });
    assert_eq!(kind::<HashMap<i8, i32>>(&[3, 3, 0, 0, 0, 1, 1, 1][..]), UnexpectedType { expected, found });
    let empty = Bytes::from_static(&[3, 0, 0, 0, 0]);
    assert_eq!(
        Vec::<i32>::read(&mut BinaryReader::new(&empty, Limits::DEFAULT)),
        Ok(vec![]),
        "empty container"
    );
    let bytes = Tree::List(
        TType::List,
        vec![
            Tree::List(TType::String, vec![]),
            Tree::List(TType::String, vec![Tree::String(vec![]), Tree::String(vec![0xff])]),
        ],
    );
    let bytes = Bytes::from(bytes.binary());
    let error =
        Vec::<Vec<String>>::read(&mut BinaryReader::new(&bytes, Limits::DEFAULT)).expect_err("invalid UTF-8");
    assert_eq!(error.to_string(), "[1][1]: string is not valid UTF-8");
}

// Arbitrary values and bytes

/// Reads the bytes as `T`, and checks that this allocates at most a small multiple of their length, and 16 KiB for each
/// level of nesting that is reserved before the elements are read.
fn read_within_bounds<T: Value>(bytes: &Bytes) -> Result<T, DecodeError> {
    let mut result = None;
    let info = measure(|| result = Some(T::read(&mut BinaryReader::new(bytes, Limits::DEFAULT))));
    let most = 64 * bytes.len() as u64 + 17 * 1024 * Limits::DEFAULT.depth as u64;
    assert!(info.bytes_max <= most, "{} bytes for {}", info.bytes_max, bytes.len());
    result.expect("the closure has run")
}

fn read_as_every_type(bytes: &Bytes) {
    let _ = read_within_bounds::<Recursive>(bytes);
    let _ = read_within_bounds::<Vec<String>>(bytes);
    let _ = read_within_bounds::<Vec<Vec<Bytes>>>(bytes);
    let _ = read_within_bounds::<Vec<HashMap<bool, HashSet<i8>>>>(bytes);
    let _ = read_within_bounds::<Vec<BTreeMap<i8, BTreeSet<i16>>>>(bytes);
    let _ = read_within_bounds::<HashSet<Vec<i64>>>(bytes);
    let _ = read_within_bounds::<HashMap<i32, Vec<Vec<Uuid>>>>(bytes);
    let _ = read_within_bounds::<BTreeMap<String, Vec<Box<f64>>>>(bytes);
}

#[test]
fn recursive_value_survives_a_round_trip() {
    let value = Recursive(vec![Recursive(vec![]), Recursive(vec![Recursive(vec![])])]);
    let mut bytes = Vec::new();
    value.write(&mut BinaryWriter::new(&mut bytes, Limits::DEFAULT)).unwrap();
    assert_eq!(read_within_bounds::<Recursive>(&bytes.into()), Ok(value));
}

/// At every level, a list claims the rest of the input. Each could reserve memory for a whole message of elements.
#[test]
fn nested_lists_with_false_lengths_reserve_little() {
    let left = 4_000_000;
    for level in [[15, 0, 1, 12].as_slice(), &[12, 0, 7, 15, 0, 1, 12]] {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend_from_slice(level);
            bytes.extend_from_slice(&(left as i32).to_be_bytes());
        }
        bytes.resize(bytes.len() + left, 0);
        let info = measure(|| {
            let bytes = Bytes::from(bytes);
            let error = Recursive::read(&mut BinaryReader::new(&bytes, Limits::DEFAULT));
            assert!(error.is_err());
        });
        assert!(info.bytes_max < 2 << 20, "{} bytes", info.bytes_max);
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn messages_survive_a_round_trip((bytes, written, body) in any_message()) {
        let mut reader = BinaryReader::new(&bytes, Limits::DEFAULT);
        prop_assert_eq!(reader.message_begin().unwrap(), written);
        prop_assert_eq!(Tree::read(&mut reader, TType::Struct).unwrap(), body);
        prop_assert_eq!(reader.message_end(), Ok(()));
        prop_assert_eq!(peek_seqid(&bytes), header(&bytes).ok().map(|header| header.seqid));
    }

    #[test]
    fn skipping_ends_after_the_value(tree in Tree::any(), trailing in vec(any::<u8>(), 0..9)) {
        let bytes = Bytes::from([tree.binary(), trailing.clone()].concat());
        prop_assert_eq!(skip(&bytes, tree.ttype()), (Ok(()), trailing.len()));
        prop_assert_eq!(read(&bytes, tree.ttype()), (Ok(tree), trailing.len()));
    }

    #[test]
    fn every_truncation_is_an_end_of_input_error(tree in Tree::any()) {
        let bytes = Bytes::from(tree.binary());
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            let error = read(&cut, tree.ttype()).0.expect_err("truncated");
            prop_assert!(
                matches!(error.kind(), DecodeErrorKind::UnexpectedEnd | DecodeErrorKind::LengthBeyondEnd { .. }),
                "{}", error
            );
            prop_assert!(skip(&cut, tree.ttype()).0.is_err());
        }
    }

    #[test]
    fn rust_values_survive_a_round_trip(
        strings in vec(any::<String>(), 0..5),
        map in proptest::collection::hash_map(any::<i32>(), vec(any::<bool>(), 0..4), 0..5),
        set in proptest::collection::btree_set(any::<i64>(), 0..5),
        number in any::<f64>(),
    ) {
        fn back<T: Value>(value: &T) -> T {
            let mut bytes = Vec::new();
            value.write(&mut BinaryWriter::new(&mut bytes, Limits::DEFAULT)).unwrap();
            let bytes = Bytes::from(bytes);
            let mut reader = BinaryReader::new(&bytes, Limits::DEFAULT);
            let value = T::read(&mut reader).unwrap();
            assert_eq!(reader.message_end(), Ok(()));
            value
        }
        prop_assert_eq!(back(&strings), strings);
        prop_assert_eq!(back(&map), map.clone());
        prop_assert_eq!(back(&BTreeMap::from_iter(map.clone())), BTreeMap::from_iter(map));
        prop_assert_eq!(back(&HashSet::<i64>::from_iter(set.clone())), HashSet::from_iter(set.clone()));
        prop_assert_eq!(back(&set), set);
        prop_assert_eq!(back(&Box::new(number)).to_bits(), number.to_bits());
    }

    #[test]
    fn arbitrary_bytes_never_panic_or_over_allocate(bytes in vec(any::<u8>(), 0..200), ttype in any_ttype()) {
        let bytes = Bytes::from(bytes);
        let (read, left) = read(&bytes, ttype);
        let (skipped, left_after_skip) = skip(&bytes, ttype);
        prop_assert_eq!(read.is_ok(), skipped.is_ok());
        prop_assert!(read.is_err() || left == left_after_skip);
        let _ = header(&bytes);
        let _ = peek_seqid(&bytes);
        read_as_every_type(&bytes);
    }

    #[test]
    fn mutated_messages_never_panic_or_over_allocate(
        (bytes, _, _) in any_message(),
        mutations in vec(Mutation::any(), 1..5),
    ) {
        let mut bytes = Vec::from(bytes);
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
        let bytes = Bytes::from(bytes);
        let _ = peek_seqid(&bytes);
        let mut reader = BinaryReader::new(&bytes, Limits::DEFAULT);
        if reader.message_begin().is_ok() {
            let body = bytes.slice_ref(reader.rest());
            let (read, left) = read(&body, TType::Struct);
            let (skipped, left_after_skip) = skip(&body, TType::Struct);
            prop_assert_eq!(read.is_ok(), skipped.is_ok());
            prop_assert!(read.is_err() || left == left_after_skip);
            let _ = read_within_bounds::<Recursive>(&body);
        }
    }

    #[test]
    fn mutated_containers_never_panic_or_over_allocate(
        tree in any_ttype().prop_flat_map(|ttype| Tree::any_of(ttype, 3)),
        mutations in vec(Mutation::any(), 1..5),
    ) {
        let mut bytes = tree.binary();
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
        read_as_every_type(&bytes.into());
    }
}
