//! The JSON protocol (TJSONProtocol).
//!
//! | value | JSON |
//! | --- | --- |
//! | message | `[1,"name",type,seqid,{…}]` |
//! | struct | `{"id":{"type":value},…}` |
//! | list, set | `["type",count,value,…]` |
//! | map | `["type","type",count,{key:value,…}]`; a number as a key is quoted, a struct as a key is not |
//! | `bool` | 1 or 0 |
//! | `binary` | Base64 in quotes, written with padding, read with and without |
//! | `double` | a number; `"NaN"`, `"Infinity"` and `"-Infinity"` are quoted, and also read without quotes |

mod number;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod wire;
mod writer;

pub use self::reader::JsonReader;
pub(super) use self::reader::peek_seqid;
pub use self::writer::JsonWriter;
