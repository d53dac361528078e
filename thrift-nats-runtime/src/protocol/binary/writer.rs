//! Writing the binary protocol.

use bytes::Bytes;
use uuid::Uuid;

use super::wire::{STOP, VERSION_1};
use crate::protocol::shared_slices::reserve_for;
use crate::protocol::{
    EncodeError, EncodeErrorKind, Limits, MIN_SHARED, MessageHeader, OutputProtocol, SharedSlices, TType,
};

/// Writes the binary protocol to the end of a buffer.
#[derive(Debug)]
pub struct BinaryWriter<'a> {
    buffer: &'a mut Vec<u8>,
    /// Takes long shared values. `None`: they are copied.
    shared: Option<&'a mut SharedSlices>,
    limits: Limits,
    depth: usize,
}

impl<'a> BinaryWriter<'a> {
    /// Writes to the end of `buffer`, within `limits`.
    pub const fn new(buffer: &'a mut Vec<u8>, limits: Limits) -> Self {
        Self { buffer, shared: None, limits, depth: 0 }
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
    fn bytes(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = length(what, bytes.len(), self.limits.string)?;
        reserve_for(self.buffer, bytes.len());
        self.buffer.extend_from_slice(&len.to_be_bytes());
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn share(&mut self, value: &Bytes) -> Result<(), EncodeError> {
        let len = length("binary", value.len(), self.limits.string)?;
        self.buffer.extend_from_slice(&len.to_be_bytes());
        if let Some(shared) = &mut self.shared {
            shared.push(self.buffer.len(), value.clone());
        }
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

/// `len` as an `i32`. Fails if it exceeds `limit` or does not fit.
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
