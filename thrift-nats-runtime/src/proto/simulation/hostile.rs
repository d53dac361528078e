//! A hostile peer: a client, a server, or a third party that knows no session, and sends whatever it likes.
//!
//! [`attacker`] is the hostile party. [`arena`] runs it against an honest server and an honest client, checks every message
//! that these publish, and the memory that they hold.

mod arena;
mod attacker;

use std::cell::RefCell;
use std::collections::BTreeMap;

use std::time::Duration;

use allocation_counter::measure;

use self::arena::{Arena, Message};
use self::attacker::{HostileSession, long_messages};
use super::{INBOX, Random, Setup, accept_of_server, accepted, for_seeds, ms, open};
use crate::proto::{Announced, ClientEvent, CloseReason, ServerConfig, ServerEvent, ServerSession};

/// The number of seeds, unless the environment variable `SIMULATION_SEEDS` names another.
const SEEDS: u64 = 15;

fn seeds() -> std::ops::Range<u64> {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    0..seeds.unwrap_or(SEEDS)
}

#[test]
fn a_hostile_peer_harms_no_other_session() {
    let ends = RefCell::new(BTreeMap::<_, u32>::new());
    let sessions = RefCell::new(0);
    for_seeds(seeds(), |seed| {
        let mut arena = Arena::new(seed);
        arena.run();
        *sessions.borrow_mut() += arena.hostile_sessions();
        for (end, count) in arena.ends {
            *ends.borrow_mut().entry(end).or_default() += count;
        }
    });
    let ends = ends.into_inner();
    println!("{} hostile sessions: {ends:#?}", sessions.into_inner());
    for end in ["client BadAccept", "server ChunkLost", "server Malformed", "server MemoryLimit"] {
        assert!(ends.contains_key(end) || std::env::var_os("SIMULATION_SEED").is_some(), "no `{end}`");
    }
}

/// The most that a session may allocate in addition to twice its share, in bytes: short replies and requests are noted
/// together.
const SLACK: usize = 16 * 1024;

/// Each message has a buffer of its own, as one from NATS.
fn copied(message: Message) -> Message {
    Message { payload: message.payload.to_vec().into(), ..message }
}

/// Runs a session, which may remain. Compares the bytes that the run allocates with its share.
fn check_share<T>(seed: u64, run: impl FnOnce() -> (T, usize)) {
    let mut kept = None;
    let info = measure(|| kept = Some(run()));
    let held = kept.as_ref().map_or(0, |(_, held)| *held);
    let allocated = usize::try_from(info.bytes_current).unwrap_or(0);
    assert!(allocated <= 2 * held + SLACK, "seed {seed}: {allocated} bytes allocated, {held} in its share");
}

#[test]
fn a_session_with_a_hostile_client_allocates_what_its_share_says() {
    for_seeds(0..60, |seed| {
        let mut random = Random(!seed);
        let legacy = random.chance(200);
        let mut hostile = HostileSession::new(&mut random, "server.s0".into(), INBOX.to_owned(), legacy);
        long_messages();
        let handlers_finish = random.chance(500);
        check_share(seed, || {
            let mut session = accepted(legacy);
            // Their handlers hold them.
            let mut requests = Vec::new();
            for _ in 0..random.one_of(&[10, 100, 1000]) {
                let Message { subject, reply, status, payload, .. } = copied(hostile.next(&mut random));
                if status.is_none() && subject.as_str() == "server.s0" {
                    session.handle_message(std::time::Instant::now(), reply.as_deref(), payload);
                }
                while let Some(event) = session.poll_event() {
                    if let ServerEvent::Requests(next) = event {
                        requests.extend(next);
                    }
                }
                if handlers_finish && random.chance(500) {
                    for request in requests.drain(..) {
                        let len = random.one_of(&[0, 20, 20, 100, 100_000]) as usize;
                        session.finish(request.key, vec![0; len]);
                    }
                }
                if random.chance(500) {
                    while session.poll_transmit().is_some() {}
                }
                if session.has_ended() {
                    requests.clear();
                }
            }
            while session.poll_event().is_some() {}
            let held = session.held();
            ((session, requests), held)
        });
    });
}

#[test]
fn a_session_with_a_hostile_server_allocates_what_its_share_says() {
    for_seeds(0..60, |seed| {
        let mut random = Random(!seed);
        let legacy = random.chance(200);
        let mut hostile = HostileSession::new(&mut random, INBOX.into(), "server.s0".to_owned(), legacy);
        long_messages();
        check_share(seed, || {
            let now = std::time::Instant::now();
            let mut session = open::<i32>(now, Setup::new().client_config());
            session.handle_message(now, accept_of_server(legacy));
            for seqid in 0..random.one_of(&[10, 100, 1000]) as i32 {
                let Message { subject, reply, additions, status, payload } =
                    copied(hostile.next(&mut random));
                if status.is_none() && subject.as_str() == INBOX {
                    let incoming =
                        super::Incoming { reply, additions, payload, ..super::Incoming::default() };
                    session.handle_message(now, incoming);
                }
                if session.is_open() && random.chance(200) {
                    let request = vec![0; random.one_of(&[20, 1000, 100_000]) as usize];
                    let _ = session.call(seqid, false, request, Some(now + ms(100)), seqid);
                }
                if random.chance(500) {
                    while session.poll_transmit(std::time::Instant::now).is_some() {}
                }
                while let Some(event) = session.poll_event() {
                    if let ClientEvent::Ended { reason, .. } = event {
                        assert_ne!(reason, CloseReason::Closed);
                    }
                }
            }
            session.handle_timeout(now + Duration::from_secs(1));
            while session.poll_event().is_some() {}
            let held = session.held();
            (session, held)
        });
    });
}

/// Each costs more than its bytes.
#[test]
fn many_short_requests_and_replies_allocate_what_their_share_says() {
    for legacy in [false, true] {
        for replies in [false, true] {
            check_share(0, || {
                let mut session = accepted(legacy);
                let mut requests = Vec::new();
                let one = super::message(crate::protocol::MessageType::Call, 1, 0, b"");
                for number in 1..=200 {
                    let reply = format!("client.session.{number}");
                    session.handle_message(std::time::Instant::now(), Some(&reply), one.repeat(100).into());
                    while let Some(event) = session.poll_event() {
                        if let ServerEvent::Requests(next) = event {
                            requests.extend(next);
                        }
                    }
                    if replies {
                        for request in requests.drain(..) {
                            session.finish(request.key, b"a short reply".to_vec());
                        }
                    }
                }
                assert!(!session.has_ended());
                let held = session.held();
                ((session, requests), held)
            });
        }
    }
}

/// Nothing is published: the client does not allow it, or the connection is slow.
#[test]
fn queued_replies_count_before_any_is_published() {
    for legacy in [false, true] {
        for len in [20, 500, 60_000] {
            let mut session = accepted(legacy);
            let one = super::message(crate::protocol::MessageType::Call, 1, 0, b"");
            for number in 1..=60_000 / len {
                let reply = format!("client.session.{number}");
                session.handle_message(std::time::Instant::now(), Some(&reply), one.clone().into());
                let (requests, ended) = super::poll(&mut session);
                assert_eq!((requests.len(), ended), (1, None));
                session.finish(requests[0].key, vec![0; len]);
                let queued = number * len;
                assert!(session.held() + 1024 > queued, "{} bytes for {queued}", session.held());
            }
        }
    }
}

#[test]
fn queued_requests_count_before_any_is_published() {
    for legacy in [false, true] {
        let now = std::time::Instant::now();
        let mut session = open::<i32>(now, Setup::new().client_config());
        session.handle_message(now, accept_of_server(legacy));
        while session.poll_transmit(std::time::Instant::now).is_some() {}
        for seqid in 1..=100 {
            session.call(seqid, false, vec![0; 500], Some(now + ms(100)), seqid).unwrap();
            let queued = 500 * usize::try_from(seqid).unwrap();
            assert!(session.held() + 2048 > queued, "{} bytes for {queued}", session.held());
        }
    }
}

#[test]
fn messages_that_are_not_complete_are_dropped_when_the_session_ends() {
    for legacy in [false, true] {
        let now = std::time::Instant::now();
        let mut session = accepted(legacy);
        let one = super::message(crate::protocol::MessageType::Call, 1, 0, b"");
        session.handle_message(now, Some("client.session.1"), one.into());
        assert_eq!(super::poll(&mut session).0.len(), 1, "a request runs");
        let part = [&[0x80, 1, 0, 1, 0, 0, 0, 1, b'f', 0, 0, 0, 1, 11, 0, 1, 0, 2, 0, 0][..], &[0; 100_000]];
        let part = part.concat();
        session.handle_message(now, Some("client.session.2-1-100000"), part.into());
        assert!(session.held() > 100_000, "{} bytes", session.held());
        session.handle_message(now, Some("DISCONNECT"), bytes::Bytes::new());
        assert!(session.held() < 10_000, "{} bytes", session.held());
    }
}

/// A message of NATS in a buffer that others share, as async-nats receives it.
fn in_shared_buffer(message: &[u8]) -> bytes::Bytes {
    let mut buffer = message.to_vec();
    buffer.resize(64 * 1024, 0);
    bytes::Bytes::from(buffer).split_to(message.len())
}

#[test]
fn a_request_that_waits_does_not_keep_the_buffer_that_it_was_received_in() {
    for legacy in [false, true] {
        check_share(0, || {
            let announced = if legacy { Announced::default() } else { super::ours() };
            let queue_limit = if legacy { super::QUEUE_LIMIT } else { 1000 };
            let config = ServerConfig { queue_limit, ..Setup::new().server_config() };
            let (now, own) = (std::time::Instant::now(), "server.s0".into());
            let mut session = ServerSession::accept(now, INBOX.into(), own, &announced, None, &config);
            let one = super::message(crate::protocol::MessageType::Call, 1, 0, b"");
            let receive = |number: usize, session: &mut ServerSession<i32>| {
                let reply = format!("client.session.{number}");
                session.handle_message(std::time::Instant::now(), Some(&reply), in_shared_buffer(&one));
                super::poll(session).0
            };
            let first = receive(1, &mut session).remove(0).key;
            if !legacy {
                // The client does not receive the reply: no other request is run.
                session.finish(first, vec![0; 5 * queue_limit]);
            }
            for number in 2..100 {
                assert_eq!(receive(number, &mut session), [], "it waits");
            }
            let held = session.held();
            (session, held)
        });
    }
}
