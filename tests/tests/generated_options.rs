//! Generated types with other options than the defaults: that they compile under the strictest lints, and work.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::HashMap;

use bytes::Bytes;
use thrift_nats_runtime::FastStr;
use thrift_nats_runtime::protocol::{BinaryReader, BinaryWriter, DecodeErrorKind, Limits, Value};

#[deny(warnings, missing_docs, clippy::pedantic)]
mod api {
    #[expect(deprecated, reason = "the file has its warnings on purpose")]
    #[thrift_nats_runtime::thrift(
        "../idl/types.thrift",
        containers = "hash",
        strings = "shared",
        serde = true,
        type_attribute("types.Empty", "#[derive(Copy)]"),
        field_attribute("Point.label", "#[serde(alias = \"name\")]")
    )]
    pub mod generated {}
}

use api::generated::types::all::{Colour, Defaults, Empty, Keys, Point, Shape, Strict, TABLE, WORDS};

fn encode(value: &impl Value) -> Bytes {
    let mut bytes = Vec::new();
    value.write(&mut BinaryWriter::new(&mut bytes, Limits::DEFAULT)).unwrap();
    bytes.into()
}

#[test]
fn long_strings_are_slices_of_the_message() {
    let long = "a text that is too long to be copied ".repeat(200);
    let point = Point { x: 1, y: 2, label: Some(FastStr::new(&long)) };
    let message = encode(&point);
    let read = Point::read(&mut BinaryReader::new(&message, Limits::DEFAULT)).unwrap();
    assert_eq!(read, point);
    let label = read.label.unwrap();
    let inside = message.as_ptr_range();
    assert!(inside.contains(&label.as_ptr()), "no copy was made");
    // Invalid UTF-8 is an error.
    let mut broken = message.to_vec();
    let last = broken.len() - 2;
    broken[last] = 0xFF;
    let error = Point::read(&mut BinaryReader::new(&broken.into(), Limits::DEFAULT)).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::InvalidUtf8);
}

#[test]
fn containers_are_hash_containers() {
    let table: &HashMap<FastStr, Vec<i32>> = &TABLE;
    assert_eq!(table.len(), 2);
    assert_eq!(*WORDS, ["one", "two"]);
    let keys = Keys::default();
    assert_eq!(Keys::read(&mut BinaryReader::new(&encode(&keys), Limits::DEFAULT)).unwrap(), keys);
    let defaults = Defaults::default();
    assert_eq!(
        Defaults::read(&mut BinaryReader::new(&encode(&defaults), Limits::DEFAULT)).unwrap(),
        defaults
    );
}

#[test]
fn serde_uses_the_names_of_the_idl_and_fills_in_defaults() {
    let strict = Strict { implicit: 1, must: "be".into(), shape: Shape::Name("round".into()) };
    let text = serde_json::to_string(&strict).unwrap();
    assert_eq!(text, r#"{"implicit":1,"must":"be","shape":{"name":"round"}}"#);
    assert_eq!(serde_json::from_str::<Strict>(&text).unwrap(), strict);
    let point: Point = serde_json::from_str(r#"{"y": 7, "name": "by its alias"}"#).unwrap();
    assert_eq!(point, Point { x: 1, y: 7, label: Some("by its alias".into()) });
    assert_eq!(serde_json::to_string(&Colour::GREEN).unwrap(), "5");
    let defaults: Defaults = serde_json::from_str("{}").unwrap();
    assert_eq!(defaults, Defaults::default());
    let text = serde_json::to_string(&defaults).unwrap();
    assert_eq!(serde_json::from_str::<Defaults>(&text).unwrap(), defaults);
}

#[test]
fn attributes_are_on_the_items_that_the_option_names() {
    fn is_copy<T: Copy>(_: T) {}
    is_copy(Empty {});
}
