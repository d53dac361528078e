//! The binary protocol (TBinaryProtocol): big-endian, every length in front.
//!
//! Messages are written in the strict form (a version in front) and read in the strict and the old, non-strict form,
//! which differ in the sign bit of the first byte.

mod reader;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use self::reader::BinaryReader;
pub(super) use self::reader::peek_seqid;
pub(crate) use self::wire::fixed_size;
pub use self::writer::BinaryWriter;
