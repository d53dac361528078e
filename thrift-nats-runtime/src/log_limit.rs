//! The limit on log lines that a peer can cause: no peer fills the disk of another process.
//!
//! [`limited!`] logs like the macros of `tracing`, at most [`LINES`] (20) lines in [`PERIOD`] (10 s) from each place in the
//! code, and of a session's end at most [`LINES_OF_PEER`] (5) of them for the same client, so that it cannot hide the lines of
//! others. The next line that is logged says in the field `suppressed` how many were not. A line whose level is disabled
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

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Number of lines that a place in the code may log in each [`PERIOD`].
const LINES: u32 = 20;
/// Number of these that may be about the same peer.
const LINES_OF_PEER: u32 = 5;
/// The length limit of a text of a peer in a line, in bytes.
const MAX_TEXT: usize = 256;
/// The time after which a place may log again.
const PERIOD: Duration = Duration::from_secs(10);

/// Logs a line that a peer can cause: `limited!(debug, %reason, "handshake dropped")`. With `warn of peer`, the line is about
/// the peer with this number.
macro_rules! limited {
    (warn of $peer:expr, $($line:tt)+) => { limited!(@ WARN, Some($peer), $($line)+) };
    (error, $($line:tt)+) => { limited!(@ ERROR, None, $($line)+) };
    (warn, $($line:tt)+) => { limited!(@ WARN, None, $($line)+) };
    (debug, $($line:tt)+) => { limited!(@ DEBUG, None, $($line)+) };
    (@ $level:ident, $peer:expr, $($line:tt)+) => {{
        static LIMIT: $crate::log_limit::LogLimit = $crate::log_limit::LogLimit::new();
        if tracing::enabled!(tracing::Level::$level)
            && let Some($crate::log_limit::Line { suppressed }) = LIMIT.next_line($peer)
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
    /// Number of lines in the period about each peer, at most [`LINES`] peers.
    by_peer: BTreeMap<usize, u32>,
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
        Self(Mutex::new(Counts { begun: None, lines: 0, by_peer: BTreeMap::new(), suppressed: 0 }))
    }

    /// The permission to log one line now, which is about this peer.
    pub(crate) fn next_line(&self, peer: Option<usize>) -> Option<Line> {
        lock(&self.0).next_line(Instant::now(), peer)
    }
}

impl Counts {
    fn next_line(&mut self, now: Instant, peer: Option<usize>) -> Option<Line> {
        if self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= PERIOD) {
            (self.begun, self.lines) = (Some(now), 0);
            self.by_peer.clear();
        }
        let of_peer = peer.and_then(|peer| self.by_peer.get(&peer));
        if self.lines == LINES || of_peer.is_some_and(|lines| *lines == LINES_OF_PEER) {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        if let Some(peer) = peer {
            *self.by_peer.entry(peer).or_default() += 1;
        }
        let suppressed = std::mem::take(&mut self.suppressed);
        Some(Line { suppressed: (suppressed > 0).then_some(suppressed) })
    }
}

/// The start of a text that may be a peer's.
pub(crate) fn cut(text: impl Display) -> String {
    let mut text = text.to_string();
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_does_not_hide_the_lines_of_others() {
        let LogLimit(counts) = LogLimit::new();
        let mut counts = counts.into_inner().unwrap();
        let now = Instant::now();
        let mut logged = |peer| (0..100).filter_map(|_| counts.next_line(now, Some(peer))).count();
        assert_eq!([1, 2, 1, 3, 4, 5].map(&mut logged), [5, 5, 0, 5, 5, 0]);
    }

    #[test]
    fn a_text_of_a_peer_is_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut("é".repeat(1000)), "é".repeat(128));
        assert_eq!(cut(format!("x{}", "é".repeat(1000))).len(), 255);
    }

    #[test]
    fn a_place_logs_20_lines_in_10_seconds_and_then_how_many_it_suppressed() {
        let LogLimit(counts) = LogLimit::new();
        let mut counts = counts.into_inner().unwrap();
        let start = Instant::now();
        let logged =
            (0..50).filter_map(|second| counts.next_line(start + second * PERIOD / 100, None)).count();
        assert_eq!(logged, 20);
        let next = |counts: &mut Counts, after| counts.next_line(start + after, None);
        assert_eq!(next(&mut counts, PERIOD - Duration::from_millis(1)), None);
        assert_eq!(next(&mut counts, PERIOD), Some(Line { suppressed: Some(31) }));
        assert_eq!(next(&mut counts, PERIOD), Some(Line { suppressed: None }));
    }
}
