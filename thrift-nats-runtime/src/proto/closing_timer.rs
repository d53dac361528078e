//! How long a session that has ended may still send its queued messages.

use std::time::{Duration, Instant};

use crate::time::{DISCONNECT_TIMEOUT, after};

/// The time for which a session that was stopped or closed waits until its peer allows it to send. Less than the time that
/// the owner of the session waits for the disconnect message.
pub(super) const STOPPING: Duration = Duration::from_millis(500);
const _: () = assert!(STOPPING.as_millis() * 3 < DISCONNECT_TIMEOUT.as_millis());

/// The time at which the queue of a session that has ended is dropped, and the disconnect message sent instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosingTimer {
    timeout: Duration,
    /// `None` until the next timeout: the session ends without knowing the time.
    at: Option<Instant>,
    /// Whether it had more time, because the peer had allowed it to send.
    extended: bool,
}

impl ClosingTimer {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout, at: None, extended: false }
    }

    /// The time at which [`check`](Self::check) has to be called. `past` is any time in the past.
    pub(super) fn due(&self, past: Instant) -> Instant {
        self.at.unwrap_or(past)
    }

    /// Whether the queue is to be dropped. `may_send`: the peer allows at least one more message. It then has twice the
    /// time more, once.
    pub(super) fn check(&mut self, now: Instant, may_send: bool) -> bool {
        match self.at {
            None => self.at = Some(after(now, self.timeout)),
            Some(at) if at > now => {}
            Some(_) if may_send && !self.extended => {
                self.extended = true;
                self.at = Some(after(now, self.timeout.saturating_mul(2)));
            }
            Some(_) => return true,
        }
        false
    }
}
