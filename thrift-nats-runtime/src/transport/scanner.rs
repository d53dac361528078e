//! Finds where a message of the binary protocol ends, without decoding it.
//!
//! The scanner can be given the same message again and again as it grows: it goes on where it stopped and never looks
//! at a byte twice, so that a message that comes in many pieces costs no more than one that comes whole.

use crate::protocol::{DecodeError, DecodeErrorKind, Limits, MessageType, TType, fixed_size};

/// What the scanner expects next.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// The first four bytes: a version, or the length of the name in the old form.
    Start,
    /// The name's length, in the strict form.
    NameLength,
    /// The kind of message, which stands behind the name in the old form.
    Kind,
    /// The seqid.
    Seqid,
    /// A field, or the end of the struct.
    Struct,
    /// A value.
    Value(TType),
    /// This many elements.
    List { element: TType, left: usize },
    /// This many entries; or, if `value_next`, one more value first.
    Map { key: TType, value: TType, left: usize, value_next: bool },
}

/// The state of the search for the end of one message.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// How far the scanner has got. May lie behind the bytes that have arrived, where a length has been read.
    position: usize,
    /// What is open, the innermost last. Empty when the message is complete.
    open: Vec<Frame>,
    limits: Limits,
}

impl Scanner {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { position: 0, open: vec![Frame::Start], limits }
    }

    /// Forgets everything, for the next message.
    fn restart(&mut self) {
        self.position = 0;
        self.open.clear();
        self.open.push(Frame::Start);
    }

    /// Looks at what has arrived of a message: `bytes` starts where the message starts, and is at least as long as the
    /// last time. Returns the length of the message once all of it is there, and is then ready for the next one.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while let Some(frame) = self.open.pop() {
            if self.position > self.limits.message {
                let (len, limit) = (self.position as u64, self.limits.message as u64);
                return Err(DecodeErrorKind::TooLong { what: "message", len, limit }.into());
            }
            let rest = bytes.get(self.position..).unwrap_or_default();
            if !self.step(frame, rest)? {
                self.open.push(frame);
                return Ok(None);
            }
        }
        if self.position > bytes.len() {
            // The last value reaches beyond what is there; nothing is left to look at but its length.
            return Ok(None);
        }
        let len = self.position;
        self.restart();
        Ok(Some(len))
    }

    /// Takes one step; false where that needs more bytes.
    fn step(&mut self, frame: Frame, rest: &[u8]) -> Result<bool, DecodeError> {
        match frame {
            Frame::Start => {
                let Some(start) = rest.first_chunk::<4>() else { return Ok(false) };
                self.position += 4;
                if start[0] & 0x80 == 0 {
                    let len = u32::from_be_bytes(*start) as usize;
                    if len > self.limits.name {
                        return Err(DecodeErrorKind::NotAMessage(start[0]).into());
                    }
                    self.position += len;
                    self.open.push(Frame::Kind);
                } else if start[..2] == [0x80, 0x01] {
                    check_kind(start[3])?;
                    self.open.push(Frame::NameLength);
                } else {
                    return Err(DecodeErrorKind::NotAMessage(start[0]).into());
                }
            }
            Frame::NameLength => {
                let Some(len) = self.length("message name", rest, self.limits.name)? else {
                    return Ok(false);
                };
                self.position += 4 + len;
                self.open.push(Frame::Seqid);
            }
            Frame::Kind => {
                let Some(kind) = rest.first() else { return Ok(false) };
                check_kind(*kind)?;
                self.position += 1;
                self.open.push(Frame::Seqid);
            }
            Frame::Seqid => {
                if rest.len() < 4 {
                    return Ok(false);
                }
                self.position += 4;
                self.enter(Frame::Struct)?;
            }
            Frame::Struct => match rest {
                [0, ..] => self.position += 1,
                [number, _, _, ..] => {
                    self.position += 3;
                    self.open.push(frame);
                    self.open.push(Frame::Value(ttype(*number)?));
                }
                _ => return Ok(false),
            },
            Frame::Value(kind) => return self.value(kind, rest),
            Frame::List { element, left } => {
                if left > 0 {
                    self.open.push(Frame::List { element, left: left - 1 });
                    self.open.push(Frame::Value(element));
                }
            }
            Frame::Map { value, value_next: true, key, left } => {
                self.open.push(Frame::Map { key, value, left, value_next: false });
                self.open.push(Frame::Value(value));
            }
            Frame::Map { key, value, left, value_next: false } => {
                if left > 0 {
                    self.open.push(Frame::Map { key, value, left: left - 1, value_next: true });
                    self.open.push(Frame::Value(key));
                }
            }
        }
        Ok(true)
    }

    fn value(&mut self, kind: TType, rest: &[u8]) -> Result<bool, DecodeError> {
        if let Some(size) = fixed_size(kind) {
            self.position += size;
            return Ok(true);
        }
        match kind {
            TType::Struct => self.enter(Frame::Struct)?,
            TType::List | TType::Set => {
                let Some((number, rest)) = rest.split_first() else { return Ok(false) };
                let Some(left) = self.length(kind.name(), rest, self.limits.container)? else {
                    return Ok(false);
                };
                self.position += 5;
                let Some(element) = element(*number, left)? else { return Ok(true) };
                match fixed_size(element) {
                    Some(size) => self.position += left * size,
                    None => self.enter(Frame::List { element, left })?,
                }
            }
            TType::Map => {
                let Some(([key, value], rest)) = rest.split_first_chunk() else { return Ok(false) };
                let Some(left) = self.length("map", rest, self.limits.container)? else { return Ok(false) };
                self.position += 6;
                let (Some(key), Some(value)) = (element(*key, left)?, element(*value, left)?) else {
                    return Ok(true);
                };
                match (fixed_size(key), fixed_size(value)) {
                    (Some(key), Some(value)) => self.position += left * (key + value),
                    _ => self.enter(Frame::Map { key, value, left, value_next: false })?,
                }
            }
            // All that is left is strings: everything of one size has been handled.
            _ => {
                let Some(len) = self.length("string", rest, self.limits.string)? else { return Ok(false) };
                self.position += 4 + len;
            }
        }
        Ok(true)
    }

    fn enter(&mut self, frame: Frame) -> Result<(), DecodeError> {
        if self.open.len() >= self.limits.depth {
            return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.open.push(frame);
        Ok(())
    }

    fn length(&self, what: &'static str, rest: &[u8], limit: usize) -> Result<Option<usize>, DecodeError> {
        let Some(bytes) = rest.first_chunk() else { return Ok(None) };
        let len = i32::from_be_bytes(*bytes);
        let Ok(len) = usize::try_from(len) else {
            return Err(DecodeErrorKind::NegativeLength { what, len: len.into() }.into());
        };
        self.check(what, len, limit)?;
        Ok(Some(len))
    }

    fn check(&self, what: &'static str, len: usize, limit: usize) -> Result<(), DecodeError> {
        let limit = limit.min(self.limits.message);
        if len > limit {
            return Err(DecodeErrorKind::TooLong { what, len: len as u64, limit: limit as u64 }.into());
        }
        Ok(())
    }
}

fn check_kind(number: u8) -> Result<(), DecodeError> {
    match MessageType::from_u8(number) {
        Some(_) => Ok(()),
        None => Err(DecodeErrorKind::UnknownMessageType(number).into()),
    }
}

fn ttype(number: u8) -> Result<TType, DecodeError> {
    TType::from_u8(number).ok_or_else(|| DecodeErrorKind::UnknownType(number).into())
}

/// The type of a container's elements; `None` for an empty one, whose type some writers leave at zero.
fn element(number: u8, len: usize) -> Result<Option<TType>, DecodeError> {
    if len == 0 { Ok(None) } else { ttype(number).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A strict call `f` with seqid 1 whose arguments are `arguments`.
    fn message(arguments: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1];
        bytes.extend_from_slice(arguments);
        bytes
    }

    /// Every type: i32, string, list<i32>, list<string>, map<string, i32>, map<i32, i32>, a nested struct, empty map.
    fn everything() -> Vec<u8> {
        message(&[
            8, 0, 1, 0, 0, 0, 5, // i32
            11, 0, 2, 0, 0, 0, 2, b'h', b'i', // string
            15, 0, 3, 8, 0, 0, 0, 1, 0, 0, 0, 9, // list<i32>
            15, 0, 4, 11, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, b'x', // list<string>
            13, 0, 5, 11, 8, 0, 0, 0, 1, 0, 0, 0, 1, b'k', 0, 0, 0, 7, // map<string, i32>
            13, 0, 6, 8, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, // map<i32, i32>
            12, 0, 7, 2, 0, 1, 1, 0, // struct { bool }
            13, 0, 8, 0, 0, 0, 0, 0, 0, // an empty map without types
            16, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, // uuid
            0,
        ])
    }

    #[test]
    fn the_end_is_found_whatever_the_pieces() {
        let whole = everything();
        for step in 1..=whole.len() {
            let mut scanner = Scanner::new(Limits::DEFAULT);
            let mut arrived = 0;
            while arrived + step < whole.len() {
                arrived += step;
                assert_eq!(scanner.scan(&whole[..arrived]), Ok(None), "{arrived} bytes in steps of {step}");
            }
            let mut bytes = whole.clone();
            bytes.extend_from_slice(b"next");
            assert_eq!(scanner.scan(&bytes), Ok(Some(whole.len())), "in steps of {step}");
        }
    }

    #[test]
    fn the_old_form_is_understood() {
        let bytes = [0, 0, 0, 1, b'f', 1, 0, 0, 0, 1, 0];
        assert_eq!(Scanner::new(Limits::DEFAULT).scan(&bytes), Ok(Some(bytes.len())));
    }

    #[test]
    fn what_is_no_message_is_refused_at_once() {
        let error = Scanner::new(Limits::DEFAULT).scan(b"\x82\x21\x01").map(drop);
        assert_eq!(error, Ok(()), "three bytes are too few to tell");
        let error = Scanner::new(Limits::DEFAULT).scan(b"GET / HTTP/1.1").expect_err("no Thrift");
        assert_eq!(*error.kind(), DecodeErrorKind::NotAMessage(b'G'));
        let error = Scanner::new(Limits::DEFAULT).scan(b"\xff\xff\xff\xff").expect_err("no Thrift");
        assert_eq!(*error.kind(), DecodeErrorKind::NotAMessage(0xff));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bytes = message(&[]);
        bytes.extend([12, 0, 1].repeat(100_000));
        let error = Scanner::new(Limits::DEFAULT).scan(&bytes).expect_err("too deep");
        assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { limit: 64 });
    }

    #[test]
    fn a_message_above_the_limit_is_refused_before_it_has_arrived() {
        let bytes = message(&[11, 0, 1, 0, 0, 4, 0]);
        let limits = Limits::DEFAULT.with_message(1000);
        let error = Scanner::new(limits).scan(&bytes).expect_err("1,024 bytes");
        assert!(matches!(error.kind(), DecodeErrorKind::TooLong { .. }), "{error}");
    }
}
