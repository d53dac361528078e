//! The service that the tests share: `idl/probe.thrift`.
//!
//! A test holds a clone of the [`TestService`] that it serves. Through it, the test sees which calls have started, releases
//! those that wait, and unblocks those that block their threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thrift_nats_runtime::{
    ApplicationException, ApplicationExceptionKind, Client, Context, Error, Server, ServerBuilder,
};
use tokio::sync::Semaphore;

use crate::probe::{Failure, Probe, ProbeClient, ProbeFailError, ProbeServer, Record, Refused};
use crate::{BOUND, NatsServer, eventually};

/// The subject that [`TestService::serve`] listens on.
pub const SUBJECT: &str = "probe";

/// The handler. All clones are one service.
#[derive(Clone, Debug)]
pub struct TestService {
    state: Arc<State>,
    /// The value of the response header `served-by`, if there is to be one.
    label: Option<&'static str>,
    /// The service that `forward` calls.
    next: Option<Client>,
}

#[derive(Debug)]
struct State {
    /// The number of calls that have started, by function.
    started: Mutex<BTreeMap<String, usize>>,
    /// The number of runs, by `id`.
    runs: Mutex<BTreeMap<i32, usize>>,
    /// The number of calls that wait for `permits`.
    waiting: AtomicUsize,
    permits: Semaphore,
    /// The number of blocked calls that may go on.
    unblocked: Mutex<usize>,
    changed: Condvar,
}

impl Default for TestService {
    fn default() -> Self {
        let state = State {
            started: Mutex::default(),
            runs: Mutex::default(),
            waiting: AtomicUsize::new(0),
            permits: Semaphore::new(0),
            unblocked: Mutex::new(0),
            changed: Condvar::new(),
        };
        Self { state: Arc::new(state), label: None, next: None }
    }
}

impl TestService {
    /// A service that sends the response header `served-by` with every response.
    #[must_use]
    pub fn labelled(label: &'static str) -> Self {
        Self { label: Some(label), ..Self::default() }
    }

    /// A service whose function `forward` calls `next`.
    #[must_use]
    pub fn forwarding_to(next: Client) -> Self {
        Self { next: Some(next), ..Self::default() }
    }

    /// The service for a [`Server`].
    #[must_use]
    pub fn server(&self) -> ProbeServer<Self> {
        ProbeServer::new(self.clone())
    }

    /// Serves on [`SUBJECT`] over a new connection. `options` sets the options of the server.
    ///
    /// # Panics
    /// If the server does not start.
    pub async fn serve(
        &self,
        nats: &NatsServer,
        options: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Server {
        let nats = nats.client().await.expect("the NATS server accepts connections");
        options(Server::builder(&nats, SUBJECT)).serve(self.server()).await.expect("the server starts")
    }

    /// The number of calls of the function `method` that have started.
    #[must_use]
    pub fn started(&self, method: &str) -> usize {
        lock(&self.state.started).get(method).copied().unwrap_or_default()
    }

    /// Waits until `count` calls of the function `method` have started.
    #[track_caller]
    pub fn until_started(&self, method: &str, count: usize) -> impl Future<Output = ()> {
        eventually(format!("{count} calls of {method} have started"), move || self.started(method) >= count)
    }

    /// Number of times that `run`, `wait` and `notify` have started with this `id`.
    #[must_use]
    pub fn runs(&self, id: i32) -> usize {
        lock(&self.state.runs).get(&id).copied().unwrap_or_default()
    }

    /// Waits until `run`, `wait` or `notify` has started with this `id`.
    #[track_caller]
    pub fn until_runs(&self, id: i32) -> impl Future<Output = ()> {
        eventually(format!("call {id} has started"), move || self.runs(id) > 0)
    }

    /// The number of calls that wait to be released. A handler that is dropped no longer counts.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::SeqCst)
    }

    /// Releases `calls` calls that wait, now or later.
    pub fn release(&self, calls: usize) {
        self.state.permits.add_permits(calls);
    }

    /// Unblocks `calls` calls that block their threads, now or later.
    pub fn unblock(&self, calls: usize) {
        *lock(&self.state.unblocked) += calls;
        self.state.changed.notify_all();
    }

    fn start(&self, cx: &Context) {
        *lock(&self.state.started).entry(cx.method().to_owned()).or_default() += 1;
        if let Some(label) = self.label {
            cx.set_header("served-by", label);
        }
    }

    fn count_run(&self, id: i32) {
        *lock(&self.state.runs).entry(id).or_default() += 1;
    }

    async fn released(&self) {
        let _waiting = Waiting::new(&self.state.waiting);
        self.state.permits.acquire().await.expect("the semaphore is never closed").forget();
    }

    /// Blocks the thread.
    fn unblocked(&self) {
        let state = &*self.state;
        let unblocked = lock(&state.unblocked);
        let (mut unblocked, timeout) = state
            .changed
            .wait_timeout_while(unblocked, BOUND, |unblocked| *unblocked == 0)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the test unblocks the call");
        *unblocked -= 1;
    }
}

/// A handler that panics holds no lock that others need.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a call as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn text(len: i32) -> String {
    "x".repeat(len.try_into().unwrap_or_default())
}

impl Probe for TestService {
    async fn ping(&self, cx: &Context) -> Result<(), Error> {
        self.start(cx);
        Ok(())
    }

    async fn add(&self, cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        self.start(cx);
        Ok(num1.wrapping_add(num2))
    }

    async fn echo(&self, cx: &Context, record: Record) -> Result<Record, Error> {
        self.start(cx);
        Ok(record)
    }

    async fn text(&self, cx: &Context, len: i32) -> Result<String, Error> {
        self.start(cx);
        Ok(text(len))
    }

    async fn length(&self, cx: &Context, text: String) -> Result<i32, Error> {
        self.start(cx);
        Ok(i32::try_from(text.len()).unwrap_or(i32::MAX))
    }

    async fn run(&self, cx: &Context, id: i32) -> Result<i32, Error> {
        self.start(cx);
        self.count_run(id);
        Ok(2 * id)
    }

    async fn wait(&self, cx: &Context, id: i32) -> Result<i32, Error> {
        self.start(cx);
        self.count_run(id);
        self.released().await;
        Ok(2 * id)
    }

    async fn late_text(&self, cx: &Context, len: i32) -> Result<String, Error> {
        self.start(cx);
        self.released().await;
        Ok(text(len))
    }

    async fn busy(&self, cx: &Context) -> Result<(), Error> {
        self.start(cx);
        // To the server this looks like work that takes 5 ms.
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    }

    async fn block(&self, cx: &Context) -> Result<(), Error> {
        self.start(cx);
        tokio::task::block_in_place(|| self.unblocked());
        Ok(())
    }

    async fn fail(
        &self,
        cx: &Context,
        how: Failure,
        code: i32,
        reason: String,
    ) -> Result<(), ProbeFailError> {
        self.start(cx);
        match how {
            Failure::DECLARED => Err(Refused { code, reason }.into()),
            Failure::PANIC => panic!("{reason}"),
            _ => {
                let exception = ApplicationException::new(ApplicationExceptionKind(42), reason);
                Err(Error::from(exception).into())
            }
        }
    }

    async fn header(&self, cx: &Context, name: String) -> Result<String, Error> {
        self.start(cx);
        Ok(cx.header(&name).unwrap_or_default().to_owned())
    }

    async fn remaining(&self, cx: &Context) -> Result<i64, Error> {
        self.start(cx);
        Ok(cx.remaining().map_or(-1, |remaining| i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX)))
    }

    async fn forward(&self, cx: &Context) -> Result<String, Error> {
        self.start(cx);
        let next = self.next.clone().ok_or_else(|| ApplicationException::revealed("no next service"))?;
        let next = ProbeClient::new(next);
        let mut words = Vec::new();
        for name in ["traceparent", "tracestate", "other"] {
            words.push(next.header(name).on_behalf_of(cx).await?);
        }
        words.push(next.remaining().on_behalf_of(cx).await?.to_string());
        Ok(words.join(" "))
    }

    async fn notify(&self, cx: &Context, id: i32) -> Result<(), Error> {
        self.start(cx);
        self.count_run(id);
        Ok(())
    }
}
