//! The constants of the binary protocol.

use crate::protocol::TType;

/// The version at the start of a strict message: `80 01`.
pub(super) const VERSION_1: u16 = 0x8001;
/// The byte that ends a struct.
pub(super) const STOP: u8 = 0;

/// The length of a value of this type in bytes, if all its values have one length.
pub(crate) const fn fixed_size(ttype: TType) -> Option<usize> {
    match ttype {
        TType::Bool | TType::I8 => Some(1),
        TType::I16 => Some(2),
        TType::I32 => Some(4),
        TType::I64 | TType::Double => Some(8),
        TType::Uuid => Some(16),
        TType::String | TType::Struct | TType::Map | TType::Set | TType::List => None,
    }
}
