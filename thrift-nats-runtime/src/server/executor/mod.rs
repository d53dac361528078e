//! Running the requests of all sessions of a server.
//!
//! The executor owns the tasks that run handlers, and applies the limit on those that are pending. It never reads from NATS
//! and never publishes: sessions give it requests, and publish its replies.
//!
//! # When a request runs where, and why
//!
//! 1. The receive loop gives each NATS message to its session and calls [`Executor::start`] with the requests that are
//!    complete with it. The receive loop never runs a handler. On a runtime with several threads, a handler that blocks its
//!    thread therefore does not stop it.
//! 2. `start` spawns one task for all requests of the message: the *chunk task*. It polls the handlers one after the
//!    other, each once. A handler that completes at once, as most do, costs no further task, and the replies of a
//!    chunk leave together.
//! 3. A handler that is pending after its first poll continues in a separate task. That task ends when the handler
//!    completes, at the call's deadline, when the client cancels the call, a while after the end of its session, or when the
//!    server stops.
//! 4. A chunk task that has run for [`TIME_SLICE`] sends the replies that it has and leaves the rest of its requests to a
//!    new chunk task. Without it, the first reply to a message with many slow requests would wait for the last.
//!
//! A legacy client's requests run one at a time, in order: its next request starts, in a new chunk task, when the one
//! before has completed.
//!
//! On a runtime with several threads, a handler that blocks its thread without telling tokio (see
//! `tokio::task::block_in_place`) delays the requests after it in the same NATS message, which are of the same client, and
//! the one task that was woken last on that thread, which tokio gives to no other thread. This is the cost of a blocking
//! handler in every tokio server.
//!
//! # Why it is not more elaborate
//!
//! An earlier version ran handlers in the receive loop if nothing else was waiting, replaced the loop if a handler blocked
//! it, and counted slow handlers to decide which requests get tasks of their own. The revision with it and this one differ
//! in more than the executor. All their differences together cost 3 % of the calls per second at 256 concurrent calls, and
//! less at 1, 16 and 64 (docs/benchmarks/rpc-profile.md): too little for that machinery to be worth it.

mod dispatch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::dispatch::{Dispatch, StartedCall};
use super::accepted_session::{AcceptedSession, Finished};
use super::fair_share::{Resource, Slot};
use crate::error::{ApplicationException, ApplicationExceptionKind};
use crate::proto::{ReceivedRequest, RequestKey};
use crate::protocol::Limits;
use crate::service::Service;
use crate::time;
use crate::transport::Parts;

/// Time that a chunk task may run before it yields. Finished replies and other tasks wait no longer than this.
const TIME_SLICE: Duration = Duration::from_micros(200);

/// Runs the requests of a server.
pub(super) struct Executor {
    dispatch: Dispatch,
    /// All tasks that run requests.
    tasks: TaskTracker,
    /// Ends these tasks.
    stop: CancellationToken,
}

impl Executor {
    pub(super) fn new(service: Arc<dyn Service>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            dispatch: Dispatch { service, limits },
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Starts the requests of a NATS message.
    pub(super) fn start(
        self: &Arc<Self>,
        session: Arc<AcceptedSession>,
        requests: VecDeque<ReceivedRequest>,
    ) {
        if !requests.is_empty() {
            let executor = Arc::clone(self);
            let chunk = Chunk { executor, session, requests, current: None, finished: Vec::new() };
            self.tasks.spawn(chunk.run());
        }
    }

    /// Waits until no task runs requests, after [`stop`](Self::stop).
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Drops all handlers that run, now and later.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// The token that [`stop`](Self::stop) cancels.
    pub(super) const fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    /// Spawns a task that [`stop`](Self::stop) ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
        task.abort_handle()
    }

    /// Continues a pending call in a separate task.
    fn spawn_pending(self: &Arc<Self>, session: &Arc<AcceptedSession>, call: StartedCall, key: RequestKey) {
        let StartedCall { header, result, deadline } = call;
        let pending = PendingCall {
            session: Arc::clone(session),
            executor: Arc::clone(self),
            _slot: session.client().take(Resource::Calls),
            key,
            reply: Parts::default(),
        };
        let task = self.spawn(async move {
            let mut pending = pending;
            let result = match deadline {
                None => result.await,
                Some(deadline) => {
                    tokio::time::timeout_at(deadline.into(), result).await.unwrap_or_else(|_| {
                        let kind = ApplicationExceptionKind::TIMEOUT;
                        Err(ApplicationException::new(kind, "the deadline has passed").into())
                    })
                }
            };
            pending.reply = header.reply_message(result);
        });
        session.set_task(key, task);
    }
}

/// The requests of a chunk task. However the task ends, the session learns that they have finished.
struct Chunk {
    executor: Arc<Executor>,
    session: Arc<AcceptedSession>,
    /// The requests that have not started.
    requests: VecDeque<ReceivedRequest>,
    /// The request that is being started.
    current: Option<RequestKey>,
    /// The requests whose replies are not sent yet.
    finished: Vec<Finished>,
}

impl Chunk {
    /// Polls each handler once, and sends the replies that are ready. Never waits, so that the task need not be aborted when
    /// the server stops.
    async fn run(mut self) {
        let executor = &self.executor;
        if executor.stop.is_cancelled() {
            return;
        }
        self.finished.reserve(self.requests.len());
        let mut now = time::now();
        let end_of_slice = now + TIME_SLICE;
        while let Some(request) = self.requests.pop_front() {
            let key = request.key;
            self.current = Some(key);
            match executor.dispatch.start(&self.session, request, now) {
                Err(reply) => self.finished.push(Finished { key, reply }),
                Ok(mut call) => match futures_util::poll!(&mut call.result) {
                    Poll::Ready(result) => {
                        self.finished.push(Finished { key, reply: call.header.reply_message(result) })
                    }
                    Poll::Pending => executor.spawn_pending(&self.session, call, key),
                },
            }
            self.current = None;
            now = time::now();
            if now > end_of_slice {
                break;
            }
        }
        if !self.finished.is_empty() {
            // A legacy client's next request may run now.
            self.requests.extend(self.session.finish(self.finished.drain(..)));
        }
        // In a new task, because publishing has woken the task of the NATS connection: it may be the next to run on
        // this thread, and a handler that blocks the thread would hold it up.
        executor.start(Arc::clone(&self.session), std::mem::take(&mut self.requests));
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.requests.is_empty() && self.current.is_none() {
            return;
        }
        let mut requests = std::mem::take(&mut self.requests);
        let mut finished = std::mem::take(&mut self.finished);
        let dropped = |key| Finished { key, reply: Parts::default() };
        finished.extend(self.current.map(dropped));
        if !std::thread::panicking() {
            // The server has stopped.
            finished.extend(requests.drain(..).map(|request| dropped(request.key)));
        }
        // A panic of this crate costs one reply, and not those of the requests after it.
        requests.extend(self.session.finish(finished));
        self.executor.start(Arc::clone(&self.session), requests);
    }
}

/// A call that runs in a task of its own. However the task ends, the session learns that the call has finished.
struct PendingCall {
    session: Arc<AcceptedSession>,
    executor: Arc<Executor>,
    /// Counts the call.
    _slot: Slot,
    key: RequestKey,
    /// Empty without a reply, or if the task was aborted.
    reply: Parts,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        let next = self.session.finish([Finished { key: self.key, reply: std::mem::take(&mut self.reply) }]);
        self.executor.start(Arc::clone(&self.session), next);
    }
}
