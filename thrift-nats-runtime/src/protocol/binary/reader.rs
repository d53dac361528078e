//! Reading the binary protocol.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{STOP, VERSION_1, fixed_size};
use crate::protocol::cursor::Cursor;
use crate::protocol::traits::skip_value;
use crate::protocol::utf8::utf8;
use crate::protocol::{
    DecodeError, DecodeErrorKind, FieldHeader, InputProtocol, Limits, ListHeader, MapHeader, MessageHeader,
    MessageType, SharedText, TType,
};

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

    /// The encoded body of a message whose header has been read.
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

/// The type of the elements of a container. Some implementations write 0 as the type in an empty container.
#[inline]
fn container_type(number: u8, len: usize) -> Result<TType, DecodeError> {
    match TType::from_u8(number) {
        Some(ttype) => Ok(ttype),
        None if len == 0 => Ok(TType::I8),
        None => Err(DecodeErrorKind::UnknownType(number).into()),
    }
}

/// The minimum length of a value of this type, in bytes.
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
            // The old form has no version. Only the length of the name tells a message from other data.
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
    fn shared_string(&mut self) -> Result<SharedText<'_>, DecodeError> {
        let bytes = self.take_slice("string", self.cursor.limits.string)?;
        self.cursor.text(bytes)
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

/// See [`peek_seqid`](crate::protocol::peek_seqid).
pub(in crate::protocol) fn peek_seqid(message: &[u8]) -> Option<i32> {
    let length = |position: usize| message.get(position..)?.first_chunk().copied().map(i32::from_be_bytes);
    let first = length(0)?;
    let position = match usize::try_from(first) {
        Ok(name) => 4 + name + 1,
        Err(_) => 8 + usize::try_from(length(4)?).ok()?,
    };
    length(position)
}
