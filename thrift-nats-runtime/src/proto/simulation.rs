//! A client's and a server's session, joined over a simulated NATS in simulated time.
//!
//! What `client` and `server` do with tasks is done here event by event: whatever is due next happens, then both sides
//! publish all they have. Every random choice comes from the seed, so that a seed that fails can be run again alone.

mod calls;
mod ends;
mod faults;
mod heartbeats;
mod legacy;
mod messages;
mod opening;
mod server;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use self::messages::{message, message_in, parse, payload, transform, unframed};
use self::setup::{Network, Random, Setup, any_format, nothing};
use super::outbound::Outbound;
use super::subject::chunk_number;
use super::*;
use crate::protocol::MessageType;
use crate::transport::Frame;

/// The subject that the server listens on.
const SERVICE: &str = "service";
/// The client's inbox: the base of its process, and the token of its session.
const INBOX: &str = "client.session";
/// How long the client waits for a server.
const HANDSHAKE_TIMEOUT: Duration = ms(1000);
/// How long a call may take that does not say.
const CALL_TIMEOUT: Duration = ms(10_000);
/// How many bytes of messages may wait.
const QUEUE_LIMIT: usize = 64 << 20;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Client,
    Server,
}

impl Party {
    /// Who listens below `subject`. Nobody does on `DISCONNECT`, which is where NATS answers a disconnect to nobody.
    fn of(subject: &str) -> Option<Self> {
        if subject == SERVICE || subject.starts_with("server.") {
            Some(Self::Server)
        } else if subject.starts_with("client.") {
            Some(Self::Client)
        } else {
            None
        }
    }
}

/// A message on its way.
#[derive(Clone, Debug)]
struct Carried {
    to: Party,
    subject: Subject,
    reply: Option<Subject>,
    status: Option<StatusCode>,
    versioned: bool,
    payload: Bytes,
}

/// A message that was published.
#[derive(Clone, Debug)]
struct Published {
    at: Duration,
    by: Party,
    subject: String,
    reply: Option<String>,
    payload: Bytes,
}

#[derive(Debug)]
enum Happening {
    Arrives(Carried),
    /// The handler is done; `token` is the session.
    Finishes {
        token: String,
        seqid: i32,
        answer: Vec<u8>,
    },
    /// The client makes a call with so many bytes of payload.
    Calls {
        len: usize,
        oneway: bool,
        timeout: Option<Duration>,
    },
    /// Whoever waits for the call gives up.
    GivesUp {
        id: usize,
    },
}

/// What has become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallState {
    Waiting,
    Answered,
    /// A oneway call that has gone.
    Sent,
    GivenUp,
    Ended(Outcome),
    /// Its deadline has passed.
    Expired(Outcome),
}

#[derive(Debug)]
struct MadeCall {
    seqid: i32,
    len: usize,
    state: CallState,
}

#[derive(Debug)]
struct ServersSession {
    /// Its tasks are named by the sequence numbers of their calls.
    session: ServerSession<i32>,
    /// Whether the process still finds it.
    known: bool,
    /// The calls that run, by sequence number.
    running: BTreeMap<i32, RequestKey>,
}

struct Simulation {
    base: Instant,
    now: Duration,
    setup: Setup,
    random: Random,
    agenda: BTreeMap<(Duration, u64), Happening>,
    planned: u64,
    /// When the last message that keeps its place arrives, by its receiver.
    last_arrival: [Duration; 2],
    published: Vec<Published>,

    client: ClientSession<usize>,
    client_runs: bool,
    opened: Option<Duration>,
    ended: Option<(Duration, CloseReason)>,
    calls: Vec<MadeCall>,

    server_runs: bool,
    listening: bool,
    sessions: BTreeMap<String, ServersSession>,
    server_ended: Vec<(Duration, CloseReason)>,
    /// The calls that were run.
    ran: BTreeSet<usize>,
    /// The same, in the order in which they were.
    order: Vec<usize>,
}

impl Simulation {
    /// Starts with a client that sends its handshake, and a server that listens.
    fn new(setup: Setup) -> Self {
        let base = Instant::now();
        let client = ClientSession::open(
            base,
            SERVICE.into(),
            INBOX.into(),
            HANDSHAKE_TIMEOUT,
            CALL_TIMEOUT,
            setup.config(),
        );
        Self {
            base,
            now: Duration::ZERO,
            random: Random(setup.seed),
            setup,
            agenda: BTreeMap::new(),
            planned: 0,
            last_arrival: [Duration::ZERO; 2],
            published: Vec::new(),
            client,
            client_runs: true,
            opened: None,
            ended: None,
            calls: Vec::new(),
            server_runs: true,
            listening: true,
            sessions: BTreeMap::new(),
            server_ended: Vec::new(),
            ran: BTreeSet::new(),
            order: Vec::new(),
        }
    }

    /// The same, run until the session is open and everything is quiet.
    fn opened(setup: Setup) -> Self {
        let mut simulation = Self::new(setup);
        simulation.run_for(HANDSHAKE_TIMEOUT / 2);
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
        simulation
    }

    fn instant(&self) -> Instant {
        self.base + self.now
    }

    fn plan(&mut self, at: Duration, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), happening);
    }

    // Time.

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets happen what happens up to and including `end`.
    fn run_until(&mut self, end: Duration) {
        self.publish();
        let mut at_once = 0;
        loop {
            let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timer = self.next_timeout();
            let Some(next) = agenda.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            // A timer that is still due when it was done would be done for ever.
            at_once = if next == self.now { at_once + 1 } else { 0 };
            assert!(next >= self.now && at_once < 100_000, "time stands still at {:?}", self.now);
            self.now = next;
            match self.agenda.first_entry().filter(|entry| entry.key().0 == next) {
                Some(entry) => {
                    let happening = entry.remove();
                    self.happen(happening);
                }
                None => self.on_timeout(),
            }
            self.publish();
        }
        self.now = end;
    }

    fn next_timeout(&self) -> Option<Duration> {
        let client = self.client_runs.then(|| self.client.poll_timeout()).flatten();
        let sessions = self.sessions.values().filter(|_| self.server_runs);
        let server = sessions.filter_map(|session| session.session.poll_timeout()).min();
        client.into_iter().chain(server).min().map(|at| at - self.base)
    }

    fn on_timeout(&mut self) {
        let now = self.instant();
        if self.client_runs {
            self.client.handle_timeout(now);
            self.client_events();
        }
        let tokens: Vec<_> = self.sessions.keys().filter(|_| self.server_runs).cloned().collect();
        for token in tokens {
            self.server_input(&token, |session| session.handle_timeout(now));
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(message) => self.arrive(message),
            Happening::Finishes { token, seqid, answer } => {
                // Nothing comes of one that was given up.
                let session = self.sessions.get_mut(&token).filter(|_| self.server_runs);
                if let Some(key) = session.and_then(|session| session.running.remove(&seqid)) {
                    self.server_input(&token, |session| session.finish(key, answer));
                }
            }
            Happening::Calls { len, oneway, timeout } => {
                if self.client.is_open() {
                    self.make_call_within(len, oneway, timeout);
                }
            }
            Happening::GivesUp { id } => self.give_up(id),
        }
    }

    // NATS.

    /// Publishes all that both sides have.
    fn publish(&mut self) {
        if self.client_runs {
            while let Some(transmit) = self.client.poll_transmit() {
                self.carry(Party::Client, transmit);
            }
            self.client_events();
        }
        let tokens: Vec<_> = self.sessions.keys().filter(|_| self.server_runs).cloned().collect();
        for token in tokens {
            while let Some(transmit) =
                self.sessions.get_mut(&token).and_then(|session| session.session.poll_transmit())
            {
                self.carry(Party::Server, transmit);
            }
        }
    }

    fn carry(&mut self, by: Party, transmit: Transmit) {
        let Transmit { subject, mut reply, headers, payload } = transmit;
        if reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some()) {
            assert!(payload.len() <= self.setup.chunk_limit, "a chunk above the limit");
        }
        self.published.push(Published {
            at: self.now,
            by,
            subject: subject.to_string(),
            reply: reply.as_ref().map(Subject::to_string),
            payload: payload.clone(),
        });
        if self.setup.legacy && reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some()) {
            // A legacy peer numbers nothing, and looks at no number.
            reply = None;
        }
        let Some(to) = Party::of(&subject) else { return };
        let versioned =
            !self.setup.legacy && headers.is_some_and(|headers| headers.get(VERSION_HEADER).is_some());
        self.send(Carried { to, subject, reply, status: None, versioned, payload });
    }

    fn send(&mut self, message: Carried) {
        let Network { delay, lost, twice, unordered, loses } = self.setup.network.clone();
        if self.random.chance(lost) || loses(&message) {
            return;
        }
        let copies = if self.random.chance(twice) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at = self.now + self.random.time(&delay);
            if !self.random.chance(unordered) {
                let last = &mut self.last_arrival[message.to as usize];
                at = at.max(*last);
                *last = at;
            }
            self.plan(at, Happening::Arrives(message.clone()));
        }
    }

    fn arrive(&mut self, message: Carried) {
        let listens = match message.to {
            Party::Client => self.client_runs,
            Party::Server => self.server_runs && (self.listening || message.subject.as_str() != SERVICE),
        };
        match message.to {
            _ if !listens => self.answer_no_responders(&message),
            Party::Client => self.arrive_at_client(message),
            Party::Server => self.arrive_at_server(message),
        }
    }

    /// NATS answers to a reply subject where nobody listens to the message.
    fn answer_no_responders(&mut self, message: &Carried) {
        if message.status.is_some() {
            return;
        }
        let Some(reply) = &message.reply else { return };
        let Some(to) = Party::of(reply) else { return };
        let status = Some(StatusCode::NO_RESPONDERS);
        let (subject, payload) = (reply.clone(), Bytes::new());
        self.send(Carried { to, subject, reply: None, status, versioned: false, payload });
    }

    // The client's process.

    fn arrive_at_client(&mut self, message: Carried) {
        let Carried { subject, reply, status, versioned, payload, .. } = message;
        let suffix = subject.strip_prefix("client.").expect("it was addressed to the client");
        let known = self.ended.is_none();
        match Address::parse(suffix) {
            Some(Address::Session { .. }) if known => {
                let incoming = Incoming { reply, status, versioned, payload };
                self.client.handle_message(self.instant(), incoming);
                self.client_events();
            }
            Some(Address::Session { .. }) => {
                if let Some(transmit) = late_message(reply.as_ref(), &payload) {
                    self.carry(Party::Client, transmit);
                }
            }
            Some(Address::Undelivered { chunk, .. })
                if known && status == Some(StatusCode::NO_RESPONDERS) =>
            {
                self.client.handle_undelivered(chunk);
                self.client_events();
            }
            Some(
                Address::Heartbeat { .. }
                | Address::Undelivered { .. }
                | Address::Cancelled { .. }
                | Address::Probe
                | Address::Gone { .. },
            )
            | None => {}
        }
    }

    fn answer_stranger(&mut self, reply: Option<&str>) {
        if let Some(transmit) = reply.and_then(unknown_session) {
            self.carry(Party::Server, transmit);
        }
    }

    /// Notes what happened in the client's session.
    fn client_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Opened => {
                    assert_eq!(self.opened, None, "opened twice");
                    self.opened = Some(self.now);
                }
                ClientEvent::Replied { waiter, reply } => self.answered(waiter, &reply),
                ClientEvent::Sent { waiter } => self.calls[waiter].state = CallState::Sent,
                ClientEvent::Expired { waiter, outcome } => {
                    assert_eq!(self.calls[waiter].state, CallState::Waiting, "call {waiter} expires");
                    self.calls[waiter].state = CallState::Expired(outcome);
                }
                ClientEvent::Draining { not_run, .. } => {
                    not_run.into_iter().for_each(|id| self.call_ends(id, Outcome::NotRun));
                }
                ClientEvent::Ended { reason, calls } => {
                    assert_eq!(self.ended, None, "the client's session ended twice");
                    self.ended = Some((self.now, reason));
                    calls.into_iter().for_each(|(id, outcome)| self.call_ends(id, outcome));
                }
            }
        }
    }

    fn call_ends(&mut self, id: usize, outcome: Outcome) {
        assert_eq!(self.calls[id].state, CallState::Waiting, "call {id} ended twice");
        self.calls[id].state = CallState::Ended(outcome);
    }

    /// Closes the client's session.
    fn close_client(&mut self) {
        self.client.close(CloseReason::Closed);
        self.client_events();
        self.publish();
    }

    /// Makes a call with so many bytes of payload, and does not publish it yet.
    fn make_call(&mut self, len: usize, oneway: bool) -> usize {
        self.make_call_within(len, oneway, None)
    }

    fn make_call_within(&mut self, len: usize, oneway: bool, timeout: Option<Duration>) -> usize {
        let id = self.calls.len();
        let seqid = id as i32 + 1;
        let kind = if oneway { MessageType::Oneway } else { MessageType::Call };
        let message = message_in(self.setup.format, kind, seqid, id, &payload(id, len));
        self.calls.push(MadeCall { seqid, len, state: CallState::Waiting });
        let deadline = timeout.map(|timeout| self.instant() + timeout);
        self.client.call(seqid, oneway, message, deadline, id).expect("room in the queue");
        id
    }

    fn call(&mut self, len: usize) -> usize {
        self.make_call(len, false)
    }

    fn give_up(&mut self, id: usize) {
        let call = &mut self.calls[id];
        if call.state == CallState::Waiting {
            call.state = CallState::GivenUp;
            assert_eq!(self.client.cancel(call.seqid).map(|(id, _)| id), Some(id));
        }
    }

    /// Checks that the answer is the one to this call.
    fn answered(&mut self, id: usize, answer: &Frame) {
        let call = &mut self.calls[id];
        assert_eq!(call.state, CallState::Waiting, "call {id} is answered");
        let mut expected = payload(id, call.len);
        transform(&mut expected);
        let (kind, seqid, answered, payload) = parse(answer);
        assert_eq!((kind, seqid, answered), (MessageType::Reply, call.seqid, id), "another call's answer");
        assert!(payload == expected, "the answer of call {id} is damaged");
        call.state = CallState::Answered;
    }

    fn state(&self, id: usize) -> CallState {
        self.calls[id].state
    }

    fn states(&self) -> Vec<CallState> {
        self.calls.iter().map(|call| call.state).collect()
    }

    /// Checks that every call has ended, and that none was run that is said not to have been.
    fn check_outcomes(&self) {
        for (id, call) in self.calls.iter().enumerate() {
            match call.state {
                CallState::Waiting => panic!("call {id} waits for ever"),
                CallState::Ended(Outcome::NotRun) | CallState::Expired(Outcome::NotRun) => {
                    assert!(!self.ran.contains(&id), "call {id} was run")
                }
                CallState::Answered
                | CallState::Sent
                | CallState::GivenUp
                | CallState::Ended(Outcome::Unknown)
                | CallState::Expired(Outcome::Unknown) => {}
            }
        }
    }

    /// Why the client's session ended, and when.
    fn end(&self) -> (Duration, &CloseReason) {
        let (at, reason) = self.ended.as_ref().expect("the client's session has ended");
        (*at, reason)
    }

    // The server's process.

    fn arrive_at_server(&mut self, message: Carried) {
        let Carried { subject, reply, status, versioned, payload, .. } = message;
        if subject.as_str() == SERVICE {
            return self.accept(reply, versioned);
        }
        let suffix = subject.strip_prefix("server.").expect("it was addressed to the server");
        let Some(address) = Address::parse(suffix) else { return };
        let (Address::Session { token }
        | Address::Heartbeat { token }
        | Address::Cancelled { token }
        | Address::Undelivered { token, .. }) = address
        else {
            return;
        };
        let (token, now) = (token.to_owned(), self.instant());
        if self.sessions.get(&token).is_none_or(|session| !session.known) {
            if matches!(address, Address::Session { .. } | Address::Heartbeat { .. }) {
                self.answer_stranger(reply.as_deref());
            }
            return;
        }
        let no_responders = status == Some(StatusCode::NO_RESPONDERS);
        self.server_input(&token, |session| match address {
            Address::Session { .. } if no_responders => session.handle_undelivered(None),
            Address::Session { .. } => session.handle_message(reply.as_deref(), payload),
            Address::Heartbeat { .. } => session.handle_heartbeat(now),
            Address::Cancelled { .. } => session.handle_cancellation(&payload),
            Address::Undelivered { chunk, .. } if no_responders => session.handle_undelivered(chunk),
            Address::Undelivered { .. } | Address::Probe | Address::Gone { .. } => {}
        });
    }

    fn accept(&mut self, peer: Option<Subject>, versioned: bool) {
        let peer = peer.expect("a handshake has a reply subject");
        let token = format!("s{}", self.sessions.len());
        let own = Subject::from(format!("server.{token}"));
        let session = ServerSession::accept(
            self.instant(),
            peer,
            own,
            &Announced { versioned, ..Announced::default() },
            self.setup.deadline,
            self.setup.config(),
        );
        self.sessions.insert(token, ServersSession { session, known: true, running: BTreeMap::new() });
    }

    /// Gives a session of the server an input, and notes what happened.
    fn server_input(&mut self, token: &str, input: impl FnOnce(&mut ServerSession<i32>)) {
        let session = self.sessions.get_mut(token).expect("a session of the server");
        input(&mut session.session);
        while let Some(event) = self.sessions.get_mut(token).and_then(|it| it.session.poll_event()) {
            match event {
                ServerEvent::Requests(requests) => {
                    requests.into_iter().for_each(|request| self.start_request(token, request));
                }
                ServerEvent::Cancelled { task: seqid } => {
                    let session = self.sessions.get_mut(token).expect("it is there");
                    let key = session.running.remove(&seqid).expect("a call that runs");
                    session.session.finish(key, Bytes::new());
                }
                ServerEvent::Ended { reason } => {
                    if reason != CloseReason::Closed {
                        self.server_ended.push((self.now, reason));
                    }
                    self.sessions.get_mut(token).expect("it has just ended").known = false;
                }
            }
        }
    }

    fn start_request(&mut self, token: &str, request: ReceivedRequest) {
        let ReceivedRequest { key, frame, admitted } = request;
        assert!(admitted, "there are not too many");
        let (kind, seqid, id, mut payload) = parse(&frame);
        assert_eq!(frame.format, self.setup.format, "what the client speaks");
        let session = self.sessions.get_mut(token).expect("a session of the server");
        assert_eq!(session.session.set_task(key, seqid), None, "it has just been received");
        assert!(session.running.insert(seqid, key).is_none(), "the number of a call that runs");
        if self.setup.legacy {
            assert_eq!(session.running.len(), 1, "a legacy peer's requests are run one at a time");
        }
        assert!(self.ran.insert(id), "call {id} is run twice");
        self.order.push(id);
        assert!(payload == self::payload(id, self.calls[id].len), "the request of call {id} is damaged");
        transform(&mut payload);
        let answer = match kind {
            MessageType::Call => message_in(frame.format, MessageType::Reply, seqid, id, &payload),
            MessageType::Oneway => Vec::new(),
            MessageType::Reply | MessageType::Exception => panic!("an answer where a request belongs"),
        };
        let at = self.now + self.random.time(&self.setup.handler);
        self.plan(at, Happening::Finishes { token: token.to_owned(), seqid, answer });
    }

    /// Stops the server: every session is told.
    fn stop_server(&mut self) {
        self.listening = false;
        for token in self.tokens() {
            self.server_input(&token, ServerSession::stop);
        }
        self.publish();
    }

    /// Drains the server: what was taken up is answered, and then every session is told.
    fn drain_server(&mut self) {
        self.listening = false;
        for token in self.tokens() {
            self.server_input(&token, ServerSession::drain);
        }
        self.publish();
    }

    fn tokens(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// Whether the server still has a session.
    fn server_has_session(&self) -> bool {
        self.sessions.values().any(|session| session.session.is_open())
    }

    // What was published.

    /// What the client sent to the subject of heartbeats, by its time.
    fn beats(&self) -> Vec<Duration> {
        let to_heartbeat =
            |message: &&Published| message.by == Party::Client && message.subject.ends_with(".h");
        self.published.iter().filter(to_heartbeat).map(|message| message.at).collect()
    }

    /// The disconnects of one side: their times and bodies.
    fn disconnects(&self, by: Party) -> Vec<(Duration, &str)> {
        let of_party =
            |message: &&Published| message.by == by && message.reply.as_deref() == Some("DISCONNECT");
        let body = |message| str::from_utf8(message).expect("bodies of disconnects are text");
        self.published.iter().filter(of_party).map(|message| (message.at, body(&message.payload))).collect()
    }

    /// The chunks of one side.
    fn chunks(&self, by: Party) -> Vec<&Published> {
        let numbered = |message: &&Published| {
            message.reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some())
        };
        self.published.iter().filter(|message| message.by == by).filter(numbered).collect()
    }
}

/// What a client of this crate announces.
fn ours() -> Announced {
    Announced { versioned: true, ..Announced::default() }
}

/// A session of a server that has just accepted a client.
fn accepted(legacy: bool) -> ServerSession<i32> {
    let announced = Announced { versioned: !legacy, ..Announced::default() };
    let config = Setup::new().config();
    ServerSession::accept(Instant::now(), INBOX.into(), "server.s0".into(), &announced, None, config)
}

/// The requests that a session hands out now, and why it has ended if it has.
fn poll(session: &mut ServerSession<i32>) -> (Vec<ReceivedRequest>, Option<CloseReason>) {
    let (mut requests, mut ended) = (Vec::new(), None);
    while let Some(event) = session.poll_event() {
        match event {
            ServerEvent::Requests(next) => requests.extend(next),
            ServerEvent::Cancelled { task } => panic!("no call has the task {task}"),
            ServerEvent::Ended { reason } => assert_eq!(ended.replace(reason), None, "it ended twice"),
        }
    }
    (requests, ended)
}

/// The only request that a session hands out now.
fn one_request(session: &mut ServerSession<i32>) -> ReceivedRequest {
    let (requests, _) = poll(session);
    let [request] = requests.try_into().expect("one request");
    request
}

/// Runs a test with many seeds, and says which one failed: `SIMULATION_SEED=<seed>` runs that one alone.
fn for_seeds(seeds: std::ops::Range<u64>, test: impl Fn(u64)) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with SIMULATION_SEED={}", self.0);
            }
        }
    }
    let seeds = match std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => seeds,
    };
    for seed in seeds {
        let _seed = Seed(seed);
        test(seed);
    }
}
