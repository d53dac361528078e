//! Values of arbitrary shape for tests, with their proptest strategies.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::Protocol;

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    /// The bits of the number, so that NaNs compare by their bits.
    Double(u64),
    String(Vec<u8>),
    Uuid(u128),
    Struct(Vec<(i16, Tree)>),
    List(TType, Vec<Tree>),
    Set(TType, Vec<Tree>),
    Map(TType, TType, Vec<(Tree, Tree)>),
}

/// All wire types.
pub(crate) const TTYPES: [TType; 12] = [
    TType::Bool,
    TType::I8,
    TType::I16,
    TType::I32,
    TType::I64,
    TType::Double,
    TType::String,
    TType::Uuid,
    TType::Struct,
    TType::List,
    TType::Set,
    TType::Map,
];

impl Tree {
    pub(crate) const fn ttype(&self) -> TType {
        match self {
            Self::Bool(_) => TType::Bool,
            Self::I8(_) => TType::I8,
            Self::I16(_) => TType::I16,
            Self::I32(_) => TType::I32,
            Self::I64(_) => TType::I64,
            Self::Double(_) => TType::Double,
            Self::String(_) => TType::String,
            Self::Uuid(_) => TType::Uuid,
            Self::Struct(_) => TType::Struct,
            Self::List(..) => TType::List,
            Self::Set(..) => TType::Set,
            Self::Map(..) => TType::Map,
        }
    }

    pub(crate) fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        match self {
            Self::Bool(value) => output.bool(*value),
            Self::I8(value) => output.i8(*value),
            Self::I16(value) => output.i16(*value),
            Self::I32(value) => output.i32(*value),
            Self::I64(value) => output.i64(*value),
            Self::Double(bits) => output.double(f64::from_bits(*bits)),
            // Always as a binary: JSON writes strings differently, and `read` cannot tell the two apart.
            Self::String(bytes) => output.binary(bytes)?,
            Self::Uuid(value) => output.uuid(Uuid::from_u128(*value)),
            Self::Struct(fields) => {
                output.struct_begin()?;
                for (id, value) in fields {
                    output.field_begin(value.ttype(), *id);
                    value.write(output)?;
                    output.field_end();
                }
                output.struct_end();
            }
            Self::List(element, values) => {
                output.list_begin(*element, values.len())?;
                values.iter().try_for_each(|value| value.write(output))?;
                output.list_end();
            }
            Self::Set(element, values) => {
                output.set_begin(*element, values.len())?;
                values.iter().try_for_each(|value| value.write(output))?;
                output.set_end();
            }
            Self::Map(key, value, entries) => {
                output.map_begin(*key, *value, entries.len())?;
                for (key, value) in entries {
                    key.write(output)?;
                    value.write(output)?;
                }
                output.map_end();
            }
        }
        Ok(())
    }

    pub(crate) fn read<I: InputProtocol>(input: &mut I, ttype: TType) -> Result<Self, DecodeError> {
        Ok(match ttype {
            TType::Bool => Self::Bool(input.bool()?),
            TType::I8 => Self::I8(input.i8()?),
            TType::I16 => Self::I16(input.i16()?),
            TType::I32 => Self::I32(input.i32()?),
            TType::I64 => Self::I64(input.i64()?),
            TType::Double => Self::Double(input.double()?.to_bits()),
            TType::String => Self::String(input.binary()?.to_vec()),
            TType::Uuid => Self::Uuid(input.uuid()?.as_u128()),
            TType::Struct => {
                let mut fields = Vec::new();
                input.struct_begin()?;
                while let Some(field) = input.field_begin()? {
                    fields.push((field.id, Self::read(input, field.ttype)?));
                }
                input.struct_end();
                Self::Struct(fields)
            }
            TType::List => {
                let list = input.list_begin()?;
                let values =
                    (0..list.len).map(|_| Self::read(input, list.element)).collect::<Result<_, _>>()?;
                input.list_end()?;
                Self::List(list.element, values)
            }
            TType::Set => {
                let set = input.set_begin()?;
                let values =
                    (0..set.len).map(|_| Self::read(input, set.element)).collect::<Result<_, _>>()?;
                input.set_end()?;
                Self::Set(set.element, values)
            }
            TType::Map => {
                let map = input.map_begin()?;
                let entries = (0..map.len)
                    .map(|_| Ok((Self::read(input, map.key)?, Self::read(input, map.value)?)))
                    .collect::<Result<_, DecodeError>>()?;
                input.map_end()?;
                Self::Map(map.key, map.value, entries)
            }
        })
    }

    /// The value in the binary protocol.
    pub(crate) fn binary(&self) -> Vec<u8> {
        self.bytes(Protocol::Binary)
    }

    /// The value in a protocol.
    pub(crate) fn bytes(&self, protocol: Protocol) -> Vec<u8> {
        let mut bytes = Vec::new();
        with_writer!(protocol, &mut bytes, Limits::DEFAULT, |writer| {
            self.write(&mut writer).expect("test values are within the limits");
        });
        bytes
    }

    /// The value that a reader of `protocol` returns: JSON has a single NaN, and compact has no types in an empty map.
    pub(crate) fn read_back(self, protocol: Protocol) -> Self {
        let elements =
            |values: Vec<Self>| values.into_iter().map(|value| value.read_back(protocol)).collect();
        match self {
            Self::Double(bits) if protocol == Protocol::Json && f64::from_bits(bits).is_nan() => {
                Self::Double(f64::NAN.to_bits())
            }
            Self::Map(_, _, entries) if protocol == Protocol::Compact && entries.is_empty() => {
                Self::Map(TType::I8, TType::I8, entries)
            }
            Self::Struct(fields) => {
                Self::Struct(fields.into_iter().map(|(id, value)| (id, value.read_back(protocol))).collect())
            }
            Self::List(element, values) => Self::List(element, elements(values)),
            Self::Set(element, values) => Self::Set(element, elements(values)),
            Self::Map(key, value, entries) => {
                let both = |(key, value): (Self, Self)| (key.read_back(protocol), value.read_back(protocol));
                Self::Map(key, value, entries.into_iter().map(both).collect())
            }
            other => other,
        }
    }

    /// Values of a type, with at most `levels` levels below them.
    pub(crate) fn any_of(ttype: TType, levels: u32) -> BoxedStrategy<Self> {
        // The containers of the last level are empty.
        let most = if levels == 0 { 0 } else { 4 };
        let below = levels.saturating_sub(1);
        match ttype {
            TType::Bool => any::<bool>().prop_map(Self::Bool).boxed(),
            TType::I8 => any::<i8>().prop_map(Self::I8).boxed(),
            TType::I16 => any::<i16>().prop_map(Self::I16).boxed(),
            TType::I32 => any::<i32>().prop_map(Self::I32).boxed(),
            TType::I64 => any::<i64>().prop_map(Self::I64).boxed(),
            TType::Double => any::<u64>().prop_map(Self::Double).boxed(),
            TType::String => vec(any::<u8>(), 0..12).prop_map(Self::String).boxed(),
            TType::Uuid => any::<u128>().prop_map(Self::Uuid).boxed(),
            TType::Struct => {
                let field =
                    any_ttype().prop_flat_map(move |ttype| (any::<i16>(), Self::any_of(ttype, below)));
                vec(field, 0..=most).prop_map(Self::Struct).boxed()
            }
            TType::List | TType::Set => any_ttype()
                .prop_flat_map(move |element| (Just(element), vec(Self::any_of(element, below), 0..=most)))
                .prop_map(move |(element, values)| match ttype {
                    TType::Set => Self::Set(element, values),
                    _ => Self::List(element, values),
                })
                .boxed(),
            TType::Map => (any_ttype(), any_ttype())
                .prop_flat_map(move |(key, value)| {
                    let entry = (Self::any_of(key, below), Self::any_of(value, below));
                    (Just(key), Just(value), vec(entry, 0..=most))
                })
                .prop_map(|(key, value, entries)| Self::Map(key, value, entries))
                .boxed(),
        }
    }

    /// Values of any wire type.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        any_ttype().prop_flat_map(|ttype| Self::any_of(ttype, 4))
    }

    /// Structs with any fields, like the arguments of a call.
    pub(crate) fn any_struct() -> BoxedStrategy<Self> {
        Self::any_of(TType::Struct, 5)
    }
}

/// A struct that contains a list of itself, as generated from an IDL.
#[derive(Debug, PartialEq)]
pub(crate) struct Recursive(pub(crate) Vec<Recursive>);

impl Value for Recursive {
    const TTYPE: TType = TType::Struct;

    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.struct_begin()?;
        self.0.write_field(output, 1)?;
        output.struct_end();
        Ok(())
    }

    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        let mut children = Vec::new();
        input.struct_begin()?;
        while let Some(field) = input.field_begin()? {
            match (field.id, field.ttype) {
                (1, TType::List) => children = Vec::read(input)?,
                _ => input.skip(field.ttype)?,
            }
        }
        input.struct_end();
        Ok(Self(children))
    }
}

/// Any wire type.
pub(crate) fn any_ttype() -> impl Strategy<Value = TType> {
    (0..TTYPES.len()).prop_map(|index| TTYPES[index])
}

/// Strict binary messages with a struct as the body, each with its header and body.
pub(crate) fn any_message() -> impl Strategy<Value = (Bytes, MessageHeader<'static>, Tree)> {
    any_message_of(Protocol::Binary)
}

/// Messages with a struct as the body, each with its header and body.
pub(crate) fn any_message_of(
    protocol: Protocol,
) -> impl Strategy<Value = (Bytes, MessageHeader<'static>, Tree)> {
    let kind = (1_u8..=4).prop_map(|kind| MessageType::from_u8(kind).expect("1 to 4 are message types"));
    (any_name(), kind, any::<i32>(), Tree::any_struct()).prop_map(move |(name, kind, seqid, body)| {
        let header = MessageHeader { name: name.into(), kind, seqid };
        let mut message = Vec::new();
        with_writer!(protocol, &mut message, Limits::DEFAULT, |writer| {
            writer.message_begin(&header).expect("test values are within the limits");
            body.write(&mut writer).expect("test values are within the limits");
            writer.message_end();
        });
        (message.into(), header, body)
    })
}

/// Any protocol.
pub(crate) fn any_protocol() -> impl Strategy<Value = Protocol> {
    (0..Protocol::ALL.len()).prop_map(|index| Protocol::ALL[index])
}

fn any_name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..8).prop_map(String::from_iter)
}

/// A change to bytes at a position modulo their length.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mutation {
    Replace(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
}

impl Mutation {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        // Wire types, small lengths and sign bits break most messages.
        let byte = prop_oneof![any::<u8>(), 0_u8..=16, Just(0x7f), Just(0xff)];
        prop_oneof![
            (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            (any::<usize>(), 0_u8..8).prop_map(|(at, bit)| Self::Flip(at, 1 << bit)),
            (any::<usize>(), byte).prop_map(|(at, byte)| Self::Insert(at, byte)),
            any::<usize>().prop_map(Self::Remove),
            any::<usize>().prop_map(Self::Truncate),
        ]
    }

    pub(crate) fn apply(self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        match self {
            Self::Insert(at, byte) => bytes.insert(at % (len + 1), byte),
            _ if len == 0 => {}
            Self::Replace(at, byte) => bytes[at % len] = byte,
            Self::Flip(at, bit) => bytes[at % len] ^= bit,
            Self::Remove(at) => drop(bytes.remove(at % len)),
            Self::Truncate(at) => bytes.truncate(at % len),
        }
    }
}
