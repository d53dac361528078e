//! The incoming stream: checks chunks for loss, and finds the messages in them.

use bytes::Bytes;

use super::close_reason::CloseReason;
use super::subject::chunk_number;
use crate::log_limit::limited;
use crate::transport::{Frame, Receiver};

/// A guess of how many messages a chunk contains, to reserve memory once.
pub(crate) fn likely_messages(chunk: &[u8]) -> usize {
    (chunk.len() / 32).min(128)
}

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Whether the peer numbers its chunks.
    numbered: bool,
    /// The number of the last chunk that was received.
    acknowledged: u64,
    transport: Receiver,
}

impl Inbound {
    pub(super) fn new(numbered: bool, transport: Receiver) -> Self {
        Self { numbered, acknowledged: 0, transport }
    }

    /// The number of the last chunk that was received. For a legacy peer, how many were.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Receives a chunk, and gives each message that is complete with it to `deliver`.
    ///
    /// # Errors
    /// A chunk is missing, or the bytes are malformed. The session has to end: the rest of the stream cannot be read.
    pub(super) fn receive(
        &mut self,
        reply: Option<&str>,
        chunk: Bytes,
        deliver: impl FnMut(Frame),
    ) -> Result<(), CloseReason> {
        let expected = self.acknowledged + 1;
        if self.numbered {
            let found = reply.and_then(chunk_number).ok_or(CloseReason::ChunkWithoutNumber)?;
            if found < expected {
                // NATS delivered it twice.
                limited!(debug, chunk = found, "duplicate chunk dropped");
                return Ok(());
            }
            if found > expected {
                return Err(CloseReason::ChunkLost { expected, found });
            }
        }
        self.transport.receive(chunk, deliver).map_err(CloseReason::Malformed)?;
        self.acknowledged = expected;
        Ok(())
    }
}
