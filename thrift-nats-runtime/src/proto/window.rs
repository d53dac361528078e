//! Flow control between peers of this crate: how many bytes a peer may send.
//!
//! Each side announces a window in the handshake. The other side may have so many bytes on the way to it: all bytes of a
//! message of up to [`EAGER_WHOLE`], and the first [`EAGER`] of a longer one. The rest of a longer message has a window of
//! its own, which also allows its first bytes if the window of the session is exhausted. At most [`MAX_LONG`] long messages are on the way at a
//! time. A receiver extends both windows as its limits allow, with messages of the kind
//! [`Kind::Window`](super::subject::Kind::Window). All numbers are totals since the start of the session or of the message,
//! so that a later one contains the earlier ones.
//!
//! A sender may send while it has sent less than it may, and so exceeds a window by one NATS message at most. Both sides
//! count alike.

use std::fmt::Write as _;

use bytes::Bytes;

/// The window that a session announces, in bytes. It bounds the bytes on the way to one session, which NATS may have to
/// buffer: NATS closes a connection for which it buffers more than 64 MiB.
pub(super) const SESSION_WINDOW: u64 = 4 << 20;
/// Number of bytes at the start of a message of more than [`EAGER_WHOLE`] bytes that count against the window of the
/// session, so that it starts at once.
pub(super) const EAGER: u64 = 256 * 1024;
/// The length up to which a long message counts against the window of the session as a whole: it would wait for a round
/// trip otherwise.
const EAGER_WHOLE: u64 = 2 << 20;

/// Number of bytes at the start of a long message of `total` bytes that count against the window of the session.
pub(super) const fn eager(total: u64) -> u64 {
    if total <= EAGER_WHOLE { total } else { EAGER }
}

/// The number of bytes by which a receiver extends the window of a long message beyond what it has received.
pub(super) const MESSAGE_WINDOW: u64 = 512 * 1024;
/// The number of bytes by which a receiver extends the windows of all long messages together. A short message waits for
/// the bytes that are on the way before it.
pub(super) const LONG_WINDOW: u64 = 1 << 20;
/// Limit of long messages of which a part was sent, and not the last one.
pub(super) const MAX_LONG: usize = 64;
/// Number of bytes that each NATS message counts for in addition to its payload. Many short messages cost the receiver
/// more than their bytes.
pub(super) const OVERHEAD: u64 = 256;

/// The number of bytes that a NATS message with this payload counts for.
pub(super) const fn cost(payload: usize) -> u64 {
    payload as u64 + OVERHEAD
}

/// The window of a session, as its sender sees it.
#[derive(Debug)]
pub(super) struct SendWindow {
    /// Number of bytes that were sent.
    sent: u64,
    /// Number of bytes that may be sent.
    allowed: u64,
}

impl SendWindow {
    pub(super) const fn new(allowed: u64) -> Self {
        Self { sent: 0, allowed }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.sent < self.allowed
    }

    pub(super) const fn send(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// The peer allows `total` bytes since the start of the session.
    pub(super) fn extend(&mut self, total: u64) {
        self.allowed = self.allowed.max(total);
    }
}

/// The window of a session, as its receiver sees it.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    /// Number of bytes that were received.
    received: u64,
    /// Number of bytes that the peer may send, as it was told.
    granted: u64,
}

impl ReceiveWindow {
    pub(super) const fn new() -> Self {
        Self { received: 0, granted: SESSION_WINDOW }
    }

    /// Notes that a NATS message arrived that counts for `bytes`. Returns false if the window did not allow it.
    pub(super) const fn receive(&mut self, bytes: u64) -> bool {
        let allowed = !self.is_exhausted();
        self.received = self.received.saturating_add(bytes);
        allowed
    }

    /// Whether the peer must not send anything.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.received >= self.granted
    }

    /// The total to grant if this side can hold `room` more bytes.
    fn target(&self, room: u64) -> u64 {
        self.received.saturating_add(room.min(SESSION_WINDOW))
    }

    /// Whether the peer should be told of more bytes: of at least half a window, so that this is rare. A peer that must not
    /// send anything learns of the least.
    pub(super) fn is_due(&self, room: u64) -> bool {
        let step = if self.is_exhausted() { 1 } else { SESSION_WINDOW / 2 };
        self.target(room) >= self.granted.saturating_add(step)
    }

    /// Grants as many bytes as `room` allows. Returns the total.
    pub(super) fn grant(&mut self, room: u64) -> u64 {
        self.granted = self.granted.max(self.target(room));
        self.granted
    }
}

/// The text of a window message: `"<session> <id>:<message> …"`.
#[derive(Debug)]
pub(super) struct WindowText(String);

impl WindowText {
    pub(super) fn new(session: u64) -> Self {
        Self(session.to_string())
    }

    /// Adds the total that may be sent of the long message `id`.
    pub(super) fn push(&mut self, id: u64, total: u64) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {id}:{total}");
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

/// Reads a window message: the total of the session, and those of long messages. Malformed words are skipped.
pub(super) fn parse_window(body: &[u8]) -> (u64, impl Iterator<Item = (u64, u64)> + '_) {
    let mut words = str::from_utf8(body).unwrap_or_default().split(' ');
    let session = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    // No peer of this crate names more.
    let messages = words.take(MAX_LONG).filter_map(|word| {
        let (id, total) = word.split_once(':')?;
        Some((id.parse().ok()?, total.parse().ok()?))
    });
    (session, messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_exceeded_by_one_message_at_most() {
        let mut sender = SendWindow::new(SESSION_WINDOW);
        let mut receiver = ReceiveWindow::new();
        let mut sent = 0;
        while sender.is_open() {
            sender.send(cost(100_000));
            assert!(receiver.receive(cost(100_000)), "the sender was allowed to");
            sent += 1;
        }
        assert_eq!(sent, SESSION_WINDOW.div_ceil(cost(100_000)));
        assert!(!receiver.receive(1), "beyond the window");
    }

    #[test]
    fn a_window_is_extended_by_what_was_received() {
        let mut receiver = ReceiveWindow::new();
        let all = u64::MAX;
        assert!(!receiver.is_due(all));
        receiver.receive(SESSION_WINDOW / 2 - 1);
        assert!(!receiver.is_due(all));
        receiver.receive(1);
        assert!(receiver.is_due(all));
        assert!(!receiver.is_due(0), "without room");
        assert_eq!(receiver.grant(0), SESSION_WINDOW, "a window never shrinks");
        assert_eq!(receiver.grant(all), SESSION_WINDOW + SESSION_WINDOW / 2);
        assert!(!receiver.is_due(all));
    }

    /// Otherwise a receiver with less room than half a window would never allow anything again.
    #[test]
    fn an_exhausted_window_is_extended_by_the_least_bytes() {
        let mut receiver = ReceiveWindow::new();
        receiver.receive(SESSION_WINDOW - 1);
        assert!(!receiver.is_due(100));
        receiver.receive(1);
        assert!(receiver.is_due(100) && !receiver.is_due(0));
        assert_eq!(receiver.grant(100), SESSION_WINDOW + 100);
        assert!(receiver.receive(1) && !receiver.is_due(100));
    }

    #[test]
    fn only_the_first_entries_of_a_window_message_are_read() {
        let body = format!("7{}", " 1:2".repeat(1_000_000));
        assert_eq!(parse_window(body.as_bytes()).1.count(), MAX_LONG);
    }

    #[test]
    fn a_window_message_round_trips() {
        let mut text = WindowText::new(7);
        text.push(1, 20);
        text.push(2, u64::MAX);
        let body = text.into_bytes();
        assert_eq!(body, "7 1:20 2:18446744073709551615");
        let (session, messages) = parse_window(&body);
        assert_eq!((session, messages.collect::<Vec<_>>()), (7, vec![(1, 20), (2, u64::MAX)]));
        for body in [&b""[..], b"x", b"\xff", b"x 1:2x :3 4: 5"] {
            let (session, messages) = parse_window(body);
            assert_eq!((session, messages.count()), (0, 0), "{body:?}");
        }
    }
}
