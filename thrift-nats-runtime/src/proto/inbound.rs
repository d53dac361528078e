//! The stream that comes in: chunks checked for loss, and cut into messages.

use bytes::Bytes;

use super::close_reason::CloseReason;
use super::subject::chunk_number;
use crate::transport::{Frame, Receiver};

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Whether the peer numbers its chunks.
    numbered: bool,
    /// The number of the last chunk taken up.
    acknowledged: u64,
    transport: Receiver,
}

impl Inbound {
    pub(super) fn new(numbered: bool, transport: Receiver) -> Self {
        Self { numbered, acknowledged: 0, transport }
    }

    /// The number of the last chunk taken up; for a legacy peer, how many were.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes a chunk; every message that is complete now goes to `deliver`.
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
                // It has been here before: whatever carries our chunks delivered one twice.
                tracing::debug!(chunk = found, "chunk came twice, dropped");
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
