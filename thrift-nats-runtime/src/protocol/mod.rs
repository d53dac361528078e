//! Reading and writing Thrift values, over memory.
//!
//! A protocol is a pair of types, one that implements [`InputProtocol`] and one that implements [`OutputProtocol`]; a
//! value is a type that implements [`Value`]. Generated structs implement it; so do the base types and containers.
//! Everything is monomorphised: there is no dynamic dispatch per field.
//!
//! Owns the bytes of single values and messages. Never knows about sessions, sockets or NATS.

mod binary;
pub(crate) mod compact;
mod convert;
mod cursor;
mod dispatch;
mod error;
mod headers;
mod json;
mod limits;
mod message;
mod shared_text;
#[cfg(test)]
mod tests;
mod traits;
#[cfg(test)]
pub(crate) mod tree;
mod ttype;
mod unknown;
mod utf8;
mod value;

pub(crate) use self::binary::fixed_size;
pub use self::binary::{BinaryReader, BinaryWriter};
pub use self::compact::{CompactReader, CompactWriter};
pub use self::convert::{from_bytes, from_bytes_with_limits, to_bytes, to_bytes_with_limits};
pub(crate) use self::dispatch::{peek_seqid, with_reader, with_writer};
pub use self::error::{
    DecodeError, DecodeErrorKind, DecodeResult, EncodeError, EncodeErrorKind, EncodeResult, PathSegment,
};
pub use self::headers::{FieldHeader, ListHeader, MapHeader};
pub use self::json::{JsonReader, JsonWriter};
pub use self::limits::Limits;
pub use self::message::{MessageHeader, MessageType};
pub use self::shared_text::SharedText;
pub use self::traits::{Field, InputProtocol, OutputProtocol, Value};
pub use self::ttype::TType;
pub use self::unknown::UnknownFields;
