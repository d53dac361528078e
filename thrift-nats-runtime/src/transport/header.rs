//! The frame of the header transport (THeaderTransport), which has headers before the message.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 4 | the length of the rest of the frame |
//! | 2 | the magic number `0f ff` |
//! | 2 | flags, unused |
//! | 4 | the sequence number |
//! | 2 | the length of the headers, in words of 4 bytes |
//! | headers | varints: the protocol (0 binary, 2 compact), the number of transforms, the transforms; then info blocks |
//! | padding | zeros up to a whole word |
//! | the rest | the message |
//!
//! A transform is an encoding of the message. Only 1, zlib, is supported.
//!
//! An info block starts with its kind. Kind 1 holds names and values: their number, then each text after its length.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::detect::HEADER_MAGIC;
use super::frame::Frame;
use super::headers::Headers;
use crate::format::{Protocol, Transport, WireFormat};
use crate::protocol::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Limits};

/// The kind of the info block with names and values.
const KEY_VALUE: u32 = 1;
/// The number of the zlib transform.
const ZLIB: u32 = 1;
/// The number of bytes before the headers.
const FIXED_LEN: usize = 14;
/// The maximum length of the headers in bytes: their length field has 16 bits and counts words.
const MAX_HEADERS: usize = u16::MAX as usize * 4;

const fn protocol_id(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Binary => 0,
        // The number in Apache Thrift. `WireFormat::check` rejects JSON in the header transport before this is reached.
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

/// Writes everything before the message. The length of the frame stays 0 until `end_frame` sets it.
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

/// `len` as a `u32`. Fails if it exceeds the limit on headers.
fn length(len: usize, limits: Limits) -> Result<u32, EncodeError> {
    // One word less, because rounding up adds up to 3 bytes of padding.
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

/// Reads a complete frame, which starts with its length.
pub(super) fn read(frame: &Bytes, limits: Limits) -> Result<Frame, DecodeError> {
    let (Some(fixed), Some(after)) = (frame.first_chunk::<FIXED_LEN>(), frame.get(FIXED_LEN..)) else {
        return Err(DecodeErrorKind::UnexpectedEnd.into());
    };
    let words = u16::from_be_bytes([fixed[FIXED_LEN - 2], fixed[FIXED_LEN - 1]]);
    let len = usize::from(words) * 4;
    if len > limits.header {
        let (len, limit) = (len as u64, limits.header as u64);
        return Err(DecodeErrorKind::TooLong { what: "headers", len, limit }.into());
    }
    let Some((rest, payload)) = after.split_at_checked(len) else {
        return Err(DecodeErrorKind::LengthBeyondEnd { what: "headers", len: len as u64 }.into());
    };
    let mut reader = Reader { rest };
    let id = reader.varint()?;
    let protocol = protocol_of(id).ok_or(DecodeErrorKind::UnknownProtocol(id))?;
    let mut zlib = false;
    for _ in 0..reader.varint()? {
        match reader.varint()? {
            // Only once: decompressing twice would square the ratio of a compression bomb.
            ZLIB if !zlib => zlib = true,
            transform => return Err(DecodeErrorKind::UnknownTransform(transform).into()),
        }
    }
    let mut headers = Headers::default();
    while !reader.rest.is_empty() {
        // The length of an unknown block is not known, so it and all later blocks are ignored, as in other implementations.
        if reader.varint()? != KEY_VALUE {
            break;
        }
        let count = reader.varint()?;
        for _ in 0..count {
            let (name, value) = (reader.text()?, reader.text()?);
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    // The length of a compressed message is known when it is decompressed.
    if !zlib && payload.len() > limits.message {
        return Err(too_long(payload.len(), limits.message));
    }
    let format = WireFormat { zlib, ..WireFormat::new(protocol, Transport::Header) };
    let seqid = if zlib { i32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]) } else { 0 };
    Ok(Frame { format, headers, payload: frame.slice_ref(payload), seqid })
}

fn too_long(len: usize, limit: usize) -> DecodeError {
    DecodeErrorKind::TooLong { what: "message", len: len as u64, limit: limit as u64 }.into()
}

/// The maximum ratio of the lengths of a decompressed message and a compressed one.
///
/// Zlib compresses zeros to a thousandth, so that a peer without this limit makes the receiver write a thousand bytes for
/// each byte that it sends. Text, numbers and lists of similar structs are compressed to a fifth to a fiftieth.
const MAX_RATIO: usize = 128;

/// The length of a decompressed message that is always accepted, in bytes. To decompress so much takes about as long as the
/// other work for a request, and a short message may consist of little more than zeros.
const ALWAYS_INFLATED: usize = 16 * 1024;

/// The maximum length of the message that is compressed to `compressed` bytes.
const fn max_inflated(compressed: usize) -> usize {
    let most = compressed.saturating_mul(MAX_RATIO);
    if most > ALWAYS_INFLATED { most } else { ALWAYS_INFLATED }
}

/// Appends the compressed message to `buffer`.
pub(super) fn compress(buffer: &mut Vec<u8>, message: &[u8]) {
    let start = buffer.len();
    append_zlib(buffer, message, Compression::fast());
    if message.len() > max_inflated(buffer.len() - start) {
        // The receiver would take it for an attack: sent as zlib data that is not compressed.
        buffer.truncate(start);
        append_zlib(buffer, message, Compression::none());
    }
}

fn append_zlib(buffer: &mut Vec<u8>, message: &[u8], level: Compression) {
    let mut encoder = ZlibEncoder::new(buffer, level);
    encoder.write_all(message).and_then(|()| encoder.finish()).expect("writing to a Vec cannot fail");
}

/// Decompresses a message, but not more than one byte beyond the limits, because its length is not known in advance.
pub(super) fn decompress(compressed: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let by_ratio = max_inflated(compressed.len());
    let most = limit.min(by_ratio);
    let mut message = Vec::with_capacity(compressed.len().saturating_mul(4).min(most));
    let read = ZlibDecoder::new(compressed).take((most as u64).saturating_add(1)).read_to_end(&mut message);
    read.map_err(|_| DecodeErrorKind::InvalidZlib)?;
    if message.len() > limit {
        return Err(too_long(message.len(), limit));
    }
    if message.len() > by_ratio {
        let compressed = compressed.len() as u64;
        return Err(DecodeErrorKind::CompressionRatio { compressed, limit: by_ratio as u64 }.into());
    }
    Ok(message)
}

/// Decompresses the start of a message: as much as is accepted of any message.
pub(super) fn decompress_start(compressed: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut message = Vec::new();
    let read = ZlibDecoder::new(compressed).take(ALWAYS_INFLATED as u64).read_to_end(&mut message);
    read.map_err(|_| DecodeErrorKind::InvalidZlib)?;
    Ok(message)
}

/// A reader of varints and texts.
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
