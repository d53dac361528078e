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
    use allocation_counter::measure;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::tree::any_message;

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

    #[test]
    fn a_message_within_a_chunk_is_a_slice_of_it() {
        let message = [0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 0];
        let chunk = Bytes::from(message.repeat(2));
        let addresses = [chunk.as_ptr(), chunk[message.len()..].as_ptr()];
        let mut messages = Vec::new();
        Buffered::new(Limits::DEFAULT).receive(chunk, |message| messages.push(message.as_ptr())).unwrap();
        assert_eq!(messages, addresses);
    }

    /// Memory follows what has arrived, whatever it says of what is to come.
    #[test]
    fn nothing_is_reserved_on_a_peers_word() {
        let length = |len: i32| len.to_be_bytes();
        for claim in [
            [&[11, 0, 1][..], &length(60_000_000)].concat(),
            [&[15, 0, 1, 12][..], &length(16_000_000)].concat(),
            [&[15, 0, 1, 10][..], &length(8_000_000)].concat(),
            [&[13, 0, 1, 12, 12][..], &length(16_000_000)].concat(),
        ] {
            let bytes = [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1][..], &claim, &[0; 1000]].concat();
            let info = measure(|| {
                let mut transport = Buffered::new(Limits::DEFAULT);
                for chunk in bytes.chunks(10) {
                    transport
                        .receive(Bytes::copy_from_slice(chunk), |_| panic!("it is not complete"))
                        .unwrap();
                }
            });
            assert!(info.bytes_max < 10_000, "{} bytes", info.bytes_max);
        }
    }

    #[test]
    fn what_came_before_garbage_is_delivered() {
        let message = [0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 0];
        let mut messages = Vec::new();
        let chunk = Bytes::from([&message[..], b"GET / HTTP/1.1"].concat());
        assert!(Buffered::new(Limits::DEFAULT).receive(chunk, |message| messages.push(message)).is_err());
        assert_eq!(messages, [&message[..]]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_messages_come_out_as_they_went_in(
            messages in vec(any_message().prop_map(|(message, _, _)| message), 0..6),
            steps in vec(1_usize..100, 1..10),
        ) {
            let stream = messages.concat();
            let mut transport = Buffered::new(Limits::DEFAULT);
            let (mut out, mut rest) = (Vec::new(), &stream[..]);
            for step in steps.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, behind) = rest.split_at(rest.len().min(*step));
                transport.receive(Bytes::copy_from_slice(chunk), |message| out.push(message)).unwrap();
                rest = behind;
            }
            prop_assert_eq!(out, messages);
            prop_assert!(transport.partial.is_empty());
        }
    }
}
