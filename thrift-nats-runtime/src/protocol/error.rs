//! What can be wrong with bytes that are read, or with values that are to be written.

use std::fmt;

use super::TType;
use crate::format::{Protocol, Transport};

/// What writing comes to.
pub type EncodeResult = Result<(), EncodeError>;

/// What reading comes to.
pub type DecodeResult<T> = Result<T, DecodeError>;

/// A value that cannot be written, with the path to the place: `Order.3[7].2: …`. Who writes knows fields by their ids.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodeError {
    // Boxed, as in `DecodeError`: a result without an error is in a register.
    inner: Box<Inner<EncodeErrorKind>>,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// Structs and containers nest deeper than the limit.
    #[error("value nests deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// A string, binary or container is longer than the limit.
    #[error("{what} of {len} is longer than the limit of {limit}")]
    TooLong {
        /// What it is: `string`, `binary`, `list`, `set`, `map`, `message`, `headers`, `frame`.
        what: &'static str,
        /// Its length, in bytes or elements.
        len: usize,
        /// The limit, in the same unit.
        limit: usize,
    },
    /// A union holds a field that was not known when it was read; its value is not there to be written.
    #[error("union `{union}` holds the unknown field {id}, whose value was not kept")]
    UnknownUnionField {
        /// The name of the union.
        union: &'static str,
        /// The id of the field.
        id: i16,
    },
}

impl EncodeError {
    /// The error of a union that holds a field it does not know.
    #[cold]
    pub fn unknown_union_field(union: &'static str, id: i16) -> Self {
        EncodeErrorKind::UnknownUnionField { union, id }.into()
    }

    /// What is wrong.
    pub fn kind(&self) -> &EncodeErrorKind {
        &self.inner.kind
    }

    /// The steps to the place, from the outside in.
    pub fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.inner.path()
    }

    /// The same error, inside the outermost type `name`.
    #[cold]
    #[must_use]
    pub fn in_root(mut self, name: &'static str) -> Self {
        self.inner.path.push(PathSegment::Root(name));
        self
    }

    /// The same error, inside the field `id`.
    #[cold]
    #[must_use]
    pub fn in_id(mut self, id: i16) -> Self {
        self.inner.path.push(PathSegment::Id(id));
        self
    }

    /// The same error, inside the element or entry number `index`.
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
        Self { inner: Box::new(Inner { kind, path: Vec::new() }) }
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

/// Bytes that are not what was expected, with the path to the place: `Order.items[3].price: …`.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError {
    // Boxed: a `Result` of a small value stays small, and the path costs nothing until it is needed.
    inner: Box<Inner<DecodeErrorKind>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner<K> {
    kind: K,
    /// From the inside out.
    path: Vec<PathSegment>,
}

impl<K> Inner<K> {
    fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.path.iter().rev().copied()
    }
}

impl<K: fmt::Display> fmt::Display for Inner<K> {
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

/// A step of the path to the place of a [`DecodeError`] or [`EncodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// The outermost type.
    Root(&'static str),
    /// A field of a struct.
    Field(&'static str),
    /// A field of a struct, by its id.
    Id(i16),
    /// An element of a list or set, or an entry of a map, by its position on the wire.
    Index(usize),
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    #[error("the bytes end in the middle of a value")]
    UnexpectedEnd,
    /// A length or count is negative.
    #[error("{what} has the negative length {len}")]
    NegativeLength {
        /// What it is: `string`, `list`, ….
        what: &'static str,
        /// The length as read.
        len: i64,
    },
    /// A length or count is larger than what is left of the message could hold.
    #[error("{what} claims a length of {len}, more than the rest of the message holds")]
    LengthBeyondEnd {
        /// What it is: `string`, `list`, ….
        what: &'static str,
        /// The length as read, in bytes or elements.
        len: u64,
    },
    /// A length or count is above its limit.
    #[error("{what} of {len} is longer than the limit of {limit}")]
    TooLong {
        /// What it is: `string`, `list`, `message`, ….
        what: &'static str,
        /// The length as read, in bytes or elements.
        len: u64,
        /// The limit, in the same unit.
        limit: u64,
    },
    /// Structs and containers nest deeper than the limit.
    #[error("value nests deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// A string is not UTF-8.
    #[error("string is not UTF-8")]
    InvalidUtf8,
    /// A number stands for no type.
    #[error("{0} is the number of no type")]
    UnknownType(u8),
    /// The header of a message is not one.
    #[error("not a message: it starts with {0:#04x}")]
    NotAMessage(u8),
    /// The version in a message's header is not known.
    #[error("message of the unknown version {0:#06x}")]
    UnknownVersion(u16),
    /// A message is in a protocol that the server is told not to serve.
    #[error("messages in the {0} protocol are not served")]
    ProtocolNotServed(Protocol),
    /// A message is in another protocol than those before it, or than the request.
    #[error("expected the {expected} protocol, found {found}")]
    UnexpectedProtocol {
        /// The protocol of the session.
        expected: Protocol,
        /// The protocol of the message.
        found: Protocol,
    },
    /// A message comes in another transport than those before it, or than the request.
    #[error("expected the {expected} transport, found {found}")]
    UnexpectedTransport {
        /// The transport of the session.
        expected: Transport,
        /// The transport of the message.
        found: Transport,
    },
    /// The header transport names a protocol that is not known.
    #[error("{0} is the number of no protocol")]
    UnknownProtocol(u32),
    /// The header transport names a transform that is not known.
    #[error("{0} is the number of no transform")]
    UnknownTransform(u32),
    /// What the header transport says is compressed by zlib is not.
    #[error("compressed message is damaged")]
    InvalidZlib,
    /// A number of variable length does not end, or is too large.
    #[error("number of variable length does not end where it must")]
    InvalidVarint,
    /// A number does not fit into its type.
    #[error("number does not fit into {0}")]
    NumberOutOfRange(TType),
    /// The id of a field does not fit into 16 bits.
    #[error("id of a field does not fit into 16 bits")]
    FieldIdOutOfRange,
    /// Something else stands where JSON has a certain byte.
    #[error("expected {expected}, found {}", Byte(*.found))]
    UnexpectedByte {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: u8,
    },
    /// Text is no number.
    #[error("text is no number")]
    InvalidNumber,
    /// A backslash in a string is followed by what it cannot be.
    #[error("string holds an escape that is none")]
    InvalidEscape,
    /// Text is no Base64.
    #[error("text is no Base64")]
    InvalidBase64,
    /// Text is no uuid.
    #[error("text is no uuid")]
    InvalidUuid,
    /// A name, of which this is the start, stands for no type.
    #[error("`{0}` is the name of no type")]
    UnknownTypeName(String),
    /// A number stands for no kind of message.
    #[error("{0} is the number of no message type")]
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
    /// A union holds more than one field.
    #[error("union `{union}` holds a second field, {id}")]
    SecondUnionField {
        /// The name of the union.
        union: &'static str,
        /// The id of the second field.
        id: i16,
    },
    /// There are bytes left after the value.
    #[error("{0} bytes are left over after the value")]
    TrailingBytes(usize),
}

/// Shows a byte: as the character that it is, or as its number.
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
    /// The error of a required field that is not there.
    #[cold]
    pub fn missing_field(structure: &'static str, field: &'static str) -> Self {
        DecodeErrorKind::MissingField { structure, field }.into()
    }

    /// The error of a union with more than one field.
    #[cold]
    pub fn second_union_field(union: &'static str, id: i16) -> Self {
        DecodeErrorKind::SecondUnionField { union, id }.into()
    }

    /// What is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.inner.kind
    }

    /// The steps to the place, from the outside in.
    pub fn path(&self) -> impl Iterator<Item = PathSegment> + '_ {
        self.inner.path()
    }

    /// The same error, inside the outermost type `name`.
    #[cold]
    #[must_use]
    pub fn in_root(self, name: &'static str) -> Self {
        self.inside(PathSegment::Root(name))
    }

    /// The same error, inside the field `name`.
    #[cold]
    #[must_use]
    pub fn in_field(self, name: &'static str) -> Self {
        self.inside(PathSegment::Field(name))
    }

    /// The same error, inside the element or entry number `index`.
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
        Self { inner: Box::new(Inner { kind, path: Vec::new() }) }
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
    fn a_decode_error_shows_the_path_to_its_place() {
        let error = DecodeError::from(DecodeErrorKind::InvalidUtf8)
            .in_field("name")
            .in_element(3)
            .in_field("items")
            .in_root("Order");
        assert_eq!(error.to_string(), "Order.items[3].name: string is not UTF-8");
    }

    #[test]
    fn an_encode_error_shows_the_path_to_its_place() {
        let value: Vec<Vec<String>> = vec![vec![], vec!["a".into(), "longer".into()]];
        let mut bytes = Vec::new();
        let limits = crate::protocol::Limits::DEFAULT.with_string(3);
        let mut writer = crate::protocol::BinaryWriter::new(&mut bytes, limits);
        let error = crate::protocol::Value::write_field(&value, &mut writer, 7).expect_err("it is too long");
        assert_eq!(error.to_string(), "7[1][1]: string of 6 is longer than the limit of 3");
        let error = error.in_id(2).in_root("Order");
        assert_eq!(error.to_string(), "Order.2.7[1][1]: string of 6 is longer than the limit of 3");
        assert_eq!(error.path().last(), Some(PathSegment::Index(1)));
        assert_eq!(size_of::<Result<(), EncodeError>>(), size_of::<usize>());
    }
}
