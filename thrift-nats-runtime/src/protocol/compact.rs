//! The compact protocol (TCompactProtocol): varints, and headers of one byte.
//!
//! If implementations differ, every form is read, and the form of C++ and Go is written: a field delta of 15 in the
//! short form, and 1 as the element type of `bool`.

mod reader;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use self::reader::CompactReader;
pub(super) use self::reader::peek_seqid;
pub(crate) use self::wire::{PROTOCOL_ID, VERSION, read_varint, type_of};
pub use self::writer::CompactWriter;
