//! Reading and writing Thrift values, over memory.
//!
//! A protocol is a pair of types, one that implements [`InputProtocol`] and one that implements [`OutputProtocol`]; a
//! value is a type that implements [`Value`]. Generated structs implement it; so do the base types and containers.
//! Everything is monomorphised: there is no dynamic dispatch per field.
//!
//! Owns the bytes of single values and messages. Never knows about sessions, sockets or NATS.

mod alone;
mod binary;

pub(crate) mod compact;
mod cursor;
mod error;
mod field;
mod json;
mod limits;
mod message;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tree;
mod ttype;
mod unknown;
mod utf8;
mod value;

pub use self::alone::{from_bytes, from_bytes_within, to_bytes, to_bytes_within};
pub(crate) use self::binary::fixed_size;
pub use self::binary::{BinaryReader, BinaryWriter};
pub use self::compact::{CompactReader, CompactWriter};
pub use self::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, PathSegment};
pub use self::field::Field;
pub use self::json::{JsonReader, JsonWriter};
pub use self::limits::Limits;
pub use self::message::{MessageHeader, MessageType};
pub use self::ttype::TType;
pub use self::unknown::UnknownFields;
pub use self::value::Value;
pub use crate::format::Protocol;

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

/// What writing comes to.
pub type EncodeResult = Result<(), EncodeError>;

/// What reading comes to.
pub type DecodeResult<T> = Result<T, DecodeError>;

/// The sequence number of a whole message. Looks at nothing else: what is wrong with the name is for whoever waits for the
/// message to find.
pub(crate) fn peek_seqid(protocol: Protocol, message: &[u8]) -> Option<i32> {
    match protocol {
        Protocol::Binary => binary::peek_seqid(message),
        Protocol::Compact => compact::peek_seqid(message),
        Protocol::Json => json::peek_seqid(message),
    }
}

/// Takes `bytes` off what a reader may still take of memory.
#[inline]
fn take_memory(left: &mut usize, bytes: usize, limits: Limits) -> Result<(), DecodeError> {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => {
            let taken = limits.memory - *left;
            let len = taken.saturating_add(bytes) as u64;
            Err(DecodeErrorKind::TooLong { what: "memory", len, limit: limits.memory as u64 }.into())
        }
    }
}

/// Reads a value and drops it, piece by piece.
fn skip_value(input: &mut impl InputProtocol, ttype: TType) -> Result<(), DecodeError> {
    match ttype {
        TType::Bool => input.bool().map(drop),
        TType::I8 => input.i8().map(drop),
        TType::I16 => input.i16().map(drop),
        TType::I32 => input.i32().map(drop),
        TType::I64 => input.i64().map(drop),
        TType::Double => input.double().map(drop),
        TType::Uuid => input.uuid().map(drop),
        TType::String => input.skip_string(),
        TType::Struct => {
            input.struct_begin()?;
            while let Some(field) = input.field_begin()? {
                input.skip(field.ttype)?;
            }
            input.struct_end();
            Ok(())
        }
        TType::List => {
            let list = input.list_begin()?;
            input.skip_elements(list)?;
            input.list_end()
        }
        TType::Set => {
            let set = input.set_begin()?;
            input.skip_elements(set)?;
            input.set_end()
        }
        TType::Map => {
            let map = input.map_begin()?;
            for _ in 0..map.len {
                input.skip(map.key)?;
                input.skip(map.value)?;
            }
            input.map_end()
        }
    }
}

/// What stands before the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHeader {
    /// The type of the value on the wire, which need not be the declared one.
    pub ttype: TType,
    /// The id of the field.
    pub id: i16,
}

/// What stands before the elements of a list or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListHeader {
    /// The type of every element on the wire.
    pub element: TType,
    /// How many elements follow. Already checked: the rest of the message could hold as many.
    pub len: usize,
}

/// What stands before the entries of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapHeader {
    /// The type of every key on the wire.
    pub key: TType,
    /// The type of every value on the wire.
    pub value: TType,
    /// How many entries follow. Already checked: the rest of the message could hold as many.
    pub len: usize,
}

/// Does something with the writer of a protocol: the choice is made once, not for every value.
macro_rules! with_writer {
    ($protocol:expr, $buffer:expr, $limits:expr, |$writer:ident| $body:expr) => {
        match $protocol {
            $crate::protocol::Protocol::Binary => {
                let mut $writer = $crate::protocol::BinaryWriter::new($buffer, $limits);
                $body
            }
            $crate::protocol::Protocol::Compact => {
                let mut $writer = $crate::protocol::CompactWriter::new($buffer, $limits);
                $body
            }
            $crate::protocol::Protocol::Json => {
                let mut $writer = $crate::protocol::JsonWriter::new($buffer, $limits);
                $body
            }
        }
    };
}

/// Does something with the reader of a protocol: the choice is made once, not for every value.
macro_rules! with_reader {
    ($protocol:expr, $message:expr, $limits:expr, |$reader:ident| $body:expr) => {
        match $protocol {
            $crate::protocol::Protocol::Binary => {
                let mut $reader = $crate::protocol::BinaryReader::new($message, $limits);
                $body
            }
            $crate::protocol::Protocol::Compact => {
                let mut $reader = $crate::protocol::CompactReader::new($message, $limits);
                $body
            }
            $crate::protocol::Protocol::Json => {
                let mut $reader = $crate::protocol::JsonReader::new($message, $limits);
                $body
            }
        }
    };
}

pub(crate) use {with_reader, with_writer};

/// A `string`, for a type that shares the message's memory where that saves a copy.
#[derive(Debug)]
pub enum Text<'a> {
    /// UTF-8, checked.
    Checked(&'a str),
    /// Not checked yet: what is made of it checks it, and twice would be once too often.
    Unchecked(Bytes),
}

/// Reads values from a message in memory.
///
/// # Errors
/// Every method fails with a [`DecodeError`] where the bytes end too early, are no form of what is asked for, or break
/// one of the [`Limits`]. After an error the position is unspecified.
pub trait InputProtocol: Sized {
    /// Reads the header of a message.
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError>;

    /// Reads what ends a message; nothing may be left over.
    fn message_end(&mut self) -> Result<(), DecodeError>;

    /// Checks that nothing is left over, where a value stands alone.
    fn end(&mut self) -> Result<(), DecodeError>;

    /// Enters a struct, union or exception; counts towards the depth limit.
    fn struct_begin(&mut self) -> Result<(), DecodeError>;

    /// Leaves a struct, union or exception, after [`field_begin`](Self::field_begin) has returned `None`.
    fn struct_end(&mut self);

    /// Reads the header of the next field, or `None` at the end of the struct.
    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError>;

    /// Enters a list; counts towards the depth limit.
    fn list_begin(&mut self) -> Result<ListHeader, DecodeError>;

    /// Leaves a list.
    fn list_end(&mut self) -> Result<(), DecodeError>;

    /// Enters a set; counts towards the depth limit.
    fn set_begin(&mut self) -> Result<ListHeader, DecodeError>;

    /// Leaves a set.
    fn set_end(&mut self) -> Result<(), DecodeError>;

    /// Enters a map; counts towards the depth limit.
    fn map_begin(&mut self) -> Result<MapHeader, DecodeError>;

    /// Leaves a map.
    fn map_end(&mut self) -> Result<(), DecodeError>;

    /// Notes that so many bytes of memory are about to be taken for elements; fails where all that was noted is more than
    /// [`Limits::memory`]. A protocol that only trusted peers speak need not count.
    fn take_memory(&mut self, bytes: usize) -> Result<(), DecodeError> {
        let _ = bytes;
        Ok(())
    }

    /// Reads a `bool`.
    fn bool(&mut self) -> Result<bool, DecodeError>;

    /// Reads an `i8`.
    fn i8(&mut self) -> Result<i8, DecodeError>;

    /// Reads an `i16`.
    fn i16(&mut self) -> Result<i16, DecodeError>;

    /// Reads an `i32`.
    fn i32(&mut self) -> Result<i32, DecodeError>;

    /// Reads an `i64`.
    fn i64(&mut self) -> Result<i64, DecodeError>;

    /// Reads a `double`.
    fn double(&mut self) -> Result<f64, DecodeError>;

    /// Reads a `string`: UTF-8, checked.
    fn string(&mut self) -> Result<Cow<'_, str>, DecodeError>;

    /// Reads a `string` for a type that keeps up to `inline` bytes within itself, and shares what is longer.
    fn shared_string(&mut self, inline: usize) -> Result<Text<'_>, DecodeError> {
        let _ = inline;
        self.string().map(|text| Text::Unchecked(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Reads a `binary`, as a slice of the message where the protocol allows it.
    fn binary(&mut self) -> Result<Bytes, DecodeError>;

    /// Reads a `string` or `binary`, whichever it is: the bytes of the text, where the protocol writes them differently.
    fn string_or_binary(&mut self) -> Result<Bytes, DecodeError> {
        self.binary()
    }

    /// Reads a `uuid`.
    fn uuid(&mut self) -> Result<Uuid, DecodeError>;

    /// Reads a value of the wire type `ttype` and drops it.
    fn skip(&mut self, ttype: TType) -> Result<(), DecodeError> {
        skip_value(self, ttype)
    }

    /// Reads the elements of a list or set and drops them.
    fn skip_elements(&mut self, list: ListHeader) -> Result<(), DecodeError> {
        (0..list.len).try_for_each(|_| self.skip(list.element))
    }

    /// Reads a `string` or `binary`, whichever it is, and drops it.
    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.string_or_binary().map(drop)
    }

    /// Reads a struct, union or exception, field by field.
    #[inline]
    fn read_struct(
        &mut self,
        mut read: impl FnMut(Field<'_, Self>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.struct_begin()?;
        while let Some(header) = self.field_begin()? {
            read(Field::new(header, self))?;
        }
        self.struct_end();
        Ok(())
    }

    /// Reads the value of the field `name`, which goes into the path of an error.
    #[inline]
    fn read_field<T: Value>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        T::read(self).map_err(|error| error.in_field(name))
    }
}

/// Writes values to a buffer in memory.
///
/// # Errors
/// What can be written in any length fails with an [`EncodeError`] where it is longer or deeper than Thrift or the
/// [`Limits`] allow; numbers cannot fail.
pub trait OutputProtocol: Sized {
    /// Writes the header of a message.
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError>;

    /// Writes what ends a message.
    fn message_end(&mut self);

    /// Enters a struct, union or exception; counts towards the depth limit.
    fn struct_begin(&mut self) -> Result<(), EncodeError>;

    /// Writes what ends a struct, and leaves it.
    fn struct_end(&mut self);

    /// Writes the field `id` of a struct.
    #[inline]
    fn field<T: Value>(&mut self, id: i16, value: &T) -> Result<(), EncodeError> {
        value.write_field(self, id)
    }

    /// Writes the field `id` of a struct, if it is there.
    #[inline]
    fn optional_field<T: Value>(&mut self, id: i16, value: &Option<T>) -> Result<(), EncodeError> {
        match value {
            Some(value) => value.write_field(self, id),
            None => Ok(()),
        }
    }

    /// Writes the header of a field; its value must follow, then [`field_end`](Self::field_end).
    fn field_begin(&mut self, ttype: TType, id: i16);

    /// Writes what ends a field.
    fn field_end(&mut self);

    /// Writes the header of a list of `len` elements; counts towards the depth limit.
    fn list_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes what ends a list.
    fn list_end(&mut self);

    /// Writes the header of a set of `len` elements; counts towards the depth limit.
    fn set_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes what ends a set.
    fn set_end(&mut self);

    /// Writes the header of a map of `len` entries; counts towards the depth limit.
    fn map_begin(&mut self, key: TType, value: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes what ends a map.
    fn map_end(&mut self);

    /// Writes a `bool`.
    fn bool(&mut self, value: bool);

    /// Writes an `i8`.
    fn i8(&mut self, value: i8);

    /// Writes an `i16`.
    fn i16(&mut self, value: i16);

    /// Writes an `i32`.
    fn i32(&mut self, value: i32);

    /// Writes an `i64`.
    fn i64(&mut self, value: i64);

    /// Writes a `double`.
    fn double(&mut self, value: f64);

    /// Writes a `string`.
    fn string(&mut self, value: &str) -> Result<(), EncodeError>;

    /// Writes a `binary`.
    fn binary(&mut self, value: &[u8]) -> Result<(), EncodeError>;

    /// Writes a `string` or `binary`, whichever it is: as a text if it is one, where the protocol writes them differently.
    fn string_or_binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.binary(value)
    }

    /// Writes a `uuid`.
    fn uuid(&mut self, value: Uuid);
}
