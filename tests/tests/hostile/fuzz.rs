//! Random messages from third parties and from peers, while innocent clients make calls. The environment variable
//! `HOSTILE_SEED` repeats one seed.

use std::env;
use std::sync::{Arc, Mutex};

use async_nats::HeaderMap;
use bytes::Bytes;
use thrift_nats_runtime::{Client, ServerBuilder};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, RawServer, message, request};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, WireClient, soon};

use crate::{assert_serves, base, login, serve};

/// Number of messages between two calls of the innocent client.
const BURST: usize = 50;
/// Number of bursts.
const BURSTS: usize = 60;

/// SplitMix64.
struct Random(u64);

impl Random {
    /// From `HOSTILE_SEED`, or a fixed seed, so that a failure is repeated by the same test.
    fn new(seed: u64) -> Self {
        let seed = env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
        println!("HOSTILE_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => u64::MAX,
            1 => self.next(),
            2 => self.next() % 1_000_000,
            _ => self.next() % 8,
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.below(200);
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// The last token of a reply subject: of every kind that a peer sends, and others.
    fn tail(&mut self) -> String {
        let number = self.number();
        self.tail_of(number)
    }

    /// The same, which mostly starts with this number.
    fn tail_of(&mut self, one: u64) -> String {
        let (two, three) = (self.number(), self.number());
        match self.below(16) {
            0..=5 => one.to_string(),
            6 => format!("{one}-{two}-{three}"),
            7 => format!("{one}-{two}"),
            8 => format!("h{one}"),
            9 => "h".to_owned(),
            10 => format!("d{one}"),
            11 => format!("{one}{}", self.pick(&["h", "z", "-", "--", "-0-0-0", ".x", ""])),
            _ => format!("{one}{}", self.pick(&["x", "w", "c", "d", "p", "a"])),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let (one, two, three) = (self.number(), self.number(), self.number());
        let method = *self.pick(&["ping", "add", "wait", "text", "nosuch", ""]);
        let seqid = self.next() as u32;
        match self.below(14) {
            0 | 1 => Vec::new(),
            2 => self.bytes(),
            3 => one.to_string().into_bytes(),
            4 => format!("{one} {two} {three}").into_bytes(),
            5 => format!("{one} {two}:{three} {three}:{one}").into_bytes(),
            6 => format!("{one} {}", self.pick(&["closed", "stopping", "chunk-lost", "overloaded", "x"]))
                .into_bytes(),
            7 => self.pick(&["probe", "alive"]).as_bytes().to_vec(),
            8 => {
                let mut bytes = request(method, seqid);
                let place = self.below(bytes.len());
                bytes[place] = self.next() as u8;
                bytes
            }
            9 => {
                let mut bytes = request(method, seqid);
                bytes.truncate(self.below(bytes.len()));
                bytes
            }
            10 => message(self.below(6) as u8, method, seqid, &self.bytes()),
            11 => [request(method, seqid), request("ping", seqid.wrapping_add(1))].concat(),
            _ => request(method, seqid),
        }
    }

    fn headers(&mut self) -> Option<Bytes> {
        let number = self.number();
        Some(Bytes::from(match self.below(12) {
            0 | 1 => "NATS/1.0 503\r\n\r\n".to_owned(),
            2 => {
                format!("NATS/1.0 {}\r\n\r\n", self.pick(&["100", "404", "408", "503 No Responders", "999"]))
            }
            3 => format!("NATS/1.0\r\nThrift-Nats-Version: {number}\r\n\r\n"),
            4 => format!("NATS/1.0\r\nThrift-Nats-Version: 2\r\nThrift-Nats-Window: {number}\r\n\r\n"),
            5 => format!("NATS/1.0\r\nThrift-Nats-Version: 2\r\nThrift-Nats-Timeout: {number}\r\n\r\n"),
            _ => return None,
        }))
    }
}

/// Subjects below the base of a process: its sessions that the attacker knows, their control subjects, and others.
fn targets(base: &str, sessions: &[&str]) -> Vec<String> {
    let token = format!("{base}.{}", "a".repeat(22));
    let others = ["x", "p", "p.1", "ready", "ready.1"].map(|tail| format!("{base}.{tail}"));
    let sessions = sessions.iter().copied().chain([token.as_str()]).map(str::to_owned);
    let sessions =
        sessions.flat_map(|it| ["", "", "", ".h", ".c", ".1", ".h1", ".x"].map(|tail| format!("{it}{tail}")));
    sessions.chain(others).chain([base.to_owned()]).collect()
}

/// Publishes random messages of a peer's own session to `subject`, with the numbers that are expected. They get further than
/// others, until one of them ends the session.
async fn misuse(wire: &mut WireClient, random: &mut Random, subject: &str, own: &str) {
    for number in 1..=20 {
        let reply = format!("{own}.{}", random.tail_of(number));
        let body = random.body();
        wire.publish(subject, Some(&reply), body).await;
    }
}

/// Publishes one random message.
async fn attack(wire: &mut WireClient, random: &mut Random, targets: &[String], replies: &[String]) {
    let subject = random.pick(targets).clone();
    let reply = match random.below(8) {
        0 => None,
        1 => Some("DISCONNECT".to_owned()),
        2 => Some(random.pick(replies).clone()),
        _ => Some(format!("{}.{}", random.pick(replies), random.tail())),
    };
    let headers = random.headers();
    let body = random.body();
    wire.publish_with_headers(&subject, reply.as_deref(), headers, body).await;
}

#[tokio::test]
async fn random_messages_to_a_server_fail_no_call_of_another_client() {
    let mut random = Random::new(12);
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.max_sessions(100_000);
    let server = TestService::default().serve(&nats, options).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let mut wire = WireClient::connect(&nats, None).await;
    for burst in 0..BURSTS {
        // Sessions of the attacker itself: random messages end them.
        let attacker = login(&nats, "attacker", "_INBOX.attacker").await;
        let legacy = RawClient::legacy(&attacker, SUBJECT).await;
        let numbered = RawClient::numbered(&attacker, SUBJECT).await;
        for _ in 0..3 {
            let session = RawClient::numbered(&attacker, SUBJECT).await;
            misuse(&mut wire, &mut random, &session.listen, session.inbox()).await;
        }
        let base = base(&legacy.listen).to_owned();
        let mut targets = targets(&base, &[&legacy.listen, &numbered.listen]);
        targets.push(SUBJECT.to_owned());
        let mut replies =
            ["_INBOX.attacker.a", "_INBOX.b.c", "$JS.API.X", SUBJECT].map(str::to_owned).to_vec();
        replies.extend([
            legacy.listen.to_string(),
            legacy.inbox().to_owned(),
            numbered.inbox().to_owned(),
            base,
        ]);
        for _ in 0..BURST {
            attack(&mut wire, &mut random, &targets, &replies).await;
        }
        wire.flush().await;
        assert_serves(&client, &format!("burst {burst}")).await;
    }
    let failed = tokio::time::timeout(std::time::Duration::ZERO, server.failed()).await;
    assert!(failed.is_err(), "the server has failed: {failed:?}");
}

#[tokio::test]
async fn random_messages_to_a_client_fail_no_call_to_another_server() {
    let mut random = Random::new(13);
    let nats = NatsServer::start().unwrap();
    let _server = serve(&nats.client().await.unwrap(), SUBJECT, &TestService::default()).await;
    let connection = nats.client().await.unwrap();
    let client = Client::connect(&connection, SUBJECT).await.unwrap();
    let evil_connection = login(&nats, "evil", "_INBOX.evil").await;
    let mut evil = RawServer::listen(&evil_connection, "evil").await;
    let _listening = evil_connection.subscribe("_INBOX.evil.>").await.unwrap();
    // A malicious server, which accepts every handshake, also those with which the client replaces a session that has ended.
    let sessions = Arc::new(Mutex::new(Vec::new()));
    let opened = Arc::clone(&sessions);
    let accepts = tokio::spawn(async move {
        for version in [None, Some("2")].into_iter().cycle() {
            let inbox = evil.handshake().await.reply.unwrap();
            let listen = evil_connection.new_inbox();
            let headers = version.into_iter().fold(HeaderMap::new(), |mut headers, version| {
                headers.insert("Thrift-Nats-Version", version);
                headers.insert("Thrift-Nats-Window", "100000");
                headers
            });
            let body = "_INBOX.evil.h 1000".into();
            opened.lock().unwrap().push((inbox.to_string(), listen.clone()));
            evil_connection.publish_with_reply_and_headers(inbox, listen, headers, body).await.unwrap();
        }
    });
    let mut wire = WireClient::connect(&nats, None).await;
    for burst in 0..BURSTS {
        // The innocent process makes calls to the malicious server, too.
        let victim = soon(Client::connect(&connection, "evil")).await.unwrap();
        let calls = (0..3).map(|id| ProbeClient::new(victim.clone()).wait(id).timeout(BOUND));
        let calls = calls.map(|call| tokio::spawn(call.into_future())).collect::<Vec<_>>();
        let known = std::mem::take(&mut *sessions.lock().unwrap());
        let base = known.first().map(|(inbox, _)| inbox.rsplit_once('.').unwrap().0.to_owned());
        let base = base.unwrap_or_else(|| panic!("burst {burst}: no session"));
        let inboxes = known.iter().map(|(inbox, _)| inbox.as_str()).collect::<Vec<_>>();
        let targets = targets(&base, &inboxes);
        let mut replies = [base, "$JS.API.X".to_owned(), SUBJECT.to_owned()].to_vec();
        replies.extend(known.iter().flat_map(|(inbox, listen)| [inbox, listen, listen].map(String::clone)));
        for (inbox, listen) in &known {
            misuse(&mut wire, &mut random, inbox, listen).await;
        }
        for _ in 0..BURST {
            attack(&mut wire, &mut random, &targets, &replies).await;
        }
        wire.flush().await;
        assert_serves(&client, &format!("burst {burst}")).await;
        drop(victim);
        for call in calls {
            call.abort();
            let panicked = call.await.is_err_and(|error| error.is_panic());
            assert!(!panicked, "burst {burst}: a call panicked");
        }
    }
    accepts.abort();
}
