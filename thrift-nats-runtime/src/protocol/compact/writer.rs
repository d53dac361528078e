//! Writing the compact protocol.

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{PROTOCOL_ID, STOP, VERSION, number_of, zigzag};
use crate::protocol::shared_slices::reserve_for;
use crate::protocol::{
    EncodeError, EncodeErrorKind, Limits, MIN_SHARED, MessageHeader, OutputProtocol, SharedSlices, TType,
};

/// Writes the compact protocol to the end of a buffer.
#[derive(Debug)]
pub struct CompactWriter<'a> {
    buffer: &'a mut Vec<u8>,
    /// Takes long shared values. `None`: they are copied.
    shared: Option<&'a mut SharedSlices>,
    limits: Limits,
    depth: usize,
    /// The id of the previous field of the innermost struct.
    last_id: i16,
    /// The previous ids of the enclosing structs, outermost first.
    outer_ids: Vec<i16>,
    /// The id of a `bool` field whose value is not written yet. The header of such a field contains the value.
    bool_field: Option<i16>,
}

impl<'a> CompactWriter<'a> {
    /// Writes to the end of `buffer`, within `limits`.
    pub const fn new(buffer: &'a mut Vec<u8>, limits: Limits) -> Self {
        Self { buffer, shared: None, limits, depth: 0, last_id: 0, outer_ids: Vec::new(), bool_field: None }
    }

    /// Leaves long shared values out of the buffer, and gives them to `shared`.
    pub(crate) const fn share_with(&mut self, shared: &'a mut SharedSlices) {
        self.shared = Some(shared);
    }

    /// Writes an encoded message body: `first`, then `later`. Returns the position after it.
    pub(crate) fn body(&mut self, first: &[u8], later: &[Bytes]) -> usize {
        self.buffer.extend_from_slice(first);
        later.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.buffer.len()
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
        // One append, so that the capacity of the buffer is checked once and not for every byte.
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
        reserve_for(self.buffer, bytes.len());
        self.varint(len);
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn share(&mut self, value: &Bytes) -> Result<(), EncodeError> {
        let len = length("binary", value.len(), self.limits.string)?;
        self.varint(len);
        if let Some(shared) = &mut self.shared {
            shared.push(self.buffer.len(), value.clone());
        }
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

/// `len` as a number to write. Fails if it exceeds `limit` or `i32::MAX`.
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
    fn shared_binary(&mut self, value: &Bytes) -> Result<(), EncodeError> {
        match &mut self.shared {
            Some(_) if value.len() >= MIN_SHARED => self.share(value),
            Some(_) | None => self.bytes("binary", value),
        }
    }

    #[inline]
    fn uuid(&mut self, value: Uuid) {
        self.buffer.extend_from_slice(value.as_bytes());
    }
}
