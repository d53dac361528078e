//! A string that can share the memory of its message.

use bytes::Bytes;

/// A `string` as [`InputProtocol::shared_string`](super::InputProtocol::shared_string) returns it: a short one to copy, a
/// long one that shares the memory of the message.
#[derive(Debug)]
pub enum SharedText<'a> {
    /// A short string that has been checked to be UTF-8.
    Checked(&'a str),
    /// A slice of the message that has not been checked. The constructor of the string type checks that it is UTF-8.
    Unchecked(Bytes),
}
