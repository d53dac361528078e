//! The incoming messages of a session: checks their numbers, their windows and their parts, and finds the Thrift messages
//! in them.

use bytes::{Bytes, BytesMut};

use super::close_reason::CloseReason;
use super::subject::{Kind, Tail};
use super::window::{EAGER, MESSAGE_WINDOW, OVERHEAD, ReceiveWindow, WindowText, cost};
use crate::log_limit::limited;
use crate::protocol::DecodeErrorKind;
use crate::transport::{Frame, Receiver};

/// A guess of how many messages a chunk contains, to reserve memory once.
pub(crate) fn likely_messages(chunk: &[u8]) -> usize {
    (chunk.len() / 32).min(128)
}

/// A part of a long message that is kept without copying, in bytes. Shorter ones are copied, because each kept part keeps
/// the buffer that it was received in.
const LONG_PART: usize = 4096;

/// The most that a frame and its headers may add to a message, in bytes.
const FRAME: usize = 1 << 20;

/// A message that was received and is not data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) kind: Kind,
    pub(super) body: Bytes,
}

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// The number of the last message that was received. For a legacy peer, how many were.
    acknowledged: u64,
    transport: Receiver,
    /// `None` for a legacy peer, whose messages have neither numbers nor windows.
    numbered: Option<Numbered>,
}

/// The state that only a peer of this crate needs.
#[derive(Debug)]
struct Numbered {
    window: ReceiveWindow,
    /// The long messages that are not complete, oldest first. Their ids ascend.
    partial: Vec<PartialMessage>,
    /// The id of the last long message that has begun.
    last_id: u64,
    /// Whether a window message is to be sent.
    window_due: bool,
}

/// A long message that is not complete.
#[derive(Debug)]
struct PartialMessage {
    id: u64,
    parts: Vec<Bytes>,
    /// Number of bytes that were received.
    received: u64,
    /// Number of bytes that are left.
    rest: u64,
    /// Number of bytes that the peer may send, as it was told.
    granted: u64,
}

impl PartialMessage {
    /// Number of bytes that the parts occupy.
    fn held(&self) -> usize {
        self.received as usize + self.parts.len() * OVERHEAD as usize
    }

    /// The total to grant next.
    fn target(&self) -> u64 {
        self.received.saturating_add(self.rest.min(MESSAGE_WINDOW))
    }

    /// Whether the peer should be told of more bytes: of half a window, or of the last ones.
    fn is_due(&self) -> bool {
        let target = self.target();
        let is_last = target == self.received.saturating_add(self.rest);
        target > self.granted && (is_last || target >= self.granted.saturating_add(MESSAGE_WINDOW / 2))
    }
}

impl Inbound {
    /// The stream of a legacy peer.
    pub(super) const fn legacy(transport: Receiver) -> Self {
        Self { acknowledged: 0, transport, numbered: None }
    }

    /// The messages of a peer of this crate.
    pub(super) const fn numbered(transport: Receiver) -> Self {
        let window = ReceiveWindow::new();
        let numbered = Numbered { window, partial: Vec::new(), last_id: 0, window_due: false };
        Self { acknowledged: 0, transport, numbered: Some(numbered) }
    }

    /// The number of the last message that was received. For a legacy peer, how many were.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Number of bytes of messages that are not complete.
    pub(super) fn held(&self) -> usize {
        let partial = self.numbered.iter().flat_map(|numbered| &numbered.partial);
        self.transport.held() + partial.map(PartialMessage::held).sum::<usize>()
    }

    /// Receives a NATS message, and gives each Thrift message that is complete with it to `deliver`. Returns the message if
    /// it is not data.
    ///
    /// # Errors
    /// A message is missing, or this one is malformed or not allowed. The session has to end: the rest cannot be read.
    pub(super) fn receive(
        &mut self,
        reply: Option<&str>,
        body: Bytes,
        deliver: impl FnMut(Frame),
    ) -> Result<Option<Control>, CloseReason> {
        let Self { acknowledged, transport, numbered } = self;
        let Some(numbered) = numbered else {
            transport.receive(body, deliver).map_err(CloseReason::Malformed)?;
            *acknowledged += 1;
            return Ok(None);
        };
        let Tail { number, kind } = reply.and_then(Tail::of).ok_or(CloseReason::ChunkWithoutNumber)?;
        let expected = *acknowledged + 1;
        if number < expected {
            // NATS delivered it twice.
            limited!(debug, number, "duplicate message dropped");
            return Ok(None);
        }
        if number > expected {
            return Err(CloseReason::ChunkLost { expected, found: number });
        }
        let control = match kind {
            Kind::Messages => {
                if !numbered.window.receive(cost(body.len())) {
                    return Err(CloseReason::WindowExceeded);
                }
                receive_whole(transport, body, deliver)?;
                None
            }
            Kind::Part { id, rest } => {
                let limit = transport.limits().message.saturating_add(FRAME);
                if let Some(whole) = numbered.receive_part(id, rest, body, limit)? {
                    receive_whole(transport, whole, deliver)?;
                }
                None
            }
            Kind::Abandon => {
                for id in parse_numbers::<u64>(&body) {
                    numbered.partial.retain(|message| message.id != id);
                }
                None
            }
            Kind::Window | Kind::Cancel | Kind::Drain | Kind::Probe | Kind::Alive => {
                Some(Control { kind, body })
            }
        };
        *acknowledged = expected;
        Ok(control)
    }

    /// Looks whether the peer is to be told that it may send more. `room` is the number of bytes that the session may still
    /// hold, and `has_memory` whether all sessions together may hold more.
    pub(super) fn update_window(&mut self, room: usize, has_memory: bool) {
        let Some(numbered) = &mut self.numbered else { return };
        numbered.window_due =
            numbered.window.is_due(room as u64) || numbered.grants(room, has_memory).next().is_some();
    }

    /// Whether the peer is to be told that it may send more.
    pub(super) fn has_window(&self) -> bool {
        self.numbered.as_ref().is_some_and(|numbered| numbered.window_due)
    }

    /// The body of the message that tells the peer how much it may send, if it is due.
    pub(super) fn take_window(&mut self, room: usize, has_memory: bool) -> Option<Bytes> {
        let numbered = self.numbered.as_mut()?;
        if !std::mem::take(&mut numbered.window_due) {
            return None;
        }
        let mut text = WindowText::new(numbered.window.grant(room as u64));
        let due: Vec<_> = numbered.grants(room, has_memory).collect();
        for index in due {
            let message = &mut numbered.partial[index];
            message.granted = message.target();
            text.push(message.id, message.granted);
        }
        Some(text.into_bytes())
    }
}

impl Numbered {
    /// The indices of the long messages to grant more bytes. The oldest one always gets them, because nothing else would
    /// ever make room; the others while there is room.
    fn grants(&self, room: usize, has_memory: bool) -> impl Iterator<Item = usize> + '_ {
        let mut room = if has_memory { room as u64 } else { 0 };
        self.partial.iter().enumerate().filter_map(move |(index, message)| {
            if index > 0 {
                let more = message.target().saturating_sub(message.granted);
                room = room.checked_sub(more)?;
            }
            message.is_due().then_some(index)
        })
    }

    /// Receives a part of the long message `id`, after which `rest` bytes follow. Returns the message if it is complete.
    /// `limit` is the largest length of a message.
    fn receive_part(
        &mut self,
        id: u64,
        rest: u64,
        part: Bytes,
        limit: usize,
    ) -> Result<Option<Bytes>, CloseReason> {
        let malformed = || Err(CloseReason::Malformed(DecodeErrorKind::BadPart.into()));
        let len = part.len() as u64;
        let index = match self.partial.iter().position(|message| message.id == id) {
            Some(index) => index,
            None if id > self.last_id => {
                self.last_id = id;
                let rest = rest.saturating_add(len);
                if rest > limit as u64 {
                    let (what, limit) = ("message", limit as u64);
                    return Err(CloseReason::Malformed(
                        DecodeErrorKind::TooLong { what, len: rest, limit }.into(),
                    ));
                }
                let parts = Vec::new();
                self.partial.push(PartialMessage { id, parts, received: 0, rest, granted: EAGER });
                self.partial.len() - 1
            }
            // The rest of a message that was given up.
            None => return malformed(),
        };
        let message = &mut self.partial[index];
        let allowed = if message.received < EAGER {
            self.window.receive(cost(part.len()))
        } else {
            message.received < message.granted
        };
        if !allowed {
            return Err(CloseReason::WindowExceeded);
        }
        if len == 0 || message.rest.checked_sub(len) != Some(rest) {
            return malformed();
        }
        message.received += len;
        message.rest = rest;
        message.parts.push(if part.len() < LONG_PART { Bytes::copy_from_slice(&part) } else { part });
        if rest > 0 {
            return Ok(None);
        }
        let message = self.partial.remove(index);
        if self.partial.is_empty() {
            // An idle session keeps no buffer.
            self.partial = Vec::new();
        }
        Ok(Some(join(message.parts)))
    }
}

/// The parts of a message in one buffer.
fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

/// Finds the messages in `bytes`, which end with the last one.
fn receive_whole(
    transport: &mut Receiver,
    bytes: Bytes,
    deliver: impl FnMut(Frame),
) -> Result<(), CloseReason> {
    transport.receive(bytes, deliver).map_err(CloseReason::Malformed)?;
    if transport.held() > 0 {
        return Err(CloseReason::Malformed(DecodeErrorKind::UnexpectedEnd.into()));
    }
    Ok(())
}

/// The numbers in a text, which are separated by spaces. Other words are left out.
pub(super) fn parse_numbers<N: std::str::FromStr>(body: &[u8]) -> impl Iterator<Item = N> + '_ {
    str::from_utf8(body).unwrap_or_default().split(' ').filter_map(|word| word.parse().ok())
}
