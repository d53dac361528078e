//! Numbers as text.

use std::io::Write;

use crate::protocol::{DecodeErrorKind, TType};

#[inline]
pub(super) fn write_integer(buffer: &mut Vec<u8>, value: i64) {
    // One digit, as most ids, counts and kinds are.
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        buffer.push(b'0' + digit);
    } else {
        buffer.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Writes the shortest text that is read back as the same number.
pub(super) fn write_double(buffer: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        buffer.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        buffer.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else {
        // With an exponent for what is very large or small; and `1`, as C++, Go and Python write it, not `1.0`.
        write!(buffer, "{value:?}").expect("a Vec takes everything");
        if buffer.ends_with(b".0") {
            buffer.truncate(buffer.len() - 2);
        }
    }
}

/// How long the number at the start of `bytes` is.
#[inline]
pub(super) fn len(bytes: &[u8]) -> usize {
    let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    bytes.iter().position(|byte| !in_number(byte)).unwrap_or(bytes.len())
}

/// The integer that is all of `text`.
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
        // Downwards: there is one more number below zero than above.
        let next = value.checked_mul(10).and_then(|value| value.checked_sub(digit.into()));
        value = next.ok_or(DecodeErrorKind::NumberOutOfRange(ttype))?;
    }
    if negative {
        return Ok(value);
    }
    value.checked_neg().ok_or(DecodeErrorKind::NumberOutOfRange(ttype))
}

/// The number that is all of `text`.
pub(super) fn parse_double(text: &[u8]) -> Result<f64, DecodeErrorKind> {
    match text {
        b"NaN" | b"nan" => return Ok(f64::NAN),
        b"Infinity" | b"inf" => return Ok(f64::INFINITY),
        b"-Infinity" | b"-inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // What Rust reads besides numbers are words for those above.
    let text =
        str::from_utf8(text).ok().filter(|text| text.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
    text.and_then(|text| text.parse().ok()).ok_or(DecodeErrorKind::InvalidNumber)
}
