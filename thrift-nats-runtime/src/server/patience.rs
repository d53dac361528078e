//! Whether requests that came together are to be run each in a task of its own: what their handlers did lately says.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long handlers of a chunk may hold up those behind them, and the answers that are there.
pub(super) const LONG: Duration = Duration::from_micros(200);
/// How long a handler may hold up the task that takes up what comes, before another takes its place: twice at most, since
/// nobody looks more often.
pub(super) const HELD_UP: Duration = Duration::from_millis(50);

/// What a handler that took long counts; each request takes one off, so that it is too much where more than one in so many do.
/// A few need not be to blame: the operating system gives the processor to others meanwhile, all the time where processors are
/// few, and the clock does not tell.
const ONCE: u32 = 100;
/// What has to come together.
const TOO_MUCH: u32 = 1000;
/// What can: so many requests after the last such handler it is forgotten.
const MOST: u32 = 20_000;

/// How far the handlers of a server are trusted to return to their threads soon.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tried: AtomicU32,
}

impl Patience {
    /// A handler took this long, which is [`LONG`] or more.
    pub(super) fn try_with(&self, time: Duration) {
        // Beyond doubt, others of the service may do the same.
        let tried = if time < HELD_UP { ONCE } else { MOST };
        self.update(|before| (before + tried).min(MOST));
    }

    /// So many requests have been run, whatever their handlers took; each is told of once.
    pub(super) fn recover(&self, requests: u32) {
        if self.tried.load(Ordering::Relaxed) > 0 {
            self.update(|before| before.saturating_sub(requests));
        }
    }

    fn update(&self, change: impl Fn(u32) -> u32) {
        let _ = self.tried.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| Some(change(before)));
    }

    /// Whether it has an end.
    pub(super) fn is_over(&self) -> bool {
        self.tried.load(Ordering::Relaxed) > TOO_MUCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_that_are_late_now_and_then_are_not_held_against_all_others() {
        let patience = Patience::default();
        for _ in 0..1000 {
            patience.try_with(LONG);
            assert!(!patience.is_over());
            patience.recover(ONCE);
        }
    }

    #[test]
    fn where_many_handlers_are_late_all_run_apart_until_none_are() {
        let patience = Patience::default();
        let trusted = (0..100).take_while(|_| {
            patience.try_with(LONG);
            patience.recover(1);
            !patience.is_over()
        });
        assert_eq!(trusted.count(), 10);
        patience.try_with(HELD_UP);
        let apart = (0..MOST).take_while(|_| {
            let over = patience.is_over();
            patience.recover(1);
            over
        });
        assert_eq!(apart.count() as u32, MOST - TOO_MUCH);
    }
}
