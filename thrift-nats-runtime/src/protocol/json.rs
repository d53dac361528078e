//! The JSON protocol (TJSONProtocol).
//!
//! | what | how |
//! | --- | --- |
//! | message | `[1,"name",type,seqid,{…}]` |
//! | struct | `{"id":{"type":value},…}` |
//! | list, set | `["type",count,value,…]` |
//! | map | `["type","type",count,{key:value,…}]`; a number that is a key is quoted, a struct that is one is not |
//! | `bool` | 1 or 0 |
//! | `binary` | Base64 in quotes; written with padding, read with and without |
//! | `double` | a number; `"NaN"`, `"Infinity"`, `"-Infinity"` are quoted, and read without quotes too |

mod number;
mod reader;
mod text;
mod writer;

pub use self::reader::JsonReader;
pub(super) use self::reader::peek_seqid;
pub use self::writer::JsonWriter;
use super::TType;

/// The version in front of a message.
const VERSION: i64 = 1;

/// How types are called on the wire.
const fn name_of(ttype: TType) -> &'static str {
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
const fn type_of(name: &[u8]) -> Option<TType> {
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
enum Place {
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

#[cfg(test)]
mod tests;
