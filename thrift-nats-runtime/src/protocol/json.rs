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
#[cfg(test)]
mod tests;
mod text;
mod wire;
mod writer;

pub use self::reader::JsonReader;
pub(super) use self::reader::peek_seqid;
pub use self::writer::JsonWriter;
