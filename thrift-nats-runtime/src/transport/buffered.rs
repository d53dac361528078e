//! The buffered transport: messages as they are, one after the other, with nothing between them.

use bytes::{Bytes, BytesMut};

use super::scanner::Scanner;
use crate::protocol::{DecodeError, Limits};

/// Cuts a stream that arrives in chunks into messages.
#[derive(Debug)]
pub(crate) struct Buffered {
    scanner: Scanner,
    /// What has arrived of a message that is not complete yet.
    partial: BytesMut,
}

impl Buffered {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { scanner: Scanner::new(limits), partial: BytesMut::new() }
    }

    /// Takes the next chunk of the stream, and hands every message that is complete now to `deliver`. A message that
    /// lies within one chunk is a slice of it.
    pub(crate) fn receive(
        &mut self,
        mut chunk: Bytes,
        mut deliver: impl FnMut(Bytes),
    ) -> Result<(), DecodeError> {
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&chunk);
            let Some(len) = self.scanner.scan(&self.partial)? else { return Ok(()) };
            let mut whole = std::mem::take(&mut self.partial).freeze();
            deliver(whole.split_to(len));
            chunk = whole;
        }
        while !chunk.is_empty() {
            match self.scanner.scan(&chunk)? {
                Some(len) => deliver(chunk.split_to(len)),
                None => {
                    self.partial.extend_from_slice(&chunk);
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_joined_and_cut_whatever_the_chunks() {
        let message =
            [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 11, 0, 1, 0, 0, 0, 9][..], b"some text", &[0]]
                .concat();
        let stream = message.repeat(5);
        for step in 1..=stream.len() {
            let mut transport = Buffered::new(Limits::DEFAULT);
            let mut messages = Vec::new();
            for chunk in stream.chunks(step) {
                transport.receive(Bytes::copy_from_slice(chunk), |message| messages.push(message)).unwrap();
            }
            assert_eq!(messages, vec![message.clone(); 5], "chunks of {step}");
        }
    }
}
