//! The outgoing messages of a session: joins short messages into chunks, cuts long ones into parts, and numbers both.
//!
//! A peer of this crate gets whole messages in chunks, and long messages in parts that are interleaved, so that a short
//! message passes a long one. It gets no more than its windows allow. A legacy peer gets one stream of bytes, in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::inbound::MAX_CONTROL;
use super::queue::{Place, Queue};
use super::subject::Kind;
use super::window::{MAX_LONG, SendWindow, cost, eager, parse_window};
use crate::transport::Parts;

/// The length up to which short messages are joined into a chunk, and above which a message is long, in bytes.
pub(crate) const CHUNK: usize = 64 * 1024;
/// The length of the parts of a long message that does not fit into two NATS messages, in bytes, if the chunk limit allows
/// it. Short messages are sent between the parts.
const PART: usize = 256 * 1024;

/// What a queued message takes in addition to its bytes, in bytes.
const MESSAGE_OVERHEAD: usize = 128;

/// A NATS message that is ready to be published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its number: 1, 2, 3, …
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
}

/// The sending half of a session. A chunk contains everything that is queued when it is made, up to the limit: no message
/// waits for others to fill a chunk.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// The size limit of a NATS message, in bytes.
    limit: usize,
    queue: Queue,
    /// The number of the last message.
    number: u64,
    /// The place of the message of which a part was sent, to a legacy peer.
    begun: Option<u64>,
    /// `None` for a legacy peer.
    numbered: Option<Numbered>,
}

/// The state that only a peer of this crate needs.
#[derive(Debug)]
struct Numbered {
    window: SendWindow,
    /// The long messages. The next part is that of the first one that may be sent; it then goes to the end.
    long: VecDeque<LongMessage>,
    long_bytes: usize,
    /// Number of long messages of which a part was sent.
    long_begun: usize,
    last_id: u64,
    /// Whether the last chunk was a part of a long message.
    was_long: bool,
    /// The ids of long messages that were abandoned after a part of them was sent.
    abandoned: Vec<u64>,
}

/// A long message that is queued.
#[derive(Debug)]
struct LongMessage {
    id: u64,
    seqid: i32,
    rest: Parts,
    /// Number of bytes that were sent.
    sent: u64,
    /// Number of bytes that may be sent.
    allowed: u64,
}

/// The length of the parts of a message of `total` bytes, of which a NATS message may have `limit`. A message that fits is
/// one part, which the receiver does not have to join, and one of up to twice that length is two.
fn part_len(total: u64, limit: usize) -> usize {
    let limit_bytes = limit as u64;
    if total <= limit_bytes {
        limit
    } else if total <= limit_bytes.saturating_mul(2) {
        total.div_ceil(2) as usize
    } else {
        limit.min(PART)
    }
}

impl LongMessage {
    /// The length of the message, in bytes.
    fn total(&self) -> u64 {
        self.sent + self.rest.len() as u64
    }

    /// Number of bytes at its start that count against the window of the session.
    fn eager(&self) -> u64 {
        eager(self.total())
    }

    fn may_send(&self, window: &SendWindow) -> bool {
        self.sent < self.allowed || (self.sent < self.eager() && window.is_open())
    }
}

impl Outbound {
    /// To a legacy peer. A NATS message has at most `limit` bytes.
    pub(super) fn legacy(limit: usize) -> Self {
        Self { limit, queue: Queue::default(), number: 0, begun: None, numbered: None }
    }

    /// To a peer of this crate, which allows `window` bytes.
    pub(super) fn numbered(limit: usize, window: u64) -> Self {
        let numbered = Numbered {
            window: SendWindow::new(window),
            long: VecDeque::new(),
            long_bytes: 0,
            long_begun: 0,
            last_id: 0,
            was_long: false,
            abandoned: Vec::new(),
        };
        Self { numbered: Some(numbered), ..Self::legacy(limit) }
    }

    /// Sets the size limit of NATS messages, in bytes.
    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The size limit of NATS messages, in bytes.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The number of the last message that was made.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Queues a message of the call `seqid`. Returns its place, for [`cancel`](Self::cancel).
    pub(super) fn push_message(&mut self, message: impl Into<Parts>, seqid: i32) -> Place {
        let message = message.into();
        match &mut self.numbered {
            Some(numbered) if message.len() > CHUNK.min(self.limit) => numbered.push(message, seqid),
            Some(_) | None => Place::Short(self.queue.push(message, seqid)),
        }
    }

    /// Removes the message at this place. Returns false if it was sent, or if a part of it was sent to a legacy peer, which
    /// would read the next message as the rest of it.
    pub(super) fn cancel(&mut self, place: Place) -> bool {
        match place {
            Place::Short(place) => self.begun != Some(place) && self.queue.remove(place),
            Place::Long(id) => self.numbered.as_mut().is_some_and(|numbered| numbered.cancel(id)),
        }
    }

    /// Drops all queued messages. Numbers continue.
    pub(super) fn clear(&mut self) {
        self.queue = Queue::default();
        self.begun = None;
        if let Some(numbered) = &mut self.numbered {
            numbered.long = VecDeque::new();
            numbered.long_bytes = 0;
            numbered.long_begun = 0;
            numbered.abandoned = Vec::new();
        }
    }

    /// Number of queued bytes.
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes() + self.numbered.as_ref().map_or(0, |numbered| numbered.long_bytes)
    }

    /// Number of bytes that the queued messages occupy.
    pub(super) fn held(&self) -> usize {
        let long = self.numbered.as_ref().map_or(0, |numbered| numbered.long.len());
        self.bytes() + (self.queue.len() + long) * MESSAGE_OVERHEAD
    }

    /// Number of queued bytes of short messages.
    pub(super) const fn short_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether [`next`](Self::next) has a message.
    pub(super) fn has_next(&self) -> bool {
        match &self.numbered {
            None => self.queue.bytes() > 0,
            Some(numbered) => {
                !numbered.abandoned.is_empty()
                    || (self.queue.bytes() > 0 && numbered.window.is_open())
                    || numbered.next_long().is_some()
            }
        }
    }

    /// The peer allows more bytes: the body of its window message.
    pub(super) fn extend_window(&mut self, body: &[u8]) {
        let Some(numbered) = self.numbered.as_mut().filter(|_| body.len() <= MAX_CONTROL) else { return };
        let (session, messages) = parse_window(body);
        numbered.window.extend(session);
        for (id, total) in messages {
            if let Some(message) = numbered.long.iter_mut().find(|message| message.id == id) {
                message.allowed = message.allowed.max(total);
            }
        }
    }

    /// The number for a message that is not data.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Makes the next message with data. Calls `complete` for every message that ends in it.
    pub(super) fn next(&mut self, mut complete: impl FnMut(i32)) -> Option<Chunk> {
        let limit = self.limit.max(1);
        let Some(numbered) = &mut self.numbered else {
            let payload = self.next_short(limit.min(self.queue.bytes()), complete)?;
            return Some(Chunk { number: self.next_number(), kind: Kind::Messages, payload });
        };
        if !numbered.abandoned.is_empty() {
            let ids: Vec<_> = std::mem::take(&mut numbered.abandoned).iter().map(u64::to_string).collect();
            return Some(Chunk {
                number: self.next_number(),
                kind: Kind::Abandon,
                payload: ids.join(" ").into(),
            });
        }
        if self.queue.bytes() > limit
            && self.queue.fitting(limit) > limit
            && let Some((seqid, message)) = self.queue.pop()
        {
            // The limit was higher when the message was queued.
            numbered.push(message, seqid);
        }
        let has_short = self.queue.bytes() > 0 && numbered.window.is_open();
        // In turn, so that neither waits for all of the other.
        if (!has_short || !numbered.was_long)
            && let Some((kind, payload)) = numbered.next_part(limit, &mut complete)
        {
            numbered.was_long = true;
            return Some(Chunk { number: self.next_number(), kind, payload });
        }
        if !has_short {
            return None;
        }
        numbered.was_long = false;
        let payload = self.next_short(self.queue.fitting(limit.min(CHUNK)), complete)?;
        if let Some(numbered) = &mut self.numbered {
            numbered.window.send(cost(payload.len()));
        }
        Some(Chunk { number: self.next_number(), kind: Kind::Messages, payload })
    }

    /// The next `len` bytes of the queue.
    fn next_short(&mut self, len: usize, mut complete: impl FnMut(i32)) -> Option<Bytes> {
        if len == 0 {
            return None;
        }
        // A chunk that lies within one buffer is a slice of it, not a copy.
        let mut payload = Bytes::new();
        let mut joined = BytesMut::new();
        while payload.len() + joined.len() < len
            && let Some(place) = self.queue.first()
            && let Some((part, seqid)) = self.queue.take(len - joined.len())
        {
            if part.len() == len {
                payload = part;
            } else {
                joined.reserve(len - joined.len());
                joined.extend_from_slice(&part);
            }
            self.begun = seqid.is_none().then_some(place);
            if let Some(seqid) = seqid {
                complete(seqid);
            }
        }
        Some(if payload.is_empty() { joined.freeze() } else { payload })
    }
}

impl Numbered {
    /// Queues a long message.
    fn push(&mut self, message: Parts, seqid: i32) -> Place {
        self.last_id += 1;
        self.long_bytes += message.len();
        let id = self.last_id;
        self.long.push_back(LongMessage { id, seqid, rest: message, sent: 0, allowed: 0 });
        Place::Long(id)
    }

    /// The index of the long message that is sent next.
    fn next_long(&self) -> Option<usize> {
        let may_begin = self.long_begun < MAX_LONG;
        self.long.iter().position(|message| (message.sent > 0 || may_begin) && message.may_send(&self.window))
    }

    /// The next part of a long message, of at most `limit` bytes.
    fn next_part(&mut self, limit: usize, mut complete: impl FnMut(i32)) -> Option<(Kind, Bytes)> {
        let index = self.next_long()?;
        let mut message = self.long.remove(index)?;
        let (total, eager) = (message.total(), message.eager());
        let part = message.rest.take(part_len(total, limit));
        if message.sent == 0 {
            self.long_begun += 1;
        }
        if message.sent < eager {
            self.window.send(cost(part.len()));
        }
        message.sent += part.len() as u64;
        self.long_bytes -= part.len();
        let kind = Kind::Part { id: message.id, rest: message.rest.len() as u64 };
        if message.rest.is_empty() {
            self.long_begun -= 1;
            complete(message.seqid);
            if self.long.is_empty() {
                // An idle session keeps no buffer.
                self.long = VecDeque::new();
            }
        } else {
            self.long.push_back(message);
        }
        Some((kind, part))
    }

    fn cancel(&mut self, id: u64) -> bool {
        let Some(index) = self.long.iter().position(|message| message.id == id) else { return false };
        if let Some(message) = self.long.remove(index) {
            self.long_bytes -= message.rest.len();
            if message.sent > 0 {
                self.long_begun -= 1;
                self.abandoned.push(id);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::window::{EAGER, SESSION_WINDOW};

    fn kinds(out: &mut Outbound) -> Vec<(u64, Kind, usize)> {
        std::iter::from_fn(|| out.next(|_| ())).map(|it| (it.number, it.kind, it.payload.len())).collect()
    }

    fn long(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn queued_messages_share_a_chunk() {
        for mut out in [Outbound::legacy(100), Outbound::numbered(100, SESSION_WINDOW)] {
            out.push_message(Bytes::from("one"), 1);
            out.push_message(Bytes::from("two"), 2);
            let mut complete = Vec::new();
            let chunk = out.next(|seqid| complete.push(seqid));
            let payload = Bytes::from("onetwo");
            assert_eq!(chunk, Some(Chunk { number: 1, kind: Kind::Messages, payload }));
            assert_eq!(complete, [1, 2]);
            assert_eq!(out.next(|_| ()), None);
        }
    }

    #[test]
    fn a_chunk_for_a_peer_of_this_crate_ends_with_a_message() {
        let mut out = Outbound::numbered(8, SESSION_WINDOW);
        for message in ["abc", "def", "gh", "ijklmnop", "q"] {
            out.push_message(Bytes::from(message), 1);
        }
        let chunks: Vec<_> = std::iter::from_fn(|| out.next(|_| ())).map(|chunk| chunk.payload).collect();
        assert_eq!(chunks, ["abcdefgh", "ijklmnop", "q"]);
        out.push_message(Bytes::from("abcdef"), 1);
        out.set_limit(4);
        let part = |rest| Kind::Part { id: 1, rest };
        assert_eq!(kinds(&mut out), [(4, part(3), 3), (5, part(0), 3)], "the limit is lower now");
    }

    #[test]
    fn a_long_message_is_complete_with_its_last_chunk() {
        for mut out in [Outbound::legacy(4), Outbound::numbered(4, SESSION_WINDOW)] {
            out.push_message(Bytes::from("abcdefghi"), 7);
            let mut complete = Vec::new();
            for part in ["abcd", "efgh"] {
                assert_eq!(out.next(|seqid| complete.push(seqid)).unwrap().payload, part);
                assert!(complete.is_empty());
            }
            let chunk = out.next(|seqid| complete.push(seqid)).unwrap();
            assert_eq!((chunk.number, complete), (3, vec![7]));
            assert_eq!(chunk.payload, "i");
        }
    }

    #[test]
    fn a_message_to_a_legacy_peer_can_be_cancelled_until_its_first_byte_is_sent() {
        let mut out = Outbound::legacy(4);
        let places =
            [&b"abcdef"[..], b"gh", b"ij"].map(|message| out.push_message(Bytes::from_static(message), 1));
        assert_eq!(out.bytes(), 10);
        assert_eq!(out.next(|_| ()).unwrap().payload, "abcd");
        assert!(!out.cancel(places[0]), "a part was sent");
        assert!(out.cancel(places[1]));
        assert!(!out.cancel(places[1]), "it was removed already");
        assert_eq!(out.bytes(), 4, "its bytes do not count any more");
        assert_eq!(out.next(|_| ()).unwrap().payload, "efij");
        assert!(!out.cancel(places[2]), "it was sent");
        assert_eq!((out.bytes(), out.next(|_| ())), (0, None));
    }

    #[test]
    fn a_long_message_can_be_cancelled_until_its_last_byte_is_sent() {
        let mut out = Outbound::numbered(100_000, SESSION_WINDOW);
        let places = [long(300_000), long(300_000)].map(|message| out.push_message(message, 1));
        assert!(matches!(out.next(|_| ()).unwrap().kind, Kind::Part { id: 1, rest: 200_000 }));
        assert!(out.cancel(places[0]) && !out.cancel(places[0]));
        assert!(out.cancel(places[1]), "no part of it was sent");
        assert_eq!(out.bytes(), 0);
        let abandon = out.next(|_| ()).unwrap();
        assert_eq!((abandon.kind, &abandon.payload[..]), (Kind::Abandon, &b"1"[..]));
        assert_eq!(out.next(|_| ()), None);
    }

    #[test]
    fn a_separate_body_is_sent_without_a_copy() {
        let body = long(200_000);
        for mut out in [Outbound::legacy(65_536), Outbound::numbered(65_536, SESSION_WINDOW)] {
            out.push_message(Parts::new(Bytes::from("head"), [body.clone()]), 1);
            let chunks: Vec<_> = std::iter::from_fn(|| out.next(|_| ())).map(|chunk| chunk.payload).collect();
            assert_eq!(chunks.concat(), [b"head", &body[..]].concat());
            let last = chunks.last().unwrap();
            assert_eq!(last.as_ptr(), body[body.len() - last.len()..].as_ptr());
        }
    }

    #[test]
    fn short_messages_and_parts_of_long_ones_take_turns() {
        let mut out = Outbound::numbered(100_000, SESSION_WINDOW);
        out.push_message(long(250_000), 1);
        out.push_message(long(150_000), 2);
        let mut sent = Vec::new();
        for seqid in 3..9 {
            out.push_message(Bytes::from("short"), seqid);
            sent.extend(out.next(|_| ()).map(|chunk| chunk.kind));
        }
        sent.extend(kinds(&mut out).into_iter().map(|(_, kind, _)| kind));
        let part = |id, rest| Kind::Part { id, rest };
        let short = Kind::Messages;
        let parts = [part(1, 150_000), part(2, 75_000), part(1, 50_000), part(2, 0), part(1, 0)];
        assert_eq!(sent, [parts[0], short, parts[1], short, parts[2], short, parts[3], parts[4]]);
    }

    #[test]
    fn nothing_is_sent_beyond_a_window() {
        let mut out = Outbound::numbered(1000, 100);
        out.push_message(long(900), 1);
        out.push_message(long(900), 2);
        assert_eq!(kinds(&mut out).len(), 1, "one message may exceed the window");
        assert!(!out.has_next() && out.bytes() > 0);
        out.extend_window(b"90");
        assert!(!out.has_next(), "a window never shrinks");
        out.extend_window(b"5000");
        assert_eq!(kinds(&mut out).len(), 1);
    }

    #[test]
    fn few_long_messages_are_sent_at_a_time() {
        let mut out = Outbound::numbered(1000, SESSION_WINDOW);
        let places: Vec<_> = (0..=MAX_LONG).map(|_| out.push_message(long(1500), 1)).collect();
        let ids = |out: &mut Outbound, count| {
            let chunks = std::iter::from_fn(|| out.next(|_| ())).take(count);
            let id = |chunk: Chunk| if let Kind::Part { id, .. } = chunk.kind { id } else { 0 };
            chunks.map(id).collect::<Vec<_>>()
        };
        let last = MAX_LONG as u64 + 1;
        assert_eq!(ids(&mut out, MAX_LONG), (1..last).collect::<Vec<_>>());
        assert_eq!(ids(&mut out, 1), [1], "its last part, before the first part of the last message");
        assert!(out.cancel(places[1]));
        assert_eq!(ids(&mut out, 2), [0, last], "the receiver forgets one before the next one begins");
        assert_eq!(ids(&mut out, 1000).len(), MAX_LONG - 2 + 1);
        assert_eq!(out.bytes(), 0);
    }

    #[test]
    fn the_window_of_a_long_message_allows_its_first_bytes() {
        let mut out = Outbound::numbered(1000, 1);
        out.push_message(long(2500), 1);
        assert_eq!(kinds(&mut out).len(), 1);
        out.extend_window(b"0 1:2000");
        assert_eq!(kinds(&mut out).len(), 1);
        out.extend_window(b"0 1:2500");
        assert_eq!(kinds(&mut out).len(), 1);
        out.push_message(Bytes::from("short"), 2);
        out.extend_window(b"1000");
        assert!(!out.has_next(), "they count against the window of the session, too");
    }

    #[test]
    fn the_rest_of_a_long_message_waits_for_its_own_window() {
        let len = EAGER as usize + 15 * PART;
        let mut out = Outbound::numbered(PART, u64::MAX);
        out.push_message(long(len), 1);
        assert_eq!(kinds(&mut out).len(), EAGER as usize / PART);
        out.push_message(Bytes::from("short"), 2);
        assert_eq!(out.next(|_| ()).unwrap().kind, Kind::Messages, "it is not blocked");
        out.extend_window(format!("0 1:{}", EAGER as usize + PART).as_bytes());
        assert_eq!(kinds(&mut out).len(), 1);
        out.extend_window(format!("0 2:1 1:{len}").as_bytes());
        assert_eq!(kinds(&mut out).len(), 14);
        assert_eq!(out.bytes(), 0);
    }

    #[test]
    fn a_message_is_cut_into_few_parts() {
        let limit = 1 << 20;
        for (len, parts) in [
            (limit, vec![limit]),
            (limit + 1, vec![limit / 2 + 1, limit / 2]),
            (2 * limit, vec![limit; 2]),
            (2 * limit + 1, vec![PART; 1]),
        ] {
            let mut out = Outbound::numbered(limit, SESSION_WINDOW);
            out.push_message(long(len), 1);
            let lens: Vec<_> = kinds(&mut out).into_iter().map(|(_, _, len)| len).collect();
            assert_eq!(lens, parts, "{len} bytes");
        }
    }
}
