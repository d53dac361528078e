//! The scanner of the compact protocol.

use crate::protocol::compact::{PROTOCOL_ID, VERSION, read_varint, type_of};
use crate::protocol::{DecodeError, DecodeErrorKind, Limits, MessageType, TType};

/// The next thing to scan. A struct or container that is open also has a step.
#[derive(Clone, Copy, Debug)]
enum CompactStep {
    /// The first two bytes: protocol id, version and message type.
    Start,
    /// The sequence number.
    Seqid,
    /// The name.
    Name,
    /// A field, or the end of the struct.
    Struct,
    /// The id of a field that is written in full.
    Id(TType),
    /// A value, except that of a `bool` field, which is part of the header of the field.
    Value(TType),
    /// `left` more elements.
    List { element: TType, left: usize },
    /// The value of an entry if `value_next`, then `left` more entries.
    Map { key: TType, value: TType, left: usize, value_next: bool },
}

/// The state of the search for the end of one message.
#[derive(Debug)]
pub(in crate::transport) struct CompactScanner {
    /// The position in the message. It can be beyond the bytes that have arrived, after a length.
    position: usize,
    /// The steps that are left, the next one last. Empty when the message is complete.
    open: Vec<CompactStep>,
    /// The number of open structs and containers.
    depth: usize,
    limits: Limits,
}

impl CompactScanner {
    pub(super) fn new(limits: Limits) -> Self {
        Self { position: 0, open: vec![CompactStep::Start], depth: 0, limits }
    }

    /// A lower bound on the length of the message, in bytes.
    pub(super) const fn needed(&self) -> usize {
        self.position
    }

    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while let Some(step) = self.open.pop() {
            let rest = bytes.get(self.position..).unwrap_or_default();
            if !self.take_step(step, rest)? {
                return Ok(None);
            }
            if self.position > self.limits.message {
                let (len, limit) = (self.position as u64, self.limits.message as u64);
                return Err(DecodeErrorKind::TooLong { what: "message", len, limit }.into());
            }
        }
        // The message is complete, because its last byte is the stop byte of its body, which has been scanned.
        let len = self.position;
        self.position = 0;
        self.depth = 0;
        self.open.push(CompactStep::Start);
        Ok(Some(len))
    }

    /// Takes one step. Returns false if more bytes are needed, and then keeps the step.
    fn take_step(&mut self, step: CompactStep, rest: &[u8]) -> Result<bool, DecodeError> {
        let Some(first) = rest.first() else {
            self.open.push(step);
            return Ok(false);
        };
        let done = match step {
            CompactStep::Start => {
                if *first != PROTOCOL_ID {
                    return Err(DecodeErrorKind::NotAMessage(*first).into());
                }
                match rest.get(1) {
                    None => false,
                    Some(second) if second & 0x1f != VERSION => {
                        return Err(
                            DecodeErrorKind::UnknownVersion(u16::from_be_bytes([*first, *second])).into()
                        );
                    }
                    Some(second) => {
                        let kind = second >> 5;
                        MessageType::from_u8(kind).ok_or(DecodeErrorKind::UnknownMessageType(kind))?;
                        self.position += 2;
                        self.open.push(CompactStep::Seqid);
                        true
                    }
                }
            }
            CompactStep::Seqid => {
                self.varint(rest, 32)? && {
                    self.open.push(CompactStep::Name);
                    true
                }
            }
            CompactStep::Name => {
                self.slice("message name", rest, self.limits.name)? && {
                    self.enter(CompactStep::Struct)?;
                    true
                }
            }
            CompactStep::Struct => {
                self.position += 1;
                if *first == 0 {
                    self.depth -= 1;
                } else {
                    self.open.push(step);
                    let ttype = ttype(first & 0x0f)?;
                    if first >> 4 == 0 {
                        self.open.push(CompactStep::Id(ttype));
                    } else if ttype != TType::Bool {
                        self.open.push(CompactStep::Value(ttype));
                    }
                }
                true
            }
            CompactStep::Id(ttype) => {
                self.varint(rest, 32)? && {
                    if ttype != TType::Bool {
                        self.open.push(CompactStep::Value(ttype));
                    }
                    true
                }
            }
            CompactStep::Value(ttype) => self.value(ttype, rest)?,
            CompactStep::List { left: 0, .. } | CompactStep::Map { left: 0, value_next: false, .. } => {
                self.depth -= 1;
                true
            }
            CompactStep::List { element, left } => {
                self.open.push(CompactStep::List { element, left: left - 1 });
                self.open.push(CompactStep::Value(element));
                true
            }
            CompactStep::Map { value, value_next: true, key, left } => {
                self.open.push(CompactStep::Map { key, value, left, value_next: false });
                self.open.push(CompactStep::Value(value));
                true
            }
            CompactStep::Map { key, value, left, value_next: false } => {
                self.open.push(CompactStep::Map { key, value, left: left - 1, value_next: true });
                self.open.push(CompactStep::Value(key));
                true
            }
        };
        if !done {
            self.open.push(step);
        }
        Ok(done)
    }

    fn value(&mut self, ttype: TType, rest: &[u8]) -> Result<bool, DecodeError> {
        match ttype {
            TType::Bool | TType::I8 => self.position += 1,
            TType::Double => self.position += 8,
            TType::Uuid => self.position += 16,
            TType::I16 | TType::I32 => return self.varint(rest, 32),
            TType::I64 => return self.varint(rest, 64),
            TType::String => return self.slice("string", rest, self.limits.string),
            TType::Struct => self.enter(CompactStep::Struct)?,
            TType::List | TType::Set => {
                let Some((header, rest)) = rest.split_first() else { return Ok(false) };
                let (left, len) = match header >> 4 {
                    15 => match self.length(ttype.name(), rest, self.limits.container)? {
                        Some(found) => found,
                        None => return Ok(false),
                    },
                    short => {
                        self.check(ttype.name(), short.into(), self.limits.container)?;
                        (short.into(), 0)
                    }
                };
                self.position += 1 + len;
                if left > 0 {
                    self.elements(self::ttype(header & 0x0f)?, left)?;
                }
            }
            TType::Map => {
                let Some((left, len)) = self.length("map", rest, self.limits.container)? else {
                    return Ok(false);
                };
                if left == 0 {
                    self.position += len;
                    return Ok(true);
                }
                let Some(types) = rest.get(len) else { return Ok(false) };
                let (key, value) = (self::ttype(types >> 4)?, self::ttype(types & 0x0f)?);
                self.position += len + 1;
                self.enter(CompactStep::Map { key, value, left, value_next: false })?;
            }
        }
        Ok(true)
    }

    /// Skips elements of a fixed size, and enters a container of others.
    fn elements(&mut self, element: TType, left: usize) -> Result<(), DecodeError> {
        let size = match element {
            TType::Bool | TType::I8 => 1,
            TType::Double => 8,
            TType::Uuid => 16,
            TType::I16
            | TType::I32
            | TType::I64
            | TType::String
            | TType::Struct
            | TType::List
            | TType::Set
            | TType::Map => return self.enter(CompactStep::List { element, left }),
        };
        self.position += left * size;
        Ok(())
    }

    fn enter(&mut self, step: CompactStep) -> Result<(), DecodeError> {
        if self.depth == self.limits.depth {
            return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.depth += 1;
        self.open.push(step);
        Ok(())
    }

    fn varint(&mut self, rest: &[u8], bits: u32) -> Result<bool, DecodeError> {
        let found = read_varint(rest, bits)?;
        self.position += found.map_or(0, |(_, len)| len);
        Ok(found.is_some())
    }

    fn slice(&mut self, what: &'static str, rest: &[u8], limit: usize) -> Result<bool, DecodeError> {
        let found = self.length(what, rest, limit)?;
        self.position += found.map_or(0, |(len, size)| len + size);
        Ok(found.is_some())
    }

    /// Reads a length. Returns it and the number of its own bytes.
    fn length(
        &self,
        what: &'static str,
        rest: &[u8],
        limit: usize,
    ) -> Result<Option<(usize, usize)>, DecodeError> {
        let Some((len, size)) = read_varint(rest, 32)? else { return Ok(None) };
        if len > i32::MAX as u64 {
            return Err(DecodeErrorKind::NegativeLength { what, len: (len as i32).into() }.into());
        }
        self.check(what, len as usize, limit)?;
        Ok(Some((len as usize, size)))
    }

    fn check(&self, what: &'static str, len: usize, limit: usize) -> Result<(), DecodeError> {
        let limit = limit.min(self.limits.message);
        if len > limit {
            return Err(DecodeErrorKind::TooLong { what, len: len as u64, limit: limit as u64 }.into());
        }
        Ok(())
    }
}

fn ttype(number: u8) -> Result<TType, DecodeError> {
    type_of(number).ok_or_else(|| DecodeErrorKind::UnknownType(number).into())
}
