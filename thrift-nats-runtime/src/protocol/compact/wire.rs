//! The constants, type numbers and varints of the compact protocol.

use crate::protocol::{DecodeError, DecodeErrorKind, TType};

/// The first byte of a message.
pub(crate) const PROTOCOL_ID: u8 = 0x82;
/// The version, in the low five bits of the second byte.
pub(crate) const VERSION: u8 = 1;
/// The byte that ends a struct.
pub(super) const STOP: u8 = 0;

/// The number of a type. That of `bool` is also the number of a `true` field.
pub(super) const fn number_of(ttype: TType) -> u8 {
    match ttype {
        TType::Bool => 1,
        TType::I8 => 3,
        TType::I16 => 4,
        TType::I32 => 5,
        TType::I64 => 6,
        TType::Double => 7,
        TType::String => 8,
        TType::List => 9,
        TType::Set => 10,
        TType::Map => 11,
        TType::Struct => 12,
        TType::Uuid => 13,
    }
}

/// The type with this number, if there is one.
#[inline]
pub(crate) const fn type_of(number: u8) -> Option<TType> {
    Some(match number {
        1 | 2 => TType::Bool,
        3 => TType::I8,
        4 => TType::I16,
        5 => TType::I32,
        6 => TType::I64,
        7 => TType::Double,
        8 => TType::String,
        9 => TType::List,
        10 => TType::Set,
        11 => TType::Map,
        12 => TType::Struct,
        13 => TType::Uuid,
        _ => return None,
    })
}

/// Reads a varint of at most `bits` bits at the start of `bytes`. Returns the number and its length in bytes, or `None` if
/// the varint is cut off.
#[inline]
pub(crate) fn read_varint(bytes: &[u8], bits: u32) -> Result<Option<(u64, usize)>, DecodeError> {
    let mut value = 0;
    let mut shift = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let low = u64::from(byte & 0x7f);
        if shift + 7 > bits && (shift >= bits || low >> (bits - shift) != 0) {
            return Err(DecodeErrorKind::InvalidVarint.into());
        }
        value |= low << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
        shift += 7;
        if shift >= bits {
            return Err(DecodeErrorKind::InvalidVarint.into());
        }
    }
    Ok(None)
}

#[inline]
pub(super) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline]
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
