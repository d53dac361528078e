//! What all sessions of a server share, and where what comes finds the session that it is for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use async_nats::{Client as Nats, Message, StatusCode};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::accepted_session::AcceptedSession;
use super::executor::Executor;
use crate::endpoint::{Publisher, Timers, connects, random_token};
use crate::error::ServeError;
use crate::proto::{
    Address, Announced, DISCONNECT, ReceivedRequest, check_service_subject, overloaded, unknown_session,
    unsupported,
};
use crate::service::Service;
use crate::sync::lock;

/// What all sessions of a server share.
pub(super) struct Listener {
    nats: Nats,
    base: String,
    options: Options,
    connects: Connects,
    sessions: Mutex<FxHashMap<Arc<str>, Arc<AcceptedSession>>>,
    publisher: Publisher,
    timers: Arc<Timers>,
    /// Told when the last session has gone.
    emptied: Notify,
    executor: Arc<Executor>,
    /// Ends the rest, once every session knows that it has ended.
    gone: CancellationToken,
    /// Why it cannot serve any more, if it cannot.
    failed: watch::Sender<Option<ServeError>>,
}

impl Listener {
    pub(super) fn new(nats: Nats, base: String, service: Arc<dyn Service>, options: Options) -> Self {
        Self {
            connects: Connects(AtomicU64::new(connects(&nats))),
            publisher: Publisher::start(nats.clone()),
            nats,
            base,
            executor: Executor::new(service, options.limits, options.max_calls),
            options,
            sessions: Mutex::default(),
            timers: Arc::default(),
            emptied: Notify::new(),
            gone: CancellationToken::new(),
            failed: watch::Sender::new(None),
        }
    }

    pub(super) const fn nats(&self) -> &Nats {
        &self.nats
    }

    pub(super) const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Ends the server's own tasks, once every session knows that it has ended.
    pub(super) const fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Notes why the server cannot serve any more, though nobody has stopped it.
    pub(super) fn fail(&self, error: ServeError) {
        tracing::error!(%error, "the server has ended");
        self.failed.send_replace(Some(error));
    }

    /// Waits until the server cannot serve any more; says why.
    pub(super) async fn failed(&self) -> ServeError {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            // It cannot be closed: this is who sends.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

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

    pub(super) const fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    pub(super) fn remove(&self, token: &str) {
        let mut sessions = lock(&self.sessions);
        sessions.remove(token);
        if sessions.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// How many sessions there are.
    pub(super) fn session_count(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Waits until there is no session.
    pub(super) async fn all_ended(&self) {
        loop {
            let emptied = self.emptied.notified();
            if lock(&self.sessions).is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Waits until there is no session, and what they had to say is with the connection.
    pub(super) async fn said(&self) {
        self.all_ended().await;
        self.publisher.flush_queue().await;
    }

    fn session(&self, token: &str) -> Option<Arc<AcceptedSession>> {
        lock(&self.sessions).get(token).cloned()
    }

    pub(super) fn sessions(&self) -> Vec<Arc<AcceptedSession>> {
        lock(&self.sessions).values().cloned().collect()
    }

    /// Ends the sessions that were opened on another connection than this one.
    pub(super) fn check_connection(&self) -> u64 {
        let (connects, changed) = self.connects.look(connects(&self.nats));
        if changed {
            for session in self.sessions() {
                session.check_connection(connects);
            }
        }
        connects
    }

    pub(super) fn handshake(self: &Arc<Self>, message: Message) {
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
        if self.session_count() >= self.options.max_sessions {
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
        let session = AcceptedSession::accept(self, token, peer, &announced, connects);
        lock(&self.sessions).insert(Arc::clone(session.token()), Arc::clone(&session));
        // The other task may have seen a new connection, and been through the sessions, before this one was there.
        session.check_connection(self.connects.latest());
        // Or the server may have been stopped.
        if self.executor.stopped().is_cancelled() {
            session.stop();
        }
        self.publisher.publish_now(&session);
    }

    /// Tells the sender of a message for a session that does not exist (any more).
    fn answer_unknown_session(&self, reply: Option<&str>) {
        if let Some(transmit) = reply.and_then(unknown_session) {
            self.publisher.send(transmit);
        }
    }

    /// Takes what came to a session's subject; what is to be run then, if anything is.
    pub(super) fn receive(
        &self,
        message: Message,
    ) -> Option<(Arc<AcceptedSession>, VecDeque<ReceivedRequest>)> {
        self.check_connection();
        let address = message.subject.get(self.base.len() + 1..).and_then(Address::parse)?;
        match address {
            Address::Session { token } => match self.session(token) {
                // The accept's reply subject has no number: where nobody waits for the accept, the 503 comes here.
                Some(session) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    session.undelivered(None)
                }
                Some(session) => {
                    let requests = session.receive(message.reply.as_deref(), message.payload);
                    return (!requests.is_empty()).then_some((session, requests));
                }
                None => self.answer_unknown_session(message.reply.as_deref()),
            },
            Address::Heartbeat { token } => match self.session(token) {
                Some(session) => session.heartbeat(),
                None => self.answer_unknown_session(message.reply.as_deref()),
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
        None
    }
}

/// Held by a task that a server cannot do without: says so, where it panics.
pub(super) struct Vital(pub(super) Weak<Listener>);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(listener) = self.0.upgrade()
        {
            listener.fail(ServeError::Panicked);
        }
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
