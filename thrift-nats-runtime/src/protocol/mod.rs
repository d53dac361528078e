//! Thrift values as bytes in memory.
//!
//! This module owns the encoding of values and messages in the binary, compact and JSON protocols. It never performs I/O,
//! and does not depend on transports, sessions or NATS.
//!
//! [`to_bytes`] and [`from_bytes`] encode and decode one value. The rest is the contract between generated types and
//! protocols:
//!
//! - A type with a wire format implements [`Value`]: generated types do, and so do the base types and containers.
//! - Each protocol is a writer that implements [`OutputProtocol`] and a reader that implements [`InputProtocol`]. Both are
//!   type parameters, so the calls for each field are static.
//! - A value calls `struct_begin`, then `field_begin`, the value and `field_end` for each field, then `struct_end`; and
//!   likewise for lists, sets and maps. A message is `message_begin`, one struct, `message_end`.
//! - A reader checks every length against [`Limits`] and against the bytes that are left before it allocates. Nesting is
//!   bounded by [`Limits::depth`], so no input can exhaust the stack. No input panics.
//! - An error carries the path to the value that failed, such as `Order.items[3].name`.

mod binary;
pub(crate) mod compact;
mod convert;
mod cursor;
mod dispatch;
mod error;
mod json;
mod limits;
mod message;
mod shared_slices;
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
mod wire_headers;

pub(crate) use self::binary::fixed_size;
pub use self::binary::{BinaryReader, BinaryWriter};
pub use self::compact::{CompactReader, CompactWriter};
pub use self::convert::{from_bytes, from_bytes_with_limits, to_bytes, to_bytes_with_limits};
pub(crate) use self::dispatch::{peek_seqid, with_reader, with_writer};
pub use self::error::{
    DecodeError, DecodeErrorKind, DecodeResult, EncodeError, EncodeErrorKind, EncodeResult, PathSegment,
};
pub use self::json::{JsonReader, JsonWriter};
pub use self::limits::Limits;
pub use self::message::{MessageHeader, MessageType};
pub(crate) use self::shared_slices::{MIN_SHARED, SharedSlices};
pub use self::shared_text::SharedText;
pub use self::traits::{Field, InputProtocol, OutputProtocol, Value};
pub use self::ttype::TType;
pub use self::unknown::UnknownFields;
pub(crate) use self::value::write_list;
pub use self::wire_headers::{FieldHeader, ListHeader, MapHeader};
