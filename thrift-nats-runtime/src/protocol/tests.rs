//! Tests that run with every protocol.

use std::collections::{BTreeMap, HashMap, HashSet};

use allocation_counter::measure;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::tree::{Mutation, Recursive, Tree, any_message_of, any_protocol, any_ttype};
use super::*;
use crate::Protocol;

/// Reads the value at the start of `bytes`. Returns it and the number of bytes that are left.
fn read(
    protocol: Protocol,
    bytes: &Bytes,
    ttype: TType,
    limits: Limits,
) -> Result<(Tree, usize), DecodeError> {
    with_reader!(protocol, bytes, limits, |reader| {
        Tree::read(&mut reader, ttype).map(|tree| (tree, reader.rest().len()))
    })
}

/// Skips the value at the start of `bytes`. Returns the number of bytes that are left.
fn skip(protocol: Protocol, bytes: &Bytes, ttype: TType, limits: Limits) -> Result<usize, DecodeError> {
    with_reader!(protocol, bytes, limits, |reader| reader.skip(ttype).map(|()| reader.rest().len()))
}

fn write(protocol: Protocol, tree: &Tree, limits: Limits) -> Result<Bytes, EncodeError> {
    let mut bytes = Vec::new();
    with_writer!(protocol, &mut bytes, limits, |writer| tree.write(&mut writer))?;
    Ok(bytes.into())
}

/// Reads the bytes as `T`, and checks that this allocates at most a small multiple of their length, and 16 KiB for each
/// level of nesting that is reserved before the elements are read.
fn read_within_bounds<T: Value>(protocol: Protocol, bytes: &Bytes) {
    let info = measure(|| {
        let _ = with_reader!(protocol, bytes, Limits::DEFAULT, |reader| T::read(&mut reader));
    });
    let most = 64 * bytes.len() as u64 + 17 * 1024 * Limits::DEFAULT.depth as u64;
    assert!(info.bytes_max <= most, "{} bytes for {}", info.bytes_max, bytes.len());
}

fn read_as_every_type(protocol: Protocol, bytes: &Bytes) {
    read_within_bounds::<Recursive>(protocol, bytes);
    read_within_bounds::<Vec<String>>(protocol, bytes);
    read_within_bounds::<Vec<Vec<Bytes>>>(protocol, bytes);
    read_within_bounds::<Vec<HashMap<bool, HashSet<i8>>>>(protocol, bytes);
    read_within_bounds::<HashMap<i32, Vec<Vec<Uuid>>>>(protocol, bytes);
    read_within_bounds::<BTreeMap<String, Vec<f64>>>(protocol, bytes);
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
    for protocol in Protocol::ALL.iter().copied() {
        for outer in [TType::Struct, TType::List, TType::Set, TType::Map] {
            for (levels, error) in [(10, false), (11, true)] {
                let tree = nested(outer, levels);
                let bytes = Bytes::from(tree.bytes(protocol));
                let too_deep = DecodeError::from(DecodeErrorKind::TooDeep { limit: 10 });
                let expected = if error { Err(too_deep) } else { Ok(0) };
                let read = read(protocol, &bytes, tree.ttype(), limits).map(|(_, left)| left);
                assert_eq!(read, expected, "{levels} levels of {outer}");
                assert_eq!(skip(protocol, &bytes, tree.ttype(), limits), expected, "{levels} of {outer}");
                assert_eq!(write(protocol, &tree, limits).is_err(), error, "{levels} levels of {outer}");
            }
        }
    }
}

#[test]
fn depth_bombs_are_rejected() {
    for protocol in Protocol::ALL.iter().copied() {
        for outer in [TType::Struct, TType::List, TType::Set, TType::Map] {
            let (shorter, longer) = (nested(outer, 10).bytes(protocol), nested(outer, 11).bytes(protocol));
            // The bytes that each level adds at the start.
            let len = longer.iter().zip(&shorter).take_while(|(a, b)| a == b).count().min(shorter.len());
            let level = &longer[..len.max(1)];
            let bomb = Bytes::from(level.repeat(200_000));
            let mut kinds = Vec::new();
            let info = measure(|| {
                kinds.push(read(protocol, &bomb, outer, Limits::DEFAULT).map(drop));
                kinds.push(skip(protocol, &bomb, outer, Limits::DEFAULT).map(drop));
            });
            assert!(kinds.iter().all(Result::is_err), "{protocol} {outer}");
            assert!(info.bytes_max < 100_000, "{} bytes", info.bytes_max);
        }
    }
}

#[test]
fn every_limit_applies_to_reading_skipping_and_writing() {
    let limits = Limits::DEFAULT.with_string(3).with_container(3);
    let elements = |len| vec![Tree::I8(1); len];
    let entries = |len: i8| (0..len).map(|key| (Tree::I8(key), Tree::I8(1))).collect();
    for protocol in Protocol::ALL.iter().copied() {
        for (tree, what) in [
            (Tree::String(vec![b'a'; 3]), None),
            (Tree::String(vec![b'a'; 4]), Some("binary")),
            (Tree::List(TType::I8, elements(3)), None),
            (Tree::List(TType::I8, elements(4)), Some("list")),
            (Tree::Set(TType::I8, elements(4)), Some("set")),
            (Tree::Map(TType::I8, TType::I8, entries(3)), None),
            (Tree::Map(TType::I8, TType::I8, entries(4)), Some("map")),
        ] {
            let bytes = Bytes::from(tree.bytes(protocol));
            let read = read(protocol, &bytes, tree.ttype(), limits).map(drop);
            let written = write(protocol, &tree, limits).map(drop);
            match what {
                None => {
                    assert_eq!(read, Ok(()));
                    assert_eq!(written, Ok(()));
                    assert_eq!(skip(protocol, &bytes, tree.ttype(), limits), Ok(0));
                }
                Some(what) => {
                    assert_eq!(read, Err(DecodeErrorKind::TooLong { what, len: 4, limit: 3 }.into()));
                    assert_eq!(written, Err(EncodeErrorKind::TooLong { what, len: 4, limit: 3 }.into()));
                    if what != "binary" {
                        assert!(skip(protocol, &bytes, tree.ttype(), limits).is_err(), "{protocol} {what}");
                    }
                }
            }
        }
        let name = |len: usize| {
            let header = MessageHeader { name: "n".repeat(len).into(), kind: MessageType::Call, seqid: 1 };
            let mut message = Vec::new();
            with_writer!(protocol, &mut message, Limits::DEFAULT, |writer| {
                writer.message_begin(&header).unwrap();
            });
            let message = Bytes::from(message);
            with_reader!(protocol, &message, Limits::DEFAULT.with_name(3), |reader| {
                reader.message_begin().map(drop).map_err(|error| error.kind().clone())
            })
        };
        assert_eq!(name(3), Ok(()));
        assert_eq!(name(4), Err(DecodeErrorKind::TooLong { what: "message name", len: 4, limit: 3 }));
        let long = Err(DecodeErrorKind::TooLong { what: "message name", len: 1 << 20, limit: 3 });
        assert_eq!(name(1 << 20), long);
    }
}

#[test]
fn million_empty_structs_allocate_little_more_than_their_own_size() {
    let tree = Tree::List(TType::Struct, vec![Tree::Struct(vec![]); 1_000_000]);
    for protocol in Protocol::ALL.iter().copied() {
        let bytes = Bytes::from(tree.bytes(protocol));
        assert_eq!(skip(protocol, &bytes, TType::List, Limits::DEFAULT), Ok(0));
        read_within_bounds::<Vec<Recursive>>(protocol, &bytes);
    }
}

#[test]
fn invalid_utf8_is_rejected() {
    for protocol in Protocol::ALL.iter().copied() {
        let mut bytes = Vec::new();
        with_writer!(protocol, &mut bytes, Limits::DEFAULT, |writer| writer.string("abc").unwrap());
        let place = bytes.iter().position(|byte| *byte == b'b').unwrap();
        bytes[place] = 0xff;
        let error = from_bytes::<String>(protocol, bytes).expect_err("invalid UTF-8");
        assert_eq!(*error.kind(), DecodeErrorKind::InvalidUtf8);
    }
}

#[test]
fn trailing_bytes_are_rejected() {
    for protocol in Protocol::ALL.iter().copied() {
        let bytes = to_bytes(protocol, &vec![1_i32]).unwrap();
        let more = [&bytes, &b"xy"[..]].concat();
        let error = from_bytes::<Vec<i32>>(protocol, more).expect_err("trailing bytes");
        assert_eq!(*error.kind(), DecodeErrorKind::TrailingBytes(2));
    }
}

#[test]
fn decode_error_names_the_path() {
    for protocol in Protocol::ALL.iter().copied() {
        let tree = Tree::Struct(vec![(
            1,
            Tree::List(
                TType::Struct,
                vec![Tree::Struct(vec![]), Tree::Struct(vec![(1, Tree::List(TType::I8, vec![Tree::I8(1)]))])],
            ),
        )]);
        let error =
            from_bytes::<Recursive>(protocol, tree.bytes(protocol)).expect_err("elements of another type");
        assert_eq!(error.to_string(), "Recursive[1]: expected struct, found i8");
    }
}

/// Asserts that values of this length, kept from 100 messages of 64 KiB, hold little more than their own memory.
fn assert_copied<T: Value>(protocol: Protocol, value: impl Fn(usize) -> T, len: usize) {
    let mut kept = Vec::with_capacity(100);
    let info = measure(|| {
        for _ in 0..100 {
            let message = to_bytes(protocol, &vec![value(len), value(64 * 1024)]).unwrap();
            kept.push(from_bytes::<Vec<T>>(protocol, message).unwrap().swap_remove(0));
        }
    });
    let held = info.bytes_current as usize;
    assert!(held <= 100 * (len + 64), "{protocol}: {held} bytes for values of {len}");
}

#[test]
fn kept_value_of_up_to_4_kib_does_not_keep_its_message() {
    for protocol in Protocol::ALL {
        for len in [1, 16, 31, 1000, 4096] {
            assert_copied(*protocol, |len| Bytes::from(vec![b'x'; len]), len);
            #[cfg(feature = "faststr")]
            assert_copied(*protocol, |len| faststr::FastStr::from_string("x".repeat(len)), len);
        }
    }
}

#[test]
fn longer_value_is_a_slice_of_its_message() {
    for protocol in [Protocol::Binary, Protocol::Compact] {
        let message = to_bytes(protocol, &Bytes::from(vec![b'x'; 4097])).unwrap();
        let value: Bytes = from_bytes(protocol, message.clone()).unwrap();
        assert_eq!(value.as_ptr_range().end, message.as_ptr_range().end, "{protocol}");
        #[cfg(feature = "faststr")]
        {
            let value: faststr::FastStr = from_bytes(protocol, message.clone()).unwrap();
            assert_eq!(value.as_bytes().as_ptr_range().end, message.as_ptr_range().end, "{protocol}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_survive_a_round_trip(
        (protocol, (bytes, written, body)) in any_protocol().prop_flat_map(|it| (Just(it), any_message_of(it))),
    ) {
        with_reader!(protocol, &bytes, Limits::DEFAULT, |reader| {
            prop_assert_eq!(reader.message_begin().unwrap(), written.clone());
            prop_assert_eq!(Tree::read(&mut reader, TType::Struct).unwrap(), body.read_back(protocol));
            prop_assert_eq!(reader.message_end(), Ok(()));
        });
        prop_assert_eq!(peek_seqid(protocol, &bytes), Some(written.seqid));
    }

    #[test]
    fn skipping_ends_after_the_value(
        tree in Tree::any_struct(),
        protocol in any_protocol(),
        trailing in vec(any::<u8>(), 0..9),
    ) {
        let bytes = Bytes::from([tree.bytes(protocol), trailing.clone()].concat());
        let (ttype, limits) = (tree.ttype(), Limits::DEFAULT);
        prop_assert_eq!(skip(protocol, &bytes, ttype, limits), Ok(trailing.len()));
        prop_assert_eq!(read(protocol, &bytes, ttype, limits), Ok((tree.read_back(protocol), trailing.len())));
    }

    #[test]
    fn values_survive_a_round_trip(tree in Tree::any(), protocol in any_protocol()) {
        let bytes = Bytes::from(tree.bytes(protocol));
        let (ttype, limits) = (tree.ttype(), Limits::DEFAULT);
        prop_assert_eq!(skip(protocol, &bytes, ttype, limits), Ok(0));
        prop_assert_eq!(read(protocol, &bytes, ttype, limits), Ok((tree.read_back(protocol), 0)));
    }

    #[test]
    fn every_truncation_is_an_error(tree in Tree::any_struct(), protocol in any_protocol()) {
        let bytes = Bytes::from(tree.bytes(protocol));
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            prop_assert!(read(protocol, &cut, TType::Struct, Limits::DEFAULT).is_err());
            prop_assert!(skip(protocol, &cut, TType::Struct, Limits::DEFAULT).is_err());
        }
    }

    #[test]
    fn strings_survive_a_round_trip(strings in vec(any::<String>(), 0..8), protocol in any_protocol()) {
        let bytes = to_bytes(protocol, &strings).unwrap();
        prop_assert_eq!(from_bytes::<Vec<String>>(protocol, bytes).unwrap(), strings);
    }

    #[test]
    fn doubles_survive_a_round_trip(numbers in vec(any::<f64>(), 0..8), protocol in any_protocol()) {
        let bytes = to_bytes(protocol, &numbers).unwrap();
        prop_assert_eq!(from_bytes::<Vec<f64>>(protocol, bytes).unwrap(), numbers);
    }

    #[test]
    fn mutated_structs_never_panic_or_over_allocate(
        tree in Tree::any_struct(),
        protocol in any_protocol(),
        mutations in vec(Mutation::any(), 1..5),
    ) {
        let mut bytes = tree.bytes(protocol);
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
        let bytes = Bytes::from(bytes);
        let _ = peek_seqid(protocol, &bytes);
        let read = read(protocol, &bytes, TType::Struct, Limits::DEFAULT);
        let skipped = skip(protocol, &bytes, TType::Struct, Limits::DEFAULT);
        match (read, skipped) {
            (Ok((_, left)), skipped) => prop_assert_eq!(skipped, Ok(left)),
            // The JSON reader does not decode strings that it skips.
            (Err(_), Ok(_)) => prop_assert_eq!(protocol, Protocol::Json),
            (Err(_), Err(_)) => {}
        }
        read_as_every_type(protocol, &bytes);
    }

    #[test]
    fn mutated_containers_never_panic_or_over_allocate(
        tree in any_ttype().prop_flat_map(|ttype| Tree::any_of(ttype, 3)),
        protocol in any_protocol(),
        mutations in vec(Mutation::any(), 1..5),
    ) {
        let mut bytes = tree.bytes(protocol);
        mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
        read_as_every_type(protocol, &bytes.into());
    }

    #[test]
    fn arbitrary_bytes_never_panic_or_over_allocate(
        bytes in vec(any::<u8>(), 0..200),
        protocol in any_protocol(),
        ttype in any_ttype(),
    ) {
        let bytes = Bytes::from(bytes);
        let read = read(protocol, &bytes, ttype, Limits::DEFAULT).map(|(_, left)| left);
        if let Ok(left) = read {
            prop_assert_eq!(skip(protocol, &bytes, ttype, Limits::DEFAULT), Ok(left));
        }
        let _ = with_reader!(protocol, &bytes, Limits::DEFAULT, |reader| reader.message_begin().map(drop));
        let _ = peek_seqid(protocol, &bytes);
        read_as_every_type(protocol, &bytes);
    }
}
