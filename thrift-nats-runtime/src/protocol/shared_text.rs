//! Text that may share the memory of its message.

use bytes::Bytes;

/// A `string`, for a type that shares the message's memory where that saves a copy.
#[derive(Debug)]
pub enum SharedText<'a> {
    /// UTF-8, checked.
    Checked(&'a str),
    /// Not checked yet: what is made of it checks it, and twice would be once too often.
    Unchecked(Bytes),
}
