//! Generated types: values, defaults, constants and wire format. They compile under the strictest lints, with hostile names.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use thrift_nats_runtime::protocol::{
    BinaryReader, BinaryWriter, DecodeError, DecodeErrorKind, EncodeErrorKind, Limits, Value,
};
use thrift_nats_runtime::{
    ApplicationException, ApplicationExceptionKind, Context, Error, OrderedFloat, Uuid,
};

/// Everything is public, as in a crate that publishes its API.
#[deny(warnings, missing_docs, clippy::pedantic)]
mod api {
    #[expect(deprecated, reason = "the file has its warnings on purpose")]
    #[thrift_nats_runtime::thrift("../idl/types.thrift")]
    pub mod generated {}
}

use api::generated::shared;
use api::generated::types::all::{
    self, BY_DOUBLE, BYTES, Branch, CORNER, ChildClient, Chosen, Colour, Count, Defaults, Either, FAVOURITE,
    HEX, ID, Key, KeyShape, Keys, LARGE, LIMIT, LIMIT_AS_LONG, ORIGIN, PRIMES, Point, QuietServer, ROUND,
    SAME_WORDS, SMALL, Self_, ShadowClient, ShadowServer, Shape, Silent, Speaks, Strict, TABLE, TEXT, THIRD,
    TINY, Tree, TypeClient, TypeNewError, TypeRpcError, TypeServer, TypeShapeError, WHOLE, WORDS, YES,
};

fn encode(value: &impl Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write(&mut BinaryWriter::new(&mut bytes, Limits::DEFAULT)).unwrap();
    bytes
}

fn decode<T: Value>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::read(&mut BinaryReader::new(&Bytes::copy_from_slice(bytes), Limits::DEFAULT))
}

#[track_caller]
fn survives<T: Value + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(decode::<T>(&encode(value)).unwrap(), *value);
}

#[test]
fn constants_have_the_values_of_the_idl() {
    assert_eq!((YES, SMALL, HEX, LARGE), (true, -128, 127, i64::MIN));
    assert_eq!((THIRD, TINY, WHOLE), (1.0 / 3.0, 5e-324, 7.0));
    assert_eq!((TEXT, BYTES), ("a \"quoted\" tab\tand ü", b"raw".as_slice()));
    assert_eq!(ID.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    assert_eq!((FAVOURITE, LIMIT, LIMIT_AS_LONG), (Colour::BLUE, 10, 10));
    assert_eq!(*WORDS, ["one", "two"]);
    assert_eq!(*SAME_WORDS, *WORDS);
    assert_eq!(*PRIMES, BTreeSet::from([2, 3, 5]));
    assert_eq!(*TABLE, BTreeMap::from([("a".into(), vec![1, 10]), ("b".into(), vec![])]));
    assert_eq!(*BY_DOUBLE, BTreeMap::from([(OrderedFloat(1.5), true)]));
    assert_eq!(*ORIGIN, Point { x: 1, y: 0, label: None });
    assert_eq!(*CORNER, Point { x: 3, y: 0, label: Some("corner".into()) });
    assert_eq!(*ROUND, Shape::Circle(2.5));
}

#[test]
fn absent_fields_have_the_defaults_of_the_idl() {
    let defaults = Defaults {
        yes: true,
        small: 7,
        medium: 300,
        count: 10,
        long: i64::MIN,
        number: 1.0 / 3.0,
        text: TEXT.into(),
        bytes: Bytes::from_static(b"raw"),
        id: ID,
        colour: Colour::GREEN,
        words: vec!["one".into(), "two".into()],
        colours: BTreeSet::from([Colour::RED, Colour::GREEN]),
        table: TABLE.clone(),
        point: Point { x: 4, y: 5, label: None },
        shape: Shape::Point(Point { x: 9, ..Point::default() }),
        maybe: Some(3),
        nothing: None,
    };
    assert_eq!(Defaults::default(), defaults);
    // An empty struct, from a peer that omits every field.
    assert_eq!(decode::<Defaults>(&[0]).unwrap(), defaults);
    survives(&defaults);
}

#[test]
#[expect(deprecated, reason = "an alias of a value may be deprecated")]
fn enums_are_open_and_have_names() {
    assert_eq!(Colour::VALUES, [Colour::RED, Colour::GREEN, Colour::BLUE]);
    assert_eq!(Colour::BLUE.0, 6);
    assert_eq!((Colour::BLUE.to_string(), Colour(99).to_string()), ("Blue".into(), "99".into()));
    assert_eq!(format!("{:>6}", Colour::RED), "   RED");
    assert_eq!(("Blue".parse(), "99".parse()), (Ok(Colour::BLUE), Ok(Colour(99))));
    assert_eq!("ALSO_GREEN".parse(), Ok(Colour::GREEN));
    assert_eq!(format!("{:?} {:?}", Colour::ALSO_GREEN, Colour(7)), "Colour::GREEN Colour(7)");
    let unknown = "Pink".parse::<Colour>().unwrap_err();
    assert_eq!(unknown.to_string(), "`Pink` is neither a value of enum `Colour` nor a number");
    assert_eq!((Colour::from(5), i32::from(Colour::GREEN)), (Colour::GREEN, 5));
    assert_eq!(Colour::default(), Colour::RED);
    survives(&Colour(-7));
}

#[test]
fn unions_hold_one_field_and_keep_the_id_of_an_unknown_one() {
    for shape in [
        Shape::Circle(1.0),
        Shape::Point(Point::default()),
        Shape::Many(vec![Shape::Name("a".into()), Shape::Unknown(0)]),
        Shape::Unknown(0),
    ] {
        survives(&shape);
    }
    // Field 9, a bool.
    let newer: Shape = decode(&[2, 0, 9, 1, 0]).unwrap();
    assert_eq!(newer, Shape::Unknown(9));
    let error = newer.write(&mut BinaryWriter::new(&mut Vec::new(), Limits::DEFAULT)).unwrap_err();
    assert_eq!(*error.kind(), EncodeErrorKind::UnknownUnionField { union: "Shape", id: 9 });
    let two = decode::<Either>(&[2, 0, 2, 1, 2, 0, 2, 1, 0]).unwrap_err();
    assert_eq!(*two.kind(), DecodeErrorKind::SecondUnionField { union: "Either", id: 2 });
    survives(&Either::Nested(Box::new(Either::Leaf(true))));
}

#[test]
fn error_of_a_missing_required_field_names_the_field_and_the_struct() {
    let error = decode::<Strict>(&[0]).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::MissingField { structure: "Strict", field: "must" });
    survives(&Strict { implicit: 4, must: "here".into(), shape: Shape::Circle(0.5) });
    // The id that Apache assigns to a field without one.
    let bytes = encode(&Strict { implicit: 4, ..Strict::default() });
    assert_eq!(bytes[..7], [8, 0xFF, 0xFF, 0, 0, 0, 4]);
}

#[test]
fn field_of_another_wire_type_is_skipped_like_an_unknown_one() {
    // y as a string, then field 77, then x.
    let bytes = [&[11, 0, 2, 0, 0, 0, 1, b'?'][..], &[6, 0, 77, 0, 1], &[8, 0, 1, 0, 0, 0, 3, 0]].concat();
    assert_eq!(decode::<Point>(&bytes).unwrap(), Point { x: 3, y: 0, label: None });
}

#[test]
fn decode_error_has_its_path() {
    let tree =
        Tree { children: vec![Tree::default(), Tree { value: 1, ..Tree::default() }], ..Tree::default() };
    let bytes = encode(&tree);
    // Truncated within the list of the second child.
    let error = decode::<Tree>(&bytes[..bytes.len() - 6]).unwrap_err();
    assert_eq!(error.to_string(), "children[1].children: unexpected end of input");
}

#[test]
fn recursive_types_are_finite() {
    let leaf = Tree { value: 2, ..Tree::default() };
    let branch = Branch { tree: Box::new(leaf.clone()), next: None };
    survives(&Tree {
        value: 1,
        left: Some(Box::new(leaf.clone())),
        right: None,
        children: vec![leaf],
        branch: Some(Box::new(branch)),
    });
}

#[test]
fn doubles_and_containers_can_be_keys() {
    let key = Key {
        weight: OrderedFloat(f64::NAN),
        weights: vec![OrderedFloat(-0.0)],
        colour: Colour::RED,
        shape: Some(KeyShape::Circle(OrderedFloat(1.0))),
    };
    survives(&Keys {
        degrees: BTreeSet::from([OrderedFloat(1.0), OrderedFloat(f64::INFINITY)]),
        paths: BTreeMap::from([(vec![OrderedFloat(0.5)], "half".into())]),
        by_key: BTreeMap::from([(key, 1)]),
        nested: BTreeSet::from([BTreeSet::from([1]), BTreeSet::new()]),
        deep: BTreeMap::from([(
            BTreeMap::from([("a".into(), OrderedFloat(2.0))]),
            BTreeMap::from([(Uuid::nil(), Bytes::from_static(&[1, 2]))]),
        )]),
    });
}

#[test]
fn exceptions_display_their_message() {
    let speaks = Speaks { message: "no more".into(), code: 3 };
    assert_eq!(speaks.to_string(), "Speaks: no more");
    assert_eq!(Silent { code: Some(1) }.to_string(), "Silent { code: Some(1) }");
    assert_eq!(Chosen { why: Some("so".into()) }.to_string(), "Chosen: so");
    assert_eq!(Chosen { why: None }.to_string(), "Chosen");
    let error: Box<dyn std::error::Error> = speaks.into();
    assert!(error.source().is_none());
}

/// Returns its arguments.
struct Handler;

impl shared::SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<shared::SharedStruct, Error> {
        Ok(shared::SharedStruct { key, value: String::new() })
    }
}

impl all::Type for Handler {
    async fn echo(
        &self,
        _cx: &Context,
        self_: String,
        cx: Self_,
        request: i32,
        _handler: i32,
        arguments: Vec<all::Option>,
    ) -> Result<String, Error> {
        Ok(format!("{self_} {} {request} {}", cx.foo_bar, arguments.len()))
    }

    async fn close(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn new(&self, _cx: &Context, count: Count) -> Result<i32, TypeNewError> {
        match count {
            1 => Err(all::Error { debug: "first".into() }.into()),
            2 => Err(TypeNewError::Again(Speaks { message: "again".into(), code: 2 })),
            _ => Ok(count),
        }
    }

    async fn rpc(&self, _cx: &Context) -> Result<(), TypeRpcError> {
        Err(all::Rpc { why: "declared".into() }.into())
    }

    async fn self_(&self, _cx: &Context) -> Result<Self_, Error> {
        Ok(Self_::default())
    }

    async fn r#await(&self, _cx: &Context, _data: Bytes) -> Result<(), Error> {
        Ok(())
    }

    async fn shape(&self, _cx: &Context, shape: Shape) -> Result<Shape, TypeShapeError> {
        Ok(shape)
    }

    async fn defaults(&self, _cx: &Context) -> Result<Defaults, Error> {
        Ok(Defaults::default())
    }

    async fn keys(&self, _cx: &Context, keys: Keys) -> Result<Keys, Error> {
        Ok(keys)
    }

    async fn many(
        &self,
        _cx: &Context,
        a: String,
        b: String,
        c: Bytes,
        d: i32,
        h: all::H,
        f: Vec<String>,
        g: String,
        request: String,
        handler: String,
        j: String,
        k: String,
        l: String,
        m: String,
        n: Shape,
    ) -> Result<Vec<String>, Error> {
        let numbers = vec![format!("{c:?} {d} {} {n:?}", h.h)];
        Ok([vec![a, b], numbers, f, vec![g, request, handler, j, k, l, m]].concat())
    }

    async fn tree(&self, _cx: &Context, tree: Tree) -> Result<Tree, Error> {
        Ok(tree)
    }
}

impl all::Quiet for Handler {}
impl all::Child for Handler {}

#[tokio::test]
async fn services_work_with_hostile_names_and_inherited_functions() {
    let client = ChildClient::in_process(Handler);
    let hostile = Self_ { foo_bar: 12, ..Self_::default() };
    let vec = all::Vec { r#box: None };
    let option = all::Option { vec };
    assert_eq!(client.echo("a", &hostile, 3, 4, &[option]).await.unwrap(), "a 12 3 1");
    assert_eq!(client.get_struct(5).await.unwrap().key, 5);
    client.close_().await.unwrap();
    client.r#await(&Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(client.new_(7).await, Ok(7));
    assert_eq!(client.new_(1).await, Err(TypeNewError::Error(all::Error { debug: "first".into() })));
    let again = Speaks { message: "again".into(), code: 2 };
    assert_eq!(client.new_(2).await, Err(TypeNewError::Again(again)));
    assert_eq!(client.rpc().await, Err(TypeRpcError::Rpc_(all::Rpc { why: "declared".into() })));
    assert_eq!(client.self_().await.unwrap(), Self_::default());
    assert_eq!(client.shape(&Shape::Circle(1.5)).await, Ok(Shape::Circle(1.5)));
    assert_eq!(client.defaults().await.unwrap(), Defaults::default());
}

/// Implements `Shadow` with functions that return their argument.
macro_rules! shadow {
    ($($function:ident)*) => {
        impl all::Shadow for Handler {
            $(
                async fn $function(&self, _cx: &Context, value: i32) -> Result<i32, Error> {
                    Ok(value)
                }
            )*
        }
    };
}

shadow! {
    clone clone_from fmt into try_into from drop as_ref borrow deref eq ne cmp
    hash default to_string to_owned type_id downgrade as_ptr poll into_future name call dispatch oneway_
}

#[tokio::test]
async fn functions_may_have_the_names_of_methods_of_arc_and_of_traits() {
    let server = ShadowServer::new(Arc::new(Handler));
    let client = ShadowClient::new(thrift_nats_runtime::Client::in_process(server.clone()));
    // The client's own methods are not hidden.
    let other: ShadowClient = client.clone();
    assert_eq!(other.clone_(1).await, Ok(1));
    assert_eq!(client.as_ref_(2).await, Ok(2));
    assert_eq!(client.as_ref().calls_in_flight(), 0);
    assert_eq!(client.into_(3).await, Ok(3));
    assert_eq!(client.to_string(4).await, Ok(4));
    assert_eq!(client.dispatch(5).await, Ok(5));
    assert_eq!(client.call(6).await, Ok(6));
}

#[tokio::test]
async fn a_function_may_have_more_arguments_than_a_tuple() {
    let client = TypeClient::in_process(Handler);
    let (c, h, f, n) = (Bytes::from_static(b"c"), all::H { h: 5 }, ["f".to_owned()], Shape::Circle(1.0));
    let all = client.many("a", "b", &c, 4, &h, &f, "g", "r", "h", "j", "k", "l", "m", &n).await.unwrap();
    assert_eq!(all, ["a", "b", "b\"c\" 4 5 Circle(1.0)", "f", "g", "r", "h", "j", "k", "l", "m"]);
}

#[tokio::test]
async fn a_handler_in_an_arc_serves_a_service_and_the_one_that_it_extends() {
    let handler = Arc::new(Handler);
    let server = TypeServer::new(Arc::clone(&handler));
    let client = TypeClient::new(thrift_nats_runtime::Client::in_process(server));
    assert_eq!(client.get_struct(5).await.unwrap().key, 5);
    assert_eq!(client.new_(7).await, Ok(7));
    assert_eq!(ChildClient::in_process(handler).shape(&Shape::Circle(1.5)).await, Ok(Shape::Circle(1.5)));
}

#[tokio::test]
async fn a_handler_may_return_an_application_exception_with_a_question_mark() {
    fn fails() -> Result<(), TypeRpcError> {
        Err(ApplicationException::new(ApplicationExceptionKind::INTERNAL_ERROR, "no disk"))?
    }
    let exception = ApplicationException::new(ApplicationExceptionKind::INTERNAL_ERROR, "no disk");
    assert_eq!(fails(), Err(TypeRpcError::Rpc(exception.into())));
}

#[tokio::test]
async fn missing_function_is_unknown() {
    let client = thrift_nats_runtime::Client::in_process(QuietServer::new(Handler));
    let call = TypeClient::new(client).shape(&Shape::Circle(1.0));
    match call.await {
        Err(TypeShapeError::Rpc(Error::Application(exception))) => {
            assert_eq!(exception.kind, ApplicationExceptionKind::UNKNOWN_METHOD);
        }
        other => panic!("{other:?}"),
    }
}
