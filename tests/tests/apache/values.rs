//! The values of the vectors, equal to those in `tests/vectors/make.py`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use thrift_nats_runtime::protocol::{
    DecodeResult, EncodeResult, InputProtocol, MessageType, OutputProtocol, TType, Value,
};
use thrift_nats_runtime::{OrderedF64, OrderedFloat, Uuid};

use crate::types::{ApplicationException, Choice, Colour, Empty, Everything, Oops, Point};

const UUID_1: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const UUID_2: Uuid = Uuid::from_u128(0xffee_ddcc_bbaa_9988_7766_5544_3322_1100);

/// An `Everything` with only these fields.
macro_rules! with {
    ($($field:ident: $value:expr),* $(,)?) => {
        Everything { $($field: Some($value),)* ..Everything::default() }
    };
}

fn point(x: i32, label: &str) -> Point {
    Point { x, label: label.into() }
}

fn map<K: Ord, V, const N: usize>(entries: [(K, V); N]) -> BTreeMap<K, V> {
    BTreeMap::from(entries)
}

fn set<T: Ord, const N: usize>(elements: [T; N]) -> BTreeSet<T> {
    BTreeSet::from(elements)
}

const fn real(value: f64) -> OrderedF64 {
    OrderedFloat(value)
}

pub(crate) fn values() -> Vec<(&'static str, Everything)> {
    vec![
        ("nothing", with! {}),
        ("bool-true", with! { flag: true }),
        ("bool-false", with! { flag: false }),
        ("bools-beside-others", with! { flag: false, tiny: 1, other_flag: true }),
        ("i8-zero", with! { tiny: 0 }),
        ("i8-max", with! { tiny: i8::MAX }),
        ("i8-min", with! { tiny: i8::MIN }),
        ("i16-minus-one", with! { small: -1 }),
        ("i16-max", with! { small: i16::MAX }),
        ("i16-min", with! { small: i16::MIN }),
        ("i32-zero", with! { medium: 0 }),
        ("i32-one", with! { medium: 1 }),
        ("i32-minus-one", with! { medium: -1 }),
        ("i32-64", with! { medium: 64 }),
        ("i32-max", with! { medium: i32::MAX }),
        ("i32-min", with! { medium: i32::MIN }),
        ("i64-two-to-40", with! { large: 1 << 40 }),
        ("i64-max", with! { large: i64::MAX }),
        ("i64-min", with! { large: i64::MIN }),
        ("double-zero", with! { real: 0.0 }),
        ("double-minus-zero", with! { real: -0.0 }),
        ("double-one", with! { real: 1.0 }),
        ("double-third", with! { real: 1.0 / 3.0 }),
        ("double-tenth", with! { real: 0.1 }),
        ("double-large", with! { real: 1e300 }),
        ("double-whole", with! { real: 123_456_789_012_345_680.0 }),
        ("double-least", with! { real: 5e-324 }),
        ("double-max", with! { real: f64::MAX }),
        ("double-small", with! { real: -1.25e-7 }),
        ("double-nan", with! { real: f64::NAN }),
        ("double-infinity", with! { real: f64::INFINITY }),
        ("double-minus-infinity", with! { real: f64::NEG_INFINITY }),
        ("string-empty", with! { text: String::new() }),
        ("string-ascii", with! { text: "hello".into() }),
        ("string-unicode", with! { text: "é☃𝄞\u{a0}".into() }),
        ("string-quoted", with! { text: "a\"b\\c/d".into() }),
        ("string-control", with! { text: "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}".into() }),
        ("string-127", with! { text: "x".repeat(127) }),
        ("string-128", with! { text: "y".repeat(128) }),
        ("binary-empty", with! { bytes: Bytes::new() }),
        ("binary-one", with! { bytes: Bytes::from_static(b"\0") }),
        ("binary-two", with! { bytes: Bytes::from_static(b"\xff\xfe") }),
        ("binary-three", with! { bytes: Bytes::from_static(b"\xfb\xff\xbf") }),
        ("binary-all", with! { bytes: (0..=255).collect::<Vec<u8>>().into() }),
        ("uuid", with! { id: UUID_1 }),
        ("enum", with! { colour: Colour::GREEN }),
        ("enum-negative", with! { colour: Colour::BLUE }),
        ("enum-unknown", with! { colour: Colour(99) }),
        ("struct", with! { point: point(-2, "here") }),
        ("struct-empty", with! { empty: Empty {} }),
        (
            "struct-nested",
            with! {
                flag: true,
                again: Box::new(with! { tiny: 3, again: Box::new(with! { other_flag: true }), far: 1 }),
                other_flag: false,
            },
        ),
        ("union-number", with! { choice: Choice::Number(7) }),
        ("union-text", with! { choice: Choice::Text("t".into()) }),
        ("union-struct", with! { choice: Choice::Point(point(1, "")) }),
        ("union-list", with! { choice: Choice::Flags(vec![true, false]) }),
        (
            "list-empty",
            with! { bools: vec![], mediums: vec![], texts: vec![], points: vec![], lists: vec![] },
        ),
        ("list-bool", with! { bools: vec![true, false, true] }),
        ("list-i8", with! { tinies: vec![0, 1, -1, 127, -128] }),
        ("list-i16", with! { smalls: vec![0, 300, -300] }),
        ("list-i32", with! { mediums: vec![1, -1, 1 << 20] }),
        ("list-i32-14", with! { mediums: (0..14).collect() }),
        ("list-i32-15", with! { mediums: (0..15).collect() }),
        ("list-i32-200", with! { mediums: (0..200).collect() }),
        ("list-i64", with! { larges: vec![0, -(1 << 50)] }),
        ("list-double", with! { reals: vec![0.5, -1.5] }),
        ("list-string", with! { texts: vec![String::new(), "a".into(), "ü".into()] }),
        ("list-binary", with! { blocks: vec![Bytes::new(), Bytes::from_static(b"\x01\x02")] }),
        ("list-uuid", with! { ids: vec![UUID_1, UUID_2] }),
        ("list-struct", with! { points: vec![point(1, "a"), point(2, "b")] }),
        ("list-list", with! { lists: vec![vec![1], vec![], vec![2, 3]] }),
        ("list-map", with! { maps: vec![map([]), map([("a".into(), 1), ("b".into(), 2)])] }),
        ("list-union", with! { choices: vec![Choice::Number(1), Choice::Text("x".into())] }),
        ("list-enum", with! { colours: vec![Colour::RED, Colour::BLUE] }),
        ("set-empty", with! { medium_set: set([]) }),
        ("set-bool", with! { bool_set: set([false, true]) }),
        ("set-i32", with! { medium_set: set([-5, 0, 5]) }),
        ("set-string", with! { text_set: set(["a".into(), "b".into()]) }),
        ("set-double", with! { real_set: set([real(-0.5), real(2.0)]) }),
        ("set-uuid", with! { id_set: set([UUID_1, UUID_2]) }),
        ("map-empty", with! { by_text: map([]), by_medium: map([]) }),
        (
            "map-string",
            with! { by_text: map([(String::new(), "empty".into()), ("k\"ey".into(), "v".into())]) },
        ),
        ("map-i32", with! { by_medium: map([(-1, 1 << 40), (7, -7)]) }),
        ("map-bool", with! { by_flag: map([(false, 0), (true, 1)]) }),
        ("map-double", with! { by_real: map([(real(-1.5), 1), (real(2.0), 2)]) }),
        ("map-uuid", with! { by_id: map([(UUID_1, Bytes::from_static(b"\0\x01"))]) }),
        ("map-of-lists", with! { by_large: map([(-3, vec![]), (3, vec![point(1, "p")])]) }),
        ("map-struct-key", with! { by_point: map([(point(1, "a"), 1), (point(2, "b"), 2)]) }),
        ("map-of-maps", with! { by_tiny: map([(1, map([("x".into(), set([1, 2]))])), (2, map([]))]) }),
        ("map-enum", with! { by_colour: map([(Colour::BLUE, true), (Colour::RED, false)]) }),
        ("ids-14-15-16-17", with! { by_colour: map([]), gap_14: 1, gap_15: 2, gap_16: 3, gap_17: true }),
        ("id-120-alone", with! { gap_17: false }),
        ("id-300", with! { far: -1 }),
        ("id-32767", with! { farthest: true }),
        ("back-to-small-ids", with! { again: Box::new(with! { farthest: true }), other_flag: true }),
    ]
}

/// A message: its header and its body.
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) kind: MessageType,
    pub(crate) seqid: i32,
    pub(crate) body: Body,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Empty(Empty),
    Point(Point),
    Answer(Answer),
    Exception(ApplicationException),
}

/// Runs an expression with the value of a [`Body`].
macro_rules! with_body {
    ($body:expr, |$value:ident| $do:expr) => {
        match $body {
            $crate::values::Body::Empty($value) => $do,
            $crate::values::Body::Point($value) => $do,
            $crate::values::Body::Answer($value) => $do,
            $crate::values::Body::Exception($value) => $do,
        }
    };
}
pub(crate) use with_body;

/// The reply of a function: the exception, or the result with the id 0, which a field in an IDL cannot have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    success: Option<i32>,
    oops: Option<Oops>,
}

impl Value for Answer {
    const TTYPE: TType = TType::Struct;

    fn write<O: OutputProtocol>(&self, output: &mut O) -> EncodeResult {
        output.struct_begin()?;
        output.optional_field(0, &self.success)?;
        output.optional_field(1, &self.oops)?;
        output.struct_end();
        Ok(())
    }

    fn read<I: InputProtocol>(input: &mut I) -> DecodeResult<Self> {
        let mut answer = Self::default();
        input.read_struct(|field| match field.id {
            0 => field.read_optional("success", &mut answer.success),
            1 => field.read_optional("oops", &mut answer.oops),
            _ => field.skip(),
        })?;
        Ok(answer)
    }
}

impl Body {
    /// Decodes a body of the same type.
    pub(crate) fn read_alike<I: InputProtocol>(&self, input: &mut I) -> DecodeResult<Self> {
        Ok(match self {
            Self::Empty(_) => Self::Empty(Value::read(input)?),
            Self::Point(_) => Self::Point(Value::read(input)?),
            Self::Answer(_) => Self::Answer(Value::read(input)?),
            Self::Exception(_) => Self::Exception(Value::read(input)?),
        })
    }
}

pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    use MessageType::{Call, Exception, Oneway, Reply};
    let add = || Body::Point(point(1, "a"));
    let empty = || Body::Empty(Empty {});
    let oops = Answer { success: None, oops: Some(Oops { why: "no".into(), code: 3 }) };
    let what = ApplicationException { message: Some("what?".into()), r#type: Some(1) };
    let message = |name, kind, seqid, body| Message { name, kind, seqid, body };
    vec![
        ("message-call", message("add", Call, 1, add())),
        ("message-call-no-arguments", message("ping", Call, 0, empty())),
        ("message-call-multiplexed", message("calculator:add", Call, 2, add())),
        ("message-call-unicode", message("größe", Call, 300, empty())),
        ("message-reply", message("add", Reply, 1, Body::Answer(Answer { success: Some(-42), oops: None }))),
        ("message-reply-void", message("ping", Reply, i32::MAX, Body::Answer(Answer::default()))),
        ("message-reply-exception", message("add", Reply, -1, Body::Answer(oops))),
        ("message-exception", message("add", Exception, i32::MIN, Body::Exception(what))),
        ("message-oneway", message("zip", Oneway, 65536, empty())),
    ]
}
