//! The heartbeats that a server's session expects from its client.

use std::time::{Duration, Instant};

use super::close_reason::MISSED_HEARTBEATS;
use crate::time::after;

/// The deadline of the client's next heartbeat.
#[derive(Debug)]
pub(super) struct HeartbeatMonitor {
    pub(super) interval: Duration,
    pub(super) expires: Instant,
    /// Whether the client was given another interval since its last heartbeat, because this process was stalled.
    pub(super) extended: bool,
    /// `None` for a legacy client, which is not probed.
    pub(super) probe: Option<ProbeTimer>,
}

/// The time to probe the client, after a missed heartbeat: NATS reports a client that is gone in response to a message
/// only.
#[derive(Debug)]
pub(super) struct ProbeTimer {
    pub(super) next: Instant,
    /// Whether a probe is to be sent now.
    pub(super) due: bool,
}

impl HeartbeatMonitor {
    pub(super) fn new(now: Instant, interval: Duration, legacy: bool) -> Self {
        let probe = (!legacy).then(|| ProbeTimer { next: after(now, interval), due: false });
        let expires = after(now, interval.saturating_mul(MISSED_HEARTBEATS));
        Self { interval, expires, extended: false, probe }
    }

    /// Something arrived from the client.
    pub(super) fn heard(&mut self, now: Instant) {
        let is_legacy = self.probe.is_none();
        *self = Self::new(now, self.interval, is_legacy);
    }

    /// The time at which something is due.
    pub(super) fn timeout(&self) -> Instant {
        self.probe.as_ref().map_or(self.expires, |probe| probe.next.min(self.expires))
    }
}
