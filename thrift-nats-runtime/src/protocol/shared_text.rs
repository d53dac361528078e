//! Values that share the memory of their message, if they are long.

use bytes::Bytes;

/// The maximum length of a `binary` or `string` that is copied out of its message, in bytes. A longer one is a slice.
///
/// A slice keeps the NATS message alive that it came in, a batch of up to 64 KiB: 5,000 values of 16 bytes held 319 MB. To
/// copy 1 KiB takes as long as to make a slice, 13 ns, and to copy 4 KiB takes 30 ns more. A value then keeps at
/// most 16 times its length alive, if its message is in a batch.
const MAX_COPIED: usize = 4096;

/// Makes bytes of a slice of `message`: shared if it is longer than [`MAX_COPIED`].
#[inline]
pub(crate) fn share(message: &Bytes, slice: &[u8]) -> Bytes {
    if is_shared(slice.len()) { message.slice_ref(slice) } else { Bytes::copy_from_slice(slice) }
}

/// Whether a value of this length shares the memory of its message.
#[inline]
pub(super) const fn is_shared(len: usize) -> bool {
    len > MAX_COPIED
}

/// A `string` as [`InputProtocol::shared_string`](super::InputProtocol::shared_string) returns it: a short one to copy, a
/// long one that shares the memory of the message.
#[derive(Debug)]
pub enum SharedText<'a> {
    /// A short string that has been checked to be UTF-8.
    Checked(&'a str),
    /// A slice of the message that has not been checked. The constructor of the string type checks that it is UTF-8.
    Unchecked(Bytes),
}
