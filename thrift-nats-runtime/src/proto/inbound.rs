//! The incoming messages of a session: checks their numbers, their windows and their parts, and finds the Thrift messages
//! in them.

use bytes::Bytes;

use super::close_reason::CloseReason;
use super::subject::{Kind, Tail};
use super::window::{
    LONG_WINDOW, MAX_LONG, MESSAGE_WINDOW, OVERHEAD, ReceiveWindow, WindowText, cost, eager,
};
use crate::log_limit::limited;
use crate::protocol::DecodeErrorKind;
use crate::transport::{Frame, Receiver};

/// A guess of how many messages a chunk contains, to reserve memory once.
pub(crate) fn likely_messages(chunk: &[u8]) -> usize {
    (chunk.len() / 32).min(128)
}

/// The most that a frame and its headers may add to a message, in bytes.
const FRAME: usize = 1 << 20;

/// Limit of the body of a message that is not data, in bytes. Reading a longer one would hold up the other sessions.
pub(super) const MAX_CONTROL: usize = 64 * 1024;

/// A message that was received and is not data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) kind: Kind,
    pub(super) body: Bytes,
}

/// How much a session may hold, which decides how much its peer may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Limit of bytes of complete and of incomplete messages.
    pub(super) limit: usize,
    /// Number of bytes of complete messages, which are given back when they have been handled.
    pub(super) unfinished: usize,
    /// Number of bytes among them of messages that needed no window of their own.
    pub(super) unfinished_short: usize,
    /// Whether all sessions together may hold more.
    pub(super) has_memory: bool,
}

impl Capacity {
    /// Number of bytes of short messages that may still arrive. Long messages take nothing of it: a short message would
    /// wait until one of them is complete.
    const fn for_short(self) -> u64 {
        self.limit.saturating_sub(self.unfinished_short) as u64
    }

    /// Whether the oldest incomplete message, of `len` bytes, may arrive completely. If little else is held, it may always,
    /// because nothing else would ever make room.
    const fn has_room_for_oldest(self, len: u64) -> bool {
        let (limit, unfinished) = (self.limit as u64, self.unfinished as u64);
        unfinished <= limit / 2 || unfinished.saturating_add(len) <= limit
    }
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
    /// The parts, joined. To join them at the end would take milliseconds at once, under the lock of the session.
    whole: Vec<u8>,
    /// Number of bytes that were received.
    received: u64,
    /// Number of bytes that are left.
    rest: u64,
    /// Number of bytes that the peer may send, as it was told. 0 until then.
    granted: u64,
}

impl PartialMessage {
    const fn new(id: u64, len: u64) -> Self {
        Self { id, whole: Vec::new(), received: 0, rest: len, granted: 0 }
    }

    /// Adds the next part.
    fn push(&mut self, part: &[u8]) {
        self.received += part.len() as u64;
        self.rest -= part.len() as u64;
        let needed = self.whole.len() + part.len();
        if needed > self.whole.capacity() {
            // It doubles, up to the length that the peer has announced: an announcement alone allocates nothing.
            let total = needed + usize::try_from(self.rest).unwrap_or(usize::MAX - needed);
            let capacity = (2 * self.whole.len()).max(2 * part.len()).clamp(needed, total);
            self.whole.reserve_exact(capacity - self.whole.len());
        }
        self.whole.extend_from_slice(part);
    }

    /// Number of bytes that the message occupies.
    const fn held(&self) -> usize {
        self.whole.capacity() + OVERHEAD as usize
    }

    /// Number of bytes that may still arrive, as the peer was told.
    fn outstanding(&self) -> u64 {
        self.granted.saturating_sub(self.received).min(self.rest)
    }

    /// The total to grant next.
    fn target(&self) -> u64 {
        self.received.saturating_add(self.rest.min(MESSAGE_WINDOW))
    }

    /// Whether the peer should be told of more bytes: of half a window, or of the last ones. The window of the session
    /// allows the first ones, unless it `is_exhausted`.
    fn is_due(&self, is_exhausted: bool) -> bool {
        let target = self.target();
        if is_exhausted && self.outstanding() == 0 {
            return true;
        }
        let granted = self.granted.max(eager(self.received + self.rest));
        let is_last = target == self.received.saturating_add(self.rest);
        target > granted && (is_last || target >= granted.saturating_add(MESSAGE_WINDOW / 2))
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

    /// Forgets the messages that are not complete. Nothing may be received after this.
    pub(super) fn clear(&mut self) {
        self.transport.clear();
        if let Some(numbered) = &mut self.numbered {
            numbered.partial = Vec::new();
        }
    }

    /// Receives a NATS message, and gives each Thrift message that is complete with it to `deliver`, and whether it was a
    /// long message to which bytes were granted. Returns the message if it is not data.
    ///
    /// # Errors
    /// A message is missing, or this one is malformed or not allowed. The session has to end: the rest cannot be read.
    pub(super) fn receive(
        &mut self,
        reply: Option<&str>,
        body: Bytes,
        mut deliver: impl FnMut(Frame, bool),
    ) -> Result<Option<Control>, CloseReason> {
        let Self { acknowledged, transport, numbered } = self;
        let Some(numbered) = numbered else {
            transport.receive(body, |frame| deliver(frame, false)).map_err(CloseReason::Malformed)?;
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
        let is_data = matches!(kind, Kind::Messages | Kind::Part { .. });
        if !is_data && body.len() > MAX_CONTROL {
            let kind = DecodeErrorKind::ControlTooLong { len: body.len(), limit: MAX_CONTROL };
            return Err(CloseReason::Malformed(kind.into()));
        }
        let control = match kind {
            Kind::Messages => {
                if !numbered.window.receive(cost(body.len())) {
                    return Err(CloseReason::WindowExceeded);
                }
                receive_whole(transport, body, |frame| deliver(frame, false))?;
                None
            }
            Kind::Part { id, rest } => {
                let limit = transport.limits().message.saturating_add(FRAME);
                if let Some((whole, was_granted)) = numbered.receive_part(id, rest, body, limit)? {
                    receive_whole(transport, whole, |frame| deliver(frame, was_granted))?;
                }
                None
            }
            Kind::Abandon => {
                // No more are incomplete.
                for id in parse_numbers::<u64>(&body).take(MAX_LONG) {
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

    /// Number of bytes that the session may still hold.
    fn room(&self, capacity: Capacity) -> u64 {
        capacity.limit.saturating_sub(capacity.unfinished + self.held()) as u64
    }

    /// Looks whether the peer is to be told that it may send more.
    pub(super) fn update_window(&mut self, capacity: Capacity) {
        let room = self.room(capacity);
        let Some(numbered) = &mut self.numbered else { return };
        numbered.window_due =
            numbered.window.is_due(capacity.for_short()) || numbered.grants(room, capacity).next().is_some();
    }

    /// Whether the peer is to be told that it may send more.
    pub(super) fn has_window(&self) -> bool {
        self.numbered.as_ref().is_some_and(|numbered| numbered.window_due)
    }

    /// The body of the message that tells the peer how much it may send, if it is due.
    pub(super) fn take_window(&mut self, capacity: Capacity) -> Option<Bytes> {
        let room = self.room(capacity);
        let numbered = self.numbered.as_mut()?;
        if !std::mem::take(&mut numbered.window_due) {
            return None;
        }
        let mut text = WindowText::new(numbered.window.grant(capacity.for_short()));
        let due: Vec<_> = numbered.grants(room, capacity).collect();
        for index in due {
            let message = &mut numbered.partial[index];
            message.granted = message.target();
            text.push(message.id, message.granted);
        }
        Some(text.into_bytes())
    }
}

impl Numbered {
    /// The indices of the long messages to grant more bytes: the oldest one, and the others while there is `room`.
    fn grants(&self, room: u64, capacity: Capacity) -> impl Iterator<Item = usize> + '_ {
        let mut room = if capacity.has_memory { room } else { 0 };
        let mut left = LONG_WINDOW;
        self.partial.iter().enumerate().filter_map(move |(index, message)| {
            let is_oldest = index == 0;
            let has_room = if is_oldest {
                capacity.has_room_for_oldest(message.received.saturating_add(message.rest))
            } else {
                room.min(left) >= message.rest.min(MESSAGE_WINDOW)
            };
            let is_due = has_room && message.is_due(is_oldest && self.window.is_exhausted());
            let promised = if is_due { message.rest.min(MESSAGE_WINDOW) } else { message.outstanding() };
            room = room.saturating_sub(promised);
            left = left.saturating_sub(promised);
            is_due.then_some(index)
        })
    }

    /// Receives a part of the long message `id`, after which `rest` bytes follow. Returns the message if it is complete, and
    /// whether the peer was allowed to send more than its first bytes. `limit` is the largest length of a message.
    fn receive_part(
        &mut self,
        id: u64,
        rest: u64,
        part: Bytes,
        limit: usize,
    ) -> Result<Option<(Bytes, bool)>, CloseReason> {
        let malformed = || Err(CloseReason::Malformed(DecodeErrorKind::BadPart.into()));
        let len = part.len() as u64;
        let index = match self.partial.iter().position(|message| message.id == id) {
            Some(index) => index,
            None if id > self.last_id => {
                self.last_id = id;
                let whole = rest.saturating_add(len);
                if whole > limit as u64 {
                    let (what, limit) = ("message", limit as u64);
                    return Err(CloseReason::Malformed(
                        DecodeErrorKind::TooLong { what, len: whole, limit }.into(),
                    ));
                }
                if self.partial.len() >= MAX_LONG {
                    return malformed();
                }
                self.partial.push(PartialMessage::new(id, whole));
                self.partial.len() - 1
            }
            // The rest of a message that was abandoned.
            None => return malformed(),
        };
        let message = &mut self.partial[index];
        let by_session = message.received < eager(message.received + message.rest)
            && self.window.receive(cost(part.len()));
        if !by_session && message.received >= message.granted {
            return Err(CloseReason::WindowExceeded);
        }
        if len == 0 || message.rest.checked_sub(len) != Some(rest) {
            return malformed();
        }
        if rest > 0 {
            message.push(&part);
            return Ok(None);
        }
        let mut message = self.partial.remove(index);
        if self.partial.is_empty() {
            // An idle session keeps no buffer.
            self.partial = Vec::new();
        }
        let was_granted = message.granted > 0;
        if message.whole.is_empty() {
            return Ok(Some((part, was_granted)));
        }
        message.push(&part);
        Ok(Some((message.whole.into(), was_granted)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ServedFormats;
    use crate::proto::window::EAGER;
    use crate::proto::window::SESSION_WINDOW;
    use crate::protocol::Limits;

    /// The limit on messages in these tests, in bytes.
    const LIMIT: usize = 16 << 20;
    const KIB: usize = 1024;

    fn receiver() -> Receiver {
        Receiver::detecting(ServedFormats::ALL, Limits::DEFAULT.with_message(LIMIT))
    }

    /// A peer of this crate, and what arrives from it.
    struct Peer {
        inbound: Inbound,
        number: u64,
    }

    type Received = Result<(Vec<usize>, Option<Control>), CloseReason>;

    impl Peer {
        fn new() -> Self {
            Self { inbound: Inbound::numbered(receiver()), number: 0 }
        }

        /// Receives a message with this number. Returns the lengths of the messages in it.
        fn receive(&mut self, number: u64, kind: Kind, body: impl Into<Bytes>) -> Received {
            let reply = Tail { number, kind }.reply_subject("peer");
            let mut lengths = Vec::new();
            let control = self.inbound.receive(Some(&reply), body.into(), |frame, _| {
                lengths.push(frame.payload.len());
            })?;
            Ok((lengths, control))
        }

        /// Receives the next message.
        fn next(&mut self, kind: Kind, body: impl Into<Bytes>) -> Received {
            self.number += 1;
            self.receive(self.number, kind, body)
        }

        /// Receives a part of the message `id`, of which `rest` bytes follow. Returns the length of the complete message.
        fn part(&mut self, id: u64, part: &[u8], rest: usize) -> Result<Option<usize>, CloseReason> {
            let part = Bytes::copy_from_slice(part);
            let (lengths, control) = self.next(Kind::Part { id, rest: rest as u64 }, part)?;
            assert_eq!(control, None);
            assert!(lengths.len() <= 1);
            Ok(lengths.first().copied())
        }

        /// Receives the first `received` bytes of a message of `len` bytes, in parts of 256 KiB.
        fn begin(&mut self, id: u64, len: usize, received: usize) -> Result<(), CloseReason> {
            self.parts(id, len, 0..received)
        }

        /// Receives these bytes of a message of `len` bytes.
        fn parts(&mut self, id: u64, len: usize, range: std::ops::Range<usize>) -> Result<(), CloseReason> {
            let whole = message(len);
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min(at + 256 * KIB);
                self.part(id, &whole[at..end], len - end)?;
                at = end;
            }
            Ok(())
        }

        /// The window message that is due.
        fn window_within(&mut self, capacity: Capacity) -> Option<String> {
            self.inbound.update_window(capacity);
            let is_due = self.inbound.has_window();
            let body = self.inbound.take_window(capacity);
            assert!(is_due == body.is_some() && !self.inbound.has_window());
            Some(str::from_utf8(&body?).unwrap().to_owned())
        }

        /// The same, if the session may hold `room` more bytes.
        fn window(&mut self, room: usize) -> Option<String> {
            let limit = self.inbound.held().saturating_add(room);
            self.window_within(Capacity { limit, unfinished: 0, unfinished_short: 0, has_memory: true })
        }
    }

    /// What a window message grants long messages.
    fn grants(window: Option<String>) -> Option<String> {
        window?.split_once(' ').map(|(_, grants)| grants.to_owned())
    }

    /// A Thrift message of `len` bytes.
    fn message(len: usize) -> Vec<u8> {
        let mut message = b"\x80\x01\x00\x01\x00\x00\x00\x01f\x00\x00\x00\x07\x0b\x00\x01".to_vec();
        let payload = len - message.len() - 5;
        message.extend_from_slice(&(payload as u32).to_be_bytes());
        message.resize(len - 1, b'x');
        message.push(0);
        message
    }

    fn malformed(kind: DecodeErrorKind) -> CloseReason {
        CloseReason::Malformed(kind.into())
    }

    const ALL: [Kind; 8] = [
        Kind::Messages,
        Kind::Part { id: 1, rest: 50 },
        Kind::Abandon,
        Kind::Window,
        Kind::Cancel,
        Kind::Drain,
        Kind::Probe,
        Kind::Alive,
    ];

    #[test]
    fn a_gap_in_the_numbers_is_found_whatever_kind_follows() {
        for kind in ALL {
            let mut peer = Peer::new();
            assert_eq!(peer.next(Kind::Messages, message(30)), Ok((vec![30], None)));
            for found in [3, u64::MAX] {
                let lost = CloseReason::ChunkLost { expected: 2, found };
                assert_eq!(peer.receive(found, kind, message(30)), Err(lost), "{kind:?}");
            }
            assert_eq!(peer.inbound.acknowledged(), 1);
        }
    }

    #[test]
    fn a_duplicate_of_any_kind_is_dropped() {
        for kind in ALL {
            let mut peer = Peer::new();
            peer.next(kind, message(30)).unwrap();
            let held = peer.inbound.held();
            for number in [0, 1] {
                for again in ALL {
                    assert_eq!(peer.receive(number, again, message(30)), Ok((vec![], None)), "{again:?}");
                }
            }
            assert_eq!((peer.inbound.acknowledged(), peer.inbound.held()), (1, held));
            assert!(peer.next(Kind::Messages, message(30)).is_ok());
        }
    }

    #[test]
    fn a_message_without_a_number_ends_the_session() {
        for reply in [None, Some(""), Some("peer"), Some("peer.h"), Some("peer.1y"), Some("peer.1-2")] {
            let result = Peer::new().inbound.receive(reply, message(30).into(), |_, _| panic!("{reply:?}"));
            assert_eq!(result, Err(CloseReason::ChunkWithoutNumber), "{reply:?}");
        }
    }

    #[test]
    fn a_long_control_message_is_malformed() {
        let (short, long) = (vec![b'1'; MAX_CONTROL], vec![b'1'; MAX_CONTROL + 1]);
        for kind in ALL.into_iter().filter(|kind| !matches!(kind, Kind::Messages | Kind::Part { .. })) {
            assert!(Peer::new().next(kind, short.clone()).is_ok(), "{kind:?}");
            let too_long = DecodeErrorKind::ControlTooLong { len: MAX_CONTROL + 1, limit: MAX_CONTROL };
            assert_eq!(Peer::new().next(kind, long.clone()), Err(malformed(too_long)), "{kind:?}");
        }
    }

    /// A body of 64 KiB could name more than 30,000, each of which would be compared with all incomplete messages.
    #[test]
    fn a_message_abandons_no_more_long_messages_than_may_be_incomplete() {
        let mut peer = Peer::new();
        peer.part(1, &[b'x'; 1000], 9000).unwrap();
        peer.next(Kind::Abandon, format!("{}1", "7 ".repeat(MAX_LONG))).unwrap();
        assert!(peer.inbound.held() >= 1000, "the last number is not read");
        peer.next(Kind::Abandon, format!("{}1", "7 ".repeat(MAX_LONG - 1))).unwrap();
        assert_eq!(peer.inbound.held(), 0);
    }

    #[test]
    fn what_is_not_data_is_returned() {
        for kind in [Kind::Window, Kind::Cancel, Kind::Drain, Kind::Probe, Kind::Alive] {
            let body = Bytes::from_static(b"7 8");
            let control = Some(Control { kind, body: body.clone() });
            assert_eq!(Peer::new().next(kind, body), Ok((vec![], control)));
        }
    }

    #[test]
    fn a_chunk_ends_with_a_message() {
        let two = [message(30), message(40)].concat();
        assert_eq!(Peer::new().next(Kind::Messages, two.clone()), Ok((vec![30, 40], None)));
        let cut = Err(malformed(DecodeErrorKind::UnexpectedEnd));
        assert_eq!(Peer::new().next(Kind::Messages, two[..69].to_vec()), cut);
        let cut = Err(malformed(DecodeErrorKind::UnexpectedEnd));
        assert_eq!(Peer::new().part(1, &two[..69], 0), cut);
    }

    #[test]
    fn parts_of_any_size_are_joined() {
        let whole = message(100 * KIB);
        for size in [17, 5000, 32 * KIB, 50 * KIB, 100 * KIB] {
            let mut peer = Peer::new();
            let mut rest = whole.len();
            let mut complete = None;
            // Every other part is short.
            for part in whole.chunks(size).flat_map(|part| [&part[..1], &part[1..]]) {
                rest -= part.len();
                complete = complete.or(peer.part(1, part, rest).unwrap());
            }
            assert_eq!((complete, peer.inbound.held()), (Some(whole.len()), 0), "parts of {size}");
        }
    }

    #[test]
    fn parts_of_several_messages_are_interleaved() {
        let mut peer = Peer::new();
        let whole = message(100);
        assert_eq!(peer.part(1, &whole[..40], 60), Ok(None));
        assert_eq!(peer.part(2, &whole[..90], 10), Ok(None));
        assert_eq!(peer.next(Kind::Messages, message(30)), Ok((vec![30], None)));
        assert_eq!(peer.part(4, &whole, 0), Ok(Some(100)), "ids may be left out");
        assert_eq!(peer.part(2, &whole[90..], 0), Ok(Some(100)));
        assert_eq!(peer.part(1, &whole[40..], 0), Ok(Some(100)));
        assert_eq!(peer.inbound.held(), 0);
    }

    #[test]
    fn a_part_that_does_not_fit_is_malformed() {
        let bad = || Err(malformed(DecodeErrorKind::BadPart));
        let begun = || {
            let mut peer = Peer::new();
            peer.part(5, &[b'x'; 40], 60).unwrap();
            peer
        };
        for (len, rest) in [(60, 1), (59, 0), (61, 0), (1, 60), (1, 58), (100, 0), (1, usize::MAX)] {
            assert_eq!(begun().part(5, &vec![b'x'; len], rest), bad(), "{len} bytes, {rest} follow");
        }
        assert_eq!(begun().part(5, b"", 60), bad(), "it is empty");
        assert_eq!(Peer::new().part(1, b"", 60), bad(), "it is empty");
        assert_eq!(begun().part(4, b"x", 60), bad(), "its message never began");
        assert_eq!(Peer::new().part(0, b"x", 60), bad(), "ids begin with 1");
        let mut peer = Peer::new();
        peer.part(1, &message(30), 0).unwrap();
        assert_eq!(peer.part(1, &message(30), 0), bad(), "its message is complete");
    }

    #[test]
    fn a_long_message_above_the_limit_is_refused_with_its_first_part() {
        let limit = LIMIT + FRAME;
        assert_eq!(Peer::new().part(1, b"x", limit - 1), Ok(None));
        for (rest, len) in [(limit as u64, limit as u64 + 1), (u64::MAX, u64::MAX)] {
            let mut peer = Peer::new();
            let too_long = DecodeErrorKind::TooLong { what: "message", len, limit: limit as u64 };
            assert_eq!(peer.next(Kind::Part { id: 1, rest }, "x"), Err(malformed(too_long)));
            assert_eq!(peer.inbound.held(), 0);
        }
    }

    #[test]
    fn few_long_messages_may_arrive_at_a_time() {
        let mut peer = Peer::new();
        for id in 1..=MAX_LONG as u64 {
            peer.part(id, b"x", 9).unwrap();
        }
        let next = MAX_LONG as u64 + 1;
        peer.next(Kind::Abandon, "3").unwrap();
        assert_eq!(peer.part(next, b"x", 9), Ok(None));
        assert_eq!(peer.part(next + 1, b"x", 9), Err(malformed(DecodeErrorKind::BadPart)));
    }

    /// A short part must not keep the large buffer that it was received in, nor need a buffer of its own.
    #[test]
    fn held_bytes_of_short_parts_are_bounded_by_their_length() {
        let mut peer = Peer::new();
        let len = 10_000;
        let whole = message(len);
        for (index, byte) in whole[..len - 1].chunks(1).enumerate() {
            peer.part(1, byte, len - index - 1).unwrap();
            let (held, received) = (peer.inbound.held(), index + 1);
            let most = 2 * received + 2 * OVERHEAD as usize;
            assert!((received..=most).contains(&held), "{held} bytes for {received}");
        }
        assert_eq!(peer.part(1, &whole[len - 1..], 0), Ok(Some(len)));
    }

    #[test]
    fn a_claimed_length_alone_allocates_nothing() {
        let mut peer = Peer::new();
        let len = 8 << 20;
        peer.part(1, &message(len)[..100 * KIB], len - 100 * KIB).unwrap();
        assert_eq!(peer.inbound.held(), 200 * KIB + OVERHEAD as usize, "twice the bytes that arrived");
    }

    #[test]
    fn messages_beyond_the_window_of_the_session_end_it() {
        let mut peer = Peer::new();
        let chunk = message(100 * KIB);
        for _ in 0..SESSION_WINDOW.div_ceil(cost(chunk.len())) {
            assert!(peer.next(Kind::Messages, chunk.clone()).is_ok());
        }
        assert!(peer.next(Kind::Probe, "probe").is_ok(), "only data counts");
        let mut copy = Peer { inbound: peer.inbound, number: peer.number };
        assert_eq!(copy.next(Kind::Messages, message(30)), Err(CloseReason::WindowExceeded));
    }

    #[test]
    fn first_parts_beyond_the_window_of_the_session_end_it() {
        let len = 2 * EAGER as usize;
        let mut peer = Peer::new();
        let messages = SESSION_WINDOW / EAGER;
        for id in 1..=messages {
            peer.begin(id, len, EAGER as usize).unwrap();
        }
        assert_eq!(peer.part(messages + 1, b"x", 9), Err(CloseReason::WindowExceeded));
    }

    #[test]
    fn many_short_parts_exhaust_the_window_of_the_session() {
        let mut peer = Peer::new();
        let len = EAGER as usize;
        let sent = (1..len).take_while(|sent| peer.part(1, b"x", len - sent).is_ok()).count();
        assert_eq!(sent as u64, SESSION_WINDOW.div_ceil(cost(1)));
    }

    #[test]
    fn the_rest_of_a_long_message_needs_a_window_of_its_own() {
        let (len, eager, step) = (8 << 20, EAGER as usize, 256 * KIB);
        let mut peer = Peer::new();
        peer.begin(1, len, eager).unwrap();
        assert_eq!(grants(peer.window(0)).as_deref(), Some("1:786432"));
        let granted = 768 * KIB;
        peer.parts(1, len, eager..granted).unwrap();
        let mut exceeded = Peer { inbound: peer.inbound, number: peer.number };
        assert_eq!(exceeded.parts(1, len, granted..granted + step), Err(CloseReason::WindowExceeded));
    }

    #[test]
    fn a_long_message_within_the_first_bytes_needs_no_window() {
        let mut peer = Peer::new();
        for id in 1..=3 {
            peer.begin(id, EAGER as usize, EAGER as usize - 100).unwrap();
            assert_eq!(peer.window(0), None);
        }
    }

    #[test]
    fn the_oldest_long_message_is_granted_more_without_room() {
        let len = 4 << 20;
        let mut peer = Peer::new();
        for id in 1..=2 {
            peer.begin(id, len, 256 * KIB).unwrap();
        }
        assert_eq!(grants(peer.window(0)).as_deref(), Some("1:786432"), "the other one waits");
        assert_eq!(peer.window((1 << 20) - 1), None, "for room for the windows of both");
        assert_eq!(grants(peer.window(1 << 20)).as_deref(), Some("2:786432"));
        assert_eq!(peer.window(100 << 20), None, "each has what it needs");
        peer.parts(1, len, 256 * KIB..len).unwrap_err();
    }

    #[test]
    fn only_the_oldest_long_message_is_granted_more_without_memory() {
        let mut peer = Peer::new();
        for id in 1..=2 {
            peer.begin(id, 4 << 20, 256 * KIB).unwrap();
        }
        let window = peer.window_within(Capacity {
            limit: 100 << 20,
            unfinished: 0,
            unfinished_short: 0,
            has_memory: false,
        });
        assert_eq!(grants(window).as_deref(), Some("1:786432"));
    }

    /// The sender waits, and its request is not rejected.
    #[test]
    fn the_oldest_long_message_waits_for_unfinished_ones_that_take_most_of_the_limit() {
        let (len, limit) = (4 << 20, 10 << 20);
        for (unfinished, granted) in [(5 << 20, true), (6 << 20, true), ((6 << 20) + 1, false)] {
            let mut peer = Peer::new();
            peer.begin(1, len, 256 * KIB).unwrap();
            let window = peer.window_within(Capacity {
                limit,
                unfinished,
                unfinished_short: unfinished,
                has_memory: true,
            });
            assert_eq!(grants(window).is_some(), granted, "{unfinished} bytes of {limit}");
        }
        let mut peer = Peer::new();
        peer.begin(1, 12 << 20, 256 * KIB).unwrap();
        let window = peer.window_within(Capacity {
            limit,
            unfinished: limit / 2,
            unfinished_short: limit / 2,
            has_memory: true,
        });
        assert!(grants(window).is_some(), "it never fits");
    }

    /// Otherwise all of them could arrive, although there is capacity for one.
    #[test]
    fn granted_bytes_that_have_not_arrived_take_room() {
        let mut peer = Peer::new();
        for id in 1..=4 {
            peer.begin(id, 8 << 20, 256 * KIB).unwrap();
        }
        let room = 600 * KIB;
        assert_eq!(grants(peer.window(room)).as_deref(), Some("1:786432"));
        assert_eq!(peer.window(room), None);
        assert_eq!(grants(peer.window(1 << 20)).as_deref(), Some("2:786432"));
    }

    /// Otherwise a short message would wait until all of them have arrived.
    #[test]
    fn few_long_messages_are_on_the_way_at_a_time() {
        let (len, all) = (8 << 20, usize::MAX);
        let mut peer = Peer::new();
        for id in 1..=4 {
            peer.begin(id, len, 256 * KIB).unwrap();
        }
        assert_eq!(grants(peer.window(all)).as_deref(), Some("1:786432 2:786432"));
        assert_eq!(peer.window(all), None);
        peer.parts(1, len, 256 * KIB..512 * KIB).unwrap();
        assert_eq!(grants(peer.window(all)).as_deref(), Some("1:1048576"), "the oldest first");
    }

    /// Otherwise none of them could ever be completed.
    #[test]
    fn the_oldest_long_message_continues_if_the_window_of_the_session_is_exhausted() {
        let (len, first) = (EAGER as usize, 250 * KIB);
        let full = |peer: &mut Peer| {
            let limit = peer.inbound.held();
            let capacity = Capacity { limit, unfinished: 0, unfinished_short: limit, has_memory: true };
            peer.window_within(capacity)
        };
        let mut peer = Peer::new();
        for id in 1..=17 {
            peer.begin(id, len, first).unwrap();
        }
        assert_eq!(grants(full(&mut peer)).as_deref(), Some("1:262144"));
        assert_eq!(full(&mut peer), None, "it has what it needs");
        peer.parts(1, len, first..len).unwrap();
        assert_eq!(grants(full(&mut peer)).as_deref(), Some("2:262144"), "now this one is the oldest");
        let other = peer.parts(3, len, first..len);
        assert_eq!(other, Err(CloseReason::WindowExceeded));
    }

    #[test]
    fn the_window_of_the_session_is_extended_while_there_is_room() {
        let mut peer = Peer::new();
        let chunk = message(1 << 20);
        assert_eq!(peer.window(usize::MAX), None);
        for _ in 0..2 {
            peer.next(Kind::Messages, chunk.clone()).unwrap();
        }
        let received = 2 * cost(chunk.len());
        assert_eq!(peer.window(1 << 20), None);
        assert_eq!(peer.window(usize::MAX), Some((received + SESSION_WINDOW).to_string()));
        assert_eq!(peer.window(usize::MAX), None);
    }

    #[test]
    fn an_abandoned_long_message_is_forgotten() {
        let mut peer = Peer::new();
        for id in 1..=3 {
            peer.part(id, &[b'x'; 1000], 9000).unwrap();
        }
        peer.next(Kind::Abandon, "3 1 17 x").unwrap();
        let held = peer.inbound.held();
        assert!((1000..3000).contains(&held), "{held}");
        peer.next(Kind::Abandon, "2").unwrap();
        assert_eq!(peer.inbound.held(), 0);
        assert_eq!(peer.part(4, &message(30), 0), Ok(Some(30)), "the next message");
        assert_eq!(peer.part(3, b"x", 8999), Err(malformed(DecodeErrorKind::BadPart)), "its rest");
    }

    #[test]
    fn a_legacy_peer_sends_a_stream_without_numbers() {
        let mut inbound = Inbound::legacy(receiver());
        let stream = [message(30), message(40), message(50)].concat();
        let mut lengths = Vec::new();
        for (index, byte) in stream.chunks(7).enumerate() {
            let reply = ["", "peer.9", "peer.1-1-7", "peer.2c"][index % 4];
            let byte = Bytes::copy_from_slice(byte);
            let control = inbound.receive(Some(reply), byte, |frame, _| lengths.push(frame.payload.len()));
            assert_eq!(control, Ok(None));
            let arrived = (index * 7 + 7).min(stream.len());
            assert_eq!(inbound.held(), arrived - lengths.iter().sum::<usize>());
        }
        assert_eq!((lengths, inbound.acknowledged()), (vec![30, 40, 50], stream.len().div_ceil(7) as u64));
        let capacity = Capacity { limit: usize::MAX, unfinished: 0, unfinished_short: 0, has_memory: true };
        inbound.update_window(capacity);
        assert!(!inbound.has_window() && inbound.take_window(capacity).is_none());
    }
}
