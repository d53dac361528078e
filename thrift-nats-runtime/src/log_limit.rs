//! The limit on log lines that a peer can cause: no peer fills the disk of another process.
//!
//! [`limited!`] logs like the macros of `tracing`, at most [`LINES`] (20) lines in [`PERIOD`] (10 s) from each place in the
//! code. The next line that is logged says in the field `suppressed` how many were not. A line whose level is disabled
//! counts nothing and costs what a disabled line of `tracing` costs. All lines of this crate that a peer can cause are
//! logged with it:
//!
//! | level | line |
//! | --- | --- |
//! | warn | a session has ended for another reason than that one side closed it |
//! | warn | a handshake was dropped because its reply subject is not below an allowed prefix |
//! | error | a handler has panicked, or has failed with an error that its caller does not see |
//! | warn | a oneway function has failed |
//! | debug | everything else: refused handshakes, duplicates, messages that cannot be published, retries |
//!
//! Errors of handlers are not at debug, although a peer makes the calls: they are mistakes of this process, and no peer
//! sees them.
//!
//! The lines that are not limited have causes that are not peers: the end of the server, lame duck mode, and failures of
//! NATS or the operating system.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Number of lines that a place in the code may log in each [`PERIOD`].
const LINES: u32 = 20;
/// The time after which a place may log again.
const PERIOD: Duration = Duration::from_secs(10);

/// Logs a line that a peer can cause: `limited!(debug, %reason, "handshake dropped")`.
macro_rules! limited {
    (error, $($line:tt)+) => { limited!(@ ERROR, $($line)+) };
    (warn, $($line:tt)+) => { limited!(@ WARN, $($line)+) };
    (debug, $($line:tt)+) => { limited!(@ DEBUG, $($line)+) };
    (@ $level:ident, $($line:tt)+) => {{
        static LIMIT: $crate::log_limit::LogLimit = $crate::log_limit::LogLimit::new();
        if tracing::enabled!(tracing::Level::$level)
            && let Some($crate::log_limit::Line { suppressed }) = LIMIT.next_line()
        {
            tracing::event!(tracing::Level::$level, suppressed, $($line)+);
        }
    }};
}
pub(crate) use limited;

/// The limit of one place in the code.
pub(crate) struct LogLimit(Mutex<Counts>);

struct Counts {
    /// The time of the first line of the period.
    begun: Option<Instant>,
    /// Number of lines in the period.
    lines: u32,
    /// Number of lines that were not logged since the last one that was.
    suppressed: u64,
}

/// The permission to log a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Number of lines before it that were not logged, if there are any.
    pub(crate) suppressed: Option<u64>,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Counts { begun: None, lines: 0, suppressed: 0 }))
    }

    /// The permission to log one line now.
    pub(crate) fn next_line(&self) -> Option<Line> {
        lock(&self.0).next_line(Instant::now())
    }
}

impl Counts {
    fn next_line(&mut self, now: Instant) -> Option<Line> {
        if self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= PERIOD) {
            (self.begun, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        let suppressed = std::mem::take(&mut self.suppressed);
        Some(Line { suppressed: (suppressed > 0).then_some(suppressed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_logs_20_lines_in_10_seconds_and_then_how_many_it_suppressed() {
        let LogLimit(counts) = LogLimit::new();
        let mut counts = counts.into_inner().unwrap();
        let start = Instant::now();
        let logged = (0..50).filter_map(|second| counts.next_line(start + second * PERIOD / 100)).count();
        assert_eq!(logged, 20);
        let next = |counts: &mut Counts, after| counts.next_line(start + after);
        assert_eq!(next(&mut counts, PERIOD - Duration::from_millis(1)), None);
        assert_eq!(next(&mut counts, PERIOD), Some(Line { suppressed: Some(31) }));
        assert_eq!(next(&mut counts, PERIOD), Some(Line { suppressed: None }));
    }
}
