//! The binary protocol (TBinaryProtocol): big-endian numbers, and a length before every string and container.
//!
//! Messages are written in the strict form, which starts with a version. They are read in the strict form and in the old,
//! non-strict form, which starts with the length of the name. The sign bit of the first byte tells them apart.

mod reader;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use self::reader::BinaryReader;
pub(super) use self::reader::peek_seqid;
pub(crate) use self::wire::fixed_size;
pub use self::writer::BinaryWriter;
