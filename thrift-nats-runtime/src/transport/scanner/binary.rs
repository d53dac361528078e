//! The scanner of the binary protocol.

use crate::protocol::{DecodeError, DecodeErrorKind, Limits, MessageType, TType, fixed_size};

/// The next thing to scan. A struct or container that is open also has a step.
#[derive(Clone, Copy, Debug)]
enum BinaryStep {
    /// The first four bytes: the version, or the length of the name in the old form.
    Start,
    /// The length of the name, in the strict form.
    NameLength,
    /// The type of the message, which follows the name in the old form.
    Kind,
    /// The sequence number.
    Seqid,
    /// A field, or the end of the struct.
    Struct,
    /// A value.
    Value(TType),
    /// `left` more elements.
    List { element: TType, left: usize },
    /// The value of an entry if `value_next`, then `left` more entries.
    Map { key: TType, value: TType, left: usize, value_next: bool },
}

/// The state of the search for the end of one message.
#[derive(Debug)]
pub(in crate::transport) struct BinaryScanner {
    /// The position in the message. It can be beyond the bytes that have arrived, after a length.
    position: usize,
    /// The steps that are left, the next one last. Empty when the message is complete.
    open: Vec<BinaryStep>,
    limits: Limits,
}

impl BinaryScanner {
    pub(super) fn new(limits: Limits) -> Self {
        Self { position: 0, open: vec![BinaryStep::Start], limits }
    }

    /// A lower bound on the length of the message, in bytes.
    pub(super) const fn needed(&self) -> usize {
        self.position
    }

    /// Starts the next message.
    fn restart(&mut self) {
        self.position = 0;
        self.open.clear();
        self.open.push(BinaryStep::Start);
    }

    /// See [`Scanner::scan`](super::Scanner::scan).
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while let Some(step) = self.open.pop() {
            let rest = bytes.get(self.position..).unwrap_or_default();
            if !self.take_step(step, rest)? {
                self.open.push(step);
                return Ok(None);
            }
            if self.position > self.limits.message {
                let (len, limit) = (self.position as u64, self.limits.message as u64);
                return Err(DecodeErrorKind::TooLong { what: "message", len, limit }.into());
            }
        }
        // The message is complete, because its last byte is the stop byte of its body, which has been scanned.
        let len = self.position;
        self.restart();
        Ok(Some(len))
    }

    /// Takes one step. Returns false if more bytes are needed.
    fn take_step(&mut self, step: BinaryStep, rest: &[u8]) -> Result<bool, DecodeError> {
        match step {
            BinaryStep::Start => {
                let Some(start) = rest.first_chunk::<4>() else { return Ok(false) };
                self.position += 4;
                if start[0] & 0x80 == 0 {
                    let len = u32::from_be_bytes(*start) as usize;
                    if len > self.limits.name {
                        return Err(DecodeErrorKind::NotAMessage(start[0]).into());
                    }
                    self.position += len;
                    self.open.push(BinaryStep::Kind);
                } else if start[..2] == [0x80, 0x01] {
                    check_kind(start[3])?;
                    self.open.push(BinaryStep::NameLength);
                } else {
                    return Err(DecodeErrorKind::NotAMessage(start[0]).into());
                }
            }
            BinaryStep::NameLength => {
                let Some(len) = self.length("message name", rest, self.limits.name)? else {
                    return Ok(false);
                };
                self.position += 4 + len;
                self.open.push(BinaryStep::Seqid);
            }
            BinaryStep::Kind => {
                let Some(kind) = rest.first() else { return Ok(false) };
                check_kind(*kind)?;
                self.position += 1;
                self.open.push(BinaryStep::Seqid);
            }
            BinaryStep::Seqid => {
                if rest.len() < 4 {
                    return Ok(false);
                }
                self.position += 4;
                self.enter(BinaryStep::Struct)?;
            }
            BinaryStep::Struct => match rest {
                [0, ..] => self.position += 1,
                [number, _, _, ..] => {
                    self.position += 3;
                    self.open.push(step);
                    self.open.push(BinaryStep::Value(ttype(*number)?));
                }
                _ => return Ok(false),
            },
            BinaryStep::Value(kind) => return self.value(kind, rest),
            BinaryStep::List { element, left } => {
                if left > 0 {
                    self.open.push(BinaryStep::List { element, left: left - 1 });
                    self.open.push(BinaryStep::Value(element));
                }
            }
            BinaryStep::Map { value, value_next: true, key, left } => {
                self.open.push(BinaryStep::Map { key, value, left, value_next: false });
                self.open.push(BinaryStep::Value(value));
            }
            BinaryStep::Map { key, value, left, value_next: false } => {
                if left > 0 {
                    self.open.push(BinaryStep::Map { key, value, left: left - 1, value_next: true });
                    self.open.push(BinaryStep::Value(key));
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
            TType::Struct => self.enter(BinaryStep::Struct)?,
            TType::List | TType::Set => {
                let Some((number, rest)) = rest.split_first() else { return Ok(false) };
                let Some(left) = self.length(kind.name(), rest, self.limits.container)? else {
                    return Ok(false);
                };
                self.position += 5;
                let Some(element) = element(*number, left)? else { return Ok(true) };
                match fixed_size(element) {
                    Some(size) => self.position += left * size,
                    None => self.enter(BinaryStep::List { element, left })?,
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
                    _ => self.enter(BinaryStep::Map { key, value, left, value_next: false })?,
                }
            }
            // Only strings are left: types of a fixed size are handled above.
            _ => {
                let Some(len) = self.length("string", rest, self.limits.string)? else { return Ok(false) };
                self.position += 4 + len;
            }
        }
        Ok(true)
    }

    fn enter(&mut self, step: BinaryStep) -> Result<(), DecodeError> {
        // The current step has been popped, so every step in `open` is an enclosing struct or container.
        if self.open.len() >= self.limits.depth {
            return Err(DecodeErrorKind::TooDeep { limit: self.limits.depth }.into());
        }
        self.open.push(step);
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

/// The type of the elements of a container. `None` for an empty container, in which some implementations write 0.
fn element(number: u8, len: usize) -> Result<Option<TType>, DecodeError> {
    if len == 0 { Ok(None) } else { ttype(number).map(Some) }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::tree::{Mutation, any_message};
    use crate::protocol::{BinaryReader, InputProtocol, MessageHeader};

    /// A strict call `f` with seqid 1 whose arguments are `arguments`.
    fn message(arguments: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1];
        bytes.extend_from_slice(arguments);
        bytes
    }

    /// A message with values of every kind.
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
    fn end_is_found_for_every_chunk_length() {
        let whole = everything();
        for step in 1..=whole.len() {
            let mut scanner = BinaryScanner::new(Limits::DEFAULT);
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
    fn old_form_is_scanned() {
        let bytes = [0, 0, 0, 1, b'f', 1, 0, 0, 0, 1, 0];
        assert_eq!(BinaryScanner::new(Limits::DEFAULT).scan(&bytes), Ok(Some(bytes.len())));
    }

    #[test]
    fn other_data_is_rejected_after_four_bytes() {
        let error = BinaryScanner::new(Limits::DEFAULT).scan(b"\x82\x21\x01").map(drop);
        assert_eq!(error, Ok(()), "three bytes are too few to decide");
        let error = BinaryScanner::new(Limits::DEFAULT).scan(b"GET / HTTP/1.1").expect_err("not Thrift");
        assert_eq!(*error.kind(), DecodeErrorKind::NotAMessage(b'G'));
        let error = BinaryScanner::new(Limits::DEFAULT).scan(b"\xff\xff\xff\xff").expect_err("not Thrift");
        assert_eq!(*error.kind(), DecodeErrorKind::NotAMessage(0xff));
    }

    #[test]
    fn depth_limit_applies() {
        let mut bytes = message(&[]);
        bytes.extend([12, 0, 1].repeat(100_000));
        let error = BinaryScanner::new(Limits::DEFAULT).scan(&bytes).expect_err("too deep");
        assert_eq!(*error.kind(), DecodeErrorKind::TooDeep { limit: 64 });
    }

    #[test]
    fn message_above_the_limit_is_rejected_before_it_has_arrived() {
        let bytes = message(&[11, 0, 1, 0, 0, 4, 0]);
        let limits = Limits::DEFAULT.with_message(1000);
        let error = BinaryScanner::new(limits).scan(&bytes).expect_err("1,024 bytes");
        assert!(matches!(error.kind(), DecodeErrorKind::TooLong { .. }), "{error}");
    }

    #[test]
    fn message_limit_is_exact() {
        let bytes = everything();
        let scan = |limit: usize, step: usize| {
            let mut scanner = BinaryScanner::new(Limits::DEFAULT.with_message(limit));
            let mut arrived = 0;
            loop {
                arrived = bytes.len().min(arrived + step);
                let result = scanner.scan(&bytes[..arrived]);
                if arrived == bytes.len() || result.is_err() {
                    return result;
                }
            }
        };
        for step in [1, 7, bytes.len()] {
            assert_eq!(scan(bytes.len(), step), Ok(Some(bytes.len())));
            for limit in 0..bytes.len() {
                let error = scan(limit, step).expect_err("above the limit");
                assert!(matches!(error.kind(), DecodeErrorKind::TooLong { .. }), "{limit}: {error}");
            }
        }
    }

    #[test]
    fn every_limit_applies() {
        let scan = |limits, bytes: &[u8]| {
            BinaryScanner::new(limits).scan(bytes).map_err(|error| error.kind().clone()).map(drop)
        };
        let too_long = |what| Err(DecodeErrorKind::TooLong { what, len: 4, limit: 3 });
        let string = message(&[11, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4, 0]);
        assert_eq!(scan(Limits::DEFAULT.with_string(4), &string), Ok(()));
        assert_eq!(scan(Limits::DEFAULT.with_string(3), &string), too_long("string"));
        for (ttype, name) in [(15, "list"), (14, "set")] {
            for element in [3, 12] {
                let container = message(&[ttype, 0, 1, element, 0, 0, 0, 4, 0, 0, 0, 0, 0]);
                assert_eq!(scan(Limits::DEFAULT.with_container(4), &container), Ok(()));
                assert_eq!(scan(Limits::DEFAULT.with_container(3), &container), too_long(name));
            }
        }
        let map = message(&[13, 0, 1, 3, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(scan(Limits::DEFAULT.with_container(4), &map), Ok(()));
        assert_eq!(scan(Limits::DEFAULT.with_container(3), &map), too_long("map"));
        let strict = [0x80, 1, 0, 1, 0, 0, 0, 4, b'n', b'a', b'm', b'e', 0, 0, 0, 1, 0];
        assert_eq!(scan(Limits::DEFAULT.with_name(4), &strict), Ok(()));
        assert_eq!(scan(Limits::DEFAULT.with_name(3), &strict), too_long("message name"));
        let old = [0, 0, 0, 4, b'n', b'a', b'm', b'e', 1, 0, 0, 0, 1, 0];
        assert_eq!(scan(Limits::DEFAULT.with_name(4), &old), Ok(()));
        assert_eq!(scan(Limits::DEFAULT.with_name(3), &old), Err(DecodeErrorKind::NotAMessage(0)));
        for ttype in [12, 15, 14, 13] {
            let level = match ttype {
                12 => &[12, 0, 1][..],
                13 => &[3, 13, 0, 0, 0, 1, 0],
                _ => &[ttype, 0, 0, 0, 1],
            };
            let bomb = message(&[&[ttype, 0, 1], &level.repeat(1_000_000)[..]].concat());
            let info = measure(|| {
                let error =
                    BinaryScanner::new(Limits::DEFAULT).scan(&bomb).map_err(|error| error.kind().clone());
                assert_eq!(error, Err(DecodeErrorKind::TooDeep { limit: 64 }));
            });
            assert!(info.bytes_max < 100_000, "{} bytes", info.bytes_max);
        }
    }

    #[test]
    fn depth_limit_is_that_of_the_reader() {
        let limits = Limits::DEFAULT.with_depth(10);
        let list = |inner: Vec<u8>| [&[15, 0, 1, 12, 0, 0, 0, 1], &inner[..], &[0]].concat();
        let map = |inner: Vec<u8>| [&[13, 0, 1, 3, 12, 0, 0, 0, 1, 7], &inner[..], &[0]].concat();
        let structure = |inner: Vec<u8>| [&[12, 0, 1], &inner[..], &[0]].concat();
        // The arguments are the first level. A container of structs adds two.
        let fits = |inner: &dyn Fn(Vec<u8>) -> Vec<u8>, times: usize| {
            let bytes = message(&(0..times).fold(vec![0], |body, _| inner(body)));
            let scanned =
                BinaryScanner::new(limits).scan(&bytes).map(|end| assert_eq!(end, Some(bytes.len())));
            let bytes = Bytes::from(bytes);
            let mut reader = BinaryReader::new(&bytes, limits);
            reader.message_begin().unwrap();
            assert_eq!(scanned, reader.skip(TType::Struct));
            scanned.is_ok()
        };
        assert_eq!((fits(&structure, 9), fits(&structure, 10)), (true, false));
        assert_eq!((fits(&list, 4), fits(&list, 5)), (true, false));
        assert_eq!((fits(&map, 4), fits(&map, 5)), (true, false));
    }

    #[test]
    fn negative_lengths_and_unknown_types_are_rejected() {
        let scan = |bytes: &[u8]| {
            BinaryScanner::new(Limits::DEFAULT).scan(bytes).map_err(|error| error.kind().clone())
        };
        let negative = |what| Err(DecodeErrorKind::NegativeLength { what, len: -1 });
        assert_eq!(scan(&[0x80, 1, 0, 1, 255, 255, 255, 255]), negative("message name"));
        assert_eq!(scan(&message(&[11, 0, 1, 255, 255, 255, 255])), negative("string"));
        assert_eq!(scan(&message(&[15, 0, 1, 3, 255, 255, 255, 255])), negative("list"));
        assert_eq!(scan(&message(&[14, 0, 1, 3, 255, 255, 255, 255])), negative("set"));
        assert_eq!(scan(&message(&[13, 0, 1, 3, 3, 255, 255, 255, 255])), negative("map"));
        assert_eq!(scan(&message(&[1, 0, 1])), Err(DecodeErrorKind::UnknownType(1)));
        assert_eq!(scan(&message(&[15, 0, 1, 5, 0, 0, 0, 1])), Err(DecodeErrorKind::UnknownType(5)));
        assert_eq!(scan(&message(&[13, 0, 1, 3, 0, 0, 0, 0, 1])), Err(DecodeErrorKind::UnknownType(0)));
        assert_eq!(scan(&[0x80, 1, 0, 0]), Err(DecodeErrorKind::UnknownMessageType(0)));
        assert_eq!(scan(&[0, 0, 0, 0, 5]), Err(DecodeErrorKind::UnknownMessageType(5)));
    }

    /// The message in the old form.
    fn old_form(header: &MessageHeader<'_>, strict: &[u8]) -> Vec<u8> {
        let name = header.name.as_bytes();
        let body = &strict[12 + name.len()..];
        let (len, seqid) = ((name.len() as u32).to_be_bytes(), header.seqid.to_be_bytes());
        [&len, name, &[header.kind as u8], &seqid, body].concat()
    }

    /// The length of the message at the start of `bytes`, according to the reader.
    fn read_len(bytes: &Bytes) -> Result<usize, DecodeErrorKind> {
        let mut reader = BinaryReader::new(bytes, Limits::DEFAULT);
        let read = reader.message_begin().map(drop).and_then(|()| reader.skip(TType::Struct));
        read.map(|()| bytes.len() - reader.rest().len()).map_err(|error| error.kind().clone())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn exact_end_of_any_message_is_found(
            (strict, header, _) in any_message(),
            old in any::<bool>(),
            trailing in vec(any::<u8>(), 0..9),
            steps in vec(1_usize..40, 1..20),
        ) {
            let whole = if old { old_form(&header, &strict) } else { strict.to_vec() };
            let bytes = [&whole[..], &trailing].concat();
            for len in 0..whole.len() {
                prop_assert_eq!(BinaryScanner::new(Limits::DEFAULT).scan(&bytes[..len]), Ok(None), "{} bytes", len);
            }
            let mut scanner = BinaryScanner::new(Limits::DEFAULT);
            let mut arrived = 0;
            for step in steps.iter().cycle() {
                arrived = bytes.len().min(arrived + step);
                let end = scanner.scan(&bytes[..arrived]);
                if arrived >= whole.len() {
                    prop_assert_eq!(end, Ok(Some(whole.len())));
                    break;
                }
                prop_assert_eq!(end, Ok(None));
            }
        }

        #[test]
        fn scanner_and_reader_agree_on_the_end(
            (bytes, _, _) in any_message(),
            mutations in vec(Mutation::any(), 0..4),
            step in 1_usize..50,
        ) {
            let mut bytes = Vec::from(bytes);
            mutations.into_iter().for_each(|mutation| mutation.apply(&mut bytes));
            let bytes = Bytes::from(bytes);
            let mut scanner = BinaryScanner::new(Limits::DEFAULT);
            let found = scanner.scan(&bytes);
            match (&found, read_len(&bytes)) {
                // The scanner does not check names for UTF-8.
                (Ok(_), Err(DecodeErrorKind::InvalidUtf8)) => {}
                (Ok(Some(found)), read) => prop_assert_eq!(Ok(*found), read),
                // The message is incomplete or malformed.
                (Ok(None) | Err(_), read) => prop_assert!(read.is_err(), "{:?}, {:?}", found, read),
            }
            // The result does not depend on the chunks.
            let mut scanner = BinaryScanner::new(Limits::DEFAULT);
            let mut arrived = 0;
            let in_chunks = loop {
                arrived = bytes.len().min(arrived + step);
                match scanner.scan(&bytes[..arrived]) {
                    Ok(None) if arrived < bytes.len() => {}
                    end => break end,
                }
            };
            prop_assert_eq!(in_chunks, found);
        }

        #[test]
        fn arbitrary_bytes_never_panic_or_over_allocate(bytes in vec(any::<u8>(), 0..200), strict in any::<bool>()) {
            let bytes = if strict { message(&bytes) } else { bytes };
            let info = measure(|| drop(BinaryScanner::new(Limits::DEFAULT).scan(&bytes)));
            prop_assert!(info.bytes_max < 10_000, "{} bytes", info.bytes_max);
        }
    }
}
