//! Encoding and decoding of single values, without a session or a message around them.

use bytes::Bytes;

use super::dispatch::{with_reader, with_writer};
use super::{
    DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, InputProtocol, Limits, TType, Value,
};
use crate::format::Protocol;

/// Encodes a value, within the default [`Limits`].
///
/// ```
/// use thrift_nats_runtime::Protocol;
/// use thrift_nats_runtime::protocol::{from_bytes, to_bytes};
///
/// let prices = vec![3_i32, 5, 8];
/// let bytes = to_bytes(Protocol::Compact, &prices)?;
/// assert_eq!(bytes, [0x35, 6, 10, 16][..]);
/// assert_eq!(from_bytes::<Vec<i32>>(Protocol::Compact, bytes)?, prices);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`EncodeError`].
pub fn to_bytes<T: Value>(protocol: Protocol, value: &T) -> Result<Bytes, EncodeError> {
    to_bytes_with_limits(protocol, value, Limits::DEFAULT)
}

/// Encodes a value, within `limits`.
///
/// # Errors
/// See [`EncodeError`].
pub fn to_bytes_with_limits<T: Value>(
    protocol: Protocol,
    value: &T,
    limits: Limits,
) -> Result<Bytes, EncodeError> {
    let mut buffer = Vec::with_capacity(256);
    with_writer!(protocol, &mut buffer, limits, |writer| value.write(&mut writer)).map_err(|error| {
        match T::TTYPE {
            TType::Struct => error.in_root(name_of::<T>()),
            _ => error,
        }
    })?;
    if buffer.len() > limits.message {
        let (what, len, limit) = ("message", buffer.len(), limits.message);
        return Err(EncodeErrorKind::TooLong { what, len, limit }.into());
    }
    Ok(buffer.into())
}

/// Decodes a value that takes all of `bytes`, within the default [`Limits`].
///
/// ```
/// use thrift_nats_runtime::Protocol;
/// use thrift_nats_runtime::protocol::from_bytes;
///
/// let json = r#"["i32", 3, 3, 5, 8]"#;
/// assert_eq!(from_bytes::<Vec<i32>>(Protocol::Json, json)?, [3, 5, 8]);
/// let error = from_bytes::<Vec<i32>>(Protocol::Json, r#"["i32", 2, 3, "x"]"#).unwrap_err();
/// assert_eq!(error.to_string(), "[1]: text is not a number");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`DecodeError`]. Its text starts with the path to the value that failed.
pub fn from_bytes<T: Value>(protocol: Protocol, bytes: impl Into<Bytes>) -> Result<T, DecodeError> {
    from_bytes_with_limits(protocol, bytes, Limits::DEFAULT)
}

/// Decodes a value that takes all of `bytes`, within `limits`.
///
/// `binary` values and shared strings of more than 4 KiB are slices of `bytes`: they keep its memory alive.
///
/// # Errors
/// See [`DecodeError`]. Its text starts with the path to the value that failed.
pub fn from_bytes_with_limits<T: Value>(
    protocol: Protocol,
    bytes: impl Into<Bytes>,
    limits: Limits,
) -> Result<T, DecodeError> {
    let bytes = bytes.into();
    if bytes.len() > limits.message {
        let (what, len, limit) = ("message", bytes.len() as u64, limits.message as u64);
        return Err(DecodeErrorKind::TooLong { what, len, limit }.into());
    }
    let result = with_reader!(protocol, &bytes, limits, |reader| {
        T::read(&mut reader).and_then(|value| reader.end().map(|()| value))
    });
    result.map_err(|error| match T::TTYPE {
        TType::Struct => error.in_root(name_of::<T>()),
        _ => error,
    })
}

/// The name of a type, without its module and its parameters.
fn name_of<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit(':').next().unwrap_or(plain)
}
