//! The names of types, and the places of values, in the JSON protocol.

use crate::protocol::TType;

/// The version in front of a message.
pub(super) const VERSION: i64 = 1;

/// How types are called on the wire.
pub(super) const fn name_of(ttype: TType) -> &'static str {
    match ttype {
        TType::Bool => "tf",
        TType::I8 => "i8",
        TType::I16 => "i16",
        TType::I32 => "i32",
        TType::I64 => "i64",
        TType::Double => "dbl",
        TType::String => "str",
        TType::Struct => "rec",
        TType::Map => "map",
        TType::Set => "set",
        TType::List => "lst",
        TType::Uuid => "uid",
    }
}

/// The type with this name.
pub(super) const fn type_of(name: &[u8]) -> Option<TType> {
    Some(match name {
        b"tf" => TType::Bool,
        b"i8" => TType::I8,
        b"i16" => TType::I16,
        b"i32" => TType::I32,
        b"i64" => TType::I64,
        b"dbl" => TType::Double,
        b"str" => TType::String,
        b"rec" => TType::Struct,
        b"map" => TType::Map,
        b"set" => TType::Set,
        b"lst" => TType::List,
        b"uid" => TType::Uuid,
        _ => return None,
    })
}

/// Where in a struct or container the next value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Alone, or as the value of a field.
    Single,
    /// In a struct, before its first field.
    FirstField,
    /// In a struct, behind a field.
    NextField,
    /// In a list or set, behind its header; or in a message, behind its own.
    Element,
    /// In a map, before its first key.
    FirstKey,
    /// In a map, behind an entry.
    NextKey,
    /// In a map, behind a key.
    MapValue,
}
