//! A server that is listening: its subscriptions, its sessions, and its end.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_nats::{Client as Nats, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::session::Session;
use super::{LameDuck, Options, Server, Service};
use crate::error::Error;
use crate::link::{Publisher, Timers, connects, lock, random_base, random_token};
use crate::session::{
    Address, Announced, CloseReason, DISCONNECT, check_service_subject, overloaded, unsupported,
};

/// The queue group of all servers on a subject, as in the original.
const QUEUE_GROUP: &str = "rpc";
/// More digits than NATS reads of the number in an UNSUB.
const NO_NUMBER: u64 = 9_999_999_999;
/// How long the calls of a server may run on when the NATS server is about to leave: by default NATS begins to close
/// connections after 10 s.
const LAME_DUCK_TIMEOUT: Duration = Duration::from_secs(8);
/// How long NATS may take to confirm that the server is listening.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the connection is looked at, besides whenever a message comes: there is no signal to wait for.
const CONNECTION_CHECK: Duration = Duration::from_millis(50);
/// How long the end of a server waits for NATS to take its farewells.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// How many chunks have a task for each of their requests once a handler has held up its thread: what one handler does,
/// others of the service may do too.
const RUN_APART: u32 = 1000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What all sessions of a server share.
pub(super) struct Listener {
    nats: Nats,
    base: String,
    service: Arc<dyn Service>,
    options: Options,
    connects: Connects,
    sessions: Mutex<FxHashMap<Arc<str>, Arc<Session>>>,
    publisher: Publisher,
    timers: Arc<Timers>,
    /// Told when the last session has gone.
    emptied: Notify,
    /// The calls that run.
    calls: TaskTracker,
    /// How many calls run that did not end at once.
    running: AtomicUsize,
    /// How many more chunks have a task for each of their requests.
    apart: AtomicU32,
    /// Ends the calls, and the accepting of sessions.
    stop: CancellationToken,
    /// Ends the rest, once every session knows that it has ended.
    gone: CancellationToken,
}

impl Listener {
    /// The largest NATS message to publish, in bytes.
    pub(super) fn chunk_limit(&self) -> usize {
        self.options.chunk_limit.min(self.nats.max_payload())
    }

    /// The subject that all sessions are below.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    pub(super) const fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(super) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(super) fn service(&self) -> &dyn Service {
        &*self.service
    }

    pub(super) fn remove(&self, token: &str) {
        let mut sessions = lock(&self.sessions);
        sessions.remove(token);
        if sessions.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until there is no session.
    async fn all_ended(&self) {
        loop {
            let emptied = self.emptied.notified();
            if lock(&self.sessions).is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Whether there are as many calls as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.running.load(Ordering::Relaxed) >= self.options.max_calls
    }

    /// Counts a call, until what is returned is dropped.
    pub(super) fn running_call(self: &Arc<Self>) -> RunningCall {
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningCall(Arc::clone(self))
    }

    /// Something that a drain is to wait for, as for a call.
    pub(super) fn running(&self) -> TaskTrackerToken {
        self.calls.token()
    }

    /// A handler has held up its thread.
    pub(super) fn handler_took_long(&self) {
        self.apart.store(RUN_APART, Ordering::Relaxed);
    }

    /// Whether the requests of the next chunk are to have a task each.
    pub(super) fn runs_apart(&self) -> bool {
        // Two who take the same one count it once: that makes it one chunk more.
        let left = self.apart.load(Ordering::Relaxed);
        if left > 0 {
            self.apart.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Runs a call, until it is done or the server is stopped.
    pub(super) fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let stop = self.stop.clone();
        let task = self.calls.spawn(async move {
            stop.run_until_cancelled(call).await;
        });
        task.abort_handle()
    }

    fn session(&self, token: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(token).cloned()
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().cloned().collect()
    }

    /// Ends the sessions that were opened on another connection than this one.
    fn check_connection(&self) -> u64 {
        let (connects, changed) = self.connects.look(connects(&self.nats));
        if changed {
            for session in self.sessions() {
                session.check_connection(connects);
            }
        }
        connects
    }

    fn handshake(self: &Arc<Self>, message: Message) {
        let connects = self.check_connection();
        if let Err(reason) = check_handshake(&message, &self.base) {
            tracing::debug!(reply = message.reply.as_deref(), reason, "handshake dropped");
            return;
        }
        let Some(peer) = message.reply else { return };
        let announced = Announced::parse(message.headers.as_ref());
        if !announced.is_served(self.options.protocols) {
            tracing::debug!(?announced, "handshake refused");
            self.publisher.send(unsupported(peer, self.options.protocols));
            return;
        }
        if lock(&self.sessions).len() >= self.options.max_sessions {
            tracing::warn!(limit = self.options.max_sessions, "handshake refused: too many sessions");
            self.publisher.send(overloaded(peer));
            return;
        }
        let token = match random_token() {
            Ok(token) => token,
            Err(error) => {
                tracing::error!(%error, "cannot accept a session");
                return;
            }
        };
        let session = Session::accept(self, token, peer, &announced, connects);
        lock(&self.sessions).insert(Arc::clone(session.token()), Arc::clone(&session));
        // The other task may have seen a new connection, and been through the sessions, before this one was there.
        session.check_connection(self.connects.latest());
        // Or the server may have been stopped.
        if self.stop.is_cancelled() {
            session.stop();
        }
        self.publisher.publish_now(&session);
    }

    fn receive(&self, message: Message) {
        self.check_connection();
        let Some(address) = message.subject.get(self.base.len() + 1..).and_then(Address::parse) else {
            return;
        };
        match address {
            Address::Session { token } => match self.session(token) {
                // The accept's reply subject has no number: where nobody waits for the accept, the 503 comes here.
                Some(session) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    session.undelivered(None)
                }
                Some(session) => session.receive(message.reply.as_deref(), message.payload),
                None => self.publisher.answer_stranger(message.reply.as_deref()),
            },
            Address::Heartbeat { token } => match self.session(token) {
                Some(session) => session.heartbeat(),
                None => self.publisher.answer_stranger(message.reply.as_deref()),
            },
            Address::Probe | Address::Gone { .. } => {}
            Address::Cancelled { token } => {
                if let Some(session) = self.session(token) {
                    session.cancelled(&message.payload);
                }
            }
            Address::Undelivered { token, chunk } => {
                if message.status == Some(StatusCode::NO_RESPONDERS)
                    && let Some(session) = self.session(token)
                {
                    session.undelivered(chunk);
                }
            }
        }
    }
}

/// A call that runs, counted.
pub(super) struct RunningCall(Arc<Listener>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many times the connection had been made when it was last looked at. Two tasks look, and one of them may come late
/// with what it saw: the number only grows.
struct Connects(AtomicU64);

impl Connects {
    /// Notes a number that was seen; the latest there is, and whether it is news.
    fn look(&self, seen: u64) -> (u64, bool) {
        let before = self.0.fetch_max(seen, Ordering::SeqCst);
        (before.max(seen), before < seen)
    }

    fn latest(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Checks a handshake that came to a server whose sessions are below `base`; the error says why it is none.
fn check_handshake(message: &Message, base: &str) -> Result<(), &'static str> {
    if !message.payload.is_empty() {
        return Err("it has a body");
    }
    let Some(reply) = message.reply.as_deref() else { return Err("it has no reply subject") };
    // Also what is too long: an accept that NATS does not take would end the connection.
    check_service_subject(reply)?;
    if reply == DISCONNECT {
        return Err("it is a disconnect");
    }
    // Such a session would be one of the server with itself.
    if reply == message.subject.as_str() || reply.strip_prefix(base).is_some_and(|rest| rest.starts_with('.'))
    {
        return Err("its reply subject is the server's own");
    }
    Ok(())
}

/// A server that is listening. Dropping it stops it as [`stop`](Self::stop) does, without waiting for anything.
pub struct RunningServer {
    listener: Arc<Listener>,
    subject: String,
    /// Whether new sessions are accepted.
    accepting: watch::Sender<bool>,
    /// Ends once the queue group is left, and every handshake that NATS gave to this server is accepted.
    accepts: JoinHandle<Option<()>>,
    tasks: TaskTracker,
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl RunningServer {
    pub(super) async fn start(server: Server, service: Arc<dyn Service>) -> Result<Self, Error> {
        let Server { nats, subject, options, lame_duck } = server;
        let base = random_base(&nats)?;
        let cannot_subscribe = |error| Error::nats("cannot subscribe", error);
        // Once, before the first handshake: a session then costs no subscription, and NATS knows of it in time.
        let mut inbox = nats.subscribe(format!("{base}.>")).await.map_err(cannot_subscribe)?;
        let handshakes =
            nats.queue_subscribe(subject.clone(), QUEUE_GROUP.to_owned()).await.map_err(cannot_subscribe)?;
        confirm(&nats, &base, &mut inbox).await?;

        let listener = Arc::new(Listener {
            connects: Connects(AtomicU64::new(connects(&nats))),
            publisher: Publisher::start(nats.clone()),
            nats,
            base,
            service,
            options,
            sessions: Mutex::default(),
            timers: Arc::new(Timers::new()),
            emptied: Notify::new(),
            calls: TaskTracker::new(),
            running: AtomicUsize::new(0),
            apart: AtomicU32::new(0),
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        let (accepting, accept) = watch::channel(true);
        let tasks = TaskTracker::new();
        let stop = &listener.stop;
        let weak = Arc::downgrade(&listener);
        let accepts = tasks.spawn(stop.clone().run_until_cancelled_owned(accept_sessions(
            weak.clone(),
            handshakes,
            subject.clone(),
            accept,
            lame_duck,
        )));
        tasks.spawn(pump(weak.clone(), inbox, listener.publisher.clone(), listener.gone.clone()));
        let timers = Arc::clone(&listener.timers);
        tasks.spawn(listener.gone.clone().run_until_cancelled_owned(async move {
            let check = || {
                if let Some(listener) = weak.upgrade() {
                    listener.check_connection();
                }
            };
            timers.run(CONNECTION_CHECK, check).await;
        }));
        Ok(Self { listener, subject, accepting, accepts, tasks })
    }

    /// The subject that it listens on.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        lock(&self.listener.sessions).len()
    }

    /// Stops at once: calls that run are dropped, and every client is told, so that its calls in flight fail at once.
    ///
    /// # Errors
    /// [`Error::Nats`] if the connection to NATS does not take the farewells within 2 s.
    pub async fn stop(self) -> Result<(), Error> {
        self.end();
        self.tasks.close();
        self.farewell().await
    }

    /// Stops without losing a call: accepts no more sessions, answers what was taken up, tells every client what was, and
    /// stops. What clients of this crate sent beyond that moves to another server. After `timeout` it stops as
    /// [`stop`](Self::stop) does.
    ///
    /// # Errors
    /// [`Error::Nats`] if the connection to NATS does not take the farewells within 2 s.
    pub async fn drain(mut self, timeout: Duration) -> Result<(), Error> {
        self.accepting.send_replace(false);
        let listener = Arc::clone(&self.listener);
        let accepts = &mut self.accepts;
        let drained = async {
            // First: a client whose session ends before would come back to this server. An error is a panic, which has
            // ended that task too.
            let _ = accepts.await;
            for session in listener.sessions() {
                session.drain();
            }
            listener.all_ended().await;
            // Of sessions that ended otherwise, for one because the client sent oneway requests and left.
            listener.calls.close();
            listener.calls.wait().await;
        };
        if tokio::time::timeout(timeout, drained).await.is_err() {
            tracing::warn!(?timeout, "calls still run at the end of the drain, and are dropped");
        }
        self.stop().await
    }

    fn end(&self) {
        self.listener.stop.cancel();
        for session in self.listener.sessions() {
            session.stop();
        }
        self.listener.gone.cancel();
    }

    /// Waits until everything that was queued is with NATS. To have it written is not enough: a socket that is closed
    /// with something unread in it is reset, and NATS then drops what it has not read, too.
    async fn farewell(&self) -> Result<(), Error> {
        let told = async {
            self.tasks.wait().await;
            self.listener.all_ended().await;
            self.listener.publisher.idle().await;
            round_trip(&self.listener.nats, format!("{}.end", self.listener.base))
                .await
                .map_err(|error| Error::nats("cannot end the sessions", error))
        };
        tokio::time::timeout(FAREWELL_TIMEOUT, told).await.unwrap_or_else(|elapsed| {
            Err(Error::nats("the connection to NATS does not take the end of the sessions", elapsed))
        })
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until NATS has taken the subscriptions: what is published behind them on the same connection comes after them.
async fn confirm(nats: &Nats, base: &str, inbox: &mut Subscriber) -> Result<(), Error> {
    let what = "NATS does not confirm that the server is listening";
    nats.publish(format!("{base}.ready"), bytes::Bytes::new())
        .await
        .map_err(|error| Error::nats(what, error))?;
    match tokio::time::timeout(LISTEN_TIMEOUT, inbox.next()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::nats(what, "the subscription has ended")),
        Err(elapsed) => Err(Error::nats(what, elapsed)),
    }
}

/// Accepts sessions until it is told not to; then leaves the queue group.
async fn accept_sessions(
    listener: Weak<Listener>,
    mut handshakes: Subscriber,
    subject: String,
    mut accepting: watch::Receiver<bool>,
    lame_duck: Option<LameDuck>,
) {
    loop {
        let moves_away = loop {
            let lame = async {
                match &lame_duck {
                    Some(lame_duck) => lame_duck.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                handshake = handshakes.next() => {
                    let (Some(handshake), Some(listener)) = (handshake, listener.upgrade()) else { return };
                    listener.handshake(handshake);
                }
                _ = accepting.wait_for(|accepting| !accepting) => break false,
                () = lame => break true,
            }
        };
        let Some((nats, base)) =
            listener.upgrade().map(|listener| (listener.nats.clone(), listener.base.clone()))
        else {
            return;
        };
        // Those that NATS had given to this server already are accepted, also those on their way: nobody else will.
        if let Err(error) = leave_queue_group(&nats, &base, &mut handshakes).await {
            tracing::warn!(%error, "cannot leave the queue group");
        }
        while let (Some(handshake), Some(listener)) = (handshakes.next().await, listener.upgrade()) {
            listener.handshake(handshake);
        }
        let (Some(listener), Some(lame_duck), true) = (listener.upgrade(), &lame_duck, moves_away) else {
            return;
        };
        let moved = tokio::select! {
            moved = move_away(&listener, &subject) => moved,
            _ = accepting.wait_for(|accepting| !accepting) => return,
        };
        lame_duck.over();
        match moved {
            Ok(subscriber) => handshakes = subscriber,
            Err(error) => {
                tracing::error!(%error, "cannot serve after the NATS server has left");
                return;
            }
        }
    }
}

/// Ends the sessions as a drain does, has the connection made anew, and listens there.
async fn move_away(listener: &Listener, subject: &str) -> Result<Subscriber, BoxError> {
    tracing::info!(subject, "the NATS server is about to leave; moving away");
    let ended = async {
        for session in listener.sessions() {
            session.drain();
        }
        listener.all_ended().await;
        // What was told to the clients is with NATS.
        listener.publisher.idle().await;
        round_trip(&listener.nats, format!("{}.left", listener.base)).await
    };
    // Whatever is left then ends with the connection.
    let _ = tokio::time::timeout(LAME_DUCK_TIMEOUT, ended).await;
    let before = connects(&listener.nats);
    listener.nats.force_reconnect().await?;
    while connects(&listener.nats) == before {
        tokio::time::sleep(CONNECTION_CHECK).await;
    }
    let handshakes = listener.nats.queue_subscribe(subject.to_owned(), QUEUE_GROUP.to_owned()).await?;
    Ok(handshakes)
}

/// Leaves the queue group; `handshakes` then has those that came before, and ends.
///
/// The client library forgets a subscription when it sends the UNSUB (its `drain` does, too: it does not wait for the
/// PONG), and drops the messages that NATS sends before it reads that. So NATS is told first, by an UNSUB with a number of
/// messages that the library never reaches, and that NATS takes for none, as it reads no number of more than 9 digits
/// (`parseSize` and `processUnsub` in nats-server). If ever it does, the second UNSUB ends the subscription all the same.
async fn leave_queue_group(nats: &Nats, base: &str, handshakes: &mut Subscriber) -> Result<(), BoxError> {
    handshakes.unsubscribe_after(NO_NUMBER).await?;
    // No handshake comes behind it.
    round_trip(nats, format!("{base}.left")).await?;
    handshakes.unsubscribe().await?;
    Ok(())
}

/// Waits until NATS has taken all that was published and subscribed to before on this connection, and everything that came
/// meanwhile is here. `subject` is one that nobody else uses.
async fn round_trip(nats: &Nats, subject: String) -> Result<(), BoxError> {
    let mut back = nats.subscribe(subject.clone()).await?;
    nats.publish(subject, bytes::Bytes::new()).await?;
    back.next().await.map(drop).ok_or_else(|| "the connection is closed".into())
}

/// Hands what comes to the sessions. Never waits for one of them.
async fn pump(
    listener: Weak<Listener>,
    mut inbox: Subscriber,
    publisher: Publisher,
    gone: CancellationToken,
) {
    let receive = async {
        while let Some(message) = inbox.next().await {
            let Some(listener) = listener.upgrade() else { return };
            listener.receive(message);
        }
    };
    if gone.run_until_cancelled(receive).await.is_none() {
        // The subscription ends behind all that the sessions have to say. A client that asks whether this process is there,
        // or sends something, would be told first that it is not.
        let said = async {
            if let Some(listener) = listener.upgrade() {
                listener.all_ended().await;
            }
            publisher.idle().await;
        };
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, said).await;
        return;
    }
    // The connection is closed, or drained.
    if let Some(listener) = listener.upgrade() {
        for session in listener.sessions() {
            session.close(CloseReason::NatsClosed);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::Subject;
    use bytes::Bytes;

    use super::*;

    fn handshake(reply: Option<&str>, payload: &'static [u8]) -> Message {
        Message {
            subject: "service".into(),
            reply: reply.map(Subject::from),
            payload: Bytes::from_static(payload),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn what_is_no_handshake_is_dropped() {
        let long = format!("client.{}", "a".repeat(4000));
        for reply in
            [None, Some(""), Some("DISCONNECT"), Some("service"), Some("server.s0"), Some(long.as_str())]
        {
            assert!(check_handshake(&handshake(reply, b""), "server").is_err(), "{reply:?}");
        }
        assert!(check_handshake(&handshake(Some("client.s"), b"hello"), "server").is_err());
        for reply in ["client.s", "server", "servers.s0"] {
            assert_eq!(check_handshake(&handshake(Some(reply), b""), "server"), Ok(()), "{reply:?}");
        }
    }

    #[test]
    fn a_late_look_at_the_connection_does_not_make_it_the_one_before() {
        let connects = Connects(AtomicU64::new(1));
        assert_eq!(connects.look(1), (1, false));
        assert_eq!(connects.look(2), (2, true));
        assert_eq!(connects.look(1), (2, false), "what was seen before the other task saw 2");
        assert_eq!(connects.look(2), (2, false), "no session of the new connection is ended");
        assert_eq!(connects.latest(), 2);
    }
}
