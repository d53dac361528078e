//! Reading the compact protocol.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{PROTOCOL_ID, STOP, VERSION, read_varint, type_of, unzigzag};
use crate::protocol::cursor::Cursor;
use crate::protocol::utf8::utf8;
use crate::protocol::{
    DecodeError, DecodeErrorKind, FieldHeader, InputProtocol, Limits, ListHeader, MapHeader, MessageHeader,
    MessageType, SharedText, TType,
};

/// Reads the compact protocol from a message in memory.
#[derive(Debug)]
pub struct CompactReader<'a> {
    cursor: Cursor<'a>,
    /// The id of the previous field of the innermost struct.
    last_id: i16,
    /// The previous ids of the enclosing structs, outermost first.
    outer_ids: Vec<i16>,
    /// The value of a `bool` field whose header has been read. It is part of the header.
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

    /// The encoded body of a message whose header has been read.
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

/// The type of the elements of a container. Some implementations write 0 as the type in an empty container.
#[inline]
fn container_type(number: u8, len: usize) -> Result<TType, DecodeError> {
    match type_of(number) {
        Some(ttype) => Ok(ttype),
        None if len == 0 => Ok(TType::I8),
        None => Err(DecodeErrorKind::UnknownType(number).into()),
    }
}

/// The minimum length of an element of this type, in bytes.
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
            // 1 is true. Implementations write 0 or 2 for false.
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
    fn shared_string(&mut self) -> Result<SharedText<'_>, DecodeError> {
        let bytes = self.take_slice("string", self.cursor.limits.string)?;
        self.cursor.text(bytes)
    }

    #[inline]
    fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.cursor.take().map(Uuid::from_bytes)
    }

    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.take_slice("string", self.cursor.limits.string).map(drop)
    }
}

/// See [`peek_seqid`](crate::protocol::peek_seqid).
pub(in crate::protocol) fn peek_seqid(message: &[u8]) -> Option<i32> {
    let (seqid, _) = read_varint(message.get(2..)?, 32).ok()??;
    Some(seqid as u32 as i32)
}
