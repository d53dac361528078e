//! What joins the state of sessions to NATS and to time, on either side: one task that publishes, one that keeps time.
//!
//! Both tasks belong to the client's hub or to the server that started them, and end with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_nats::{Client as Nats, PublishError, Subject};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::error::Error;
use crate::session::{Transmit, late_message, unknown_session};

/// Locks without caring for a panic elsewhere: no code of ours leaves a value half changed while it holds a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Now, on the clock that tests can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The subject that a process listens on for its sessions: below the connection's own inbox prefix, so that permissions
/// that allow it allow this, and random, so that nobody can guess it.
pub(crate) fn random_base(nats: &Nats) -> Result<String, Error> {
    let inbox = nats.new_inbox();
    let prefix = inbox.rsplit_once('.').map_or(inbox.as_str(), |(prefix, _)| prefix);
    Ok(format!("{prefix}.{}", random_token()?))
}

/// A token that nobody can guess.
pub(crate) fn random_token() -> Result<String, Error> {
    crate::session::random_token()
        .map_err(|error| Error::nats("no randomness from the operating system", error))
}

/// How many times the connection has been made. Changes before a new connection delivers anything.
pub(crate) fn connects(nats: &Nats) -> u64 {
    nats.statistics().connects.load(Ordering::SeqCst)
}

/// A session, as the publishing task sees it.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is to be published next.
    fn transmit(&self) -> Option<Transmit>;

    /// Whether the session is in the queue of the publishing task.
    fn queued(&self) -> &AtomicBool;

    /// What was to be published last was not, and never will be; `reply` was its reply subject.
    fn publish_failed(&self, reply: Option<&str>, error: PublishError) {
        tracing::warn!(reply, %error, "cannot publish");
    }
}

/// How long the connection may take to send what is left when nobody publishes any more.
const LAST_FLUSH: Duration = Duration::from_secs(2);
/// How many NATS messages a session may publish before it is another's turn.
const TURN: usize = 16;

/// The way to the task that publishes. It takes all that a session has queued when its turn comes: the busier the task,
/// the larger the chunks.
#[derive(Clone)]
pub(crate) struct Publisher {
    // Unbounded, but a session is never in it twice: no longer than there are sessions.
    queue: mpsc::UnboundedSender<Arc<dyn Source>>,
}

impl Publisher {
    /// Starts the task. It ends by itself when every clone of the publisher is gone and the queue is empty.
    pub(crate) fn start(nats: Nats) -> Self {
        let (queue, mut ready) = mpsc::unbounded_channel::<Arc<dyn Source>>();
        let others = queue.downgrade();
        tokio::spawn(async move {
            while let Some(source) = ready.recv().await {
                // Before the look at what is there: what is queued from now on brings the session here again.
                source.queued().store(false, Ordering::SeqCst);
                let mut left = TURN;
                while let Some(transmit) = source.transmit() {
                    let reply = transmit.reply.clone();
                    if let Err(error) = publish(&nats, transmit).await {
                        source.publish_failed(reply.as_deref(), error);
                    }
                    left -= 1;
                    // Once nobody else can queue anything any more, there are no others to be fair to.
                    if left == 0
                        && let Some(queue) = others.upgrade()
                    {
                        Self { queue }.wake_dyn(source);
                        break;
                    }
                    left = left.max(1);
                }
            }
            // This may be the last who holds the connection, which ends with it: what was published has to be out first.
            let _ = tokio::time::timeout(LAST_FLUSH, nats.flush()).await;
        });
        Self { queue }
    }

    /// Whether the task still publishes: it ends with its runtime.
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Waits until all that is queued now has been handed to the connection.
    pub(crate) async fn idle(&self) {
        let (done, reached) = oneshot::channel();
        self.wake(&Arc::new(Marker { done: Mutex::new(Some(done)), queued: AtomicBool::new(false) }));
        // An error means that the task is gone, and with it all that was queued.
        let _ = reached.await;
    }

    /// Has `source` published from, soon.
    pub(crate) fn wake(&self, source: &Arc<impl Source>) {
        self.wake_dyn(Arc::clone(source) as Arc<dyn Source>);
    }

    fn wake_dyn(&self, source: Arc<dyn Source>) {
        if !source.queued().swap(true, Ordering::SeqCst) {
            // An error means that the task is gone, and with it the runtime.
            let _ = self.queue.send(source);
        }
    }
}

impl Publisher {
    /// Tells whoever sent a message for a session that there is none (any more): `reply` is the message's reply subject.
    pub(crate) fn answer_stranger(&self, reply: Option<&str>) {
        self.answer(reply.and_then(unknown_session));
    }

    /// The same on the client's side, where the message may be an accept that comes too late.
    pub(crate) fn answer_late(&self, reply: Option<&Subject>, payload: &[u8]) {
        self.answer(late_message(reply, payload));
    }

    fn answer(&self, transmit: Option<Transmit>) {
        if let Some(transmit) = transmit {
            self.send(transmit);
        }
    }

    /// Publishes a single message that belongs to no session.
    pub(crate) fn send(&self, transmit: Transmit) {
        let once = Once { transmit: Mutex::new(Some(transmit)), queued: AtomicBool::new(false) };
        self.wake(&Arc::new(once));
    }
}

/// A single message to be published.
struct Once {
    transmit: Mutex<Option<Transmit>>,
    queued: AtomicBool,
}

impl Source for Once {
    fn transmit(&self) -> Option<Transmit> {
        lock(&self.transmit).take()
    }

    fn queued(&self) -> &AtomicBool {
        &self.queued
    }
}

/// A place in the queue: publishes nothing, and says when its turn has come.
struct Marker {
    done: Mutex<Option<oneshot::Sender<()>>>,
    queued: AtomicBool,
}

impl Source for Marker {
    fn transmit(&self) -> Option<Transmit> {
        if let Some(done) = lock(&self.done).take() {
            let _ = done.send(());
        }
        None
    }

    fn queued(&self) -> &AtomicBool {
        &self.queued
    }
}

async fn publish(nats: &Nats, transmit: Transmit) -> Result<(), PublishError> {
    let Transmit { subject, reply, headers, payload } = transmit;
    match (reply, headers) {
        (Some(reply), Some(headers)) => {
            nats.publish_with_reply_and_headers(subject, reply, headers, payload).await
        }
        (Some(reply), None) => nats.publish_with_reply(subject, reply, payload).await,
        (None, Some(headers)) => nats.publish_with_headers(subject, headers, payload).await,
        (None, None) => nats.publish(subject, payload).await,
    }
}

/// A session, as the task that keeps time sees it.
pub(crate) trait Timed: Send + Sync + 'static {
    /// Does what is due at `now`, and says when to come again.
    fn on_time(self: Arc<Self>, now: Instant) -> Option<Instant>;
}

/// The times at which sessions want to be woken.
pub(crate) struct Timers {
    due: Mutex<BTreeMap<(Instant, u64), Weak<dyn Timed>>>,
    next_id: AtomicU64,
    earlier: Notify,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { due: Mutex::new(BTreeMap::new()), next_id: AtomicU64::new(0), earlier: Notify::new() }
    }

    /// Wakes `timed` at `at`. A session that has gone by then is passed over.
    pub(crate) fn add(&self, at: Instant, timed: Weak<dyn Timed>) {
        let key = (at, self.next_id.fetch_add(1, Ordering::Relaxed));
        let mut due = lock(&self.due);
        due.insert(key, timed);
        if due.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.earlier.notify_one();
        }
    }

    /// Keeps time, for ever; calls `tick` at least once in `at_least`.
    pub(crate) async fn run(&self, at_least: Duration, mut tick: impl FnMut()) {
        loop {
            let now = now();
            let mut next = now + at_least;
            loop {
                let first = {
                    let mut due = lock(&self.due);
                    match due.first_key_value() {
                        Some(((at, _), _)) if *at <= now => due.pop_first(),
                        Some(((at, _), _)) => {
                            next = next.min(*at);
                            None
                        }
                        None => None,
                    }
                };
                let Some((_, timed)) = first else { break };
                if let Some(timed) = timed.upgrade() {
                    let weak = Arc::downgrade(&timed);
                    if let Some(at) = timed.on_time(now) {
                        self.add(at, weak);
                    }
                }
            }
            tick();
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                () = self.earlier.notified() => {}
            }
        }
    }
}
