//! Admission of handshakes: how many an endpoint has in flight with the servers of a subject.
//!
//! It owns the waiting line of each subject. It has no timers: the wait is covered by the deadlines of the calls, and the
//! handshake timeout starts when the handshake is admitted.
//!
//! After a lost connection all sessions of a process are opened again at the same time. Without a bound, so many handshakes
//! wait at the servers that each takes longer than its timeout. The servers then accept sessions that no client waits for any
//! more, while the clients send the handshakes again.

use std::sync::{Arc, Mutex, Weak};

use rustc_hash::FxHashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ConnectError;
use crate::sync::lock;

/// Limit of handshakes in flight. At 100 ms for each, 5,000 sessions are opened in a second. On two cores, 100,000 sessions
/// are open again 10 s after a restart of NATS (`tests/tests/recovery.rs`); without a limit, 1 % of 50,000 were after two
/// minutes.
const MOST: usize = 512;
/// The limit while no server listens, so that the handshakes of many clients do not keep NATS busy.
const LEAST: usize = 8;

/// The waiting lines of an endpoint, by subject.
#[derive(Debug, Default)]
pub(super) struct Admission(Mutex<FxHashMap<String, Weak<Line>>>);

/// The waiting line of a subject: first come, first served.
#[derive(Debug)]
struct Line {
    permits: Arc<Semaphore>,
    /// Number of permits, held and free.
    width: Mutex<usize>,
}

/// A handshake that was admitted. Dropping it admits the next one.
#[derive(Debug)]
pub(super) struct Admitted {
    line: Arc<Line>,
    permit: OwnedSemaphorePermit,
}

impl Admission {
    /// Waits until a handshake with a server of `subject` may be sent.
    ///
    /// # Cancellation
    /// Leaves the waiting line if the future is dropped.
    pub(super) async fn enter(&self, subject: &str) -> Admitted {
        let line = self.line(subject);
        let permit = Arc::clone(&line.permits).acquire_owned().await.expect("the semaphore is never closed");
        Admitted { line, permit }
    }

    fn line(&self, subject: &str) -> Arc<Line> {
        let mut lines = lock(&self.0);
        if let Some(line) = lines.get(subject).and_then(Weak::upgrade) {
            return line;
        }
        // Subjects without a handshake in flight are forgotten.
        lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line { permits: Arc::new(Semaphore::new(MOST)), width: Mutex::new(MOST) });
        lines.insert(subject.to_owned(), Arc::downgrade(&line));
        line
    }
}

impl Admitted {
    /// Ends the handshake. While no server listens, each handshake removes one permit. Each reply of a server adds one,
    /// so that the width doubles with every round trip.
    pub(super) fn finish<T>(self, result: &Result<T, ConnectError>) {
        let mut width = lock(&self.line.width);
        match result {
            Err(ConnectError::NoServer { .. }) if *width > LEAST => {
                *width -= 1;
                self.permit.forget();
            }
            Ok(_) if *width < MOST => {
                *width += 1;
                self.line.permits.add_permits(1);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt, poll};

    use super::*;

    fn enter(admission: &Admission, subject: &str) -> Option<Admitted> {
        // tokio would let a task take only 128 permits before it has to yield.
        tokio::task::unconstrained(admission.enter(subject)).now_or_never()
    }

    fn no_server<T>() -> Result<T, ConnectError> {
        Err(ConnectError::NoServer { subject: "a".to_owned() })
    }

    #[tokio::test]
    async fn handshakes_of_a_subject_wait_in_line_and_others_do_not_wait_for_them() {
        let admission = Admission::default();
        let mut admitted: Vec<_> = (0..MOST).map(|_| enter(&admission, "a").unwrap()).collect();
        let (mut first, mut second) = (pin!(admission.enter("a")), pin!(admission.enter("a")));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert!(enter(&admission, "b").is_some());
        drop(admitted.pop());
        assert!(poll!(&mut second).is_pending(), "the first in line is served first");
        assert!(poll!(&mut first).is_ready());
    }

    #[tokio::test]
    async fn cancelled_wait_leaves_the_line() {
        let admission = Admission::default();
        let mut admitted: Vec<_> = (0..MOST).map(|_| enter(&admission, "a").unwrap()).collect();
        {
            let mut cancelled = pin!(admission.enter("a"));
            assert!(poll!(&mut cancelled).is_pending());
        }
        let mut next = pin!(admission.enter("a"));
        assert!(poll!(&mut next).is_pending());
        drop(admitted.pop());
        assert!(poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn line_is_narrow_while_no_server_listens_and_widens_with_replies() {
        let admission = Admission::default();
        // Keeps the line.
        let kept = enter(&admission, "a").unwrap();
        for _ in 0..2 * MOST {
            enter(&admission, "a").unwrap().finish::<()>(&no_server());
        }
        let permits = || {
            let admitted: Vec<_> = std::iter::from_fn(|| enter(&admission, "a")).collect();
            admitted.len() + 1
        };
        assert_eq!(permits(), LEAST);
        for _ in 0..2 * MOST {
            enter(&admission, "a").unwrap().finish(&Ok(()));
        }
        assert_eq!(permits(), MOST);
        drop(kept);
    }
}
