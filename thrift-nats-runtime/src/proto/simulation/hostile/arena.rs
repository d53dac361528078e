//! An honest server and an honest client on a network with a hostile party.
//!
//! The client has sessions with the honest server and with the hostile party. Every message that an honest process
//! publishes is checked, and after every step the memory of both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::super::messages::{message, parse, payload, transform};
use super::super::{CALL_TIMEOUT, HANDSHAKE_TIMEOUT, LIVENESS_TIMEOUT, Random, SERVICE, ms};
use super::attacker::{Attacker, HOSTILE_SERVICE};
use crate::format::{ServedFormats, WireFormat};
use crate::proto::close_reason::DISCONNECT;
use crate::proto::ended_sessions::EndedSession;
use crate::proto::subject::Tail;
use crate::proto::{
    Additions, Address, Announced, Budget, ClientConfig, ClientEvent, ClientSession, CloseReason,
    EndedSessions, InboxPolicy, Incoming, Outcome, ReceivedRequest, RequestKey, ServerConfig, ServerEvent,
    ServerSession, Transmit, overloaded,
};
use crate::protocol::{Limits, MessageType};

/// The memory of all sessions of each honest process, in bytes.
pub(super) const MEMORY_LIMIT: usize = 16 << 20;
/// The limit of requests and replies of each session, in bytes.
pub(super) const QUEUE_LIMIT: usize = 4 << 20;
/// Limit of unfinished requests of each session.
const MAX_CALLS: usize = 100;
/// Limit of sessions of the server.
const MAX_SESSIONS: usize = 40;
/// The server's heartbeat interval.
const INTERVAL: Duration = ms(300);
/// The time at which the attack ends.
const ATTACK: Duration = ms(2000);

/// A process on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Process {
    Server,
    Client,
    Hostile,
}

impl Process {
    /// The process with a subscription for `subject`.
    fn of(subject: &str) -> Option<Self> {
        if subject == SERVICE || subject.starts_with("server.") {
            Some(Self::Server)
        } else if subject.starts_with("client.") {
            Some(Self::Client)
        } else if subject.starts_with("evil.") {
            Some(Self::Hostile)
        } else {
            None
        }
    }
}

/// A message on the network.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: Subject,
    pub(super) reply: Option<Subject>,
    pub(super) status: Option<StatusCode>,
    pub(super) additions: Option<Additions>,
    pub(super) payload: Bytes,
}

impl Default for Message {
    fn default() -> Self {
        let (subject, payload) = (Subject::from_static("nothing"), Bytes::new());
        Self { subject, reply: None, status: None, additions: None, payload }
    }
}

#[derive(Debug)]
enum Step {
    Deliver { by: Process, to: Process, message: Message },
    Finish { token: String, key: RequestKey, reply: Vec<u8> },
    Attack,
    Call { hostile: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallEnd {
    Replied,
    Other,
}

#[derive(Debug)]
struct Call {
    hostile: bool,
    len: usize,
    end: Option<CallEnd>,
}

/// The sessions of an honest process, and what it knows of ended ones.
#[derive(Debug)]
struct Sessions<S> {
    by_token: BTreeMap<String, S>,
    ended: EndedSessions,
}

impl<S> Default for Sessions<S> {
    fn default() -> Self {
        Self { by_token: BTreeMap::new(), ended: EndedSessions::default() }
    }
}

pub(super) struct Arena {
    base: Instant,
    now: Duration,
    random: Random,
    agenda: BTreeMap<(Duration, u64), Step>,
    planned: u64,
    last_arrival: BTreeMap<(Process, Process), Duration>,
    attacker: Attacker,

    server_config: ServerConfig,
    server_inboxes: InboxPolicy,
    accepted: Sessions<ServerSession<u64>>,
    /// The tasks of the server's requests.
    tasks: BTreeMap<u64, (String, RequestKey)>,
    last_task: u64,
    /// The inboxes at which the process that named them does receive: it has sent to the session.
    proven: BTreeSet<Subject>,

    client_config: Arc<ClientConfig>,
    opened: Sessions<ClientSession<usize>>,
    /// The tokens of the sessions with the hostile party.
    with_hostile: BTreeSet<String>,
    /// The subjects in the accepts that the client has received.
    named: BTreeSet<String>,
    calls: Vec<Call>,
    /// Whether the sessions of the client may end.
    closes: bool,
    pub(super) ends: BTreeMap<String, u32>,
}

impl Arena {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(!seed);
        let chunk_limit = random.one_of(&[1000, 65_536, 1 << 20]) as usize;
        let limits = Limits::DEFAULT.with_message(8 << 20);
        let policy = |own: &str, others: [&str; 2]| {
            let others: Arc<[String]> = others.map(str::to_owned).into();
            InboxPolicy::new(own, Some(others)).excluding(own)
        };
        let client_config = ClientConfig {
            chunk_limit,
            queue_limit: QUEUE_LIMIT,
            max_calls: 1000,
            limits,
            format: WireFormat::default(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            liveness_timeout: LIVENESS_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            service: None,
            inboxes: policy("client", ["server", "evil"]),
            budget: Budget::new(MEMORY_LIMIT),
        };
        let server_config = ServerConfig {
            chunk_limit,
            queue_limit: QUEUE_LIMIT,
            max_calls: MAX_CALLS,
            limits,
            served: ServedFormats::ALL,
            budget: Budget::new(MEMORY_LIMIT),
        };
        let mut arena = Self {
            base: Instant::now(),
            now: Duration::ZERO,
            random,
            agenda: BTreeMap::new(),
            planned: 0,
            last_arrival: BTreeMap::new(),
            attacker: Attacker::new(seed),
            server_config,
            server_inboxes: policy("server", ["client", "evil"]),
            accepted: Sessions::default(),
            tasks: BTreeMap::new(),
            last_task: 0,
            proven: BTreeSet::new(),
            client_config: Arc::new(client_config),
            opened: Sessions::default(),
            with_hostile: BTreeSet::new(),
            named: BTreeSet::new(),
            calls: Vec::new(),
            closes: false,
            ends: BTreeMap::new(),
        };
        for _ in 0..2 {
            arena.open(SERVICE);
            arena.open(HOSTILE_SERVICE);
        }
        for _ in 0..arena.random.within(20..=60) {
            let at = ATTACK.mul_f64(arena.random.within(10..=1000) as f64 / 1000.0);
            let hostile = arena.random.chance(500);
            arena.plan(at, Step::Call { hostile });
        }
        for _ in 0..arena.random.within(100..=500) {
            let at = ATTACK.mul_f64(arena.random.within(1..=1000) as f64 / 1000.0);
            arena.plan(at, Step::Attack);
        }
        arena
    }

    /// Runs the attack, and then until everything is quiet.
    pub(super) fn run(&mut self) {
        self.run_until(ATTACK);
        self.run_until(ATTACK + ms(20_000));
        for (id, call) in self.calls.iter().enumerate() {
            let expected = if call.hostile { call.end } else { Some(CallEnd::Replied) };
            assert!(call.end.is_some() && call.end == expected, "call {id}: {call:?}");
        }
        let of_clients = self.accepted.by_token.values().all(|session| session.peer().starts_with("client."));
        assert!(of_clients, "the sessions of the hostile party have ended");
        self.closes = true;
        let tokens: Vec<_> = self.opened.by_token.keys().cloned().collect();
        for token in tokens {
            self.client_input(&token, |session, _| session.close(CloseReason::Closed));
        }
        self.run_until(self.now + ms(5000));
        assert!(self.opened.by_token.is_empty() && self.accepted.by_token.is_empty());
        assert_eq!((self.client_config.budget.held(), self.server_config.budget.held()), (0, 0));
        assert!(self.tasks.is_empty(), "{:?}", self.tasks);
    }

    /// Number of sessions that the hostile party has had.
    pub(super) fn hostile_sessions(&self) -> usize {
        self.attacker.sessions()
    }

    fn instant(&self) -> Instant {
        self.base + self.now
    }

    fn plan(&mut self, at: Duration, step: Step) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), step);
    }

    /// A token that the hostile party cannot guess.
    fn token(&mut self) -> String {
        format!("t{:021}", self.random.next())
    }

    fn run_until(&mut self, end: Duration) {
        let mut at_once = 0;
        self.publish_all();
        loop {
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timer = self.next_timeout().map(|at| at.max(self.now));
            let Some(next) = agenda.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            at_once = if next == self.now { at_once + 1 } else { 0 };
            assert!(at_once < 100_000, "time stands still at {:?}", self.now);
            self.now = next;
            match self.agenda.first_entry().filter(|entry| entry.key().0 == next) {
                Some(entry) => {
                    let step = entry.remove();
                    self.perform(step);
                }
                None => self.on_timeout(),
            }
            self.publish_all();
            self.check_memory();
        }
        self.now = end;
    }

    fn next_timeout(&self) -> Option<Duration> {
        let server = self.accepted.by_token.values().filter_map(ServerSession::poll_timeout);
        let client = self.opened.by_token.values().filter_map(ClientSession::poll_timeout);
        server.chain(client).min().map(|at| at.saturating_duration_since(self.base))
    }

    fn on_timeout(&mut self) {
        let now = self.instant();
        for token in self.accepted.by_token.keys().cloned().collect::<Vec<_>>() {
            self.server_input(&token, |session| session.handle_timeout(now));
        }
        for token in self.opened.by_token.keys().cloned().collect::<Vec<_>>() {
            self.client_input(&token, |session, now| session.handle_timeout(now));
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Deliver { by, to: Process::Server, message } => self.arrive_at_server(by, message),
            Step::Deliver { to: Process::Client, message, .. } => self.arrive_at_client(message),
            Step::Deliver { to: Process::Hostile, message, .. } => {
                for reply in self.attacker.receive(message) {
                    self.send(Process::Hostile, reply);
                }
            }
            Step::Finish { token, key, reply } => {
                self.tasks.retain(|_, (owner, running)| *owner != token || *running != key);
                if self.accepted.by_token.contains_key(&token) {
                    self.server_input(&token, |session| session.finish(key, reply));
                }
            }
            Step::Attack => {
                for message in self.attacker.attack() {
                    self.send(Process::Hostile, message);
                }
            }
            Step::Call { hostile } => self.call(hostile),
        }
    }

    /// Puts a message into the network, which keeps the order of what one process sends to another.
    fn send(&mut self, by: Process, message: Message) {
        let Some(to) = Process::of(&message.subject) else { return };
        let delay = self.random.time(&(ms(0)..=ms(5)));
        let last = self.last_arrival.entry((by, to)).or_default();
        let at = (self.now + delay).max(*last);
        *last = at;
        self.plan(at, Step::Deliver { by, to, message });
    }

    // What honest processes publish.

    fn publish_all(&mut self) {
        for token in self.accepted.by_token.keys().cloned().collect::<Vec<_>>() {
            while let Some(transmit) =
                self.accepted.by_token.get_mut(&token).and_then(|it| it.poll_transmit())
            {
                self.check_server(&token, &transmit);
                self.publish(Process::Server, transmit);
            }
            self.server_input(&token, |_| ());
            let now = self.instant();
            if let Some(session) = self.accepted.by_token.get(&token).filter(|session| session.is_closed()) {
                self.accepted.ended.insert(now, &token.as_str().into(), session.to_ended());
                self.accepted.by_token.remove(&token);
            }
        }
        for token in self.opened.by_token.keys().cloned().collect::<Vec<_>>() {
            let now = self.instant();
            while let Some(transmit) =
                self.opened.by_token.get_mut(&token).and_then(|it| it.poll_transmit(|| now))
            {
                self.check_client(&transmit);
                self.publish(Process::Client, transmit);
            }
            self.client_input(&token, |_, _| ());
            let now = self.instant();
            if let Some(session) = self.opened.by_token.get(&token).filter(|session| session.is_closed()) {
                self.opened.ended.insert(now, &token.as_str().into(), session.to_ended());
                self.opened.by_token.remove(&token);
                if self.with_hostile.contains(&token) && !self.closes && self.now < ATTACK {
                    self.open(HOSTILE_SERVICE);
                }
            }
        }
    }

    fn publish(&mut self, by: Process, transmit: Transmit) {
        let Transmit { subject, reply, headers, payload } = transmit;
        assert!(!subject.contains(['$', '*', '>', ' ']), "{subject}");
        assert!(payload.len() <= self.server_config.chunk_limit, "{} bytes to {subject}", payload.len());
        let additions = Additions::parse(headers.as_ref());
        self.send(by, Message { subject, reply, status: None, additions, payload });
    }

    /// A message of the server is an accept, or goes to an inbox at which the client has proved that it receives.
    fn check_server(&self, token: &str, transmit: &Transmit) {
        let Transmit { subject, reply, payload, .. } = transmit;
        let own = format!("server.{token}");
        assert_eq!(self.server_inboxes.check(subject), Ok(()), "{transmit:?}");
        let reply = reply.as_deref().expect("all have one");
        if reply == own {
            return assert_eq!(payload, &format!("{own}.h {}", INTERVAL.as_millis()), "an accept");
        }
        assert!(self.proven.contains(subject), "{transmit:?}");
        if reply == DISCONNECT {
            return;
        }
        let tail = reply.strip_prefix(&own).and_then(Tail::of);
        assert!(tail.is_some() && !payload.is_empty(), "{transmit:?}");
    }

    /// A message of the client is a handshake, or goes to an inbox that a server has named.
    fn check_client(&self, transmit: &Transmit) {
        let Transmit { subject, reply, payload, .. } = transmit;
        if [SERVICE, HOSTILE_SERVICE].contains(&subject.as_str()) {
            let reply = reply.as_deref().expect("a handshake has one");
            return assert!(reply.starts_with("client.t") && payload.is_empty(), "{transmit:?}");
        }
        assert_eq!(self.client_config.inboxes.check(subject), Ok(()), "{transmit:?}");
        assert!(self.named.contains(subject.as_str()), "{transmit:?}");
        match reply.as_deref() {
            // A heartbeat of a legacy session.
            None => assert!(payload.is_empty(), "{transmit:?}"),
            Some(DISCONNECT) => {}
            Some(reply) => {
                assert!(reply.starts_with("client.t") && Tail::of(reply).is_some(), "{transmit:?}");
                assert!(!payload.is_empty(), "it could be taken for a handshake: {transmit:?}");
            }
        }
    }

    // Memory.

    /// Does what an endpoint does: it closes the largest sessions when all hold too much together.
    fn check_memory(&mut self) {
        if self.server_config.budget.is_exceeded() {
            let sessions = self.accepted.by_token.iter().filter(|(_, session)| !session.has_ended());
            let held = sessions.map(|(token, session)| {
                (token.clone(), session.held(), !session.peer().starts_with("client.t"))
            });
            for (token, held) in largest(held.collect()) {
                let reason = CloseReason::MemoryLimit { held, limit: MEMORY_LIMIT };
                self.server_input(&token, |session| session.close(reason));
            }
        }
        if self.client_config.budget.is_exceeded() {
            let is_live = |session: &ClientSession<_>| session.is_open() || session.drain_reason().is_some();
            let sessions = self.opened.by_token.iter().filter(|(_, session)| is_live(session));
            let held = sessions
                .map(|(token, session)| (token.clone(), session.held(), self.with_hostile.contains(token)));
            for (token, held) in largest(held.collect()) {
                let reason = CloseReason::MemoryLimit { held, limit: MEMORY_LIMIT };
                self.client_input(&token, |session, _| session.close(reason));
            }
        }
    }

    // The honest server.

    fn arrive_at_server(&mut self, by: Process, message: Message) {
        let Message { subject, reply, status, additions, payload } = message;
        if subject.as_str() == SERVICE {
            return self.handshake(reply, additions, &payload);
        }
        let Some(address) = subject.strip_prefix("server.").and_then(Address::parse) else { return };
        let (Address::Session { token } | Address::Heartbeat { token } | Address::Undelivered { token, .. }) =
            address;
        let (token, now) = (token.to_owned(), self.instant());
        let no_responders = status == Some(StatusCode::NO_RESPONDERS);
        let Some(session) = self.accepted.by_token.get(&token) else {
            if !no_responders
                && !matches!(address, Address::Undelivered { .. })
                && let Some(transmit) = self.accepted.ended.reply_to_client(&token, reply.as_deref())
            {
                self.check_server(&token, &transmit);
                self.publish(Process::Server, transmit);
            }
            return;
        };
        if Process::of(session.peer()) == Some(by) {
            self.proven.insert(session.peer().clone());
        }
        self.server_input(&token, |session| match address {
            Address::Session { .. } if no_responders => session.handle_undelivered(None),
            Address::Session { .. } => session.handle_message(now, reply.as_deref(), payload),
            Address::Heartbeat { .. } => session.handle_heartbeat(now),
            Address::Undelivered { number, .. } if no_responders => session.handle_undelivered(Some(number)),
            Address::Undelivered { .. } => {}
        });
    }

    /// As the endpoint of a server does.
    fn handshake(&mut self, reply: Option<Subject>, additions: Option<Additions>, payload: &[u8]) {
        let Some(peer) = reply.filter(|reply| payload.is_empty() && self.server_inboxes.check(reply).is_ok())
        else {
            return;
        };
        let of_hostile =
            self.accepted.by_token.values().filter(|session| session.peer().starts_with("evil.")).count();
        if of_hostile >= MAX_SESSIONS && Process::of(&peer) == Some(Process::Hostile) {
            return self.publish(Process::Server, overloaded(peer));
        }
        let token = self.token();
        let own = Subject::from(format!("server.{token}"));
        let additions = additions.filter(|additions| additions.version == Additions::OWN.version);
        let announced = Announced { additions, ..Announced::default() };
        let (now, config) = (self.instant(), &self.server_config);
        let session = ServerSession::accept(now, peer, own, &announced, Some(INTERVAL), config);
        self.accepted.by_token.insert(token, session);
    }

    fn server_input(&mut self, token: &str, input: impl FnOnce(&mut ServerSession<u64>)) {
        let Some(session) = self.accepted.by_token.get_mut(token) else { return };
        input(session);
        while let Some(event) = self.accepted.by_token.get_mut(token).and_then(|it| it.poll_event()) {
            match event {
                ServerEvent::Requests(requests) => {
                    requests.into_iter().for_each(|request| self.start(token, request));
                }
                ServerEvent::Confirmed => {}
                ServerEvent::Cancelled { task } => {
                    let (token, key) = self.tasks.remove(&task).expect("a task that runs");
                    self.plan(self.now, Step::Finish { token, key, reply: Vec::new() });
                }
                ServerEvent::Ended { reason } => {
                    let session = &self.accepted.by_token[token];
                    let is_proven = matches!(session.to_ended(), EndedSession::OfServer { .. });
                    let is_honest = session.peer().starts_with("client.t") && is_proven;
                    let expected = matches!(reason, CloseReason::Disconnected { .. } if self.closes || is_duplicate(&reason));
                    assert!(!is_honest || expected, "the session of the honest client ended: {reason:?}");
                    self.count("server", &reason);
                }
            }
        }
    }

    fn start(&mut self, token: &str, request: ReceivedRequest) {
        let ReceivedRequest { key, frame, exceeds, .. } = request;
        let peer = self.accepted.by_token[token].peer().clone();
        let token = token.to_owned();
        let finish = |reply| Step::Finish { token: token.clone(), key, reply };
        if exceeds.is_some() {
            assert!(!peer.starts_with("client."), "{exceeds:?}");
            return self.plan(self.now, finish(b"an exception".to_vec()));
        }
        self.last_task += 1;
        let task = self.last_task;
        let session = self.accepted.by_token.get_mut(&token).expect("it has just received a request");
        if session.set_task(key, task).is_some() {
            // Cancelled with a later message than the request.
            return self.plan(self.now, finish(Vec::new()));
        }
        self.tasks.insert(task, (token.clone(), key));
        let reply = if peer.starts_with("client.") {
            let (_, seqid, id, mut body) = parse(&frame);
            assert!(body == payload(id, self.calls[id].len), "the request of call {id} is damaged");
            transform(&mut body);
            message(MessageType::Reply, seqid, id, &body)
        } else {
            vec![b'r'; self.random.one_of(&[0, 10, 100, 1000, 100_000, 500_000]) as usize]
        };
        let at = self.now + self.random.time(&(ms(0)..=ms(100)));
        self.plan(at, finish(reply));
    }

    // The honest client.

    fn open(&mut self, service: &'static str) {
        let token = self.token();
        let inbox = Subject::from(format!("client.{token}"));
        let config = Arc::clone(&self.client_config);
        let session = ClientSession::open(self.instant(), service.into(), inbox, config);
        self.opened.by_token.insert(token.clone(), session);
        if service == HOSTILE_SERVICE {
            self.with_hostile.insert(token);
        }
    }

    fn call(&mut self, hostile: bool) {
        let is_open = |(token, session): (&String, &ClientSession<usize>)| {
            (session.is_open() && self.with_hostile.contains(token) == hostile).then(|| token.clone())
        };
        let open: Vec<_> = self.opened.by_token.iter().filter_map(is_open).collect();
        if open.is_empty() {
            return;
        }
        let token = &open[self.random.within(0..=open.len() as u64 - 1) as usize];
        let (id, now) = (self.calls.len(), self.instant());
        let lengths =
            [0, 0, 10, 10, 10, 100, 100, 100, 1000, 1000, 5000, 5000, 70_000, 70_000, 300_000, 1_500_000];
        let len = self.random.one_of(&lengths) as usize;
        let seqid = id as i32 + 1;
        let request = message(MessageType::Call, seqid, id, &payload(id, len));
        let deadline = hostile.then(|| now + ms(1000));
        let mut result = Ok(());
        self.calls.push(Call { hostile, len, end: None });
        self.client_input(token, |session, now| {
            if session.in_flight() == 0 {
                session.becomes_busy(now);
            }
            result = session.call(seqid, false, request, deadline, id);
        });
        if result.is_err() {
            assert!(hostile, "{result:?}");
            self.end_call(id, CallEnd::Other);
        }
    }

    fn end_call(&mut self, id: usize, end: CallEnd) {
        assert_eq!(self.calls[id].end.replace(end), None, "call {id} ended twice");
    }

    fn arrive_at_client(&mut self, message: Message) {
        let Message { subject, reply, status, additions, payload } = message;
        let Some(address) = subject.strip_prefix("client.").and_then(Address::parse) else { return };
        let no_responders = status == Some(StatusCode::NO_RESPONDERS);
        match address {
            Address::Session { token } => {
                let heartbeat = str::from_utf8(&payload).ok().and_then(|body| body.split(' ').next());
                if self.opened.by_token.contains_key(token) || self.with_hostile.contains(token) {
                    self.named.extend(reply.as_deref().into_iter().chain(heartbeat).map(str::to_owned));
                }
                if self.opened.by_token.contains_key(token) {
                    let incoming = Incoming { reply, status, additions, payload, ..Incoming::default() };
                    self.client_input(token, |session, now| session.handle_message(now, incoming));
                } else if let Some(transmit) =
                    self.opened.ended.reply_to_server(token, reply.as_ref(), &payload)
                {
                    self.check_client(&transmit);
                    self.publish(Process::Client, transmit);
                }
            }
            Address::Undelivered { token, number } if no_responders => {
                self.client_input(token, |session, now| session.handle_undelivered(now, number));
            }
            Address::Undelivered { .. } | Address::Heartbeat { .. } => {}
        }
    }

    fn client_input(&mut self, token: &str, input: impl FnOnce(&mut ClientSession<usize>, Instant)) {
        let now = self.instant();
        let Some(session) = self.opened.by_token.get_mut(token) else { return };
        input(session, now);
        while let Some(event) = self.opened.by_token.get_mut(token).and_then(|it| it.poll_event()) {
            match event {
                ClientEvent::Opened => {}
                ClientEvent::Replied { waiter, reply } => {
                    if !self.calls[waiter].hostile {
                        let (_, _, id, body) = parse(&reply);
                        let mut expected = payload(id, self.calls[id].len);
                        transform(&mut expected);
                        assert!(id == waiter && body == expected, "the reply of call {waiter} is damaged");
                    }
                    self.end_call(waiter, CallEnd::Replied);
                }
                ClientEvent::Sent { waiter } | ClientEvent::Expired { waiter, .. } => {
                    self.end_call(waiter, CallEnd::Other);
                }
                ClientEvent::Draining { not_run, .. } => {
                    not_run.into_iter().for_each(|id| self.end_call(id, CallEnd::Other));
                }
                ClientEvent::Ended { reason, calls } => {
                    let expected = self.closes || self.with_hostile.contains(token);
                    assert!(expected, "a session with the honest server ended: {reason:?}");
                    self.count("client", &reason);
                    for (id, _) in calls.into_iter().map(|(id, outcome): (usize, Outcome)| (id, outcome)) {
                        self.end_call(id, CallEnd::Other);
                    }
                }
            }
        }
    }

    fn count(&mut self, side: &str, reason: &CloseReason) {
        let text = format!("{reason:?}");
        let kind = text.split([' ', '(']).next().unwrap_or_default();
        *self.ends.entry(format!("{side} {kind}")).or_default() += 1;
    }
}

/// Whether a client has ended a session because it has another one for the same handshake.
fn is_duplicate(reason: &CloseReason) -> bool {
    use crate::proto::PeerReason::UnknownSession;
    matches!(reason, CloseReason::Disconnected { reason: Some(UnknownSession), .. })
}

/// The sessions to close, so that the others hold at most 7/8 of the limit: the largest ones. `sessions` are their tokens,
/// what they hold, and whether their peer is hostile. Only those that are may be closed.
fn largest(mut sessions: Vec<(String, usize, bool)>) -> Vec<(String, usize)> {
    sessions.sort_unstable_by_key(|(_, held, _)| *held);
    let mut left: usize = sessions.iter().map(|(_, held, _)| held).sum();
    let mut chosen = Vec::new();
    while left > MEMORY_LIMIT / 8 * 7
        && let Some((token, held, is_hostile)) = sessions.pop()
    {
        assert!(is_hostile, "a session with an honest peer holds {held} bytes of {left}");
        left -= held;
        chosen.push((token, held));
    }
    chosen
}
