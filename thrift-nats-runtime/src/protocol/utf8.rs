//! Bytes as text.

use ascii::AsAsciiStr;

use super::{DecodeError, DecodeErrorKind};

/// From this length on, what looks at many bytes at once is worth its start.
const LONG: usize = 64;

/// The text that `bytes` are.
#[inline]
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    if bytes.len() < LONG {
        // Most text is short and ASCII, and that is known in a few instructions.
        match bytes.as_ascii_str() {
            Ok(text) => Ok(text.as_str()),
            Err(_) => str::from_utf8(bytes).map_err(|_| DecodeErrorKind::InvalidUtf8.into()),
        }
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| DecodeErrorKind::InvalidUtf8.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_at_any_length() {
        for len in 0..200 {
            let plain = "x".repeat(len);
            assert_eq!(utf8(plain.as_bytes()), Ok(plain.as_str()));
            for (place, end) in [(0, "é"), (len / 2, "☃"), (len, "😀")] {
                let text = format!("{}{end}{}", &plain[..place], &plain[place..]);
                assert_eq!(utf8(text.as_bytes()), Ok(text.as_str()));
                let cut = &text.as_bytes()[..place + end.len() - 1];
                assert!(utf8(cut).is_err(), "{len}");
                let mut wrong = text.into_bytes();
                wrong[place] = 0x80;
                assert_eq!(utf8(&wrong), Err(DecodeErrorKind::InvalidUtf8.into()));
            }
        }
    }
}
