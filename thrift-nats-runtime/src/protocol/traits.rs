//! The traits that values and protocols implement. They name each other, and therefore share a file.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::error::{DecodeError, DecodeResult, EncodeError};
use super::headers::{FieldHeader, ListHeader, MapHeader};
use super::message::MessageHeader;
use super::shared_text::SharedText;
use super::ttype::TType;

/// A type that has a form in Thrift. Generated types implement it.
pub trait Value: Sized {
    /// The type it has on the wire.
    const TTYPE: TType;

    /// Writes it.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    /// Reads it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError>;

    /// Writes it as the field `id` of a struct.
    ///
    /// # Errors
    /// See [`EncodeError`].
    #[inline]
    fn write_field<O: OutputProtocol>(&self, output: &mut O, id: i16) -> Result<(), EncodeError> {
        output.field_begin(Self::TTYPE, id);
        self.write(output).map_err(|error| error.in_id(id))?;
        output.field_end();
        Ok(())
    }
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
    fn shared_string(&mut self, inline: usize) -> Result<SharedText<'_>, DecodeError> {
        let _ = inline;
        self.string().map(|text| SharedText::Unchecked(Bytes::copy_from_slice(text.as_bytes())))
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

/// A field of a struct, whose value is to be read or skipped.
#[derive(Debug)]
#[must_use = "the value has to be read or skipped"]
pub struct Field<'a, I> {
    /// The id of the field.
    pub id: i16,
    pub(super) ttype: TType,
    pub(super) input: &'a mut I,
}

impl<'a, I: InputProtocol> Field<'a, I> {
    pub(super) const fn new(header: FieldHeader, input: &'a mut I) -> Self {
        Self { id: header.id, ttype: header.ttype, input }
    }

    /// Reads the value of the field `name`. One of another type than `T` is skipped, as an unknown field is.
    ///
    /// # Errors
    /// See [`DecodeError`]; the name is in its path.
    #[inline]
    pub fn read<T: Value>(self, name: &'static str, into: &mut T) -> DecodeResult<()> {
        if self.ttype != T::TTYPE {
            return self.skip();
        }
        *into = T::read(self.input).map_err(|error| error.in_field(name))?;
        Ok(())
    }

    /// As [`read`](Self::read), for an optional field.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_optional<T: Value>(self, name: &'static str, into: &mut Option<T>) -> DecodeResult<()> {
        if self.ttype != T::TTYPE {
            return self.skip();
        }
        *into = Some(T::read(self.input).map_err(|error| error.in_field(name))?);
        Ok(())
    }

    /// As [`read`](Self::read), for a required field; `seen` says that it was there.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_required<T: Value>(
        self,
        name: &'static str,
        into: &mut T,
        seen: &mut bool,
    ) -> DecodeResult<()> {
        *seen |= self.ttype == T::TTYPE;
        self.read(name, into)
    }

    /// As [`read`](Self::read), for the field of a union, which `make` makes one of.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_variant<T: Value, U>(
        self,
        name: &'static str,
        make: impl FnOnce(T) -> U,
        unknown: impl FnOnce(i16) -> U,
    ) -> DecodeResult<U> {
        if self.ttype != T::TTYPE {
            return self.skip_variant(unknown);
        }
        T::read(self.input).map(make).map_err(|error| error.in_field(name))
    }

    /// Skips the field of a union that it does not know.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn skip_variant<U>(self, unknown: impl FnOnce(i16) -> U) -> DecodeResult<U> {
        let id = self.id;
        self.skip().map(|()| unknown(id))
    }

    /// Reads the value, and drops it.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn skip(self) -> DecodeResult<()> {
        self.input.skip(self.ttype)
    }
}

/// Reads a value and drops it, piece by piece.
pub(super) fn skip_value(input: &mut impl InputProtocol, ttype: TType) -> Result<(), DecodeError> {
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
