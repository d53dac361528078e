//! Hostile input, decoded as generated types in every protocol. The result is a typed error or a value, never a panic, and
//! memory is proportional to the length of the input.

use std::collections::{BTreeMap, HashMap};

use allocation_counter::measure;
use bytes::Bytes;
use thrift_nats_runtime::Protocol;
use thrift_nats_runtime::protocol::{
    DecodeError, DecodeErrorKind as Kind, Limits, Value, from_bytes, from_bytes_with_limits, to_bytes,
};

#[thrift_nats_runtime::thrift("../idl/vectors.thrift")]
mod owned_api {}
#[thrift_nats_runtime::thrift("../idl/vectors.thrift", strings = "shared", containers = "hash")]
mod shared_api {}

use owned_api::vectors as owned;
use shared_api::vectors as shared;

/// Hostile bytes and their expected error.
struct Attack {
    name: &'static str,
    protocol: Protocol,
    bytes: Bytes,
    is: fn(&Kind) -> bool,
}

fn binary(name: &'static str, bytes: impl AsRef<[u8]>, is: fn(&Kind) -> bool) -> Attack {
    Attack { name, protocol: Protocol::Binary, bytes: Bytes::copy_from_slice(bytes.as_ref()), is }
}

fn compact(name: &'static str, bytes: impl AsRef<[u8]>, is: fn(&Kind) -> bool) -> Attack {
    Attack { name, protocol: Protocol::Compact, bytes: Bytes::copy_from_slice(bytes.as_ref()), is }
}

fn json(name: &'static str, text: impl AsRef<[u8]>, is: fn(&Kind) -> bool) -> Attack {
    Attack { name, protocol: Protocol::Json, bytes: Bytes::copy_from_slice(text.as_ref()), is }
}

/// Repeats the bytes.
fn times(bytes: &[u8], count: usize) -> Vec<u8> {
    bytes.repeat(count)
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Wrong lengths and counts everywhere, and unlimited nesting. Field numbers: 7 `text`, 8 `bytes`, 14 `again`,
/// 23 `mediums`, 29 `points`, 30 `lists`, 41 `medium_set`, 50 `by_text`; 200 is unknown.
fn attacks() -> Vec<Attack> {
    let beyond: fn(&Kind) -> bool = |kind| matches!(kind, Kind::LengthBeyondEnd { .. });
    let negative: fn(&Kind) -> bool = |kind| matches!(kind, Kind::NegativeLength { .. });
    let too_long: fn(&Kind) -> bool =
        |kind| matches!(kind, Kind::TooLong { .. } | Kind::LengthBeyondEnd { .. });
    let deep: fn(&Kind) -> bool = |kind| matches!(kind, Kind::TooDeep { .. });
    let utf8: fn(&Kind) -> bool = |kind| matches!(kind, Kind::InvalidUtf8);
    let varint: fn(&Kind) -> bool = |kind| matches!(kind, Kind::InvalidVarint);
    let end: fn(&Kind) -> bool = |kind| matches!(kind, Kind::UnexpectedEnd);
    let json_number: fn(&Kind) -> bool = |_| true;
    let levels = 200_000;
    vec![
        binary("a string of a negative length", b"\x0b\0\x07\xff\xff\xff\xff", negative),
        binary("a string that is longer than the rest", b"\x0b\0\x07\x03\0\0\0abc", beyond),
        binary("the longest string", b"\x0b\0\x07\x7f\xff\xff\xff", too_long),
        binary("the longest block", b"\x0b\0\x08\x7f\xff\xff\xff", too_long),
        binary("a list of a negative length", b"\x0f\0\x17\x08\x80\0\0\0", negative),
        binary("a list of more than the rest", b"\x0f\0\x17\x08\0\x0f\xff\xff\0\0\0\x01", beyond),
        binary("the longest list", b"\x0f\0\x1d\x0c\x7f\xff\xff\xff", too_long),
        binary("the longest set", b"\x0e\0\x29\x08\x7f\xff\xff\xff", too_long),
        binary("the longest map", b"\x0d\0\x32\x0b\x0b\x7f\xff\xff\xff", too_long),
        binary("an unknown list of more than the rest", b"\x0f\0\xc8\x0c\0\x0f\xff\xff\0", beyond),
        binary("invalid UTF-8", b"\x0b\0\x07\0\0\0\x02\xc3\x28\0", utf8),
        binary("structs in each other", times(b"\x0c\0\x0e", levels), deep),
        binary("unknown structs in each other", times(b"\x0c\0\xc8", levels), deep),
        binary(
            "unknown lists in each other",
            concat(&[b"\x0f\0\xc8", &times(b"\x0f\0\0\0\x01", levels)]),
            deep,
        ),
        binary("nothing at all", b"", end),
        compact("a string that is longer than the rest", b"\x78\xff\xff\x03abc", beyond),
        compact("the longest string", b"\x78\xff\xff\xff\xff\x07", too_long),
        compact("a length beyond an i32", b"\x78\xff\xff\xff\xff\x0f", |kind| {
            matches!(kind, Kind::NegativeLength { .. } | Kind::TooLong { .. } | Kind::LengthBeyondEnd { .. })
        }),
        compact("a length that does not end", concat(&[b"\x78", &times(b"\xff", 100_000)]), varint),
        compact("a number that does not end", concat(&[b"\x45", &times(b"\x80", 100_000)]), varint),
        compact("the longest list", b"\x09\x3a\xfc\xff\xff\xff\xff\x07", too_long),
        compact("the longest map", b"\x0b\x64\xff\xff\xff\xff\x07\x88", too_long),
        compact("a list of more than the rest", b"\x09\x2e\xf5\xff\xff\x3f\x01", beyond),
        compact("invalid UTF-8", b"\x78\x02\xc3\x28\0", utf8),
        compact("structs in each other", times(b"\xec", levels), deep),
        compact("unknown lists in each other", concat(&[b"\x09\x90\x03", &times(b"\x19", levels)]), deep),
        json("a list of more than the rest", r#"{"23":{"lst":["i32",1000000,1]}}"#, beyond),
        json("a list of a negative length", r#"{"23":{"lst":["i32",-1]}}"#, |kind| {
            matches!(kind, Kind::NegativeLength { .. })
        }),
        json("a map of more than the rest", r#"{"50":{"map":["str","str",2147483647,{}]}}"#, too_long),
        json(
            "a number of ten thousand digits",
            format!("{{\"4\":{{\"i32\":{}}}}}", "9".repeat(10_000)),
            json_number,
        ),
        json("a string without an end", format!("{{\"7\":{{\"str\":\"{}", "x".repeat(1 << 20)), end),
        json("white space without an end", " ".repeat(1 << 20), end),
        json("structs in each other", r#"{"14":{"rec":"#.repeat(levels), deep),
        json("unknown structs in each other", r#"{"200":{"rec":"#.repeat(levels), deep),
        json(
            "unknown lists in each other",
            format!("{{\"200\":{{\"lst\":{}", r#"["lst",1,"#.repeat(levels)),
            deep,
        ),
        json("invalid UTF-8", b"{\"7\":{\"str\":\"\xc3\x28\"}}", utf8),
    ]
}

/// The memory that may be reserved before elements have arrived: 16 KiB per level.
const AHEAD: u64 = 17 * 1024 * 64;

fn read<T: Value>(protocol: Protocol, bytes: &Bytes) -> (Result<(), DecodeError>, u64) {
    let mut result = None;
    let info = measure(|| result = Some(from_bytes::<T>(protocol, bytes.clone()).map(drop)));
    (result.unwrap(), info.bytes_max)
}

#[test]
fn hostile_input_is_a_typed_error_and_takes_memory_in_proportion_to_its_length() {
    for Attack { name, protocol, bytes, is } in attacks() {
        let results =
            [read::<owned::Everything>(protocol, &bytes), read::<shared::Everything>(protocol, &bytes)];
        for (result, memory) in results {
            let error = result.expect_err(name);
            assert!(is(error.kind()), "{protocol}, {name}: {error}");
            assert!(memory <= 2 * bytes.len() as u64 + AHEAD, "{protocol}, {name}: {memory} bytes");
        }
    }
}

#[test]
fn decode_error_has_its_path_at_any_depth() {
    let point = owned::Point { x: 1, label: "label".into() };
    let inner = owned::Everything { points: Some(vec![point; 3]), ..owned::Everything::default() };
    let value = owned::Everything { again: Some(Box::new(inner)), ..owned::Everything::default() };
    for protocol in Protocol::ALL.iter().copied() {
        let mut bytes = to_bytes(protocol, &value).unwrap().to_vec();
        // The last of the three labels.
        let place = bytes.windows(5).rposition(|window| window == b"label").unwrap();
        bytes[place] = 0xff;
        let error = from_bytes::<owned::Everything>(protocol, bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Everything.again.points[2].label: string is not valid UTF-8",
            "{protocol}"
        );
    }
}

#[test]
fn million_empty_structs_take_a_small_multiple_of_their_size() {
    let million = 1_000_000_u32;
    let points = concat(&[b"\x0f\0\x1d\x0c", &million.to_be_bytes(), &times(b"\0", 1_000_001)]);
    let compact_points = concat(&[b"\x09\x3a\xfc\xc0\x84\x3d", &times(b"\0", 1_000_001)]);
    let json_points = format!("{{\"29\":{{\"lst\":[\"rec\",{million}{}]}}}}", ",{}".repeat(1_000_000));
    let all = [
        (Protocol::Binary, points),
        (Protocol::Compact, compact_points),
        (Protocol::Json, json_points.into_bytes()),
    ];
    for (protocol, bytes) in all {
        let bytes = Bytes::from(bytes);
        let (result, memory) = read::<owned::Everything>(protocol, &bytes);
        result.unwrap_or_else(|error| panic!("{protocol}: {error}"));
        // A growing list exists twice for a moment, and the new one is twice as long as the old.
        let most = 3 * size_of::<owned::Point>() as u64 * u64::from(million) + AHEAD;
        assert!(memory <= most, "{protocol}: {memory} bytes for {}", bytes.len());
    }
}

/// Structs of one byte on the wire, in lists, maps and boxes. Only the limit bounds their memory.
#[test]
fn memory_is_bounded_for_elements_far_larger_than_on_the_wire() {
    let limit = 4 << 20;
    let limits = Limits::DEFAULT.with_memory(limit);
    let expected =
        |kind: &Kind| matches!(kind, Kind::TooLong { what: "memory", limit, .. } if *limit == 4 << 20);
    let million = 1_000_000_u32;
    let list = concat(&[b"\x0c", &million.to_be_bytes(), &times(b"\0", 1_000_000)]);
    let map = concat(&[b"\x03\x0c", &million.to_be_bytes(), &times(b"\x01\0", 1_000_000)]);
    let ten_in_each_other = concat(&[&times(b"\x0c\0\x0e", 10), &times(b"\0", 11)]);
    let boxed = concat(&[b"\x0c", &1000_u32.to_be_bytes(), &times(&ten_in_each_other, 1000)]);
    let lists = concat(&[
        b"\x0f",
        &100_000_u32.to_be_bytes(),
        &times(&concat(&[b"\x0c", &5_u32.to_be_bytes(), &times(b"\0", 5)]), 100_000),
    ]);
    for (result, memory) in [
        read_within::<Vec<owned::Everything>>(list.into(), limits),
        read_within::<HashMap<i8, owned::Everything>>(map.clone().into(), limits),
        read_within::<BTreeMap<i8, owned::Everything>>(map.into(), limits),
        read_within::<Vec<owned::Everything>>(boxed.into(), limits),
        read_within::<Vec<Vec<owned::Point>>>(lists.into(), limits),
    ] {
        let error = result.expect_err("the memory limit is exceeded");
        assert!(expected(error.kind()), "{error}");
        assert!(memory <= 3 * limit as u64 + AHEAD, "{memory} bytes");
    }
}

fn read_within<T: Value>(bytes: Bytes, limits: Limits) -> (Result<(), DecodeError>, u64) {
    let mut result = None;
    let info = measure(|| {
        result = Some(from_bytes_with_limits::<T>(Protocol::Binary, bytes, limits).map(drop));
    });
    (result.unwrap(), info.bytes_max)
}
