//! Whether a server answers while calls wait for its replies.
//!
//! Nothing tells a client that a server has died, hangs, or has lost the session. While calls are in flight and nothing
//! arrives from the server, the client therefore sends a probe, which the server answers at once. NATS answers it instead
//! if the server's process is gone.

use std::time::{Duration, Instant};

use crate::time::after;

/// The silence after which the first probe is sent. The next ones follow after pauses that double, because a server that
/// has answered a probe is likely to be busy with the calls.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause between probes, unless there are many sessions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A timer that is late by more than this part of the timeout means that this process was stalled.
const LATE: u32 = 8;

/// The silence of a server, and the probe that waits for an answer.
#[derive(Debug)]
pub(super) struct Liveness {
    /// The time of the last message from the server, or at which the session became busy.
    heard: Instant,
    /// The silence after which the server is probed.
    pause: Duration,
    probe: Option<Probe>,
}

/// A probe that the server has not answered.
#[derive(Debug)]
struct Probe {
    /// The time by which it has to be answered.
    until: Instant,
    /// Whether that was put off once, because this process was stalled.
    extended: bool,
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
        Self { heard: now, pause: FIRST_PAUSE, probe: None }
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

    /// The silence counts from now: the session has become busy, or the connection was down until now.
    pub(super) const fn restart(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// The time at which [`check`](Self::check) has to be called. `pace` is the shortest pause.
    pub(super) fn timeout(&self, pace: Duration) -> Instant {
        match &self.probe {
            Some(probe) => probe.until,
            None => after(self.heard, self.pause.max(pace)),
        }
    }

    /// Decides the next step, while calls are in flight. A probe has to be answered within `timeout`.
    pub(super) fn check(&mut self, now: Instant, timeout: Duration, pace: Duration) -> Verdict {
        if self.timeout(pace) > now {
            return Verdict::Wait;
        }
        match &mut self.probe {
            None => {
                self.probe = Some(Probe { until: after(now, timeout), extended: false });
                Verdict::Probe
            }
            // The answer may have arrived while this process was stalled, and wait to be read.
            Some(probe) if !probe.extended && now - probe.until > timeout / LATE => {
                *probe = Probe { until: after(now, timeout), extended: true };
                Verdict::Wait
            }
            Some(_) => Verdict::Unresponsive,
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
        assert_eq!(liveness.timeout(PACE), probed + TIMEOUT);
        assert_eq!(liveness.check(probed + TIMEOUT, TIMEOUT, PACE), Verdict::Unresponsive);
    }

    #[test]
    fn a_client_that_was_stalled_gives_the_server_another_chance_once() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        let probed = now + FIRST_PAUSE;
        liveness.check(probed, TIMEOUT, PACE);
        let late = probed + 2 * TIMEOUT;
        assert_eq!(liveness.check(late, TIMEOUT, PACE), Verdict::Wait);
        assert_eq!(liveness.check(late + 2 * TIMEOUT, TIMEOUT, PACE), Verdict::Unresponsive);
    }
}
