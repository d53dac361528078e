#![allow(warnings)]
use std::hint::black_box;
use bytes::Bytes;
use thrift_nats_runtime::protocol::*;
pub(crate) mod contestants {
    pub(crate) mod owned { include!(concat!(env!("OUT_DIR"), "/owned.rs")); pub(crate) use self::codec::*; }
    pub(crate) mod shared { include!(concat!(env!("OUT_DIR"), "/shared.rs")); pub(crate) use self::codec::*; }
    pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;
}
#[path = "../codec/messages.rs"] mod messages;
use contestants::*;
fn run<T: Value>(bytes: &Bytes, protocol: &str, way: &str, n: u32) {
    macro_rules! go { ($r:ident, $w:ident) => {{
        let value = T::read(&mut $r::new(bytes, Limits::DEFAULT)).unwrap();
        let mut buffer = Vec::new();
        value.write(&mut $w::new(&mut buffer, Limits::DEFAULT)).unwrap();
        let start = std::time::Instant::now();
        let mut best = f64::MAX;
        for _ in 0..20 {
            let start = std::time::Instant::now();
            for _ in 0..n {
                match way { "decode" => { black_box(T::read(&mut $r::new(black_box(bytes), Limits::DEFAULT)).unwrap()); }
                  _ => { buffer.clear(); value.write(&mut $w::new(&mut buffer, Limits::DEFAULT)).unwrap(); black_box(&buffer); } }
            }
            best = best.min(start.elapsed().as_secs_f64() / f64::from(n));
        }
        println!("{:.0} ns", best * 1e9);
    }}}
    match protocol { "binary" => go!(BinaryReader, BinaryWriter), "compact" => go!(CompactReader, CompactWriter), _ => go!(JsonReader, JsonWriter) }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (msg, kind, protocol, way, n) = (&a[1][..], &a[2][..], &a[3][..], &a[4][..], a[5].parse().unwrap());
    let p: Protocol = protocol.parse().unwrap();
    macro_rules! pick { ($t:ident, $f:ident) => {{
        let bytes = to_bytes(p, &messages::$f()).unwrap();
        if kind == "owned" { run::<owned::$t>(&bytes, protocol, way, n) } else { run::<shared::$t>(&bytes, protocol, way, n) }
    }}}
    match msg { "order" => pick!(Order, order), "small" => pick!(Small, small), "nested" => pick!(Nested, nested), _ => pick!(Text, text) }
}
