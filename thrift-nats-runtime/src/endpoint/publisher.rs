//! Publishing for sessions: at once, or by one task that batches.
//!
//! The publisher owns the order in which sessions hand their NATS messages to the connection. It bounds the bytes that are
//! handed over and not yet written, and the bytes of one session before another one has its turn. It never decides what a
//! message contains: that is the state machine's part.
//!
//! A session that has something to send calls [`Publisher::wake`], or [`Publisher::publish_now`] if nothing else is about
//! to be queued. Either acquires the session's [`PublishLock`], polls the session until it has nothing more, and releases
//! the lock. The task polls a session only after the tasks that are ready to run have run, so that one chunk carries what
//! all of them have queued: a busy process batches, and an idle one never waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client as Nats, PublishError};
use futures_util::{FutureExt, Sink};
use tokio::sync::{mpsc, oneshot};

use super::publish_lock::PublishLock;
use crate::log_limit::limited;
use crate::proto::Transmit;
use crate::sync::lock;

/// Timeout of the last flush, after the last publisher is dropped.
const LAST_FLUSH: Duration = Duration::from_secs(2);
/// Number of bytes of one session that the task publishes before it continues with the next session. A turn is at least
/// one message. The short message of a session waits for one turn of each other session.
const BYTES_IN_A_ROW: usize = 128 * 1024;
/// Number of bytes that [`Publisher::publish_now`] publishes before it leaves the rest to the task.
const BYTES_AT_ONCE: usize = 32 * 1024;
/// Default limit of the bytes that are handed to the connection and not yet written. The connection's own queue is bounded
/// in messages only.
pub(super) const IN_FLIGHT_LIMIT: usize = 2 << 20;
/// Number of jobs that the task removes from its queue at a time.
const BATCH: usize = 64;
/// Limit of queued messages that belong to no session: a peer can cause them without having a session.
const MAX_UNATTACHED: usize = 1 << 16;

/// A session, as the publisher sees it.
pub(crate) trait TransmitSource: Send + Sync + 'static {
    /// The next message to publish, and whether the session has more. Called only by the owner of the publish lock.
    ///
    /// Knowing that there is no more saves a second poll, and with it the session's lock, for which the calling tasks
    /// compete.
    fn poll_transmit(&self) -> Option<(Transmit, bool)>;

    /// The lock that allows one task at a time to publish for the session.
    fn publish_lock(&self) -> &PublishLock;

    /// The connection refused the message that was polled last, which was this chunk if it was a chunk. The session is
    /// polled again afterwards.
    fn handle_publish_failed(&self, chunk: Option<u64>, error: PublishError);
}

/// A job for the task.
enum Job {
    /// Publish for a session, whose publish lock the task owns from now on; first of all a message that was polled already.
    Session { source: Arc<dyn TransmitSource>, polled: Option<Transmit> },
    /// Publish a message that belongs to no session.
    Message(Transmit),
    /// Report that everything before it has been handed to the connection.
    Marker(oneshot::Sender<()>),
}

/// A handle to the task that publishes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    nats: Nats,
    /// The same connection, for [`publish_now`](Self::publish_now).
    direct: Arc<Mutex<Nats>>,
    in_flight: Arc<InFlight>,
    // Unbounded in type, bounded by its contents: a session is in it once at most (the publish lock), and there are at most
    // MAX_UNATTACHED messages. Markers are for shutdown only.
    queue: mpsc::UnboundedSender<Job>,
    /// Number of queued messages that belong to no session.
    unattached: Arc<AtomicUsize>,
}

impl Publisher {
    /// Starts the task. It ends when every clone of the publisher is gone and its queue is empty.
    pub(crate) fn start(nats: Nats) -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        let unattached = Arc::new(AtomicUsize::new(0));
        let in_flight = Arc::new(InFlight::new(IN_FLIGHT_LIMIT));
        let task = Task {
            nats: nats.clone(),
            window: Window { in_flight: Arc::clone(&in_flight), flush: None },
            queue: queue.downgrade(),
            unattached: Arc::clone(&unattached),
        };
        tokio::spawn(task.run(jobs));
        Self { direct: Arc::new(Mutex::new(nats.clone())), nats, in_flight, queue, unattached }
    }

    /// Sets the limit of the bytes that are handed to the connection and not yet written.
    pub(crate) fn set_in_flight_limit(&self, limit: usize) {
        self.in_flight.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether the task still runs: it ends with its tokio runtime.
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Waits until everything that is queued now has been handed to the connection, or the task has ended.
    pub(crate) async fn flush_queue(&self) {
        let (done, reached) = oneshot::channel();
        self.submit(Job::Marker(done));
        // An error means that the task is gone, and with it everything that was queued.
        let _ = reached.await;
    }

    /// Has the task publish for `source`, together with everything that is queued until then.
    pub(crate) fn wake(&self, source: &Arc<impl TransmitSource>) {
        if source.publish_lock().acquire() {
            self.submit(Job::Session { source: Arc::clone(source) as _, polled: None });
        }
    }

    /// Publishes for `source` in the calling task: saves the switch to the publishing task, which an idle call would pay
    /// without any gain. Never waits: long messages are left to the task, and so is every message if the queue of the
    /// connection is full, or too many bytes are in flight.
    pub(crate) fn publish_now(&self, source: &Arc<impl TransmitSource>) {
        let publish_lock = source.publish_lock();
        if !publish_lock.acquire() {
            return;
        }
        let mut left = BYTES_AT_ONCE;
        while left > 0 && !self.in_flight.is_full() {
            publish_lock.begin();
            let mut has_more = true;
            while has_more
                && left > 0
                && let Some((transmit, more)) = source.poll_transmit()
            {
                has_more = more;
                let len = line_len(&transmit);
                let refused = if len > left { Some(transmit) } else { self.try_publish(&**source, transmit) };
                if refused.is_some() {
                    return self.submit(Job::Session { source: Arc::clone(source) as _, polled: refused });
                }
                self.in_flight.add(len);
                left -= len;
            }
            if left > 0 && publish_lock.release() {
                return;
            }
        }
        self.submit(Job::Session { source: Arc::clone(source) as _, polled: None });
    }

    /// Publishes a message that belongs to no session. Drops it if too many such messages are queued, and while the
    /// connection is lost: it replies to a message of the lost connection.
    pub(crate) fn send(&self, transmit: Transmit) {
        if self.nats.connection_state() != State::Connected {
            return;
        }
        if self.unattached.fetch_add(1, Ordering::Relaxed) >= MAX_UNATTACHED {
            self.unattached.fetch_sub(1, Ordering::Relaxed);
            limited!(
                debug,
                limit = MAX_UNATTACHED,
                "too many messages outside sessions are queued; dropped one"
            );
            return;
        }
        self.submit(Job::Message(transmit));
    }

    /// Publishes a message of `source`, or returns it if the queue of the connection is full.
    fn try_publish(&self, source: &dyn TransmitSource, transmit: Transmit) -> Option<Transmit> {
        let mut nats = lock(&self.direct);
        let published = match Pin::new(&mut *nats).poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => start_send(&mut nats, transmit),
            Poll::Ready(Err(error)) => Err((transmit.number(), error)),
            Poll::Pending => {
                // `poll_ready` has queued this clone for the next free slot of the connection's queue. The slot would stay
                // unused, and the task could not use it either. Dropping the clone frees it.
                *nats = self.nats.clone();
                return Some(transmit);
            }
        };
        drop(nats);
        if let Err((chunk, error)) = published {
            fail(source, chunk, error);
        }
        None
    }

    fn submit(&self, job: Job) {
        // An error means that the task is gone, and with it the runtime.
        let _ = self.queue.send(job);
    }
}

/// The task that publishes.
struct Task {
    nats: Nats,
    window: Window,
    /// The queue that the task itself reads, for sessions that have more to send than their share.
    queue: mpsc::WeakUnboundedSender<Job>,
    unattached: Arc<AtomicUsize>,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut batch = Vec::new();
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            // Without this, the task would overtake the task that woke it and all others that are about to queue
            // something: a chunk would hold one call instead of dozens.
            run_after_ready_tasks().await;
            for job in batch.drain(..) {
                self.handle(job).await;
            }
        }
        // This may be the last owner of the connection, which closes when it is dropped.
        let _ = tokio::time::timeout(LAST_FLUSH, self.nats.flush()).await;
    }

    async fn handle(&mut self, job: Job) {
        match job {
            Job::Session { source, polled } => self.publish_for(source, polled).await,
            Job::Message(transmit) => {
                self.unattached.fetch_sub(1, Ordering::Relaxed);
                if let Err((_, error)) = self.publish(transmit).await {
                    limited!(debug, %error, "cannot publish a message outside sessions");
                }
            }
            Job::Marker(done) => drop(done.send(())),
        }
    }

    async fn publish_for(&mut self, source: Arc<dyn TransmitSource>, polled: Option<Transmit>) {
        let mut left = BYTES_IN_A_ROW;
        if let Some(transmit) = polled {
            left = left.saturating_sub(line_len(&transmit));
            self.publish_or_fail(&*source, transmit).await;
        }
        loop {
            source.publish_lock().begin();
            let mut has_more = true;
            while has_more
                && left > 0
                && let Some((transmit, more)) = source.poll_transmit()
            {
                has_more = more;
                left = left.saturating_sub(line_len(&transmit));
                self.publish_or_fail(&*source, transmit).await;
            }
            if left > 0 && source.publish_lock().release() {
                return;
            }
            // Without any other handle, no other session can be queued, so this one continues at once.
            if let Some(queue) = self.queue.upgrade() {
                // An error means that this task is gone.
                let _ = queue.send(Job::Session { source, polled: None });
                return;
            }
            left = BYTES_IN_A_ROW;
        }
    }

    async fn publish_or_fail(&mut self, source: &dyn TransmitSource, transmit: Transmit) {
        if let Err((chunk, error)) = self.publish(transmit).await {
            fail(source, chunk, error);
        }
    }

    /// Publishes a message as soon as the queue of the connection has capacity.
    async fn publish(&mut self, transmit: Transmit) -> Result<(), (Option<u64>, PublishError)> {
        let Self { nats, window, .. } = self;
        window.reserve(nats, line_len(&transmit)).await;
        let ready = poll_fn(|cx| {
            // A flush in progress may occupy the capacity that this waits for.
            window.poll_flush(cx);
            Pin::new(&mut *nats).poll_ready(cx)
        });
        match ready.await {
            Ok(()) => start_send(nats, transmit),
            Err(error) => Err((transmit.number(), error)),
        }
    }
}

/// Yields to all tasks that are ready to run. Not `tokio::task::yield_now`: that pins the task to its worker thread, where
/// a handler that blocks the thread would hold up all replies (docs/benchmarks/rpc-profile.md).
async fn run_after_ready_tasks() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The bytes that were handed to the connection and may not be written yet: at most two halves of the limit. The connection
/// writes the first half while the second one is handed over.
struct InFlight {
    limit: AtomicUsize,
    /// Bytes since the last flush was begun.
    half: AtomicUsize,
}

impl InFlight {
    const fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), half: AtomicUsize::new(0) }
    }

    /// Whether a flush has to be begun before more is handed over.
    fn is_full(&self) -> bool {
        self.half.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed) / 2
    }

    /// Adds bytes that were handed over.
    fn add(&self, len: usize) {
        self.half.fetch_add(len, Ordering::Relaxed);
    }
}

/// The part of the task that waits until the connection has written bytes.
struct Window {
    in_flight: Arc<InFlight>,
    /// Completes when the half before is written.
    flush: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Window {
    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if self.flush.as_mut().is_some_and(|flush| flush.as_mut().poll(cx).is_ready()) {
            self.flush = None;
        }
    }

    /// Waits until `len` more bytes may be handed over.
    async fn reserve(&mut self, nats: &Nats, len: usize) {
        self.in_flight.add(len);
        if !self.in_flight.is_full() {
            return;
        }
        if let Some(flush) = self.flush.take() {
            flush.await;
        }
        // Whatever another task has added before is handed over before the flush is begun, which therefore covers it.
        self.in_flight.half.store(len, Ordering::Relaxed);
        let nats = nats.clone();
        // An error means that the connection is gone, which publishing reports.
        let mut flush: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(nats.flush().await) });
        // Polled once here, because it has to mark this place in the connection's queue.
        if (&mut flush).now_or_never().is_none() {
            self.flush = Some(flush);
        }
    }
}

/// About the number of bytes of a message on the connection.
fn line_len(transmit: &Transmit) -> usize {
    // The command, the length of the payload, and the separators.
    const REST: usize = 20;
    let reply = transmit.reply.as_ref().map_or(0, |reply| reply.len());
    REST + transmit.subject.len() + reply + transmit.payload.len()
}

/// Reports a refused message to its session, and has the session polled again: it may have a disconnect message now.
fn fail(source: &dyn TransmitSource, chunk: Option<u64>, error: PublishError) {
    source.handle_publish_failed(chunk, error);
    source.publish_lock().look_again();
}

/// Hands a message to the connection, which is ready for it. The sink of the client library, unlike its `publish`, does not
/// validate the subjects of each message again. The error names the chunk.
fn start_send(nats: &mut Nats, transmit: Transmit) -> Result<(), (Option<u64>, PublishError)> {
    let chunk = transmit.number();
    Pin::new(nats).start_send(transmit.into()).map_err(|error| (chunk, error))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A session that always has another message of `len` bytes to send.
    struct Endless {
        name: &'static str,
        len: usize,
        /// The names of the sessions that were polled, in order.
        polled: Arc<Mutex<Vec<&'static str>>>,
        publish_lock: PublishLock,
    }

    impl TransmitSource for Endless {
        fn poll_transmit(&self) -> Option<(Transmit, bool)> {
            lock(&self.polled).push(self.name);
            let payload = Bytes::from(vec![0; self.len]);
            Some((Transmit { subject: "subject".into(), reply: None, headers: None, payload }, true))
        }

        fn publish_lock(&self) -> &PublishLock {
            &self.publish_lock
        }

        fn handle_publish_failed(&self, _: Option<u64>, error: PublishError) {
            panic!("{error}");
        }
    }

    /// A publisher whose connection never writes anything, and two sessions.
    async fn publisher_of(lens: [usize; 2]) -> (Publisher, [Arc<Endless>; 2], Arc<Mutex<Vec<&'static str>>>) {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = options.connect("127.0.0.1:1").await.unwrap();
        let polled = Arc::new(Mutex::default());
        let session = |name, len| {
            let (polled, publish_lock) = (Arc::clone(&polled), PublishLock::default());
            Arc::new(Endless { name, len, polled, publish_lock })
        };
        (Publisher::start(nats), [session("first", lens[0]), session("second", lens[1])], polled)
    }

    /// Runs all other tasks until they wait.
    async fn run_tasks() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_session_with_long_messages_sends_128_kib_before_the_next_session() {
        let (publisher, [long, other], polled) = publisher_of([50 * 1024, 40 * 1024]).await;
        publisher.set_in_flight_limit(16 << 20);
        publisher.wake(&long);
        publisher.wake(&other);
        run_tasks().await;
        let turns = ["first", "first", "first", "second", "second", "second", "second", "first"];
        assert_eq!(lock(&polled)[..8], turns);
    }

    #[tokio::test]
    async fn no_more_bytes_are_in_flight_than_the_limit() {
        let (publisher, [long, short], polled) = publisher_of([10_000, 10]).await;
        publisher.set_in_flight_limit(100_000);
        publisher.wake(&long);
        run_tasks().await;
        let count = lock(&polled).len();
        // One message more waits for the limit.
        assert!((9..=12).contains(&count), "{count} messages of 10,000 bytes");
        publisher.publish_now(&short);
        run_tasks().await;
        assert_eq!(lock(&polled).len(), count, "it waits, too");
    }

    #[tokio::test]
    async fn a_message_outside_sessions_is_dropped_while_the_connection_is_lost() {
        let (publisher, _, _) = publisher_of([1, 1]).await;
        let (subject, payload) = ("subject".into(), Bytes::new());
        publisher.send(Transmit { subject, reply: None, headers: None, payload });
        assert_eq!(publisher.unattached.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn messages_that_are_published_at_once_are_in_flight() {
        let (publisher, [session, _], polled) = publisher_of([10_000, 1]).await;
        publisher.set_in_flight_limit(100_000);
        publisher.publish_now(&session);
        publisher.publish_now(&session);
        run_tasks().await;
        assert!(lock(&polled).len() <= 12, "{} messages of 10,000 bytes", lock(&polled).len());
    }
}
