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
        // Two who do this at once may count it once, here and below: it is no more exact than that.
        let before = self.tried.load(Ordering::Relaxed);
        self.tried.store((before + tried).min(MOST), Ordering::Relaxed);
    }

    /// Whether it has an end for the requests that are to be run now, which are so many.
    pub(super) fn is_over(&self, requests: usize) -> bool {
        let tried = self.tried.load(Ordering::Relaxed);
        if tried > 0 {
            self.tried.store(tried.saturating_sub(requests as u32), Ordering::Relaxed);
        }
        tried > TOO_MUCH
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
            assert!(!patience.is_over(ONCE as usize));
        }
    }

    #[test]
    fn where_many_handlers_are_late_all_run_apart_until_none_are() {
        let patience = Patience::default();
        let trusted = (0..100).take_while(|_| {
            patience.try_with(LONG);
            !patience.is_over(1)
        });
        assert_eq!(trusted.count(), 10);
        patience.try_with(HELD_UP);
        let apart = (0..MOST).filter(|_| patience.is_over(1)).count();
        assert_eq!(apart as u32, MOST - TOO_MUCH);
        assert!(!patience.is_over(1));
    }
}
