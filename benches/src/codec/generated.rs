//! The types that each generator makes of `idl/codec.thrift`.

/// Generated with the default options: owned strings and B-trees.
pub(crate) mod owned {
    include!(concat!(env!("OUT_DIR"), "/owned.rs"));
    pub(crate) use self::codec::*;
}

/// Generated with shared strings and hash containers.
pub(crate) mod shared {
    include!(concat!(env!("OUT_DIR"), "/shared.rs"));
    pub(crate) use self::codec::*;
}

#[expect(
    unsafe_code,
    reason = "it is generated, and its lists are read by unsafe code whatever the protocol"
)]
pub(crate) mod theirs {
    include!(concat!(env!("OUT_DIR"), "/pilota.rs"));
    pub(crate) use self::pilota::codec::*;
}

#[cfg(apache)]
#[expect(unused, unreachable_pub, clippy::all, reason = "it is generated")]
pub(crate) mod apache {
    include!(concat!(env!("OUT_DIR"), "/apache.rs"));
}

/// Placeholder types for a build without Apache's generator.
#[cfg(not(apache))]
pub(crate) mod apache {
    pub(crate) use super::Nothing as Small;
    pub(crate) use super::Nothing as Nested;
    pub(crate) use super::Nothing as Text;
    pub(crate) use super::Nothing as Blob;
    pub(crate) use super::Nothing as Order;
}

#[cfg(not(apache))]
pub(crate) enum Nothing {}

#[cfg(not(apache))]
impl thrift::protocol::TSerializable for Nothing {
    fn read_from_in_protocol(_: &mut dyn thrift::protocol::TInputProtocol) -> thrift::Result<Self> {
        unreachable!("it is left out")
    }

    fn write_to_out_protocol(&self, _: &mut dyn thrift::protocol::TOutputProtocol) -> thrift::Result<()> {
        match *self {}
    }
}

/// Hash maps with pilota's hasher, for our types.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;

/// Whether Apache's codec is measured: its generator is a program that may be missing.
pub(crate) const APACHE: bool = cfg!(apache);
