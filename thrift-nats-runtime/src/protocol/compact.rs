//! The compact protocol (TCompactProtocol): numbers of variable length, small headers.
//!
//! What implementations differ in is read in every form, and written as C++ and Go write it: a field delta of 15 in the
//! short form, and `bool` as the element type 1.

mod reader;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use self::reader::CompactReader;
pub(super) use self::reader::peek_seqid;
pub(crate) use self::wire::{PROTOCOL_ID, VERSION, read_varint, type_of};
pub use self::writer::CompactWriter;
