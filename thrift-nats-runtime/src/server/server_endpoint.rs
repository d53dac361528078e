//! The endpoint of a server: the state that all its sessions share. It routes each message to its session.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use async_nats::{Client as Nats, Message, StatusCode, Subscriber};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::accepted_session::{AcceptedSession, Handshake};
use super::executor::Executor;
use super::fair_share::{Clients, Resource, client_prefix};
use super::options::ServerOptions;
use super::provisional::ProvisionalSessions;
use crate::endpoint::{Endpoint, EndpointHandle, ReceiveQueue, Senders, SessionTable, random_token};
use crate::error::ServeError;
use crate::log_limit::limited;
use crate::nats_error::NatsError;
use crate::proto::{
    Address, Announced, BadInbox, CloseReason, InboxPolicy, ReceivedRequest, overloaded, session_of,
    unsupported,
};
use crate::service::Service;
use crate::time::DISCONNECT_TIMEOUT;

/// State shared by all sessions of a server.
pub(super) struct ServerEndpoint {
    endpoint: Endpoint<AcceptedSession>,
    clients: Arc<Clients>,
    provisional: Arc<ProvisionalSessions>,
    /// The subjects that handshakes may name.
    inboxes: InboxPolicy,
    options: ServerOptions,
    executor: Arc<Executor>,
    /// Cancelled when the server has stopped: ends its own tasks.
    stopped: CancellationToken,
    /// Set when the server cannot serve any more.
    failed: watch::Sender<Option<ServeError>>,
}

impl ServerEndpoint {
    pub(super) fn start(
        nats: &Nats,
        service: Arc<dyn Service>,
        options: ServerOptions,
    ) -> Result<Arc<Self>, NatsError> {
        let endpoint = Endpoint::start(nats)?;
        endpoint.handle().set_limits(options.endpoint);
        let handle = endpoint.handle();
        let inboxes = InboxPolicy::new(handle.inbox_prefix(), options.reply_prefixes.clone());
        let inboxes = inboxes.excluding(handle.base());
        Ok(Arc::new(Self {
            endpoint,
            clients: Clients::new(&options),
            provisional: Arc::default(),
            inboxes,
            executor: Executor::new(service, options.limits),
            options,
            stopped: CancellationToken::new(),
            failed: watch::Sender::new(None),
        }))
    }

    pub(super) const fn endpoint(&self) -> &Endpoint<AcceptedSession> {
        &self.endpoint
    }

    pub(super) const fn handle(&self) -> &EndpointHandle {
        self.endpoint.handle()
    }

    pub(super) const fn sessions(&self) -> &Arc<SessionTable<AcceptedSession>> {
        self.endpoint.sessions()
    }

    /// Number of requests that run or wait to run, also those of sessions that have ended.
    pub(super) fn unfinished_requests(&self) -> usize {
        self.endpoint.all().iter().map(|session| session.unfinished()).sum()
    }

    pub(super) const fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Cancelled when the server has stopped: ends its own tasks.
    pub(super) const fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Checks the connection and the publisher task, whose panic nothing else would notice.
    pub(super) fn check(&self) {
        self.endpoint.check();
        if !self.handle().publisher().is_running() && self.failed.borrow().is_none() {
            self.fail(ServeError::Panicked);
        }
    }

    /// Notes why the server cannot serve any more, though nothing has stopped it.
    pub(super) fn fail(&self, error: ServeError) {
        tracing::error!(%error, "server failed");
        self.failed.send_replace(Some(error));
    }

    /// Waits until the server cannot serve any more. Returns why.
    pub(super) async fn failed(&self) -> ServeError {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            // The channel cannot close, because `self` owns its sender.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until all sessions have ended and all requests have finished.
    pub(super) async fn drained(&self) {
        self.sessions().empty().await;
        self.endpoint.lingering().empty().await;
    }

    /// Waits until the server was stopped and its sessions have sent their disconnect messages, for [`DISCONNECT_TIMEOUT`] at
    /// most.
    pub(super) async fn disconnected(&self) {
        self.stopped.cancelled().await;
        let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, self.flushed()).await;
    }

    /// Waits until all sessions have ended, and everything that they had to send has been handed to the connection.
    pub(super) async fn flushed(&self) {
        self.sessions().empty().await;
        self.handle().publisher().flush_queue().await;
    }

    /// Receives handshakes. If too many of them wait to be handled, those of the clients that have sent the most are dropped:
    /// these clients send them again.
    pub(super) fn receive_handshakes(&self, subscriber: Subscriber) -> ReceiveQueue {
        ReceiveQueue::new(subscriber, self.handle().new_share(), HandshakeSenders::default())
    }

    /// Replies to a handshake: accepts the session, or refuses it.
    pub(super) fn handshake(&self, message: Message) {
        let connection = self.endpoint.check_connection();
        if let Err(reason) = check_handshake(&message, &self.inboxes) {
            let client = message.reply.as_deref().map(logged_client);
            if reason == BadHandshake::Inbox(BadInbox::NotAnInbox) {
                // The inbox of a client whose prefix is not configured.
                limited!(warn, client, %reason, "handshake dropped");
            } else {
                limited!(debug, client, %reason, "handshake dropped");
            }
            return;
        }
        let Some(peer) = message.reply else { return };
        let client = self.clients.share(&peer);
        if let Some(exceeded) = client.exceeded(Resource::Sessions) {
            limited!(debug, client = client.prefix(), %exceeded, "handshake refused: too many sessions");
            self.handle().publisher().send(overloaded(peer));
            return;
        }
        let announced = Announced::parse(message.headers.as_ref());
        if !announced.is_served(self.options.served) {
            limited!(debug, ?announced, "handshake refused: protocol or transport not served");
            self.handle().publisher().send(unsupported(peer, self.options.served));
            return;
        }
        let token = match random_token() {
            Ok(token) => token,
            Err(error) => {
                tracing::error!(%error, "cannot accept a session");
                return;
            }
        };
        if let Some(displaced) = self.provisional.displaced(&client).and_then(|session| session.upgrade()) {
            displaced.evict();
        }
        let handshake = Handshake { token, peer, announced, connection, client };
        let executor = Arc::downgrade(&self.executor);
        let provisional = &self.provisional;
        let session =
            AcceptedSession::accept(&self.endpoint, executor, provisional, &self.options, handshake);
        self.endpoint.insert(session.token(), &session);
        // The server may have been stopped since the session table was last walked.
        if self.executor.stopped().is_cancelled() {
            session.stop();
        }
        self.handle().publisher().publish_now(&session);
    }

    /// Routes a message to its session. Returns the requests that are to run now.
    pub(super) fn receive(
        &self,
        message: Message,
    ) -> Option<(Arc<AcceptedSession>, VecDeque<ReceivedRequest>)> {
        self.endpoint.check();
        let address = self.endpoint.address(&message)?;
        let no_responders = message.status == Some(StatusCode::NO_RESPONDERS);
        match address {
            Address::Session { token } => match self.sessions().get(token) {
                // The reply subject of an accept is the session's subject: if the client is gone, the 503 comes here.
                Some(session) if no_responders => session.undelivered(None),
                Some(session) => {
                    let requests = session.receive(message.reply.as_deref(), message.payload);
                    return Some((session, requests));
                }
                None => self.answer_unknown_session(token, message.reply.as_deref()),
            },
            Address::Heartbeat { token } => match self.sessions().get(token) {
                Some(session) => session.heartbeat(),
                None => self.answer_unknown_session(token, message.reply.as_deref()),
            },
            Address::Undelivered { token, number } => {
                if let Some(session) = self.sessions().get(token).filter(|_| no_responders) {
                    session.undelivered(Some(number));
                }
            }
        }
        None
    }

    /// Tells a client that its session has ended.
    fn answer_unknown_session(&self, token: &str, reply: Option<&str>) {
        let transmit = self.sessions().ended().reply_to_client(token, reply);
        if let Some(transmit) = transmit {
            self.handle().publisher().send(transmit);
        }
    }

    /// Ends all sessions because the connection is closed.
    pub(super) fn close_sessions(&self) {
        self.endpoint.close_all(&CloseReason::NatsClosed);
    }
}

/// The clients that send handshakes. A client may name any inbox, and so appear as many.
#[derive(Default)]
struct HandshakeSenders(RandomState);

impl Senders for HandshakeSenders {
    fn name<'m>(&self, message: &'m Message) -> &'m str {
        message.reply.as_deref().map(client_prefix).unwrap_or_default()
    }

    /// Each name is a peer of its own, unless two have the same hash.
    fn peer(&self, name: &str) -> usize {
        let hash = self.0.hash_one(name) & usize::MAX as u64;
        usize::try_from(hash).unwrap_or_default()
    }

    fn dropped(&self, client: &str, bytes: usize, _: usize) {
        limited!(debug, client, bytes, "handshakes dropped: too many wait to be handled");
    }
}

/// Held by a task that a server cannot do without. Reports a panic of the task.
pub(super) struct Vital(pub(super) Weak<ServerEndpoint>);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(endpoint) = self.0.upgrade()
        {
            endpoint.fail(ServeError::Panicked);
        }
    }
}

/// The part of the reply subject of a dropped handshake that is logged. The subject may be that of a session, which is a secret,
/// or be below it.
fn logged_client(reply: &str) -> &str {
    client_prefix(session_of(reply))
}

/// The reason why a handshake is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadHandshake {
    HasBody,
    NoReplySubject,
    /// The server would open a session with itself.
    ServiceSubject,
    Inbox(BadInbox),
}

impl fmt::Display for BadHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HasBody => f.write_str("it has a body"),
            Self::NoReplySubject => f.write_str("it has no reply subject"),
            Self::ServiceSubject => f.write_str("its reply subject is that of the service"),
            Self::Inbox(bad) => write!(f, "cannot reply to its reply subject: {bad}"),
        }
    }
}

/// Checks a handshake.
fn check_handshake(message: &Message, inboxes: &InboxPolicy) -> Result<(), BadHandshake> {
    if !message.payload.is_empty() {
        return Err(BadHandshake::HasBody);
    }
    let reply = message.reply.as_deref().ok_or(BadHandshake::NoReplySubject)?;
    if reply == message.subject.as_str() {
        return Err(BadHandshake::ServiceSubject);
    }
    inboxes.check(reply).map_err(BadHandshake::Inbox)
}

#[cfg(test)]
mod tests {
    use async_nats::Subject;
    use bytes::Bytes;

    use super::*;
    use crate::server::provisional::{MAX_OF_CLIENT, MAX_PROVISIONAL};
    use crate::service::Services;

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
    fn the_subject_of_a_session_is_not_logged() {
        for reply in
            ["_INBOX.base.secret", "_INBOX.base.secret.7", "_INBOX.base.secret.h", "_INBOX.base.secret.7-1-0"]
        {
            assert_eq!(logged_client(reply), "_INBOX.base");
        }
    }

    #[test]
    fn a_malformed_handshake_is_dropped() {
        let inboxes = InboxPolicy::new("_INBOX", None).excluding("_INBOX.server");
        let check = |reply, body| check_handshake(&handshake(reply, body), &inboxes);
        assert_eq!(check(None, b""), Err(BadHandshake::NoReplySubject));
        assert_eq!(check(Some("_INBOX.client.s"), b"hello"), Err(BadHandshake::HasBody));
        assert_eq!(check(Some("service"), b""), Err(BadHandshake::ServiceSubject));
        assert_eq!(check(Some("_INBOX.server.s0"), b""), Err(BadHandshake::Inbox(BadInbox::Own)));
        let long = format!("_INBOX.{}", "a".repeat(4000));
        for reply in ["", "DISCONNECT", "other.service", "$JS.API.STREAM.DELETE.ORDERS", "_INBOX.>", &long] {
            assert!(matches!(check(Some(reply), b""), Err(BadHandshake::Inbox(_))), "{reply}");
        }
        for reply in ["_INBOX.client.s", "_INBOX.server", "_INBOX.servers.s0", "_INBOX_alice.s"] {
            assert_eq!(check(Some(reply), b""), Ok(()), "{reply}");
        }
    }

    /// A server that never connects.
    async fn server(options: ServerOptions) -> Arc<ServerEndpoint> {
        let nats = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = nats.connect("127.0.0.1:1").await.unwrap();
        ServerEndpoint::start(&nats, Arc::new(Services::new()), options).unwrap()
    }

    /// Handles a handshake. Returns the new session, if there is one.
    fn open(server: &ServerEndpoint, inbox: &str) -> Option<Arc<AcceptedSession>> {
        let before = server.sessions().all().into_iter().map(|session| session.number()).max();
        server.handshake(handshake(Some(inbox), b""));
        server.sessions().all().into_iter().find(|session| Some(session.number()) > before)
    }

    /// The open sessions of clients with this inbox prefix.
    fn sessions_of(server: &ServerEndpoint, prefix: &str) -> Vec<Arc<AcceptedSession>> {
        let mut sessions = server.sessions().all();
        sessions.retain(|session| session.client().prefix() == prefix && !session.has_ended());
        sessions
    }

    #[tokio::test]
    async fn sessions_that_were_confirmed_keep_no_provisional_session_from_making_way_for_a_new_client() {
        let server = server(ServerOptions::default()).await;
        let open = |prefix: &str, n: usize| server.handshake(handshake(Some(&format!("{prefix}.{n}")), b""));
        // Each is a client of its own.
        let idle = MAX_PROVISIONAL / 2;
        (0..idle).for_each(|n| open(&format!("_INBOX.idle{n}"), n));
        let mut confirmed = 0;
        while confirmed < MAX_PROVISIONAL {
            (0..MAX_PROVISIONAL / 8).for_each(|n| open("_INBOX.busy", n));
            for session in sessions_of(&server, "_INBOX.busy") {
                // As a legacy client.
                session.heartbeat();
                session.stop();
                confirmed += 1;
            }
        }
        (idle..MAX_PROVISIONAL).for_each(|n| open(&format!("_INBOX.idle{n}"), n));
        assert_eq!(sessions_of(&server, "_INBOX.idle0").len(), 1, "all places are taken");
        open("_INBOX.new", 0);
        assert_eq!(sessions_of(&server, "_INBOX.new").len(), 1);
        assert_eq!(sessions_of(&server, "_INBOX.idle0").len(), 0, "the oldest made way");
        assert_eq!(sessions_of(&server, "_INBOX.idle1").len(), 1);
    }

    #[tokio::test]
    async fn handshakes_without_a_proof_keep_no_client_with_the_same_prefix_out() {
        // The inboxes of legacy clients, and those below the base of a client of this crate.
        for prefix in ["_INBOX", "_INBOX.victim"] {
            let server = server(ServerOptions::default()).await;
            let flood = |start: usize, count: usize, prefix: &dyn Fn(usize) -> String| {
                for n in start..start + count {
                    server.handshake(handshake(Some(&format!("{}.{n}", prefix(n))), b""));
                }
            };
            let first = open(&server, &format!("{prefix}.first")).unwrap();
            first.heartbeat();
            flood(0, MAX_PROVISIONAL, &|_| prefix.to_owned());
            assert_eq!(sessions_of(&server, prefix).len(), MAX_OF_CLIENT + 1);
            // Many clients take all other places.
            flood(0, MAX_PROVISIONAL, &|n| format!("_INBOX.many{n}"));
            let last = open(&server, &format!("{prefix}.last")).expect("it is accepted");
            // As many as it takes to displace it, except the last.
            flood(MAX_PROVISIONAL, MAX_OF_CLIENT - 1, &|_| prefix.to_owned());
            last.heartbeat();
            assert!(!first.has_ended() && !last.has_ended(), "{prefix}");
            assert_eq!(server.provisional.len(), MAX_PROVISIONAL - 1);
        }
    }

    #[tokio::test]
    async fn client_whose_provisional_session_has_ended_is_told_when_it_proves_its_inbox() {
        let server = server(ServerOptions::default()).await;
        let session = open(&server, "_INBOX.client.s").unwrap();
        session.evict();
        server.handle().publisher().flush_queue().await;
        assert!(server.sessions().get(session.token()).is_none());
        let told = |reply| {
            server.sessions().ended().reply_to_client(session.token(), Some(reply)).map(|told| told.payload)
        };
        assert_eq!(told("_INBOX.other.s.1"), None);
        let body = told("_INBOX.client.s.1").unwrap();
        assert!(body.starts_with(b"0 unknown-session "), "{body:?}");
    }

    #[tokio::test]
    async fn sessions_count_from_the_proof_of_their_client() {
        let server = server(ServerOptions { max_sessions: 4, ..ServerOptions::default() }).await;
        let mut sessions = (0..10).filter_map(|n| open(&server, &format!("_INBOX.{n}"))).collect::<Vec<_>>();
        assert_eq!(sessions.len(), 10);
        // The client may have half of them.
        for session in &sessions {
            session.heartbeat();
        }
        sessions.retain(|session| !session.has_ended());
        assert_eq!(sessions.len(), 2);
        assert!(open(&server, "_INBOX.next").is_none(), "refused");
        sessions[0].stop();
        assert!(open(&server, "_INBOX.next").is_some());
    }
}
