//! The hostile party: what it knows, and what it sends.
//!
//! It knows the subjects of services and the bases of both processes, and the tokens of its own sessions only. It may send
//! anything to any subject, with any number, and rarely does what the protocol wants.

use std::sync::OnceLock;

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::super::Random;
use super::super::messages::message;
use super::arena::Message;
use crate::proto::Additions;
use crate::proto::subject::{Kind, Tail};
use crate::protocol::MessageType;

/// The service of the hostile party.
pub(super) const HOSTILE_SERVICE: &str = "evil.service";

/// A session of the hostile party with an honest process.
#[derive(Debug)]
pub(super) struct HostileSession {
    /// The subject of the honest side.
    peer: Subject,
    /// The subject of the hostile side.
    own: String,
    legacy: bool,
    /// Times in a thousand that it does what the protocol wants.
    discipline: u64,
    /// Times in a thousand that a message has the next number.
    numbered: u64,
    /// Whether it sends nothing but the starts of long messages.
    hoards: bool,
    /// The number of the last message.
    number: u64,
    last_id: u64,
    partial: Vec<Partial>,
}

/// A long message of which a part was sent.
#[derive(Debug)]
struct Partial {
    id: u64,
    rest: Bytes,
}

/// The hostile party.
#[derive(Debug)]
pub(super) struct Attacker {
    random: Random,
    sessions: Vec<HostileSession>,
    /// Number of inboxes that it has used.
    inboxes: u64,
}

/// Long messages that are well-formed.
pub(super) fn long_messages() -> &'static [Bytes] {
    static MESSAGES: OnceLock<Vec<Bytes>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let of_len = |len| Bytes::from(message(MessageType::Call, 7, 0, &vec![0; len]));
        [2000, 70_000, 300_000, 1_200_000, 3_000_000].map(of_len).into()
    })
}

/// Numbers and words that a body may consist of, if they are separated by spaces.
const WORDS: [&str; 12] = [
    "0",
    "1",
    "7",
    "42",
    "100000",
    "-1",
    "18446744073709551615",
    "1:2000000",
    "2:18446744073709551615",
    "x",
    "",
    "5000000",
];

fn words(random: &mut Random) -> Bytes {
    let count = random.one_of(&[0, 1, 1, 2, 5, 2000]);
    let words: Vec<_> = (0..count).map(|_| WORDS[random.within(0..=11) as usize]).collect();
    words.join(" ").into()
}

/// A chunk of data, which may be malformed.
fn data(random: &mut Random, is_malformed: bool) -> Bytes {
    let kind = match random.within(0..=9) {
        0 => MessageType::Oneway,
        1 => MessageType::Reply,
        2 => MessageType::Exception,
        _ => MessageType::Call,
    };
    let one = |random: &mut Random| {
        let len = random.one_of(&[0, 0, 10, 100, 5000]) as usize;
        message(kind, random.within(0..=50) as i32, 0, &vec![7; len])
    };
    match random.within(if is_malformed { 0..=2 } else { 3..=19 }) {
        0 => Bytes::from_static(b"GET / HTTP/1.1"),
        1 => {
            let mut cut = one(random);
            cut.pop();
            cut.into()
        }
        2 => (0..random.within(1..=100)).map(|_| random.next() as u8).collect::<Vec<_>>().into(),
        3 => long_messages()[random.within(0..=2) as usize].clone(),
        4..=7 => (0..random.within(2..=60)).flat_map(|_| one(random)).collect::<Vec<_>>().into(),
        _ => one(random).into(),
    }
}

fn disconnect_body(random: &mut Random) -> Bytes {
    let bodies = ["", "closed", "0 closed", "9 stopping", "unsupported x", "18446744073709551615 malformed"];
    Bytes::from_static(bodies[random.within(0..=5) as usize].as_bytes())
}

impl HostileSession {
    pub(super) fn new(random: &mut Random, peer: Subject, own: String, legacy: bool) -> Self {
        let hoards = !legacy && random.chance(300);
        let discipline = if hoards { 1000 } else { random.one_of(&[500, 900, 990, 1000, 1000]) };
        let numbered = if hoards { 1000 } else { random.one_of(&[900, 990, 1000, 1000]) };
        Self { peer, own, legacy, discipline, numbered, hoards, number: 0, last_id: 0, partial: Vec::new() }
    }

    /// A message to the honest side.
    pub(super) fn next(&mut self, random: &mut Random) -> Message {
        let mut to = Message { subject: self.peer.clone(), ..Message::default() };
        if random.chance(1000 - self.discipline) && random.chance(100) {
            return self.end(random, to);
        }
        if self.legacy {
            if random.chance(200) {
                to.subject = format!("{}.h", self.peer).into();
            } else {
                let is_malformed = !random.chance(self.discipline);
                to.payload = data(random, is_malformed);
                to.reply = random.chance(200).then(|| format!("{}.1", self.own).into());
            }
            return to;
        }
        let (kind, payload) = self.body(random);
        let number = if random.chance(self.numbered) {
            self.number += 1;
            self.number
        } else {
            let near = (self.number + 2).saturating_sub(random.within(0..=4));
            if random.chance(500) { near } else { random.next() }
        };
        to.reply = Some(Tail { number, kind }.reply_subject(&self.own));
        to.payload = payload;
        if !random.chance(self.discipline) {
            match random.within(0..=19) {
                0 => to.reply = None,
                1 => to.reply = Some("$JS.API.STREAM.DELETE.ORDERS".into()),
                2..=9 => to.payload = Bytes::new(),
                _ => to.additions = Some(Additions::OWN),
            }
        }
        to
    }

    /// Something that ends the session, as NATS or the peer could send it.
    fn end(&self, random: &mut Random, mut to: Message) -> Message {
        match random.within(0..=2) {
            0 => to.status = Some(StatusCode::NO_RESPONDERS),
            1 => {
                to.status = Some(StatusCode::NO_RESPONDERS);
                to.subject = format!("{}.{}", self.peer, random.within(0..=20)).into();
            }
            _ => {
                to.reply = Some("DISCONNECT".into());
                to.payload = disconnect_body(random);
            }
        }
        to
    }

    fn body(&mut self, random: &mut Random) -> (Kind, Bytes) {
        if self.hoards {
            return self.hoard();
        }
        match random.within(0..=19) {
            0..=6 => {
                let is_malformed = !random.chance(self.discipline);
                (Kind::Messages, data(random, is_malformed))
            }
            7..=12 => self.part(random),
            13 => (Kind::Abandon, self.abandon(random)),
            14 | 15 => (Kind::Window, words(random)),
            16 => (Kind::Cancel, words(random)),
            17 if random.chance(100) => (Kind::Drain, words(random)),
            17 | 18 => (Kind::Probe, Bytes::from_static(b"probe")),
            _ => (Kind::Alive, Bytes::from_static(b"alive")),
        }
    }

    fn part(&mut self, random: &mut Random) -> (Kind, Bytes) {
        let index = if self.partial.is_empty() || random.chance(300) {
            let long = long_messages();
            self.last_id += 1;
            let rest = long[random.within(0..=long.len() as u64 - 1) as usize].clone();
            self.partial.push(Partial { id: self.last_id, rest });
            self.partial.len() - 1
        } else {
            random.within(0..=self.partial.len() as u64 - 1) as usize
        };
        let partial = &mut self.partial[index];
        let len = random.one_of(&[1, 1, 1000, 40_000, 262_144, 900_000]) as usize;
        let part = partial.rest.split_to(len.min(partial.rest.len()));
        let (mut id, mut rest) = (partial.id, partial.rest.len() as u64);
        if partial.rest.is_empty() {
            self.partial.swap_remove(index);
        }
        if !random.chance(self.discipline) {
            match random.within(0..=2) {
                0 => rest = random.one_of(&[0, rest + 1, 1 << 40, u64::MAX]),
                1 => id = random.one_of(&[0, id + 1, 1, u64::MAX]),
                _ => return (Kind::Part { id, rest }, Bytes::new()),
            }
        }
        (Kind::Part { id, rest }, part)
    }

    /// A part of 100 kB of a message that is never completed.
    fn hoard(&mut self) -> (Kind, Bytes) {
        self.last_id += 1;
        let long = &long_messages()[4];
        let kind = Kind::Part { id: self.last_id, rest: long.len() as u64 - 100_000 };
        // The window of a session allows 41 of them.
        if self.number > 40 { (Kind::Alive, "alive".into()) } else { (kind, long.slice(..100_000)) }
    }

    fn abandon(&mut self, random: &mut Random) -> Bytes {
        if self.partial.is_empty() || !random.chance(self.discipline) {
            return words(random);
        }
        self.partial.swap_remove(0).id.to_string().into()
    }
}

impl Attacker {
    pub(super) const fn new(seed: u64) -> Self {
        Self { random: Random(seed), sessions: Vec::new(), inboxes: 0 }
    }

    /// Number of sessions that it has had.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The next messages that it sends.
    pub(super) fn attack(&mut self) -> Vec<Message> {
        let random = &mut self.random;
        match random.within(0..=9) {
            0 => vec![self.handshake()],
            1 => vec![self.third_party()],
            _ if self.sessions.is_empty() => vec![self.handshake()],
            _ => {
                // Mostly a recent session: the others have probably ended.
                let recent = random.within(0..=3).min(self.sessions.len() as u64 - 1) as usize;
                let any = random.within(0..=self.sessions.len() as u64 - 1) as usize;
                let index = if random.chance(700) { self.sessions.len() - 1 - recent } else { any };
                let count = random.one_of(&[1, 3, 20]);
                (0..count).map(|_| self.sessions[index].next(random)).collect()
            }
        }
    }

    fn inbox(&mut self) -> String {
        self.inboxes += 1;
        format!("evil.inbox{}", self.inboxes)
    }

    /// Additions that a peer of any version may announce.
    fn additions(&mut self) -> Option<Additions> {
        let windows = [0, 1, 100_000, 4 << 20, 4 << 20, u64::MAX];
        let version =
            if self.random.chance(900) { Additions::OWN.version } else { self.random.next() as u32 };
        let additions = Additions { version, window: self.random.one_of(&windows) };
        self.random.chance(800).then_some(additions)
    }

    /// A handshake with the honest server.
    fn handshake(&mut self) -> Message {
        let reply = match self.random.within(0..=11) {
            0 => "$JS.API.STREAM.DELETE.ORDERS".to_owned(),
            1 => "orders.created".to_owned(),
            2 => "evil.>".to_owned(),
            3 => format!("client.{:022}", self.random.next()),
            4 => format!("server.{:022}", self.random.next()),
            5 => ["", "service", "DISCONNECT", "evil", "evil..a", "evil.a b"]
                [self.random.within(0..=5) as usize]
                .to_owned(),
            6 => format!("evil.{}", "a".repeat(300)),
            _ => self.inbox(),
        };
        let payload = if self.random.chance(50) { data(&mut self.random, false) } else { Bytes::new() };
        let additions = self.additions();
        Message {
            subject: "service".into(),
            reply: Some(reply.into()),
            additions,
            payload,
            ..Message::default()
        }
    }

    /// A message to a subject of an honest process, by a process that knows no session.
    fn third_party(&mut self) -> Message {
        let random = &mut self.random;
        let base = ["client", "server"][random.within(0..=1) as usize];
        let token = match random.within(0..=3) {
            0 => ["ready", "left", "end", "", "h", "p"][random.within(0..=5) as usize].to_owned(),
            _ => format!("{:022}", random.next()),
        };
        let tails = ["", "", ".h", ".1", ".7a", ".1-1-0", ".c", "."];
        let subject = format!("{base}.{token}{}", tails[random.within(0..=7) as usize]);
        let replies =
            ["$JS.API.STREAM.DELETE.ORDERS", "evil.x", "evil.x.17", "DISCONNECT", "server.a", "client.a"];
        let reply = random.chance(800).then(|| Subject::from(replies[random.within(0..=5) as usize]));
        let payload = match random.within(0..=3) {
            0 => Bytes::new(),
            1 => "$SYS.REQ.SERVER.PING 100".into(),
            2 => "evil.h 100".into(),
            _ => data(random, false),
        };
        let status = random.chance(200).then_some(StatusCode::NO_RESPONDERS);
        let additions = random.chance(500).then_some(Additions::OWN);
        Message { subject: subject.into(), reply, status, additions, payload }
    }

    /// Receives a message. Returns what it sends at once.
    pub(super) fn receive(&mut self, message: Message) -> Vec<Message> {
        let Message { subject, reply, additions, payload, .. } = message;
        let Some(reply) = reply else { return Vec::new() };
        if subject.as_str() == HOSTILE_SERVICE {
            return self.accept(&reply);
        }
        if payload.len() < 200 && payload.windows(3).any(|window| window == b".h ") {
            let session =
                HostileSession::new(&mut self.random, reply, subject.to_string(), additions.is_none());
            self.sessions.push(session);
        } else if Tail::of(&reply).is_some_and(|tail| tail.kind == Kind::Probe)
            && self.random.chance(500)
            && let Some(session) = self.sessions.iter_mut().find(|session| session.own == *subject)
        {
            session.number += 1;
            let tail = Tail { number: session.number, kind: Kind::Alive };
            let reply = Some(tail.reply_subject(&session.own));
            let (subject, payload) = (session.peer.clone(), "alive".into());
            return vec![Message { subject, reply, payload, ..Message::default() }];
        }
        Vec::new()
    }

    /// Replies to the handshake of an honest client.
    fn accept(&mut self, client: &Subject) -> Vec<Message> {
        let mut accepts = Vec::new();
        for _ in 0..self.random.one_of(&[0, 1, 1, 1, 1, 3]) {
            let additions = self.additions();
            let mut own = self.inbox();
            let (mut heartbeat, interval) = (format!("{own}.h"), self.random.one_of(&[0, 1, 100, u64::MAX]));
            match self.random.within(0..=19) {
                0 => own = "$JS.API.STREAM.DELETE.ORDERS".to_owned(),
                1 => own = client.to_string(),
                2 => own = "orders.created".to_owned(),
                3 => heartbeat = "$JS.API.STREAM.DELETE.ORDERS".to_owned(),
                4 => heartbeat = format!("{client}.h"),
                5 => own = format!("client.{:022}", self.random.next()),
                _ => {}
            }
            let body = match self.random.within(0..=9) {
                0 => data(&mut self.random, true),
                _ => format!("{heartbeat} {interval}").into(),
            };
            let reply = if self.random.chance(50) { "DISCONNECT".into() } else { Subject::from(own.clone()) };
            accepts.push(Message {
                subject: client.clone(),
                reply: Some(reply),
                additions,
                payload: body,
                status: None,
            });
            let session = HostileSession::new(&mut self.random, client.clone(), own, additions.is_none());
            self.sessions.push(session);
        }
        accepts
    }
}
