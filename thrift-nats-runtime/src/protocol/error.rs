//! The errors of decoding and encoding.
//!
//! Owns the two error types, their kinds and the path to the value that failed. Never reads or writes a value itself.
//! A reader or writer makes an error from its kind; each type on the way out adds one step of the path with `in_…`.

use std::fmt;

use super::TType;
use crate::format::{Protocol, Transport};

/// The result of writing a value.
pub type EncodeResult = Result<(), EncodeError>;

/// The result of reading a value.
pub type DecodeResult<T> = Result<T, DecodeError>;

/// A value cannot be written. The text starts with the path to the value, such as `Order.3[7].2: …`.
///
/// The path names fields by id, because writers do not know the names of fields.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError {
    // Boxed, so that `Result<(), EncodeError>` is one pointer wide and is returned in a register.
    inner: Box<ErrorWithPath<EncodeErrorKind>>,
}

/// The reason for an [`EncodeError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// Structs and containers nest deeper than [`Limits::depth`](super::Limits::depth).
    #[error("value nests deeper than {limit} levels; see `Limits::depth`")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// A string, binary, container or message is longer than its limit.
    #[error(
        "{what} of {len} {} {} the limit of {limit}; see `Limits::{}`",
        unit(.what), exceed(.what), limit_of(.what)
    )]
    TooLong {
        /// `string`, `binary`, `list`, `set`, `map`, `message`, `headers` or `frame`.
        what: &'static str,
        /// The length of the value, in bytes or elements.
        len: usize,
        /// The limit, in the same unit.
        limit: usize,
    },
    /// A union was read with a field that its type does not have. The value of that field was skipped, so it cannot be
    /// written.
    #[error(
        "union `{union}` has the unknown field {id}, whose value was not kept; generate with `keep_unknown_fields`"
    )]
    UnknownUnionField {
        /// The name of the union.
        union: &'static str,
        /// The id of the field.
        id: i16,
    },
}

impl EncodeError {
    /// Makes an [`EncodeErrorKind::UnknownUnionField`].
    #[cold]
    pub fn unknown_union_field(union: &'static str, id: i16) -> Self {
        EncodeErrorKind::UnknownUnionField { union, id }.into()
    }

    /// The reason.
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.inner.kind
    }

    /// The steps to the value that failed, outermost first.
    pub fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.inner.path()
    }

    /// Adds the outermost type `name` to the path.
    #[cold]
    #[must_use]
    pub fn in_root(mut self, name: &'static str) -> Self {
        self.inner.path.push(PathSegment::Root(name));
        self
    }

    /// Adds the field `id` to the path.
    #[cold]
    #[must_use]
    pub fn in_id(mut self, id: i16) -> Self {
        self.inner.path.push(PathSegment::Id(id));
        self
    }

    /// Adds the element or entry at `index` to the path.
    #[cold]
    #[must_use]
    pub fn in_element(mut self, index: usize) -> Self {
        self.inner.path.push(PathSegment::Index(index));
        self
    }
}

impl From<EncodeErrorKind> for EncodeError {
    #[cold]
    fn from(kind: EncodeErrorKind) -> Self {
        Self { inner: Box::new(ErrorWithPath { kind, path: Vec::new() }) }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodeError({self})")
    }
}

impl std::error::Error for EncodeError {}

/// Bytes cannot be read as the expected value. The text starts with the path to the value, such as
/// `Order.items[3].price: …`.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError {
    // Boxed, so that a `Result` of a small value stays small. The path allocates only when there is an error.
    inner: Box<ErrorWithPath<DecodeErrorKind>>,
}

#[derive(Clone, PartialEq, Eq)]
struct ErrorWithPath<K> {
    kind: K,
    /// Innermost step first.
    path: Vec<PathSegment>,
}

impl<K> ErrorWithPath<K> {
    fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.path.iter().rev().copied()
    }
}

impl<K: fmt::Display> fmt::Display for ErrorWithPath<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.path().enumerate() {
            match segment {
                PathSegment::Index(index) => write!(f, "[{index}]")?,
                PathSegment::Root(name) | PathSegment::Field(name) if position == 0 => f.write_str(name)?,
                PathSegment::Root(name) | PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Id(id) if position == 0 => id.fmt(f)?,
                PathSegment::Id(id) => write!(f, ".{id}")?,
            }
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        self.kind.fmt(f)
    }
}

/// A step of the path in a [`DecodeError`] or [`EncodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// The outermost type.
    Root(&'static str),
    /// A field of a struct, by name.
    Field(&'static str),
    /// A field of a struct, by id.
    Id(i16),
    /// An element of a list or set, or an entry of a map, by its position on the wire.
    Index(usize),
}

/// The reason for a [`DecodeError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// The peer sent a long message in parts, and this part does not continue it.
    #[error("a part of a long message does not fit the parts before it")]
    BadPart,
    /// The peer sent a message of the session protocol, such as a cancellation, that is longer than any that this crate
    /// sends.
    #[error("a control message of {len} bytes exceeds the limit of {limit}")]
    ControlTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A length or count is negative.
    #[error("{what} has the negative length {len}")]
    NegativeLength {
        /// `string`, `list` and so on.
        what: &'static str,
        /// The length on the wire.
        len: i64,
    },
    /// A length or count is larger than the rest of the message can hold.
    #[error("{what} has length {len}, which is more than the rest of the message can hold")]
    LengthBeyondEnd {
        /// `string`, `list` and so on.
        what: &'static str,
        /// The length on the wire, in bytes or elements.
        len: u64,
    },
    /// A length or count exceeds its limit.
    #[error(
        "{what} of {len} {} {} the limit of {limit}; see `Limits::{}`",
        unit(.what), exceed(.what), limit_of(.what)
    )]
    TooLong {
        /// `string`, `list`, `message` and so on.
        what: &'static str,
        /// The length on the wire, in bytes or elements.
        len: u64,
        /// The limit, in the same unit.
        limit: u64,
    },
    /// Structs and containers nest deeper than [`Limits::depth`](super::Limits::depth).
    #[error("value nests deeper than {limit} levels; see `Limits::depth`")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// A string is not valid UTF-8.
    #[error("string is not valid UTF-8")]
    InvalidUtf8,
    /// The number of a wire type is not known.
    #[error("unknown wire type {0}")]
    UnknownType(u8),
    /// The bytes are not a Thrift message. Holds the first byte.
    #[error("not a Thrift message: the first byte is {0:#04x}")]
    NotAMessage(u8),
    /// The version in the header of a message is not known.
    #[error("unknown message version {0:#06x}")]
    UnknownVersion(u16),
    /// A message is in a protocol that the server does not serve.
    #[error("the {0} protocol is not served")]
    ProtocolNotServed(Protocol),
    /// A message is in a transport that the server does not serve.
    #[error("the {0} transport is not served")]
    TransportNotServed(Transport),
    /// A message is compressed, and the server does not serve compression.
    #[error("compressed messages are not served")]
    CompressionNotServed,
    /// A message is not in the protocol of the session: that of its first message, or of the request.
    #[error("expected the {expected} protocol, found {found}")]
    UnexpectedProtocol {
        /// The protocol of the session.
        expected: Protocol,
        /// The protocol of the message.
        found: Protocol,
    },
    /// A message is not in the transport of the session: that of its first message, or of the request.
    #[error("expected the {expected} transport, found {found}")]
    UnexpectedTransport {
        /// The transport of the session.
        expected: Transport,
        /// The transport of the message.
        found: Transport,
    },
    /// The header transport names an unknown protocol.
    #[error("unknown protocol id {0} in the header transport")]
    UnknownProtocol(u32),
    /// The header transport names an unknown transform, or zlib twice.
    #[error("unsupported transform {0} in the header transport; only one zlib transform (1) is supported")]
    UnknownTransform(u32),
    /// The header transport names the zlib transform, but the message is not valid zlib data.
    #[error("compressed message is not valid zlib data")]
    InvalidZlib,
    /// A compressed message is much longer when it is decompressed: it may be meant to waste memory and time. Such a message
    /// has to be sent without compression.
    #[error(
        "compressed message of {compressed} bytes decompresses to more than {limit}; send it without compression"
    )]
    CompressionRatio {
        /// The length of the compressed message, in bytes.
        compressed: u64,
        /// The limit for a compressed message of this length, in bytes.
        limit: u64,
    },
    /// The sequence number of a compressed message is not the one in its frame.
    #[error("compressed message has the sequence number {found}, but its frame has {expected}")]
    UnexpectedSeqid {
        /// The number in the frame.
        expected: i32,
        /// The number in the message.
        found: i32,
    },
    /// A varint has more bits than its type.
    #[error("varint has more bits than its type")]
    InvalidVarint,
    /// A number does not fit in its type.
    #[error("number does not fit in {0}")]
    NumberOutOfRange(TType),
    /// The id of a field does not fit in `i16`.
    #[error("field id does not fit in i16")]
    FieldIdOutOfRange,
    /// The JSON text has another byte than the syntax requires.
    #[error("expected {expected}, found {}", Byte(*.found))]
    UnexpectedByte {
        /// The required byte, in back quotes, or `a number`.
        expected: &'static str,
        /// The byte in the text.
        found: u8,
    },
    /// A text is not a number.
    #[error("text is not a number")]
    InvalidNumber,
    /// A string has an invalid escape sequence.
    #[error("string has an invalid escape sequence")]
    InvalidEscape,
    /// A text is not valid Base64.
    #[error("text is not valid Base64")]
    InvalidBase64,
    /// A text is not a UUID.
    #[error("text is not a UUID")]
    InvalidUuid,
    /// The name of a type is not known. Holds the first 16 bytes of the name.
    #[error("unknown type name `{0}`")]
    UnknownTypeName(String),
    /// The number of a message type is not known.
    #[error("unknown message type {0}")]
    UnknownMessageType(u8),
    /// The elements of a container are not of the declared type.
    #[error("expected {expected}, found {found}")]
    UnexpectedType {
        /// The declared type.
        expected: TType,
        /// The type on the wire.
        found: TType,
    },
    /// A required field is missing.
    #[error("required field `{field}` of `{structure}` is missing")]
    MissingField {
        /// The name of the struct.
        structure: &'static str,
        /// The name of the field.
        field: &'static str,
    },
    /// A union has more than one field.
    #[error("union `{union}` has a second field, {id}")]
    SecondUnionField {
        /// The name of the union.
        union: &'static str,
        /// The id of the second field.
        id: i16,
    },
    /// Bytes follow the value. Holds their number.
    #[error("{0} trailing bytes after the value")]
    TrailingBytes(usize),
}

/// The unit in which the length of a `what` is counted.
fn unit(what: &str) -> &'static str {
    match what {
        "list" | "set" => "elements",
        "map" => "entries",
        _ => "bytes",
    }
}

/// "exceeds" in the number of `what`.
fn exceed(what: &str) -> &'static str {
    match what {
        "headers" => "exceed",
        _ => "exceeds",
    }
}

/// The field of [`Limits`](super::Limits) that bounds a `what`.
fn limit_of(what: &str) -> &'static str {
    match what {
        "string" | "binary" => "string",
        "list" | "set" | "map" => "container",
        "message name" => "name",
        "headers" => "header",
        "memory" => "memory",
        _ => "message",
    }
}

/// Shows a printable ASCII byte as a character in back quotes, any other byte in hexadecimal.
struct Byte(u8);

impl fmt::Display for Byte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            byte @ b'!'..=b'~' => write!(f, "`{}`", char::from(byte)),
            byte => write!(f, "{byte:#04x}"),
        }
    }
}

impl DecodeError {
    /// Makes a [`DecodeErrorKind::MissingField`].
    #[cold]
    pub fn missing_field(structure: &'static str, field: &'static str) -> Self {
        DecodeErrorKind::MissingField { structure, field }.into()
    }

    /// Makes a [`DecodeErrorKind::SecondUnionField`].
    #[cold]
    pub fn second_union_field(union: &'static str, id: i16) -> Self {
        DecodeErrorKind::SecondUnionField { union, id }.into()
    }

    /// The reason.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.inner.kind
    }

    /// The steps to the value that failed, outermost first.
    pub fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.inner.path()
    }

    /// Adds the outermost type `name` to the path.
    #[cold]
    #[must_use]
    pub fn in_root(self, name: &'static str) -> Self {
        self.inside(PathSegment::Root(name))
    }

    /// Adds the field `name` to the path.
    #[cold]
    #[must_use]
    pub fn in_field(self, name: &'static str) -> Self {
        self.inside(PathSegment::Field(name))
    }

    /// Adds the element or entry at `index` to the path.
    #[cold]
    #[must_use]
    pub fn in_element(self, index: usize) -> Self {
        self.inside(PathSegment::Index(index))
    }

    fn inside(mut self, segment: PathSegment) -> Self {
        self.inner.path.push(segment);
        self
    }
}

impl From<DecodeErrorKind> for DecodeError {
    #[cold]
    fn from(kind: DecodeErrorKind) -> Self {
        Self { inner: Box::new(ErrorWithPath { kind, path: Vec::new() }) }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({self})")
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_error_starts_with_its_path() {
        let error = DecodeError::from(DecodeErrorKind::InvalidUtf8)
            .in_field("name")
            .in_element(3)
            .in_field("items")
            .in_root("Order");
        assert_eq!(error.to_string(), "Order.items[3].name: string is not valid UTF-8");
    }

    #[test]
    fn limit_errors_name_the_unit_and_the_limit() {
        for (what, text) in [
            ("string", "string of 4 bytes exceeds the limit of 3; see `Limits::string`"),
            ("map", "map of 4 entries exceeds the limit of 3; see `Limits::container`"),
            ("set", "set of 4 elements exceeds the limit of 3; see `Limits::container`"),
            ("message name", "message name of 4 bytes exceeds the limit of 3; see `Limits::name`"),
            ("headers", "headers of 4 bytes exceed the limit of 3; see `Limits::header`"),
            ("frame", "frame of 4 bytes exceeds the limit of 3; see `Limits::message`"),
        ] {
            let decode = DecodeErrorKind::TooLong { what, len: 4, limit: 3 };
            let encode = EncodeErrorKind::TooLong { what, len: 4, limit: 3 };
            assert_eq!((decode.to_string(), encode.to_string()), (text.to_owned(), text.to_owned()));
        }
    }

    #[test]
    fn encode_error_starts_with_its_path() {
        let value: Vec<Vec<String>> = vec![vec![], vec!["a".into(), "longer".into()]];
        let mut bytes = Vec::new();
        let limits = crate::protocol::Limits::DEFAULT.with_string(3);
        let mut writer = crate::protocol::BinaryWriter::new(&mut bytes, limits);
        let error = crate::protocol::Value::write_field(&value, &mut writer, 7).expect_err("it is too long");
        assert_eq!(
            error.to_string(),
            "7[1][1]: string of 6 bytes exceeds the limit of 3; see `Limits::string`"
        );
        let error = error.in_id(2).in_root("Order");
        assert_eq!(
            error.to_string(),
            "Order.2.7[1][1]: string of 6 bytes exceeds the limit of 3; see `Limits::string`"
        );
        assert_eq!(error.path().last(), Some(PathSegment::Index(1)));
        assert_eq!(size_of::<Result<(), EncodeError>>(), size_of::<usize>());
    }
}
