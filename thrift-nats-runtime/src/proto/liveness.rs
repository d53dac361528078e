//! Whether a server answers while calls wait for its replies.
//!
//! Nothing tells a client that a server has died, hangs, or has lost the session. While calls are in flight and nothing
//! arrives from the server, the client therefore sends a probe, which the server answers at once. NATS answers it instead
//! if the server's process is gone.
//!
//! A probe waits for everything that was handed to the connection before it, which can take seconds on a slow or busy
//! uplink. A marker therefore follows each probe: a message without a subscriber, which NATS answers at once. The server
//! has its time from this answer on.
//!
//! ```text
//!            check               sent                     unanswered in time
//!   silent ────────▶ Queued ──────────────▶ Sent ────────────────────────────▶ Unresponsive
//!      ▲                │                    │ ▲ reached: the time starts
//!      └──── heard ─────┴────────────────────┘─┘
//! ```

use std::time::{Duration, Instant};

use crate::time::after;

/// The silence after which the first probe is sent. The next ones follow after pauses that double, because a server that
/// has answered a probe is likely to be busy with the calls.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause between probes, unless there are many sessions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A timer that is late by more than this part of the timeout means that this process was stalled.
const LATE: u32 = 8;
/// The number of timeouts within which NATS has to answer a marker. It answers none if a process subscribes to all
/// subjects.
const UPLINK_TIMEOUTS: u32 = 5;

/// The silence of a server, and the probe that waits for an answer.
#[derive(Debug)]
pub(super) struct Liveness {
    /// The time of the last message from the server, or at which the session became busy.
    heard: Instant,
    /// The silence after which the server is probed.
    pause: Duration,
    probe: Option<Probe>,
    /// Number of markers that NATS has not answered. It answers them in order.
    markers: u32,
}

/// A probe that the server has not answered.
#[derive(Debug)]
enum Probe {
    /// It was not handed to the connection yet.
    Queued {
        /// The time at which to look again.
        check: Instant,
    },
    Sent {
        /// The time by which it has to be answered.
        until: Instant,
        /// Whether NATS has answered its marker.
        reached: bool,
        /// Whether the time was put off once, because this process was stalled.
        extended: bool,
    },
}

/// The next step of the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Wait,
    /// A probe is to be sent.
    Probe,
    /// The server has not answered a probe in time.
    Unresponsive,
}

impl Liveness {
    pub(super) const fn new(now: Instant) -> Self {
        Self { heard: now, pause: FIRST_PAUSE, probe: None, markers: 0 }
    }

    /// A message arrived from the server. `is_data`: it was more than the answer to a probe.
    pub(super) fn heard(&mut self, now: Instant, is_data: bool) {
        self.heard = now;
        if is_data {
            self.pause = FIRST_PAUSE;
        } else if self.probe.is_some() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.probe = None;
    }

    /// The probe was handed to the connection, and its marker with it if it `has_marker`.
    pub(super) fn sent(&mut self, now: Instant, timeout: Duration, has_marker: bool) {
        self.markers += u32::from(has_marker);
        if let Some(Probe::Queued { .. }) = self.probe {
            let timeouts = if has_marker { UPLINK_TIMEOUTS } else { 1 };
            let until = after(now, timeout.saturating_mul(timeouts));
            self.probe = Some(Probe::Sent { until, reached: !has_marker, extended: false });
        }
    }

    /// NATS has answered a marker. After the last one, it has received the probe.
    pub(super) fn reached(&mut self, now: Instant, timeout: Duration) {
        self.markers = self.markers.saturating_sub(1);
        if self.markers == 0
            && let Some(Probe::Sent { until, reached: reached @ false, .. }) = &mut self.probe
        {
            *reached = true;
            *until = after(now, timeout);
        }
    }

    /// The silence counts from now: the session has become busy, or the connection was down until now.
    pub(super) const fn restart(&mut self, now: Instant) {
        *self = Self { markers: self.markers, ..Self::new(now) };
    }

    /// The time at which [`check`](Self::check) has to be called. `pace` is the shortest pause.
    pub(super) fn timeout(&self, pace: Duration) -> Instant {
        match &self.probe {
            Some(Probe::Queued { check: at } | Probe::Sent { until: at, .. }) => *at,
            None => after(self.heard, self.pause.max(pace)),
        }
    }

    /// Decides the next step, while calls are in flight. A probe has to be answered within `timeout` of its marker.
    pub(super) fn check(&mut self, now: Instant, timeout: Duration, pace: Duration) -> Verdict {
        if self.timeout(pace) > now {
            return Verdict::Wait;
        }
        match &mut self.probe {
            None => {
                self.probe = Some(Probe::Queued { check: after(now, timeout) });
                Verdict::Probe
            }
            Some(Probe::Queued { check }) => {
                *check = after(now, timeout);
                Verdict::Wait
            }
            // The answer may have arrived while this process was stalled, and wait to be read.
            Some(Probe::Sent { until, extended: extended @ false, .. }) if now - *until > timeout / LATE => {
                *extended = true;
                *until = after(now, timeout);
                Verdict::Wait
            }
            Some(Probe::Sent { .. }) => Verdict::Unresponsive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);
    const PACE: Duration = Duration::ZERO;

    #[test]
    fn pauses_between_probes_double_until_data_arrives() {
        let mut now = Instant::now();
        let mut liveness = Liveness::new(now);
        for pause in [25, 50, 100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Wait);
            assert_eq!(liveness.timeout(PACE), now + pause);
            now += pause;
            assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Probe);
            assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Wait, "one at a time");
            liveness.heard(now, false);
        }
        liveness.heard(now, true);
        assert_eq!(liveness.timeout(PACE), now + FIRST_PAUSE);
        assert_eq!(liveness.timeout(TIMEOUT), now + TIMEOUT, "the pace of many sessions");
    }

    #[test]
    fn a_server_that_does_not_answer_is_unresponsive() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        let probed = now + FIRST_PAUSE;
        assert_eq!(liveness.check(probed, TIMEOUT, PACE), Verdict::Probe);
        liveness.sent(probed, TIMEOUT, false);
        assert_eq!(liveness.timeout(PACE), probed + TIMEOUT);
        assert_eq!(liveness.check(probed + TIMEOUT, TIMEOUT, PACE), Verdict::Unresponsive);
    }

    #[test]
    fn a_probe_that_waits_to_be_sent_says_nothing_about_the_server() {
        let mut now = Instant::now() + FIRST_PAUSE;
        let mut liveness = Liveness::new(now - FIRST_PAUSE);
        assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Probe);
        for _ in 0..100 {
            now = liveness.timeout(PACE);
            assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Wait);
        }
        liveness.sent(now, TIMEOUT, false);
        assert_eq!(liveness.timeout(PACE), now + TIMEOUT);
    }

    #[test]
    fn the_time_of_the_server_starts_when_nats_answers_the_marker() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        let probed = now + FIRST_PAUSE;
        liveness.check(probed, TIMEOUT, PACE);
        liveness.sent(probed, TIMEOUT, true);
        let reached = probed + 4 * TIMEOUT;
        assert_eq!(liveness.check(reached, TIMEOUT, PACE), Verdict::Wait);
        liveness.reached(reached, TIMEOUT);
        liveness.reached(reached + TIMEOUT / 2, TIMEOUT);
        assert_eq!(liveness.timeout(PACE), reached + TIMEOUT, "once");
        assert_eq!(liveness.check(reached + TIMEOUT, TIMEOUT, PACE), Verdict::Unresponsive);
    }

    /// The server has sent data before NATS answered the marker of the probe before.
    #[test]
    fn the_marker_of_an_earlier_probe_does_not_start_the_time() {
        let mut now = Instant::now();
        let mut liveness = Liveness::new(now);
        for _ in 0..2 {
            liveness.heard(now, true);
            now += FIRST_PAUSE;
            assert_eq!(liveness.check(now, TIMEOUT, PACE), Verdict::Probe);
            liveness.sent(now, TIMEOUT, true);
        }
        liveness.reached(now, TIMEOUT);
        assert_eq!(liveness.timeout(PACE), now + UPLINK_TIMEOUTS * TIMEOUT);
        liveness.reached(now, TIMEOUT);
        assert_eq!(liveness.timeout(PACE), now + TIMEOUT);
    }

    #[test]
    fn a_server_whose_marker_is_not_answered_is_unresponsive_after_five_timeouts() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        let probed = now + FIRST_PAUSE;
        liveness.check(probed, TIMEOUT, PACE);
        liveness.sent(probed, TIMEOUT, true);
        assert_eq!(liveness.timeout(PACE), probed + UPLINK_TIMEOUTS * TIMEOUT);
        assert_eq!(liveness.check(liveness.timeout(PACE), TIMEOUT, PACE), Verdict::Unresponsive);
    }

    #[test]
    fn a_client_that_was_stalled_gives_the_server_another_chance_once() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        let probed = now + FIRST_PAUSE;
        liveness.check(probed, TIMEOUT, PACE);
        liveness.sent(probed, TIMEOUT, false);
        let late = probed + 2 * TIMEOUT;
        assert_eq!(liveness.check(late, TIMEOUT, PACE), Verdict::Wait);
        assert_eq!(liveness.check(late + 2 * TIMEOUT, TIMEOUT, PACE), Verdict::Unresponsive);
    }
}
