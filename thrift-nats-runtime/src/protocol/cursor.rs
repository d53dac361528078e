//! The position in a message, and the limits that are left: the part that the binary and the compact reader share.
//!
//! Owns the bounds checks. Never interprets the bytes.

use bytes::Bytes;

use super::limits::take_memory;
use super::shared_text::{is_shared, share};
use super::utf8::utf8;
use super::{DecodeError, DecodeErrorKind, Limits, SharedText};

/// The position of a reader in a message.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The whole message. Long binary values are slices of it.
    message: &'a Bytes,
    /// The bytes that are not read yet.
    pub(super) rest: &'a [u8],
    pub(super) limits: Limits,
    depth: usize,
    /// The part of [`Limits::memory`] that is not used yet, in bytes.
    memory: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(message: &'a Bytes, limits: Limits) -> Self {
        Self { message, rest: message, limits, depth: 0, memory: limits.memory }
    }

    /// Takes the next `N` bytes.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(DecodeErrorKind::UnexpectedEnd.into()),
        }
    }

    /// Takes the next `len` bytes. `what` names the value in an error.
    #[inline]
    pub(super) fn slice(&mut self, what: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((slice, rest)) => {
                self.rest = rest;
                Ok(slice)
            }
            None => Err(DecodeErrorKind::LengthBeyondEnd { what, len: len as u64 }.into()),
        }
    }

    /// Skips `len` bytes.
    #[inline]
    pub(super) fn skip(&mut self, len: usize) -> Result<(), DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((_, rest)) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(DecodeErrorKind::UnexpectedEnd.into()),
        }
    }

    /// Makes bytes of a slice of the message: shared if it is long.
    #[inline]
    pub(super) fn share(&self, slice: &'a [u8]) -> Bytes {
        share(self.message, slice)
    }

    /// Makes a text of a slice of the message: shared if it is long, checked otherwise.
    #[inline]
    pub(super) fn text(&self, slice: &'a [u8]) -> Result<SharedText<'a>, DecodeError> {
        if is_shared(slice.len()) {
            return Ok(SharedText::Unchecked(self.message.slice_ref(slice)));
        }
        utf8(slice).map(SharedText::Checked)
    }

    /// Enters a struct or container: one level of the depth limit.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), DecodeError> {
        if self.depth == self.limits.depth {
            return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.depth += 1;
        Ok(())
    }

    /// Leaves a struct or container.
    #[inline]
    pub(super) const fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Fails if the rest of the message cannot hold `len` elements of at least `size` bytes each.
    #[inline]
    pub(super) fn check_count(&self, what: &'static str, len: usize, size: usize) -> Result<(), DecodeError> {
        // `len` is below 2^31 and `size` at most 32, so this overflows only where `usize` has 32 bits. There it saturates.
        if len.saturating_mul(size) > self.rest.len() {
            return Err(DecodeErrorKind::LengthBeyondEnd { what, len: len as u64 }.into());
        }
        Ok(())
    }

    /// See [`InputProtocol::take_memory`](super::InputProtocol::take_memory).
    #[inline]
    pub(super) fn take_memory(&mut self, bytes: usize) -> Result<(), DecodeError> {
        take_memory(&mut self.memory, bytes, self.limits)
    }

    /// Fails if bytes are left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeErrorKind::TrailingBytes(left).into()),
        }
    }
}
