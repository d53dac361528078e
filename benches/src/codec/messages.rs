//! The messages, as values of our types. The others decode them from our bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::generated::owned::{Blob, Item, Nested, Order, Small, Text, Xtruct, Xtruct2};

pub(crate) fn small() -> Small {
    Small { id: 42, stamp: 1_700_000_000_000, on: true, value: 21.5, name: "sensor-17".into() }
}

fn xtruct(n: i32) -> Xtruct {
    Xtruct { string_thing: format!("Goodbye{n}"), byte_thing: 4, i32_thing: n, i64_thing: i64::from(n) << 33 }
}

fn xtruct2(n: i32) -> Xtruct2 {
    Xtruct2 { byte_thing: 1, struct_thing: xtruct(n), i32_thing: 5 }
}

pub(crate) fn nested() -> Nested {
    Nested {
        user_map: (0..8).map(|n| (n, i64::from(n) * 1000)).collect(),
        xtructs: (0..5).map(xtruct).collect(),
        inner: xtruct2(7),
        by_user: (0..4).map(|n| (i64::from(n), xtruct2(n))).collect(),
    }
}

pub(crate) fn text() -> Text {
    let paragraph = |n| {
        format!("Paragraph {n}: the quick brown fox jumps over the lazy dog, and the größte Hund looks on. ")
            .repeat(3)
    };
    Text {
        title: "On foxes, dogs, and what one does to the other".into(),
        paragraphs: (0..12).map(paragraph).collect(),
        headers: (0..8)
            .map(|n| (format!("x-header-{n}"), format!("the value of header {n}, some thirty letters")))
            .collect(),
        note: Some("short".into()),
    }
}

pub(crate) fn blob() -> Blob {
    let data: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Blob { name: "block-0001".into(), data: Bytes::from(data) }
}

fn item(n: i32) -> Item {
    Item {
        sku: format!("SKU-{n:06}"),
        name: format!("Item number {n} of the order"),
        quantity: n % 5 + 1,
        price: 9.99 + f64::from(n),
        tags: vec!["new".into(), format!("shelf-{n}"), "fragile".into()],
        attributes: BTreeMap::from([
            ("colour".into(), "dark green".into()),
            ("size".into(), format!("{n} cm")),
            ("origin".into(), "Bremen".into()),
        ]),
        note: (n % 2 == 0).then(|| "leave it at the door".into()),
        stock: vec![i64::from(n), 100, 7],
    }
}

pub(crate) fn order() -> Order {
    Order {
        id: 9_007_199_254_740_993,
        customer: "Ada Lovelace".into(),
        items: (0..20).map(item).collect(),
        totals: BTreeMap::from([("net".into(), 389.8), ("tax".into(), 74.06), ("gross".into(), 463.86)]),
        paid: true,
        comment: None,
    }
}
