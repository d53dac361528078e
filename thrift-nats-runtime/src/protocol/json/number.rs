//! Numbers as JSON text.

use std::io::Write;

use crate::protocol::{DecodeErrorKind, TType};

#[inline]
pub(super) fn write_integer(buffer: &mut Vec<u8>, value: i64) {
    // Most ids, counts and message types have one digit.
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        buffer.push(b'0' + digit);
    } else {
        buffer.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Writes the shortest text that parses as the same number.
pub(super) fn write_double(buffer: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        buffer.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        buffer.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else {
        // `Debug` writes very large and small numbers with an exponent. `1.0` becomes `1`, as C++, Go and Python write it.
        write!(buffer, "{value:?}").expect("writing to a Vec cannot fail");
        if buffer.ends_with(b".0") {
            buffer.truncate(buffer.len() - 2);
        }
    }
}

/// The length of the number at the start of `bytes`.
#[inline]
pub(super) fn len(bytes: &[u8]) -> usize {
    let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    bytes.iter().position(|byte| !in_number(byte)).unwrap_or(bytes.len())
}

/// Parses all of `text` as an integer. `ttype` is the type in an error.
#[inline]
pub(super) fn parse_integer(text: &[u8], ttype: TType) -> Result<i64, DecodeErrorKind> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(DecodeErrorKind::InvalidNumber);
    }
    let mut value: i64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return Err(DecodeErrorKind::InvalidNumber);
        }
        // Negative, because `i64::MIN` has no positive counterpart.
        let next = value.checked_mul(10).and_then(|value| value.checked_sub(digit.into()));
        value = next.ok_or(DecodeErrorKind::NumberOutOfRange(ttype))?;
    }
    if negative {
        return Ok(value);
    }
    value.checked_neg().ok_or(DecodeErrorKind::NumberOutOfRange(ttype))
}

/// Parses all of `text` as a number.
pub(super) fn parse_double(text: &[u8]) -> Result<f64, DecodeErrorKind> {
    match text {
        b"NaN" | b"nan" => return Ok(f64::NAN),
        b"Infinity" | b"inf" => return Ok(f64::INFINITY),
        b"-Infinity" | b"-inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust also parses `infinity`, `+nan` and so on, which JSON does not have.
    let text =
        str::from_utf8(text).ok().filter(|text| text.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
    text.and_then(|text| text.parse().ok()).ok_or(DecodeErrorKind::InvalidNumber)
}
