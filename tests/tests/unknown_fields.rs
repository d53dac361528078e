//! The option `keep_unknown_fields` of the generator: an older service passes on the fields that a newer peer has added.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use thrift_nats_runtime::Protocol;
use thrift_nats_runtime::Uuid;
use thrift_nats_runtime::protocol::{TType, Value, from_bytes, to_bytes};

#[deny(warnings, missing_docs, clippy::pedantic)]
mod keeping {
    #[thrift_nats_runtime::thrift(
        "tests/unknown_fields/older.thrift",
        keep_unknown_fields = true,
        serde = true
    )]
    pub(crate) mod api {}
}

/// Types of all kinds, including map keys, compile with the option.
#[deny(warnings, missing_docs, clippy::pedantic)]
mod all {
    #[expect(deprecated, reason = "the file has its warnings on purpose")]
    #[thrift_nats_runtime::thrift("../idl/types.thrift", keep_unknown_fields = true, containers = "hash")]
    pub(crate) mod api {}
}

mod skipping {
    #[thrift_nats_runtime::thrift("tests/unknown_fields/older.thrift")]
    pub(crate) mod api {}
}

#[thrift_nats_runtime::thrift("tests/unknown_fields/newer.thrift")]
mod peer {}

use keeping::api::older;
use peer::newer;

const PROTOCOLS: [Protocol; 3] = [Protocol::Binary, Protocol::Compact, Protocol::Json];

/// Decodes a value as a `T` and encodes it again, in these protocols.
fn through<T: Value, V: Value>(value: &V, from: Protocol, to: Protocol) -> V {
    let older: T = from_bytes(from, to_bytes(from, value).unwrap()).unwrap();
    from_bytes(to, to_bytes(to, &older).unwrap()).unwrap()
}

fn order() -> newer::Order {
    newer::Order {
        id: 7,
        note: vec!["of".to_owned(), "another type".to_owned()],
        items: vec![newer::Item {
            name: "pen".to_owned(),
            prices: Some([("EUR".to_owned(), vec![1.5, -0.25])].into()),
        }],
        count: Some("many".to_owned()),
        state: Some(newer::State::OPEN),
        payment: newer::Payment::Goods(newer::Item { name: "ink".to_owned(), prices: None }),
        unknown_fields: Some("a name like another".to_owned()),
        replaces: Some(Box::new(newer::Order { id: 6, ..newer::Order::default() })),
    }
}

#[test]
fn fields_of_a_newer_peer_survive_an_older_type_in_any_protocol() {
    for from in PROTOCOLS {
        for to in PROTOCOLS {
            assert_eq!(through::<older::Order, _>(&order(), from, to), order(), "{from} to {to}");
            let refused =
                newer::Refused { message: "no".to_owned(), trace: Some(Uuid::max()), again: Some(true) };
            assert_eq!(through::<older::Refused, _>(&refused, from, to), refused, "{from} to {to}");
            let empty = newer::Empty { some: Some([-1, 2].into()) };
            assert_eq!(through::<older::Empty, _>(&empty, from, to), empty, "{from} to {to}");
        }
    }
}

#[test]
fn without_the_option_unknown_fields_are_lost() {
    use skipping::api::older;
    let bytes = to_bytes(Protocol::Binary, &order()).unwrap();
    let read: older::Order = from_bytes(Protocol::Binary, bytes).unwrap();
    assert_eq!(read.payment, older::Payment::Unknown(2));
    let error = to_bytes(Protocol::Binary, &read).unwrap_err();
    assert!(error.to_string().contains("unknown field 2"), "{error}");
    let newer::Empty { some } = through::<older::Empty, _>(
        &newer::Empty { some: Some([1].into()) },
        Protocol::Binary,
        Protocol::Binary,
    );
    assert_eq!(some, None);
}

#[test]
fn known_fields_can_change_while_unknown_fields_are_kept() {
    let bytes = to_bytes(Protocol::Compact, &order()).unwrap();
    let mut read: older::Order = from_bytes(Protocol::Compact, bytes).unwrap();
    assert_eq!((read.note.as_str(), read.count), ("none", None), "of another type: ignored");
    let kept = [(2, TType::List), (4, TType::String), (5, TType::I32), (20, TType::Struct)];
    assert_eq!(read.unknown_fields.ids(), kept);
    assert_eq!(read.unknown_fields_.as_deref(), Some("a name like another"), "the IDL's field is renamed");
    read.id = 8;
    read.items.push(older::Item { name: "ink".to_owned(), ..older::Item::default() });
    let back: newer::Order =
        from_bytes(Protocol::Binary, to_bytes(Protocol::Binary, &read).unwrap()).unwrap();
    assert_eq!((back.id, back.items.len(), back.state), (8, 2, Some(newer::State::OPEN)));
    assert_eq!(older::PEN.name, "pen");
    read.unknown_fields.clear();
    assert!(read.unknown_fields.is_empty());
}
