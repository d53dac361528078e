//! The names of types in the JSON protocol, and the places of values in its syntax.

use crate::protocol::TType;

/// The version at the start of a message.
pub(super) const VERSION: i64 = 1;

/// The name of a type on the wire.
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

/// The type with this name, if there is one.
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

/// The place of the next value, which decides the separator before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not in a container, or the value of a field.
    Single,
    /// In a struct, before the first field.
    FirstField,
    /// In a struct, after a field.
    NextField,
    /// In a list, set or message, after its header or an element.
    Element,
    /// In a map, before the first key.
    FirstKey,
    /// In a map, after an entry.
    NextKey,
    /// In a map, after a key.
    MapValue,
}
