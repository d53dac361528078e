//! The compact protocol (TCompactProtocol): numbers of variable length, small headers.
//!
//! What implementations differ in is read in every form, and written as C++ and Go write it: a field delta of 15 in the
//! short form, and `bool` as the element type 1.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::cursor::Cursor;
use super::utf8::utf8;
use super::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, FieldHeader, InputProtocol, Limits,
    ListHeader, MapHeader, MessageHeader, MessageType, OutputProtocol, TType, Text,
};

/// The first byte of a message.
pub(crate) const PROTOCOL_ID: u8 = 0x82;
/// The version, in the low five bits of the second byte.
pub(crate) const VERSION: u8 = 1;
/// The byte that ends a struct.
const STOP: u8 = 0;

/// The number of a type; that of `bool` is the one of `true`.
const fn number_of(ttype: TType) -> u8 {
    match ttype {
        TType::Bool => 1,
        TType::I8 => 3,
        TType::I16 => 4,
        TType::I32 => 5,
        TType::I64 => 6,
        TType::Double => 7,
        TType::String => 8,
        TType::List => 9,
        TType::Set => 10,
        TType::Map => 11,
        TType::Struct => 12,
        TType::Uuid => 13,
    }
}

/// The type with this number.
#[inline]
pub(crate) const fn type_of(number: u8) -> Option<TType> {
    Some(match number {
        1 | 2 => TType::Bool,
        3 => TType::I8,
        4 => TType::I16,
        5 => TType::I32,
        6 => TType::I64,
        7 => TType::Double,
        8 => TType::String,
        9 => TType::List,
        10 => TType::Set,
        11 => TType::Map,
        12 => TType::Struct,
        13 => TType::Uuid,
        _ => return None,
    })
}

/// The fewest bytes that an element of this type takes.
const fn least_size(ttype: TType) -> usize {
    match ttype {
        TType::Double => 8,
        TType::Uuid => 16,
        TType::Bool
        | TType::I8
        | TType::I16
        | TType::I32
        | TType::I64
        | TType::String
        | TType::Struct
        | TType::List
        | TType::Set
        | TType::Map => 1,
    }
}

/// Reads a number of at most so many bits from the start of `bytes`: it and its length, or `None` where its end has not
/// arrived.
#[inline]
pub(crate) fn read_varint(bytes: &[u8], bits: u32) -> Result<Option<(u64, usize)>, DecodeError> {
    let mut value = 0;
    let mut shift = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let low = u64::from(byte & 0x7f);
        if shift + 7 > bits && (shift >= bits || low >> (bits - shift) != 0) {
            return Err(DecodeErrorKind::InvalidVarint.into());
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
        shift += 7;
        if shift >= bits {
            return Err(DecodeErrorKind::InvalidVarint.into());
        }
    }
    Ok(None)
}

#[inline]
const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline]
const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes the compact protocol to the end of a buffer.
#[derive(Debug)]
pub struct CompactWriter<'a> {
    buffer: &'a mut Vec<u8>,
    limits: Limits,
    depth: usize,
    /// The id of the last field of the innermost struct.
    last_id: i16,
    /// The same for the structs around it.
    outer_ids: Vec<i16>,
    /// A field of type `bool` whose header waits for its value, which is a part of it.
    bool_field: Option<i16>,
}

impl<'a> CompactWriter<'a> {
    /// Writes to the end of `buffer`, within `limits`.
    pub const fn new(buffer: &'a mut Vec<u8>, limits: Limits) -> Self {
        Self { buffer, limits, depth: 0, last_id: 0, outer_ids: Vec::new(), bool_field: None }
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
    fn varint(&mut self, mut value: u64) {
        if value < 0x80 {
            self.buffer.push(value as u8);
            return;
        }
        // In one piece: a buffer that grows byte by byte is checked byte by byte.
        let mut bytes = [0; 10];
        let mut len = 0;
        while value >= 0x80 {
            bytes[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.buffer.extend_from_slice(&bytes[..=len]);
    }

    #[inline]
    fn field_header(&mut self, number: u8, id: i16) {
        let delta = i32::from(id) - i32::from(self.last_id);
        if (1..=15).contains(&delta) {
            self.buffer.push((delta as u8) << 4 | number);
        } else {
            self.buffer.push(number);
            self.varint(u64::from(zigzag(id.into()) as u32));
        }
        self.last_id = id;
    }

    #[inline]
    fn bytes(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = length(what, bytes.len(), self.limits.string)?;
        self.buffer.reserve(5 + bytes.len());
        self.varint(len);
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn sequence(&mut self, what: &'static str, element: TType, len: usize) -> Result<(), EncodeError> {
        self.enter()?;
        let written = length(what, len, self.limits.container)?;
        if len < 15 {
            self.buffer.push((len as u8) << 4 | number_of(element));
        } else {
            self.buffer.push(0xf0 | number_of(element));
            self.varint(written);
        }
        Ok(())
    }
}

/// `len`, if it is within `limit` and an `i32`.
#[inline]
fn length(what: &'static str, len: usize, limit: usize) -> Result<u64, EncodeError> {
    match i32::try_from(len) {
        Ok(_) if len <= limit => Ok(len as u64),
        _ => Err(EncodeErrorKind::TooLong { what, len, limit: limit.min(i32::MAX as usize) }.into()),
    }
}

impl OutputProtocol for CompactWriter<'_> {
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError> {
        self.buffer.extend_from_slice(&[PROTOCOL_ID, (header.kind as u8) << 5 | VERSION]);
        self.varint(u64::from(header.seqid as u32));
        self.string(&header.name)
    }

    #[inline]
    fn message_end(&mut self) {}

    #[inline]
    fn struct_begin(&mut self) -> Result<(), EncodeError> {
        self.enter()?;
        self.outer_ids.push(std::mem::take(&mut self.last_id));
        Ok(())
    }

    #[inline]
    fn struct_end(&mut self) {
        self.depth -= 1;
        self.buffer.push(STOP);
        self.last_id = self.outer_ids.pop().unwrap_or_default();
    }

    #[inline]
    fn field_begin(&mut self, ttype: TType, id: i16) {
        if ttype == TType::Bool {
            self.bool_field = Some(id);
        } else {
            self.field_header(number_of(ttype), id);
        }
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
        let written = length("map", len, self.limits.container)?;
        self.varint(written);
        if len > 0 {
            self.buffer.push(number_of(key) << 4 | number_of(value));
        }
        Ok(())
    }

    #[inline]
    fn map_end(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn bool(&mut self, value: bool) {
        let number = if value { 1 } else { 2 };
        match self.bool_field.take() {
            Some(id) => self.field_header(number, id),
            None => self.buffer.push(number),
        }
    }

    #[inline]
    fn i8(&mut self, value: i8) {
        self.buffer.push(value as u8);
    }

    #[inline]
    fn i16(&mut self, value: i16) {
        self.varint(zigzag(value.into()));
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        self.varint(zigzag(value.into()));
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.varint(zigzag(value));
    }

    #[inline]
    fn double(&mut self, value: f64) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
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

/// Reads the compact protocol from a message in memory.
#[derive(Debug)]
pub struct CompactReader<'a> {
    cursor: Cursor<'a>,
    /// The id of the last field of the innermost struct.
    last_id: i16,
    /// The same for the structs around it.
    outer_ids: Vec<i16>,
    /// The value of the `bool` field whose header was read last.
    bool_field: Option<bool>,
}

impl<'a> CompactReader<'a> {
    /// Reads `message` from its start, within `limits`.
    pub fn new(message: &'a Bytes, limits: Limits) -> Self {
        Self { cursor: Cursor::new(message, limits), last_id: 0, outer_ids: Vec::new(), bool_field: None }
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
    fn varint(&mut self, bits: u32) -> Result<u64, DecodeError> {
        match self.cursor.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.cursor.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(bits),
        }
    }

    fn long_varint(&mut self, bits: u32) -> Result<u64, DecodeError> {
        let (value, len) = read_varint(self.cursor.rest, bits)?.ok_or(DecodeErrorKind::UnexpectedEnd)?;
        self.cursor.rest = &self.cursor.rest[len..];
        Ok(value)
    }

    #[inline]
    fn length(&mut self, what: &'static str, limit: usize) -> Result<usize, DecodeError> {
        let len = self.varint(32)? as u32;
        match i32::try_from(len) {
            Ok(_) if len as usize <= limit => Ok(len as usize),
            Ok(_) => Err(DecodeErrorKind::TooLong { what, len: len.into(), limit: limit as u64 }.into()),
            Err(_) => Err(DecodeErrorKind::NegativeLength { what, len: (len as i32).into() }.into()),
        }
    }

    #[inline]
    fn take_slice(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.length(what, limit)?;
        self.cursor.slice(what, len)
    }

    #[inline]
    fn sequence(&mut self, what: &'static str) -> Result<ListHeader, DecodeError> {
        self.cursor.enter()?;
        let [header] = self.cursor.take()?;
        let len = match header >> 4 {
            15 => self.length(what, self.cursor.limits.container)?,
            len if usize::from(len) <= self.cursor.limits.container => usize::from(len),
            len => {
                let (len, limit) = (len.into(), self.cursor.limits.container as u64);
                return Err(DecodeErrorKind::TooLong { what, len, limit }.into());
            }
        };
        let element = container_type(header & 0x0f, len)?;
        self.cursor.check_count(what, len, least_size(element))?;
        Ok(ListHeader { element, len })
    }
}

/// The type of a container's elements. Some writers leave the type of an empty container at zero.
#[inline]
fn container_type(number: u8, len: usize) -> Result<TType, DecodeError> {
    match type_of(number) {
        Some(ttype) => Ok(ttype),
        None if len == 0 => Ok(TType::I8),
        None => Err(DecodeErrorKind::UnknownType(number).into()),
    }
}

impl InputProtocol for CompactReader<'_> {
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError> {
        let [first, second] = self.cursor.take()?;
        if first != PROTOCOL_ID {
            return Err(DecodeErrorKind::NotAMessage(first).into());
        }
        if second & 0x1f != VERSION {
            return Err(DecodeErrorKind::UnknownVersion(u16::from_be_bytes([first, second])).into());
        }
        let kind =
            MessageType::from_u8(second >> 5).ok_or(DecodeErrorKind::UnknownMessageType(second >> 5))?;
        let seqid = self.varint(32)? as u32 as i32;
        let name = self.take_slice("message name", self.cursor.limits.name)?;
        let name = utf8(name)?;
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
        self.cursor.enter()?;
        self.outer_ids.push(std::mem::take(&mut self.last_id));
        Ok(())
    }

    #[inline]
    fn struct_end(&mut self) {
        self.cursor.leave();
        self.last_id = self.outer_ids.pop().unwrap_or_default();
    }

    #[inline]
    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError> {
        let [header] = self.cursor.take()?;
        if header == STOP {
            return Ok(None);
        }
        let number = header & 0x0f;
        let ttype = type_of(number).ok_or(DecodeErrorKind::UnknownType(number))?;
        let id = match header >> 4 {
            0 => self.i16()?,
            delta => self.last_id.checked_add(delta.into()).ok_or(DecodeErrorKind::FieldIdOutOfRange)?,
        };
        self.last_id = id;
        if ttype == TType::Bool {
            self.bool_field = Some(number == 1);
        }
        Ok(Some(FieldHeader { ttype, id }))
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
        let len = self.length("map", self.cursor.limits.container)?;
        if len == 0 {
            return Ok(MapHeader { key: TType::I8, value: TType::I8, len });
        }
        let [types] = self.cursor.take()?;
        let (key, value) = (container_type(types >> 4, len)?, container_type(types & 0x0f, len)?);
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
        match self.bool_field.take() {
            Some(value) => Ok(value),
            // Some writers have 0 for false.
            None => Ok(self.cursor.take()? == [1]),
        }
    }

    #[inline]
    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.cursor.take().map(i8::from_be_bytes)
    }

    #[inline]
    fn i16(&mut self) -> Result<i16, DecodeError> {
        let value = unzigzag(self.varint(32)?);
        i16::try_from(value).map_err(|_| DecodeErrorKind::NumberOutOfRange(TType::I16).into())
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.varint(32).map(|value| unzigzag(value) as i32)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.varint(64).map(unzigzag)
    }

    #[inline]
    fn double(&mut self) -> Result<f64, DecodeError> {
        self.cursor.take().map(f64::from_le_bytes)
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

    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.take_slice("string", self.cursor.limits.string).map(drop)
    }
}

/// The sequence number of a whole message.
pub(super) fn peek_seqid(message: &[u8]) -> Option<i32> {
    let (seqid, _) = read_varint(message.get(2..)?, 32).ok()??;
    Some(seqid as u32 as i32)
}

#[cfg(test)]
mod tests;
