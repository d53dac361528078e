//! Taking up what comes to a server's sessions: one task at a time does, and runs requests itself where nothing else waits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::accepted_session::AcceptedSession;
use super::listener::{Listener, Vital};
use super::patience::HELD_UP;
use super::run::run;
use super::running::FAREWELL_TIMEOUT;
use crate::proto::{CloseReason, Taken};
use crate::sync::lock;

/// What comes to the sessions of a server.
pub(super) struct Inbox {
    /// Until the server has ended.
    subscriber: Mutex<Option<Subscriber>>,
    /// Who takes from it.
    pump: Mutex<Arc<Pump>>,
    /// Where another is started.
    runtime: Handle,
    /// Cancelled when the server has told everybody that it ends.
    gone: CancellationToken,
    /// Cancelled when nobody takes from it any more.
    done: CancellationToken,
}

/// Requests that came in a chunk, and whose they are.
pub(super) type Requests = (Arc<AcceptedSession>, VecDeque<Taken>);

impl Inbox {
    /// Made within the runtime that the server is to run in.
    pub(super) fn new(subscriber: Subscriber, gone: CancellationToken) -> Self {
        Self {
            subscriber: Mutex::new(Some(subscriber)),
            pump: Mutex::default(),
            runtime: Handle::current(),
            gone,
            done: CancellationToken::new(),
        }
    }

    /// Waits until nobody takes from it any more.
    pub(super) async fn done(&self) {
        self.done.cancelled().await;
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        match &mut *lock(&self.subscriber) {
            Some(subscriber) => subscriber.poll_next_unpin(cx),
            None => Poll::Ready(None),
        }
    }

    /// What is there now.
    fn try_next(&self) -> Option<Message> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }
}

impl Listener {
    /// Starts to take up what comes.
    pub(super) fn start_pump(self: &Arc<Self>) {
        let inbox = self.inbox();
        let pump = Arc::new(Pump::default());
        *lock(&inbox.pump) = Arc::clone(&pump);
        inbox.runtime.spawn(pump.run(Arc::downgrade(self), Arc::clone(inbox)));
    }

    /// Has another task take up what comes where a handler holds up the one that does, and has for a while.
    pub(super) fn check_pump(self: &Arc<Self>) {
        self.replace_pump(HELD_UP);
    }

    /// The same where it does at all: nothing is to wait for that handler any more.
    pub(super) fn leave_handler_behind(self: &Arc<Self>) {
        self.replace_pump(Duration::ZERO);
    }

    fn replace_pump(self: &Arc<Self>, at_least: Duration) {
        let held_up = lock(&self.inbox().pump).replace_if_held_up(at_least, Instant::now());
        if held_up {
            self.patience().try_with(HELD_UP);
            self.start_pump();
        }
    }
}

/// A task that takes up what comes.
#[derive(Debug, Default)]
struct Pump {
    /// How often it has begun or ended to run a handler: odd while one runs, and [`REPLACED`] once another has its place.
    /// One number for both: who ends a run and who takes the place must not both succeed.
    runs: AtomicU64,
    /// The number that was seen last, and when for the first time.
    seen: Mutex<Option<(u64, Instant)>>,
}

/// No number of runs: it would take centuries to get there.
const REPLACED: u64 = u64::MAX;

impl Pump {
    /// Takes this one's place, if it has been running the same handler for so long; whether that is so.
    fn replace_if_held_up(&self, at_least: Duration, now: Instant) -> bool {
        let runs = self.runs.load(Ordering::SeqCst);
        if runs.is_multiple_of(2) || runs == REPLACED {
            return false;
        }
        let mut seen = lock(&self.seen);
        let since = seen.filter(|(seen, _)| *seen == runs).map_or(now, |(_, since)| since);
        *seen = Some((runs, since));
        now - since >= at_least
            && self.runs.compare_exchange(runs, REPLACED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Notes that a handler is about to run.
    fn begin_run(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes that it has run; false if another has taken this one's place meanwhile.
    fn end_run(&self, run: u64) -> bool {
        self.runs.compare_exchange(run, run + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes up what comes until the server has ended, or another has taken this one's place.
    async fn run(self: Arc<Self>, listener: Weak<Listener>, inbox: Arc<Inbox>) {
        let _vital = Vital(listener.clone());
        let ended = inbox.gone.run_until_cancelled(self.take_up(&listener, &inbox)).await;
        if self.runs.load(Ordering::SeqCst) == REPLACED {
            return;
        }
        let listener = listener.upgrade();
        match (ended, listener) {
            // The server has ended: the subscription goes behind all that the sessions have to say. A client that asks
            // whether this process is there, or sends something, would be told first that it is not.
            (None, Some(listener)) => {
                let _ = tokio::time::timeout(FAREWELL_TIMEOUT, listener.said()).await;
            }
            (Some(()), Some(listener)) => {
                for session in listener.sessions() {
                    session.close(CloseReason::NatsClosed);
                }
                listener.fail("cannot serve any more", "the connection to NATS is closed");
            }
            (_, None) => {}
        }
        drop(lock(&inbox.subscriber).take());
        inbox.done.cancel();
    }

    /// Hands what comes to the sessions; never waits for one of them. Ends when the connection is closed, or drained.
    async fn take_up(&self, listener: &Weak<Listener>, inbox: &Inbox) {
        let mut next = None;
        loop {
            let mut waited = false;
            let message = match next.take() {
                Some(message) => message,
                None => {
                    let message = poll_fn(|cx| {
                        let message = inbox.poll_next(cx);
                        waited |= message.is_pending();
                        message
                    });
                    let Some(message) = message.await else { return };
                    message
                }
            };
            let Some(listener) = listener.upgrade() else { return };
            // Before a request is taken up: a drain that looks between here and its task finds that something runs.
            let _running = listener.running();
            let Some((session, requests)) = listener.receive(message) else { continue };
            // Not where this task has done something else since it was woken: what that has woken may wait for this thread,
            // and no other could take it over. And what came behind them need not wait for them, nor they for that.
            let alone = waited && {
                next = inbox.try_next();
                next.is_none()
            };
            if !alone || listener.patience().is_over() {
                listener.spawn(run(session, Arc::clone(&listener), requests));
                continue;
            }
            // The shortest way: no other thread is woken for them. Those that take long go to another task, and if a handler
            // holds up the thread, another takes this one's place.
            let number = self.begin_run();
            // Looked at behind that: whoever stops the server looks at it behind the stop.
            if !listener.stop().is_cancelled() {
                run(session, Arc::clone(&listener), requests).await;
            }
            if !self.end_run(number) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pump_is_replaced_once_and_only_if_the_same_handler_runs_for_long() {
        let pump = Pump::default();
        let start = Instant::now();
        let held_up =
            |pump: &Pump, after: u64| pump.replace_if_held_up(HELD_UP, start + Duration::from_millis(after));
        assert!(!held_up(&pump, 0), "no handler runs");
        for at in [0, 100, 200] {
            let run = pump.begin_run();
            assert!(!held_up(&pump, at), "seen for the first time");
            assert!(!held_up(&pump, at + 49));
            assert!(pump.end_run(run));
            assert!(!held_up(&pump, at + 60), "it has ended");
        }
        let run = pump.begin_run();
        assert!(!held_up(&pump, 1000));
        assert!(held_up(&pump, 1050));
        assert!(!held_up(&pump, 2000), "it has been replaced");
        assert!(!pump.end_run(run), "and learns of it at the end of its run");
    }
}
