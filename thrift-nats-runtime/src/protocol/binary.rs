//! The binary protocol (TBinaryProtocol): big-endian, every length in front.
//!
//! Messages are written in the strict form (a version in front) and read in the strict and the old, non-strict form,
//! which differ in the sign bit of the first byte.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::cursor::Cursor;
use super::utf8::utf8;
use super::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, FieldHeader, InputProtocol, Limits,
    ListHeader, MapHeader, MessageHeader, MessageType, OutputProtocol, TType, Text, skip_value,
};

/// The version in front of a strict message: `80 01`.
const VERSION_1: u16 = 0x8001;
/// The byte that ends a struct.
const STOP: u8 = 0;

/// Writes the binary protocol to the end of a buffer.
#[derive(Debug)]
pub struct BinaryWriter<'a> {
    buffer: &'a mut Vec<u8>,
    limits: Limits,
    depth: usize,
}

impl<'a> BinaryWriter<'a> {
    /// Writes to the end of `buffer`, within `limits`.
    pub const fn new(buffer: &'a mut Vec<u8>, limits: Limits) -> Self {
        Self { buffer, limits, depth: 0 }
    }

    /// Writes what is encoded already.
    pub(crate) fn body(&mut self, body: &[u8]) {
        self.buffer.extend_from_slice(body);
    }

    #[inline]
    fn enter(&mut self) -> Result<(), EncodeError> {
        if self.depth == self.limits.depth {
            return Err(EncodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn bytes(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = length(what, bytes.len(), self.limits.string)?;
        self.buffer.reserve(4 + bytes.len());
        self.buffer.extend_from_slice(&len.to_be_bytes());
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn sequence(&mut self, what: &'static str, element: TType, len: usize) -> Result<(), EncodeError> {
        self.enter()?;
        let [a, b, c, d] = length(what, len, self.limits.container)?.to_be_bytes();
        self.buffer.extend_from_slice(&[element as u8, a, b, c, d]);
        Ok(())
    }
}

/// `len` as Thrift writes it, if it is within `limit` and an `i32`.
#[inline]
fn length(what: &'static str, len: usize, limit: usize) -> Result<i32, EncodeError> {
    match i32::try_from(len) {
        Ok(written) if len <= limit => Ok(written),
        _ => Err(too_long(what, len, limit)),
    }
}

#[cold]
#[inline(never)]
fn too_long(what: &'static str, len: usize, limit: usize) -> EncodeError {
    EncodeErrorKind::TooLong { what, len, limit: limit.min(i32::MAX as usize) }.into()
}

impl OutputProtocol for BinaryWriter<'_> {
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError> {
        let [high, low] = VERSION_1.to_be_bytes();
        self.buffer.extend_from_slice(&[high, low, 0, header.kind as u8]);
        self.string(&header.name)?;
        self.i32(header.seqid);
        Ok(())
    }

    #[inline]
    fn message_end(&mut self) {}

    #[inline]
    fn struct_begin(&mut self) -> Result<(), EncodeError> {
        self.enter()
    }

    #[inline]
    fn struct_end(&mut self) {
        self.depth -= 1;
        self.buffer.push(STOP);
    }

    #[inline]
    fn field_begin(&mut self, ttype: TType, id: i16) {
        let [high, low] = id.to_be_bytes();
        self.buffer.extend_from_slice(&[ttype as u8, high, low]);
    }

    #[inline]
    fn field_end(&mut self) {}

    #[inline]
    fn list_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.sequence("list", element, len)
    }

    #[inline]
    fn list_end(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn set_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.sequence("set", element, len)
    }

    #[inline]
    fn set_end(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn map_begin(&mut self, key: TType, value: TType, len: usize) -> Result<(), EncodeError> {
        self.enter()?;
        let [a, b, c, d] = length("map", len, self.limits.container)?.to_be_bytes();
        self.buffer.extend_from_slice(&[key as u8, value as u8, a, b, c, d]);
        Ok(())
    }

    #[inline]
    fn map_end(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    #[inline]
    fn i8(&mut self, value: i8) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i16(&mut self, value: i16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn double(&mut self, value: f64) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        self.bytes("string", value.as_bytes())
    }

    #[inline]
    fn binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.bytes("binary", value)
    }

    #[inline]
    fn uuid(&mut self, value: Uuid) {
        self.buffer.extend_from_slice(value.as_bytes());
    }
}

/// Reads the binary protocol from a message in memory.
#[derive(Debug)]
pub struct BinaryReader<'a> {
    cursor: Cursor<'a>,
}

impl<'a> BinaryReader<'a> {
    /// Reads `message` from its start, within `limits`.
    pub fn new(message: &'a Bytes, limits: Limits) -> Self {
        Self { cursor: Cursor::new(message, limits) }
    }

    /// The bytes that are not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.cursor.rest
    }

    /// What stands between the header of a message and its end.
    pub(crate) fn body(&self) -> Result<&'a [u8], DecodeError> {
        Ok(self.cursor.rest)
    }

    #[inline]
    fn take_slice(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.length(what, limit)?;
        self.cursor.slice(what, len)
    }

    #[inline]
    fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let len = i32::from_be_bytes(self.cursor.take()?);
        match usize::try_from(len) {
            Ok(len) if len <= limit => Ok(len),
            Ok(len) => Err(DecodeErrorKind::TooLong { what, len: len as u64, limit: limit as u64 }.into()),
            Err(_) => Err(DecodeErrorKind::NegativeLength { what, len: len.into() }.into()),
        }
    }

    #[inline]
    fn sequence(&mut self, what: &'static str) -> Result<ListHeader, DecodeError> {
        self.cursor.enter()?;
        let [number] = self.cursor.take()?;
        let len = self.length(what, self.cursor.limits.container)?;
        let element = container_type(number, len)?;
        self.cursor.check_count(what, len, least_size(element))?;
        Ok(ListHeader { element, len })
    }
}

/// The type of a container's elements. Some writers leave the type of an empty container at zero.
#[inline]
fn container_type(number: u8, len: usize) -> Result<TType, DecodeError> {
    match TType::from_u8(number) {
        Some(ttype) => Ok(ttype),
        None if len == 0 => Ok(TType::I8),
        None => Err(DecodeErrorKind::UnknownType(number).into()),
    }
}

/// The fewest bytes that a value of this type takes.
const fn least_size(ttype: TType) -> usize {
    match ttype {
        TType::Bool | TType::I8 | TType::Struct => 1,
        TType::I16 => 2,
        TType::I32 | TType::String => 4,
        TType::I64 | TType::Double => 8,
        TType::Set | TType::List => 5,
        TType::Map => 6,
        TType::Uuid => 16,
    }
}

/// The size of every value of this type, where it is always the same.
pub(crate) const fn fixed_size(ttype: TType) -> Option<usize> {
    match ttype {
        TType::Bool | TType::I8 => Some(1),
        TType::I16 => Some(2),
        TType::I32 => Some(4),
        TType::I64 | TType::Double => Some(8),
        TType::Uuid => Some(16),
        TType::String | TType::Struct | TType::Map | TType::Set | TType::List => None,
    }
}

impl InputProtocol for BinaryReader<'_> {
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError> {
        let first: [u8; 4] = self.cursor.take()?;
        let strict = first[0] & 0x80 != 0;
        let (name, kind) = if strict {
            let version = u16::from_be_bytes([first[0], first[1]]);
            if version != VERSION_1 {
                return Err(DecodeErrorKind::UnknownVersion(version).into());
            }
            (self.take_slice("message name", self.cursor.limits.name)?, first[3])
        } else {
            // Without a version there is nothing but the length of the name to tell a message from anything else.
            let len = u32::from_be_bytes(first) as usize;
            let Some((name, rest)) =
                self.cursor.rest.split_at_checked(len).filter(|_| len <= self.cursor.limits.name)
            else {
                return Err(DecodeErrorKind::NotAMessage(first[0]).into());
            };
            self.cursor.rest = rest;
            (name, self.cursor.take::<1>()?[0])
        };
        let name = utf8(name)?;
        let kind = MessageType::from_u8(kind).ok_or(DecodeErrorKind::UnknownMessageType(kind))?;
        let seqid = self.i32()?;
        Ok(MessageHeader { name: Cow::Borrowed(name), kind, seqid })
    }

    fn message_end(&mut self) -> Result<(), DecodeError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        self.cursor.end()
    }

    #[inline]
    fn struct_begin(&mut self) -> Result<(), DecodeError> {
        self.cursor.enter()
    }

    #[inline]
    fn struct_end(&mut self) {
        self.cursor.leave();
    }

    #[inline]
    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError> {
        // In one look where there is room for it: there is, but in front of the last few bytes.
        let ([number, high, low], rest) = match self.cursor.rest {
            [STOP, rest @ ..] => {
                self.cursor.rest = rest;
                return Ok(None);
            }
            [number, high, low, rest @ ..] => ([*number, *high, *low], rest),
            [] | [_] | [_, _] => return Err(DecodeErrorKind::UnexpectedEnd.into()),
        };
        self.cursor.rest = rest;
        let ttype = TType::from_u8(number).ok_or(DecodeErrorKind::UnknownType(number))?;
        Ok(Some(FieldHeader { ttype, id: i16::from_be_bytes([high, low]) }))
    }

    #[inline]
    fn list_begin(&mut self) -> Result<ListHeader, DecodeError> {
        self.sequence("list")
    }

    #[inline]
    fn list_end(&mut self) -> Result<(), DecodeError> {
        self.cursor.leave();
        Ok(())
    }

    #[inline]
    fn set_begin(&mut self) -> Result<ListHeader, DecodeError> {
        self.sequence("set")
    }

    #[inline]
    fn set_end(&mut self) -> Result<(), DecodeError> {
        self.cursor.leave();
        Ok(())
    }

    #[inline]
    fn map_begin(&mut self) -> Result<MapHeader, DecodeError> {
        self.cursor.enter()?;
        let [key, value] = self.cursor.take()?;
        let len = self.length("map", self.cursor.limits.container)?;
        let (key, value) = (container_type(key, len)?, container_type(value, len)?);
        self.cursor.check_count("map", len, least_size(key) + least_size(value))?;
        Ok(MapHeader { key, value, len })
    }

    #[inline]
    fn map_end(&mut self) -> Result<(), DecodeError> {
        self.cursor.leave();
        Ok(())
    }

    #[inline]
    fn take_memory(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.cursor.take_memory(bytes)
    }

    #[inline]
    fn bool(&mut self) -> Result<bool, DecodeError> {
        let [byte] = self.cursor.take()?;
        Ok(byte != 0)
    }

    #[inline]
    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.cursor.take().map(i8::from_be_bytes)
    }

    #[inline]
    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.cursor.take().map(i16::from_be_bytes)
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.cursor.take().map(i32::from_be_bytes)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.cursor.take().map(i64::from_be_bytes)
    }

    #[inline]
    fn double(&mut self) -> Result<f64, DecodeError> {
        self.cursor.take().map(f64::from_be_bytes)
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'_, str>, DecodeError> {
        let bytes = self.take_slice("string", self.cursor.limits.string)?;
        utf8(bytes).map(Cow::Borrowed)
    }

    #[inline]
    fn binary(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = self.take_slice("binary", self.cursor.limits.string)?;
        Ok(self.cursor.share(bytes))
    }

    #[inline]
    fn shared_string(&mut self, inline: usize) -> Result<Text<'_>, DecodeError> {
        let bytes = self.take_slice("string", self.cursor.limits.string)?;
        self.cursor.text(bytes, inline)
    }

    #[inline]
    fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.cursor.take().map(Uuid::from_bytes)
    }

    fn skip(&mut self, ttype: TType) -> Result<(), DecodeError> {
        match fixed_size(ttype) {
            Some(size) => self.cursor.skip(size),
            None => skip_value(self, ttype),
        }
    }

    fn skip_elements(&mut self, list: ListHeader) -> Result<(), DecodeError> {
        match fixed_size(list.element) {
            Some(size) => self.cursor.skip(list.len * size),
            None => (0..list.len).try_for_each(|_| self.skip(list.element)),
        }
    }

    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.take_slice("string", self.cursor.limits.string).map(drop)
    }
}

/// The sequence number of a whole message. Looks at nothing else: what is wrong with the name is for whoever waits for the
/// message to find.
pub(super) fn peek_seqid(message: &[u8]) -> Option<i32> {
    let length = |position: usize| message.get(position..)?.first_chunk().copied().map(i32::from_be_bytes);
    let first = length(0)?;
    let position = match usize::try_from(first) {
        Ok(name) => 4 + name + 1,
        Err(_) => 8 + usize::try_from(length(4)?).ok()?,
    };
    length(position)
}

#[cfg(test)]
pub(super) mod tests;
