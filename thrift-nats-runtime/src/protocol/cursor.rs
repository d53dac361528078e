//! A message that is read from its start to its end, within limits: what the readers of the binary and the compact protocol
//! have in common.

use bytes::Bytes;

use super::limits::take_memory;
use super::utf8::utf8;
use super::{DecodeError, DecodeErrorKind, Limits, SharedText};

/// How far a message is read.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The whole message: binary values are slices of it.
    message: &'a Bytes,
    /// What is not read yet.
    pub(super) rest: &'a [u8],
    pub(super) limits: Limits,
    depth: usize,
    /// What may still be taken of memory.
    memory: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(message: &'a Bytes, limits: Limits) -> Self {
        Self { message, rest: message, limits, depth: 0, memory: limits.memory }
    }

    /// Takes as many bytes as are asked for.
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

    /// Takes the `len` bytes of a `what`.
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

    /// Passes over `len` bytes.
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

    /// These bytes, which were taken, as a part of the message.
    #[inline]
    pub(super) fn share(&self, slice: &'a [u8]) -> Bytes {
        self.message.slice_ref(slice)
    }

    /// The text that these bytes are, which were taken; a part of the message if it is longer than `inline`.
    #[inline]
    pub(super) fn text(&self, slice: &'a [u8], inline: usize) -> Result<SharedText<'a>, DecodeError> {
        if slice.len() > inline {
            return Ok(SharedText::Unchecked(self.share(slice)));
        }
        utf8(slice).map(SharedText::Checked)
    }

    /// Enters a struct or container.
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

    /// Fails where `len` elements of at least `size` bytes cannot be in what is left.
    #[inline]
    pub(super) fn check_count(&self, what: &'static str, len: usize, size: usize) -> Result<(), DecodeError> {
        // Neither factor is above 2^31, so that this cannot overflow where `usize` has 64 bits; elsewhere it saturates.
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

    /// Fails where something is left over.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeErrorKind::TrailingBytes(left).into()),
        }
    }
}
