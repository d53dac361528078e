//! The header transport (THeaderTransport): a frame with headers before the message.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | the length of all that follows |
//! | 2 | the magic number `0f ff` |
//! | 2 | flags, none of which is used |
//! | 4 | the sequence number |
//! | 2 | the length of the headers, in words of 4 bytes |
//! | headers | as varints: the protocol (0 binary, 2 compact), how many transforms, and these; then blocks of information |
//! | padding | zeros, up to a whole word |
//! | the rest | the message |
//!
//! A transform is what was done to the message: 1 is zlib, the only one that is in use.
//!
//! A block of information starts with its kind. Kind 1 is names and values: how many, then each with its length.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::detect::HEADER_MAGIC;
use super::frame::Frame;
use super::headers::Headers;
use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Limits};

/// The block of information that is names and values.
const KEY_VALUE: u32 = 1;
/// The transform that is zlib.
const ZLIB: u32 = 1;
/// What stands before the headers.
const FIXED_LEN: usize = 14;
/// The longest headers that their length can tell.
const MAX_HEADERS: usize = u16::MAX as usize * 4;

const fn protocol_id(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Binary => 0,
        // Apache's number; what a session may speak is checked before.
        Protocol::Json => 1,
        Protocol::Compact => 2,
    }
}

const fn protocol_of(id: u32) -> Option<Protocol> {
    match id {
        0 => Some(Protocol::Binary),
        2 => Some(Protocol::Compact),
        _ => None,
    }
}

/// Writes all that stands before the message. The length is left at zero.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    format: WireFormat,
    seqid: i32,
    headers: &Headers,
    limits: Limits,
) -> Result<(), EncodeError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&HEADER_MAGIC);
    buffer.extend_from_slice(&[0; 2]);
    buffer.extend_from_slice(&seqid.to_be_bytes());
    buffer.extend_from_slice(&[0; 2]);
    write_varint(buffer, protocol_id(format.protocol));
    if format.zlib {
        write_varint(buffer, 1);
        write_varint(buffer, ZLIB);
    } else {
        write_varint(buffer, 0);
    }
    if !headers.is_empty() {
        write_varint(buffer, KEY_VALUE);
        write_varint(buffer, length(headers.len(), limits)?);
        for (name, value) in headers.iter() {
            for text in [name, value] {
                write_varint(buffer, length(text.len(), limits)?);
                buffer.extend_from_slice(text.as_bytes());
            }
        }
    }
    let len = buffer.len() - start - FIXED_LEN;
    length(len, limits)?;
    let words = len.div_ceil(4);
    buffer.resize(start + FIXED_LEN + words * 4, 0);
    buffer[start + FIXED_LEN - 2..start + FIXED_LEN].copy_from_slice(&(words as u16).to_be_bytes());
    Ok(())
}

/// `len`, if it is within what headers may take.
fn length(len: usize, limits: Limits) -> Result<u32, EncodeError> {
    // Four less: the last word may be padding.
    let limit = limits.header.min(MAX_HEADERS - 4);
    if len > limit {
        return Err(EncodeErrorKind::TooLong { what: "headers", len, limit }.into());
    }
    Ok(len as u32)
}

fn write_varint(buffer: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

/// Reads a frame, the length of which has been read.
pub(super) fn read(frame: &Bytes, limits: Limits) -> Result<Frame, DecodeError> {
    let (Some(fixed), Some(behind)) = (frame.first_chunk::<FIXED_LEN>(), frame.get(FIXED_LEN..)) else {
        return Err(DecodeErrorKind::UnexpectedEnd.into());
    };
    let words = u16::from_be_bytes([fixed[FIXED_LEN - 2], fixed[FIXED_LEN - 1]]);
    let len = usize::from(words) * 4;
    if len > limits.header {
        let (len, limit) = (len as u64, limits.header as u64);
        return Err(DecodeErrorKind::TooLong { what: "headers", len, limit }.into());
    }
    let Some((rest, payload)) = behind.split_at_checked(len) else {
        return Err(DecodeErrorKind::LengthBeyondEnd { what: "headers", len: len as u64 }.into());
    };
    let mut reader = Reader { rest };
    let id = reader.varint()?;
    let protocol = protocol_of(id).ok_or(DecodeErrorKind::UnknownProtocol(id))?;
    let mut zlib = false;
    for _ in 0..reader.varint()? {
        match reader.varint()? {
            // Once is what anybody does; twice would be a bomb in a bomb.
            ZLIB if !zlib => zlib = true,
            transform => return Err(DecodeErrorKind::UnknownTransform(transform).into()),
        }
    }
    let mut headers = Headers::default();
    while !reader.rest.is_empty() {
        // Of other blocks nobody knows where they end: they hide what is behind them, as they do for everyone else.
        if reader.varint()? != KEY_VALUE {
            break;
        }
        let count = reader.varint()?;
        for _ in 0..count {
            let (name, value) = (reader.text()?, reader.text()?);
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let payload = if zlib { decompress(payload, limits.message)? } else { frame.slice_ref(payload) };
    if payload.len() > limits.message {
        let (len, limit) = (payload.len() as u64, limits.message as u64);
        return Err(DecodeErrorKind::TooLong { what: "message", len, limit }.into());
    }
    let format = WireFormat { zlib, ..WireFormat::new(protocol, Transport::Header) };
    Ok(Frame { format, headers, payload })
}

/// Writes the message, compressed.
pub(super) fn compress(buffer: &mut Vec<u8>, message: &[u8]) {
    let mut encoder = ZlibEncoder::new(buffer, Compression::fast());
    encoder.write_all(message).and_then(|()| encoder.finish()).expect("a Vec takes everything");
}

/// What was compressed, up to one byte more than `limit`: what is to come of it is known only when it is there.
fn decompress(compressed: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let mut message = Vec::new();
    let most = (limit as u64).saturating_add(1);
    let result = ZlibDecoder::new(compressed).take(most).read_to_end(&mut message);
    result.map_err(|_| DecodeErrorKind::InvalidZlib)?;
    Ok(message.into())
}

/// Reads the headers.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, rest) = self.rest.split_first().ok_or(DecodeErrorKind::UnexpectedEnd)?;
            self.rest = rest;
            if shift == 28 && *byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeErrorKind::InvalidVarint.into())
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.varint()?;
        let Some((text, rest)) = self.rest.split_at_checked(len as usize) else {
            return Err(DecodeErrorKind::LengthBeyondEnd { what: "header", len: len.into() }.into());
        };
        self.rest = rest;
        str::from_utf8(text).map_err(|_| DecodeErrorKind::InvalidUtf8.into())
    }
}
