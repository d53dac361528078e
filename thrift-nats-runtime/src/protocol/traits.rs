//! The traits that values and protocols implement, and the field that readers hand to generated code.
//!
//! They are in one file because each of them names the others.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::error::{DecodeError, DecodeResult, EncodeError};
use super::message::MessageHeader;
use super::shared_text::SharedText;
use super::ttype::TType;
use super::wire_headers::{FieldHeader, ListHeader, MapHeader};

/// A type with a Thrift wire format. Generated types implement this trait.
pub trait Value: Sized {
    /// The wire type of every value of this type.
    const TTYPE: TType;

    /// Writes the value.
    ///
    /// # Errors
    /// See [`EncodeError`].
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError>;

    /// Reads a value.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError>;

    /// Writes the value as the field `id` of a struct.
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
/// Every method that returns a `Result` fails if the bytes end too early, are not a valid encoding of the requested value,
/// or exceed one of the [`Limits`](super::Limits). After an error the position of the reader is unspecified.
pub trait InputProtocol: Sized {
    /// Reads the header of a message.
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError>;

    /// Reads the end of a message. Fails if bytes are left.
    fn message_end(&mut self) -> Result<(), DecodeError>;

    /// Fails if bytes are left after a value that has no message around it.
    fn end(&mut self) -> Result<(), DecodeError>;

    /// Enters a struct, union or exception: one level of the depth limit.
    fn struct_begin(&mut self) -> Result<(), DecodeError>;

    /// Leaves a struct, union or exception. Called after [`field_begin`](Self::field_begin) has returned `None`.
    fn struct_end(&mut self);

    /// Reads the header of the next field. Returns `None` at the end of the struct.
    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError>;

    /// Enters a list: one level of the depth limit.
    fn list_begin(&mut self) -> Result<ListHeader, DecodeError>;

    /// Leaves a list.
    fn list_end(&mut self) -> Result<(), DecodeError>;

    /// Enters a set: one level of the depth limit.
    fn set_begin(&mut self) -> Result<ListHeader, DecodeError>;

    /// Leaves a set.
    fn set_end(&mut self) -> Result<(), DecodeError>;

    /// Enters a map: one level of the depth limit.
    fn map_begin(&mut self) -> Result<MapHeader, DecodeError>;

    /// Leaves a map.
    fn map_end(&mut self) -> Result<(), DecodeError>;

    /// Counts `bytes` of memory for elements that are about to be read. Fails if the sum exceeds
    /// [`Limits::memory`](super::Limits::memory).
    ///
    /// The default counts nothing, which is safe only for a protocol that reads trusted input.
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

    /// Reads a `string` and checks that it is UTF-8.
    fn string(&mut self) -> Result<Cow<'_, str>, DecodeError>;

    /// Reads a `string` for a type that can share the memory of the message. One of more than 4 KiB does.
    fn shared_string(&mut self) -> Result<SharedText<'_>, DecodeError> {
        self.string().map(|text| SharedText::Unchecked(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Reads a `binary`. If it has more than 4 KiB, and the protocol does not escape bytes, it is a slice of the message.
    fn binary(&mut self) -> Result<Bytes, DecodeError>;

    /// Reads a value of the wire type [`TType::String`], which is a `string` or a `binary`. A protocol that writes them
    /// differently returns the bytes of the text.
    fn string_or_binary(&mut self) -> Result<Bytes, DecodeError> {
        self.binary()
    }

    /// Reads a `uuid`.
    fn uuid(&mut self) -> Result<Uuid, DecodeError>;

    /// Skips a value of the wire type `ttype`.
    fn skip(&mut self, ttype: TType) -> Result<(), DecodeError> {
        skip_value(self, ttype)
    }

    /// Skips the elements of a list or set.
    fn skip_elements(&mut self, list: ListHeader) -> Result<(), DecodeError> {
        (0..list.len).try_for_each(|_| self.skip(list.element))
    }

    /// Skips a value of the wire type [`TType::String`].
    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.string_or_binary().map(drop)
    }

    /// Reads a struct, union or exception, and calls `read` for each field.
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

    /// Reads the value of a field. `name` is its step in the path of an error.
    #[inline]
    fn read_field<T: Value>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        T::read(self).map_err(|error| error.in_field(name))
    }
}

/// Writes values to a buffer in memory.
///
/// # Errors
/// The methods that return a `Result` fail if the value is longer or nested deeper than Thrift or the
/// [`Limits`](super::Limits) allow.
pub trait OutputProtocol: Sized {
    /// Writes the header of a message.
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError>;

    /// Writes the end of a message.
    fn message_end(&mut self);

    /// Enters a struct, union or exception: one level of the depth limit.
    fn struct_begin(&mut self) -> Result<(), EncodeError>;

    /// Writes the end of a struct and leaves it.
    fn struct_end(&mut self);

    /// Writes the field `id` of a struct.
    #[inline]
    fn field<T: Value>(&mut self, id: i16, value: &T) -> Result<(), EncodeError> {
        value.write_field(self, id)
    }

    /// Writes the field `id` of a struct, unless it is `None`.
    #[inline]
    fn optional_field<T: Value>(&mut self, id: i16, value: &Option<T>) -> Result<(), EncodeError> {
        match value {
            Some(value) => value.write_field(self, id),
            None => Ok(()),
        }
    }

    /// Writes the header of a field. The caller then writes the value and calls [`field_end`](Self::field_end).
    fn field_begin(&mut self, ttype: TType, id: i16);

    /// Writes the end of a field.
    fn field_end(&mut self);

    /// Writes the header of a list of `len` elements: one level of the depth limit.
    fn list_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes the end of a list.
    fn list_end(&mut self);

    /// Writes the header of a set of `len` elements: one level of the depth limit.
    fn set_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes the end of a set.
    fn set_end(&mut self);

    /// Writes the header of a map of `len` entries: one level of the depth limit.
    fn map_begin(&mut self, key: TType, value: TType, len: usize) -> Result<(), EncodeError>;

    /// Writes the end of a map.
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

    /// Writes a `binary` that shares its memory. A writer may keep a clone of a long one instead of copying it.
    #[inline]
    fn shared_binary(&mut self, value: &Bytes) -> Result<(), EncodeError> {
        self.binary(value)
    }

    /// Writes a value of the wire type [`TType::String`], which is a `string` or a `binary`. A protocol that writes them
    /// differently writes a string if the bytes are UTF-8, and a binary otherwise.
    fn string_or_binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.binary(value)
    }

    /// Writes a `uuid`.
    fn uuid(&mut self, value: Uuid);
}

/// A field of a struct whose header has been read. One of its methods must read or skip the value.
#[derive(Debug)]
#[must_use = "the value must be read or skipped"]
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

    /// Reads the value into `into`. A value of another wire type than that of `T` is skipped, like an unknown field.
    ///
    /// # Errors
    /// See [`DecodeError`]. `name` is added to its path.
    #[inline]
    pub fn read<T: Value>(self, name: &'static str, into: &mut T) -> DecodeResult<()> {
        if self.ttype != T::TTYPE {
            return self.skip();
        }
        *into = T::read(self.input).map_err(|error| error.in_field(name))?;
        Ok(())
    }

    /// Like [`read`](Self::read), for an optional field.
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

    /// Like [`read`](Self::read), for a required field. Sets `seen` if the value has the wire type of `T`.
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

    /// Reads the value of a union. `make` turns the value into the union. A value of another wire type than that of `T` is
    /// skipped, and `unknown` turns the id of the field into the union.
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

    /// Skips the value of an unknown field of a union. `unknown` turns the id of the field into the union.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn skip_variant<U>(self, unknown: impl FnOnce(i16) -> U) -> DecodeResult<U> {
        let id = self.id;
        self.skip().map(|()| unknown(id))
    }

    /// Skips the value.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn skip(self) -> DecodeResult<()> {
        self.input.skip(self.ttype)
    }
}

/// Skips a value by reading each of its parts.
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
