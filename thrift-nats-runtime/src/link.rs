//! What joins the state of sessions to NATS and to time, on either side: one task that publishes, one that keeps time.
//!
//! Both tasks belong to the client's hub or to the server that started them, and end with it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_nats::{Client as Nats, PublishError, Subject};
use futures_util::{FutureExt, Sink};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::error::Error;
use crate::proto::{Transmit, late_message, unknown_session};

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
    crate::proto::random_token()
        .map_err(|error| Error::nats("no randomness from the operating system", error))
}

/// How many times the connection has been made. Changes before a new connection delivers anything.
pub(crate) fn connects(nats: &Nats) -> u64 {
    nats.statistics().connects.load(Ordering::SeqCst)
}

/// A session, as whoever publishes for it sees it.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is to be published next, and whether there is more behind it. Called by one at a time: whoever has the turn.
    fn transmit(&self) -> Option<(Transmit, bool)>;

    /// Whose turn it is to publish for the session.
    fn turn(&self) -> &Turn;

    /// What was to be published last was not, and never will be; it was this chunk, if it was one.
    fn publish_failed(&self, chunk: Option<u64>, error: PublishError) {
        tracing::warn!(chunk, %error, "cannot publish");
    }
}

/// Whose turn it is to publish for a session: nobody's, or that of one who will look again if there is more. Chunks have to
/// go in the order in which they were made, so that never two publish for one session.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicU8);

impl Turn {
    const FREE: u8 = 0;
    const TAKEN: u8 = 1;
    /// Taken, and something may have been queued since its owner looked.
    const MORE: u8 = 2;

    /// Takes the turn, or has its owner look again.
    fn take(&self) -> bool {
        self.0.swap(Self::MORE, Ordering::SeqCst) == Self::FREE
    }

    /// Called by the owner, which is to look again.
    fn look_again(&self) {
        self.0.store(Self::MORE, Ordering::SeqCst);
    }

    /// Called by the owner before it looks at what there is.
    fn begin(&self) {
        self.0.store(Self::TAKEN, Ordering::SeqCst);
    }

    /// Gives the turn back; false, and it is still taken, where there may be more.
    fn leave(&self) -> bool {
        self.0.compare_exchange(Self::TAKEN, Self::FREE, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// How long the connection may take to send what is left when nobody publishes any more.
const LAST_FLUSH: Duration = Duration::from_secs(2);
/// How many NATS messages a session may publish before it is another's turn.
const TURN: usize = 16;
/// How many bytes are published at once.
const AT_ONCE: usize = 32 * 1024;
/// How many bytes the task hands to the connection before it waits until those before them are written. The connection's own
/// queue is bounded in messages alone: what it held would be in nobody's count.
const WINDOW: usize = 1 << 20;
/// How many sessions the task takes up at a time.
const BATCH: usize = 64;

/// A session whose turn the publishing task has.
struct Ready {
    source: Arc<dyn Source>,
    /// What goes first: a message that the connection had no room for.
    begun: Option<Transmit>,
}

/// The way to the task that publishes. It takes all that a session has queued when its turn comes: the busier the process,
/// the larger the chunks.
#[derive(Clone)]
pub(crate) struct Publisher {
    nats: Nats,
    /// The same connection, for what is published at once.
    at_once: Arc<Mutex<Nats>>,
    // Unbounded, but a session is never in it twice: no longer than there are sessions, and messages of none.
    queue: mpsc::UnboundedSender<Ready>,
    /// How many messages that belong to no session are queued.
    strangers: Arc<AtomicUsize>,
}

/// How many messages that belong to no session may wait: whoever causes them need not have one.
const MAX_STRANGERS: usize = 1 << 16;

impl Publisher {
    /// Starts the task. It ends by itself when every clone of the publisher is gone and the queue is empty.
    pub(crate) fn start(nats: Nats) -> Self {
        let (queue, mut ready) = mpsc::unbounded_channel::<Ready>();
        let others = queue.downgrade();
        let mut publisher = nats.clone();
        tokio::spawn(async move {
            let mut batch = Vec::new();
            let mut window = Window::default();
            while ready.recv_many(&mut batch, BATCH).await > 0 {
                // Whoever woke this task would be overtaken by it, and so would all that are to run anyway and have
                // something to send: a chunk would hold one call. Behind them it holds all of theirs.
                behind_others().await;
                for Ready { source, begun } in batch.drain(..) {
                    if let Some(transmit) = begun {
                        put(&mut publisher, &mut window, &*source, transmit).await;
                    }
                    loop {
                        source.turn().begin();
                        let (mut more, mut left) = (true, TURN);
                        while more && left > 0 {
                            let Some((transmit, behind)) = source.transmit() else { break };
                            put(&mut publisher, &mut window, &*source, transmit).await;
                            (more, left) = (behind, left - 1);
                        }
                        if left > 0 && source.turn().leave() {
                            break;
                        }
                        // Once nobody else can queue anything any more, there are no others to be fair to.
                        if let Some(queue) = others.upgrade() {
                            // An error means that the task is gone, and this is the task.
                            let _ = queue.send(Ready { source, begun: None });
                            break;
                        }
                    }
                }
            }
            // This may be the last who holds the connection, which ends with it: what was published has to be out first.
            let _ = tokio::time::timeout(LAST_FLUSH, publisher.flush()).await;
        });
        Self { at_once: Arc::new(Mutex::new(nats.clone())), nats, queue, strangers: Arc::default() }
    }

    /// Whether the task still publishes: it ends with its runtime.
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Waits until all that is queued now has been handed to the connection.
    pub(crate) async fn idle(&self) {
        let (done, reached) = oneshot::channel();
        self.wake(&Arc::new(Marker { done: Mutex::new(Some(done)), turn: Turn::default() }));
        // An error means that the task is gone, and with it all that was queued.
        let _ = reached.await;
    }

    /// Has `source` published from, soon: together with what others queue until then.
    pub(crate) fn wake(&self, source: &Arc<impl Source>) {
        if source.turn().take() {
            self.hand_over(Arc::clone(source) as Arc<dyn Source>, None);
        }
    }

    /// Publishes what `source` has, at once: for what nothing else is about to join. Never waits: what is long, or what the
    /// connection has no room for, goes to the task.
    pub(crate) fn publish_now(&self, source: &Arc<impl Source>) {
        if !source.turn().take() {
            return;
        }
        let mut left = AT_ONCE;
        while left > 0 {
            source.turn().begin();
            let mut more = true;
            while more && left > 0 {
                let Some((transmit, behind)) = source.transmit() else { break };
                more = behind;
                left = left.saturating_sub(transmit.payload.len().max(1));
                if let Some(transmit) = self.publish_or_return(&**source, transmit) {
                    return self.hand_over(Arc::clone(source) as Arc<_>, Some(transmit));
                }
            }
            if left > 0 && source.turn().leave() {
                return;
            }
        }
        self.hand_over(Arc::clone(source) as Arc<_>, None);
    }

    /// Publishes a message of `source`, or gives it back where the connection has no room for it now.
    fn publish_or_return(&self, source: &dyn Source, transmit: Transmit) -> Option<Transmit> {
        let mut nats = lock(&self.at_once);
        let published = match Pin::new(&mut *nats).poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => start_send(&mut nats, transmit),
            Poll::Ready(Err(error)) => Err((transmit.chunk(), error)),
            Poll::Pending => {
                // Its place among those who wait for room is given back. One that kept it, and that nobody looks at before
                // its turn, would hold the room that the task waits for: for ever, if enough of them do.
                *nats = self.nats.clone();
                return Some(transmit);
            }
        };
        drop(nats);
        if let Err((chunk, error)) = published {
            failed(source, chunk, error);
        }
        None
    }

    fn hand_over(&self, source: Arc<dyn Source>, begun: Option<Transmit>) {
        // An error means that the task is gone, and with it the runtime.
        let _ = self.queue.send(Ready { source, begun });
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

    /// Publishes a single message that belongs to no session; drops it where too many wait, since NATS takes nothing.
    pub(crate) fn send(&self, transmit: Transmit) {
        let once = Once {
            transmit: Mutex::new(Some(transmit)),
            turn: Turn::default(),
            strangers: Arc::clone(&self.strangers),
        };
        if self.strangers.fetch_add(1, Ordering::Relaxed) >= MAX_STRANGERS {
            tracing::debug!("a message that belongs to no session is dropped: too many wait");
            return;
        }
        self.wake(&Arc::new(once));
    }
}

/// Lets those tasks run first that are to run anyway. Not tokio's `yield_now`: that keeps the task with its thread until the
/// thread has nothing else to do, where no other can take it over, and if a handler holds that thread up meanwhile, it
/// holds up the answers of all others.
async fn behind_others() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What was handed to the connection and may not be written yet.
#[derive(Default)]
struct Window {
    /// Bytes since the last flush was asked for.
    bytes: usize,
    /// The end of the window before.
    flush: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Window {
    /// Lets a flush that was begun go on.
    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if self.flush.as_mut().is_some_and(|flush| flush.as_mut().poll(cx).is_ready()) {
            self.flush = None;
        }
    }

    /// Waits until `len` bytes more may be handed over.
    async fn open(&mut self, nats: &Nats, len: usize) {
        self.bytes += len;
        if self.bytes < WINDOW {
            return;
        }
        self.bytes = len;
        if let Some(flush) = self.flush.take() {
            flush.await;
        }
        let nats = nats.clone();
        // An error means that the connection is gone, and publishing says so.
        let mut flush: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(nats.flush().await) });
        // It is begun here: it is to mark this place.
        if (&mut flush).now_or_never().is_none() {
            self.flush = Some(flush);
        }
    }
}

/// A single message to be published.
struct Once {
    transmit: Mutex<Option<Transmit>>,
    turn: Turn,
    /// Counts it.
    strangers: Arc<AtomicUsize>,
}

impl Drop for Once {
    fn drop(&mut self) {
        self.strangers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Once {
    fn transmit(&self) -> Option<(Transmit, bool)> {
        Some((lock(&self.transmit).take()?, false))
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}

/// A place in the queue: publishes nothing, and says when its turn has come.
struct Marker {
    done: Mutex<Option<oneshot::Sender<()>>>,
    turn: Turn,
}

impl Source for Marker {
    fn transmit(&self) -> Option<(Transmit, bool)> {
        if let Some(done) = lock(&self.done).take() {
            let _ = done.send(());
        }
        None
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}

/// Publishes a message of `source`, as soon as there is room for it.
async fn put(nats: &mut Nats, window: &mut Window, source: &dyn Source, transmit: Transmit) {
    window.open(nats, transmit.payload.len()).await;
    let ready = poll_fn(|cx| {
        // It may have the place that is waited for.
        window.poll_flush(cx);
        Pin::new(&mut *nats).poll_ready(cx)
    });
    let published = match ready.await {
        Ok(()) => start_send(nats, transmit),
        Err(error) => Err((transmit.chunk(), error)),
    };
    if let Err((chunk, error)) = published {
        failed(source, chunk, error);
    }
}

/// Tells whose message it was that it cannot be published, and looks again at what there is: it may have a farewell now.
fn failed(source: &dyn Source, chunk: Option<u64>, error: PublishError) {
    source.publish_failed(chunk, error);
    source.turn().look_again();
}

/// Hands a message to the connection, which is ready for it. As a sink, the client library does not look through the subjects
/// of each message. The error says which chunk it was, and why it was not taken.
fn start_send(nats: &mut Nats, transmit: Transmit) -> Result<(), (Option<u64>, PublishError)> {
    let chunk = transmit.chunk();
    Pin::new(nats).start_send(transmit.into()).map_err(|error| (chunk, error))
}

/// A session, as the task that keeps time sees it.
pub(crate) trait Timed: Send + Sync + 'static {
    /// Does what is due at `now`, and sets its timer anew. `timer` is the place that it was woken from, and has no more.
    fn on_time(self: Arc<Self>, now: Instant, timer: TimerKey);
}

/// A place among the [`Timers`].
pub(crate) type TimerKey = (Instant, u64);

/// The times at which sessions want to be woken.
pub(crate) struct Timers {
    due: Mutex<BTreeMap<TimerKey, Weak<dyn Timed>>>,
    next_id: AtomicU64,
    earlier: Notify,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { due: Mutex::new(BTreeMap::new()), next_id: AtomicU64::new(0), earlier: Notify::new() }
    }

    /// Has somebody woken at `at`, and not at the time before any more. Who has gone by then is passed over.
    pub(crate) fn set(
        &self,
        timer: &mut Option<TimerKey>,
        at: Option<Instant>,
        timed: impl FnOnce() -> Weak<dyn Timed>,
    ) {
        if timer.map(|(at, _)| at) == at {
            return;
        }
        let mut due = lock(&self.due);
        let before = timer.take().and_then(|key| due.remove(&key));
        let Some(at) = at else { return };
        let key = (at, self.next_id.fetch_add(1, Ordering::Relaxed));
        due.insert(key, before.unwrap_or_else(timed));
        *timer = Some(key);
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
                let Some((timer, timed)) = first else { break };
                if let Some(timed) = timed.upgrade() {
                    timed.on_time(now, timer);
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
