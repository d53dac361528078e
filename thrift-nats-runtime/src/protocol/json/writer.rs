//! Writing the JSON protocol.

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{Place, VERSION, name_of};
use super::{number, text};
use crate::protocol::{
    EncodeError, EncodeErrorKind, Limits, MessageHeader, OutputProtocol, SharedSlices, TType,
};

/// Writes the JSON protocol to the end of a buffer.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    buffer: &'a mut Vec<u8>,
    limits: Limits,
    place: Place,
    /// The places in the enclosing structs and containers, outermost first.
    outer: Vec<Place>,
}

impl<'a> JsonWriter<'a> {
    /// Writes to the end of `buffer`, within `limits`.
    pub const fn new(buffer: &'a mut Vec<u8>, limits: Limits) -> Self {
        Self { buffer, limits, place: Place::Single, outer: Vec::new() }
    }

    /// Does nothing: the protocol writes binary values as text.
    pub(crate) const fn share_with(&mut self, _shared: &mut SharedSlices) {}

    /// Writes an encoded message body: `first`, then `later`. Returns the position after it.
    pub(crate) fn body(&mut self, first: &[u8], later: &[Bytes]) -> usize {
        self.value();
        self.buffer.extend_from_slice(first);
        later.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.buffer.len()
    }

    /// Writes the separator before the next value. Returns whether that value is the key of a map.
    #[inline]
    fn value(&mut self) -> bool {
        match self.place {
            Place::Single | Place::FirstField | Place::NextField => false,
            Place::Element => {
                self.buffer.push(b',');
                false
            }
            Place::FirstKey => {
                self.place = Place::MapValue;
                true
            }
            Place::NextKey => {
                self.buffer.push(b',');
                self.place = Place::MapValue;
                true
            }
            Place::MapValue => {
                self.buffer.push(b':');
                self.place = Place::NextKey;
                false
            }
        }
    }

    #[inline]
    fn enter(&mut self, place: Place) -> Result<(), EncodeError> {
        if self.outer.len() >= self.limits.depth {
            return Err(EncodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.outer.push(std::mem::replace(&mut self.place, place));
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.place = self.outer.pop().unwrap_or(Place::Single);
    }

    #[inline]
    fn quoted(&mut self, text: &str) {
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'"');
    }

    #[inline]
    fn integer(&mut self, value: i64) {
        let quote = self.value();
        if quote {
            self.buffer.push(b'"');
        }
        number::write_integer(self.buffer, value);
        if quote {
            self.buffer.push(b'"');
        }
    }

    fn sequence(&mut self, what: &'static str, element: TType, len: usize) -> Result<(), EncodeError> {
        let written = length(what, len, self.limits.container)?;
        self.value();
        self.enter(Place::Element)?;
        self.buffer.push(b'[');
        self.quoted(name_of(element));
        self.buffer.push(b',');
        number::write_integer(self.buffer, written);
        Ok(())
    }
}

/// `len` as a number to write. Fails if it exceeds `limit` or `i32::MAX`.
fn length(what: &'static str, len: usize, limit: usize) -> Result<i64, EncodeError> {
    match i32::try_from(len) {
        Ok(written) if len <= limit => Ok(written.into()),
        _ => Err(EncodeErrorKind::TooLong { what, len, limit: limit.min(i32::MAX as usize) }.into()),
    }
}

impl OutputProtocol for JsonWriter<'_> {
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError> {
        self.buffer.push(b'[');
        number::write_integer(self.buffer, VERSION);
        self.buffer.push(b',');
        self.string(&header.name)?;
        self.buffer.push(b',');
        number::write_integer(self.buffer, (header.kind as u8).into());
        self.buffer.push(b',');
        number::write_integer(self.buffer, header.seqid.into());
        self.place = Place::Element;
        Ok(())
    }

    fn message_end(&mut self) {
        self.buffer.push(b']');
        self.place = Place::Single;
    }

    #[inline]
    fn struct_begin(&mut self) -> Result<(), EncodeError> {
        self.value();
        self.enter(Place::FirstField)?;
        self.buffer.push(b'{');
        Ok(())
    }

    #[inline]
    fn struct_end(&mut self) {
        self.buffer.push(b'}');
        self.leave();
    }

    #[inline]
    fn field_begin(&mut self, ttype: TType, id: i16) {
        if self.place == Place::NextField {
            self.buffer.push(b',');
        }
        self.buffer.push(b'"');
        number::write_integer(self.buffer, id.into());
        self.buffer.extend_from_slice(b"\":{\"");
        self.buffer.extend_from_slice(name_of(ttype).as_bytes());
        self.buffer.extend_from_slice(b"\":");
        self.place = Place::Single;
    }

    #[inline]
    fn field_end(&mut self) {
        self.buffer.push(b'}');
        self.place = Place::NextField;
    }

    fn list_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.sequence("list", element, len)
    }

    fn list_end(&mut self) {
        self.buffer.push(b']');
        self.leave();
    }

    fn set_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.sequence("set", element, len)
    }

    fn set_end(&mut self) {
        self.list_end();
    }

    fn map_begin(&mut self, key: TType, value: TType, len: usize) -> Result<(), EncodeError> {
        let written = length("map", len, self.limits.container)?;
        self.value();
        self.enter(Place::FirstKey)?;
        self.buffer.push(b'[');
        self.quoted(name_of(key));
        self.buffer.push(b',');
        self.quoted(name_of(value));
        self.buffer.push(b',');
        number::write_integer(self.buffer, written);
        self.buffer.extend_from_slice(b",{");
        Ok(())
    }

    fn map_end(&mut self) {
        self.buffer.extend_from_slice(b"}]");
        self.leave();
    }

    #[inline]
    fn bool(&mut self, value: bool) {
        self.integer(value.into());
    }

    #[inline]
    fn i8(&mut self, value: i8) {
        self.integer(value.into());
    }

    #[inline]
    fn i16(&mut self, value: i16) {
        self.integer(value.into());
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        self.integer(value.into());
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.integer(value);
    }

    fn double(&mut self, value: f64) {
        let quote = self.value() || !value.is_finite();
        if quote {
            self.buffer.push(b'"');
        }
        number::write_double(self.buffer, value);
        if quote {
            self.buffer.push(b'"');
        }
    }

    fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        length("string", value.len(), self.limits.string)?;
        self.value();
        text::write_string(self.buffer, value);
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        length("binary", value.len(), self.limits.string)?;
        self.value();
        text::write_binary(self.buffer, value);
        Ok(())
    }

    fn string_or_binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        match std::str::from_utf8(value) {
            Ok(text) => self.string(text),
            Err(_) => self.binary(value),
        }
    }

    fn uuid(&mut self, value: Uuid) {
        self.value();
        let mut buffer = Uuid::encode_buffer();
        let text = value.hyphenated().encode_lower(&mut buffer);
        self.quoted(text);
    }
}
