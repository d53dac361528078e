//! Reading the JSON protocol.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{Place, VERSION, type_of};
use super::{number, text};
use crate::protocol::limits::take_memory;
use crate::protocol::shared_text::is_shared;
use crate::protocol::utf8::utf8;
use crate::protocol::{
    DecodeError, DecodeErrorKind, FieldHeader, InputProtocol, Limits, ListHeader, MapHeader, MessageHeader,
    MessageType, SharedText, TType,
};

/// Reads the JSON protocol from a message in memory.
#[derive(Debug)]
pub struct JsonReader<'a> {
    /// The whole message. Long strings without escapes are slices of it.
    message: &'a Bytes,
    /// The bytes that are not read yet.
    rest: &'a [u8],
    limits: Limits,
    /// The part of [`Limits::memory`] that is not used yet, in bytes.
    memory: usize,
    place: Place,
    /// The places in the enclosing structs and containers, outermost first.
    outer: Vec<Place>,
}

impl<'a> JsonReader<'a> {
    /// Reads `message` from its start, within `limits`.
    pub fn new(message: &'a Bytes, limits: Limits) -> Self {
        Self {
            message,
            rest: message,
            limits,
            memory: limits.memory,
            place: Place::Single,
            outer: Vec::new(),
        }
    }

    /// The bytes that are not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The encoded body of a message whose header has been read.
    pub(crate) fn body(&mut self) -> Result<&'a [u8], DecodeError> {
        self.value()?;
        let body = self.rest.trim_ascii_end();
        let Some(body) = body.strip_suffix(b"]") else {
            return Err(DecodeErrorKind::UnexpectedEnd.into());
        };
        Ok(body)
    }

    /// Skips white space, and returns the next byte without taking it.
    #[inline]
    fn peek(&mut self) -> Result<u8, DecodeError> {
        match self.rest.first() {
            Some(byte) if !byte.is_ascii_whitespace() => Ok(*byte),
            _ => {
                self.rest = self.rest.trim_ascii_start();
                self.rest.first().copied().ok_or_else(|| DecodeErrorKind::UnexpectedEnd.into())
            }
        }
    }

    /// Skips white space, and takes this byte.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        let found = self.peek()?;
        if found != byte {
            return Err(unexpected(byte, found));
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    /// Takes the separator before the next value.
    #[inline]
    fn value(&mut self) -> Result<(), DecodeError> {
        match self.place {
            Place::Single | Place::FirstField | Place::NextField => Ok(()),
            Place::Element => self.expect(b','),
            Place::FirstKey => {
                self.place = Place::MapValue;
                Ok(())
            }
            Place::NextKey => {
                self.place = Place::MapValue;
                self.expect(b',')
            }
            Place::MapValue => {
                self.place = Place::NextKey;
                self.expect(b':')
            }
        }
    }

    #[inline]
    fn enter(&mut self, place: Place) -> Result<(), DecodeError> {
        if self.outer.len() >= self.limits.depth {
            return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.outer.push(std::mem::replace(&mut self.place, place));
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.place = self.outer.pop().unwrap_or(Place::Single);
    }

    /// Takes a string. Returns its content with escapes, and whether there are any.
    #[inline]
    fn quoted(&mut self) -> Result<(&'a [u8], bool), DecodeError> {
        self.expect(b'"')?;
        let (len, escaped) = text::len(self.rest).ok_or(DecodeErrorKind::UnexpectedEnd)?;
        let (text, after) = self.rest.split_at(len);
        self.rest = &after[1..];
        Ok((text, escaped))
    }

    /// Takes a string of at most `limit` bytes after its escapes are replaced.
    #[inline]
    fn text(&mut self, what: &'static str, limit: usize) -> Result<Cow<'a, str>, DecodeError> {
        let (text, escaped) = self.quoted()?;
        let text = if escaped { text::unescape(text)? } else { Cow::Borrowed(utf8(text)?) };
        if text.len() > limit {
            let (len, limit) = (text.len() as u64, limit as u64);
            return Err(DecodeErrorKind::TooLong { what, len, limit }.into());
        }
        Ok(text)
    }

    /// Takes the text of a number, with or without quotes.
    #[inline]
    fn number(&mut self) -> Result<&'a [u8], DecodeError> {
        if self.peek()? == b'"' {
            return Ok(self.quoted()?.0);
        }
        let (text, rest) = self.rest.split_at(number::len(self.rest));
        self.rest = rest;
        Ok(text)
    }

    #[inline]
    fn bare_integer(&mut self, ttype: TType) -> Result<i64, DecodeError> {
        let text = self.number()?;
        if text.is_empty() {
            return Err(match self.rest.first() {
                Some(found) => DecodeErrorKind::UnexpectedByte { expected: "a number", found: *found }.into(),
                None => DecodeErrorKind::UnexpectedEnd.into(),
            });
        }
        Ok(number::parse_integer(text, ttype)?)
    }

    #[inline]
    fn integer<T: TryFrom<i64>>(&mut self, ttype: TType) -> Result<T, DecodeError> {
        self.value()?;
        let value = self.bare_integer(ttype)?;
        T::try_from(value).map_err(|_| DecodeErrorKind::NumberOutOfRange(ttype).into())
    }

    fn length(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let len = self.bare_integer(TType::I32)?;
        let limit = self.limits.container;
        match usize::try_from(len) {
            Ok(len) if len <= limit => Ok(len),
            Ok(len) => Err(DecodeErrorKind::TooLong { what, len: len as u64, limit: limit as u64 }.into()),
            Err(_) => Err(DecodeErrorKind::NegativeLength { what, len }.into()),
        }
    }

    /// Takes the name of a type. The inner error is returned only if the type is needed.
    #[inline]
    fn type_name(&mut self) -> Result<Result<TType, DecodeErrorKind>, DecodeError> {
        let (name, _) = self.quoted()?;
        Ok(type_of(name).ok_or_else(|| {
            // Only the start, because a peer chooses its length.
            let shown = &name[..name.len().min(16)];
            DecodeErrorKind::UnknownTypeName(String::from_utf8_lossy(shown).into_owned())
        }))
    }

    fn sequence(&mut self, what: &'static str) -> Result<ListHeader, DecodeError> {
        self.value()?;
        self.enter(Place::Element)?;
        self.expect(b'[')?;
        let element = self.type_name()?;
        self.expect(b',')?;
        let len = self.length(what)?;
        let element = element_type(element, len)?;
        // An element takes at least a comma and a digit.
        self.check_count(what, len, 2)?;
        Ok(ListHeader { element, len })
    }

    fn sequence_end(&mut self) -> Result<(), DecodeError> {
        self.expect(b']')?;
        self.leave();
        Ok(())
    }

    /// Fails if the rest of the message cannot hold `len` elements of at least `size` bytes each.
    fn check_count(&self, what: &'static str, len: usize, size: usize) -> Result<(), DecodeError> {
        if len.saturating_mul(size) > self.rest.len() {
            return Err(DecodeErrorKind::LengthBeyondEnd { what, len: len as u64 }.into());
        }
        Ok(())
    }
}

/// The type of the elements of a container. An empty container can have an unknown type.
fn element_type(element: Result<TType, DecodeErrorKind>, len: usize) -> Result<TType, DecodeError> {
    match element {
        Ok(ttype) => Ok(ttype),
        Err(_) if len == 0 => Ok(TType::I8),
        Err(error) => Err(error.into()),
    }
}

#[cold]
fn unexpected(expected: u8, found: u8) -> DecodeError {
    let expected = match expected {
        b'"' => "`\"`",
        b'{' => "`{`",
        b'}' => "`}`",
        b'[' => "`[`",
        b']' => "`]`",
        b':' => "`:`",
        _ => "`,`",
    };
    DecodeErrorKind::UnexpectedByte { expected, found }.into()
}

impl InputProtocol for JsonReader<'_> {
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError> {
        let first = self.peek()?;
        if first != b'[' {
            return Err(DecodeErrorKind::NotAMessage(first).into());
        }
        self.expect(b'[')?;
        let version = self.bare_integer(TType::I16)?;
        if version != VERSION {
            let version = u16::try_from(version).unwrap_or(u16::MAX);
            return Err(DecodeErrorKind::UnknownVersion(version).into());
        }
        self.expect(b',')?;
        let name = self.text("message name", self.limits.name)?;
        self.expect(b',')?;
        let kind = self.bare_integer(TType::I8)?;
        let kind = u8::try_from(kind).unwrap_or(u8::MAX);
        let kind = MessageType::from_u8(kind).ok_or(DecodeErrorKind::UnknownMessageType(kind))?;
        self.expect(b',')?;
        let seqid = self.bare_integer(TType::I32)?;
        let seqid = i32::try_from(seqid).map_err(|_| DecodeErrorKind::NumberOutOfRange(TType::I32))?;
        self.place = Place::Element;
        Ok(MessageHeader { name, kind, seqid })
    }

    fn message_end(&mut self) -> Result<(), DecodeError> {
        self.expect(b']')?;
        self.end()
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.rest.trim_ascii_start().len() {
            0 => Ok(()),
            left => Err(DecodeErrorKind::TrailingBytes(left).into()),
        }
    }

    #[inline]
    fn struct_begin(&mut self) -> Result<(), DecodeError> {
        self.value()?;
        self.enter(Place::FirstField)?;
        self.expect(b'{')
    }

    #[inline]
    fn struct_end(&mut self) {
        self.leave();
    }

    #[inline]
    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError> {
        // After a field, `}` closes the object around its value, and `,` separates it from the next.
        let next = self.place == Place::Single;
        if next {
            self.expect(b'}')?;
        }
        self.place = Place::NextField;
        if self.peek()? == b'}' {
            self.rest = &self.rest[1..];
            return Ok(None);
        }
        if next {
            self.expect(b',')?;
        }
        let (id, _) = self.quoted()?;
        let id = number::parse_integer(id, TType::I16)?;
        let id = i16::try_from(id).map_err(|_| DecodeErrorKind::FieldIdOutOfRange)?;
        self.expect(b':')?;
        self.expect(b'{')?;
        let ttype = self.type_name()??;
        self.expect(b':')?;
        self.place = Place::Single;
        Ok(Some(FieldHeader { ttype, id }))
    }

    fn list_begin(&mut self) -> Result<ListHeader, DecodeError> {
        self.sequence("list")
    }

    fn list_end(&mut self) -> Result<(), DecodeError> {
        self.sequence_end()
    }

    fn set_begin(&mut self) -> Result<ListHeader, DecodeError> {
        self.sequence("set")
    }

    fn set_end(&mut self) -> Result<(), DecodeError> {
        self.sequence_end()
    }

    fn map_begin(&mut self) -> Result<MapHeader, DecodeError> {
        self.value()?;
        self.enter(Place::FirstKey)?;
        self.expect(b'[')?;
        let key = self.type_name()?;
        self.expect(b',')?;
        let value = self.type_name()?;
        self.expect(b',')?;
        let len = self.length("map")?;
        let (key, value) = (element_type(key, len)?, element_type(value, len)?);
        self.expect(b',')?;
        self.expect(b'{')?;
        // An entry takes at least two quotes or braces, a colon, a digit, and a comma or brace.
        self.check_count("map", len, 5)?;
        Ok(MapHeader { key, value, len })
    }

    fn map_end(&mut self) -> Result<(), DecodeError> {
        self.expect(b'}')?;
        self.sequence_end()
    }

    #[inline]
    fn take_memory(&mut self, bytes: usize) -> Result<(), DecodeError> {
        take_memory(&mut self.memory, bytes, self.limits)
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.integer::<i64>(TType::Bool).map(|value| value != 0)
    }

    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.integer(TType::I8)
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.integer(TType::I16)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.integer(TType::I32)
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.integer(TType::I64)
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.value()?;
        let first = self.peek()?;
        // Some implementations write these words without quotes.
        let words = [&b"NaN"[..], b"nan", b"Infinity", b"inf", b"-Infinity", b"-inf"];
        let text = match words.into_iter().find(|word| self.rest.starts_with(word)) {
            Some(word) => {
                self.rest = &self.rest[word.len()..];
                word
            }
            None => self.number()?,
        };
        if text.is_empty() && first != b'"' {
            return Err(DecodeErrorKind::UnexpectedByte { expected: "a number", found: first }.into());
        }
        Ok(number::parse_double(text)?)
    }

    fn string(&mut self) -> Result<Cow<'_, str>, DecodeError> {
        self.value()?;
        self.text("string", self.limits.string)
    }

    fn shared_string(&mut self) -> Result<SharedText<'_>, DecodeError> {
        self.value()?;
        let message = self.message;
        Ok(match self.text("string", self.limits.string)? {
            Cow::Borrowed(text) if !is_shared(text.len()) => SharedText::Checked(text),
            Cow::Borrowed(text) => SharedText::Unchecked(message.slice_ref(text.as_bytes())),
            Cow::Owned(text) => SharedText::Unchecked(text.into()),
        })
    }

    fn string_or_binary(&mut self) -> Result<Bytes, DecodeError> {
        self.string().map(|text| Bytes::copy_from_slice(text.as_bytes()))
    }

    fn binary(&mut self) -> Result<Bytes, DecodeError> {
        self.value()?;
        let (text, escaped) = self.quoted()?;
        // Some implementations escape `/`, which is a Base64 character.
        let value = if escaped {
            text::read_binary(text::unescape(text)?.as_bytes())?
        } else {
            text::read_binary(text)?
        };
        if value.len() > self.limits.string {
            let (what, len, limit) = ("binary", value.len() as u64, self.limits.string as u64);
            return Err(DecodeErrorKind::TooLong { what, len, limit }.into());
        }
        Ok(value.into())
    }

    fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.value()?;
        let (text, _) = self.quoted()?;
        Uuid::try_parse_ascii(text).map_err(|_| DecodeErrorKind::InvalidUuid.into())
    }

    fn skip_string(&mut self) -> Result<(), DecodeError> {
        self.value()?;
        let (text, _) = self.quoted()?;
        // The content is not decoded. One byte has at most six as an escape.
        if text.len() / 6 > self.limits.string {
            let (what, len, limit) = ("string", text.len() as u64, self.limits.string as u64);
            return Err(DecodeErrorKind::TooLong { what, len, limit }.into());
        }
        Ok(())
    }
}

/// See [`peek_seqid`](crate::protocol::peek_seqid).
pub(in crate::protocol) fn peek_seqid(message: &[u8]) -> Option<i32> {
    fn after<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
        bytes.trim_ascii_start().strip_prefix(prefix)
    }
    fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
        let bytes = bytes.trim_ascii_start();
        bytes.split_at(number::len(bytes))
    }
    let (_version, rest) = number(after(message, b"[")?);
    let name = after(after(rest, b",")?, b"\"")?;
    let (len, _) = text::len(name)?;
    let (_kind, rest) = number(after(&name[len + 1..], b",")?);
    let (seqid, _) = number(after(rest, b",")?);
    number::parse_integer(seqid, TType::I32).ok()?.try_into().ok()
}
