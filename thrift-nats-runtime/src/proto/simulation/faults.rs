//! A NATS that loses, repeats and reorders messages: none of it is ever taken for data.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::CallState::{Answered, Ended};
use super::*;

fn number(message: &Carried) -> Option<u64> {
    message.reply.as_deref().and_then(chunk_number)
}

fn lost(expected: u64, found: u64) -> CloseReason {
    CloseReason::ChunkLost { expected, found }
}

fn told(acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(PeerReason::ChunkLost), acknowledged: Some(acknowledged) }
}

#[test]
fn a_lost_chunk_of_a_request_ends_the_session() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    let answered = simulation.call(10);
    simulation.run_for(ms(10));
    simulation.setup.network.loses = |message| message.to == Party::Server && number(message) == Some(3);
    let cut = simulation.call(250);
    let now = simulation.now;
    simulation.run_for(ms(10));
    assert_eq!(simulation.server_ended, [(now + ms(1), lost(3, 4))]);
    assert_eq!(simulation.end(), (now + ms(2), &told(2)));
    assert_eq!(simulation.state(answered), Answered);
    assert_eq!(simulation.state(cut), Ended(Outcome::NotRun));
}

#[test]
fn a_lost_chunk_of_an_answer_ends_the_session() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    simulation.setup.network.loses = |message| message.to == Party::Client && number(message) == Some(2);
    let id = simulation.call(250);
    let now = simulation.now;
    simulation.run_for(ms(10));
    assert_eq!(simulation.end(), (now + ms(2), &lost(2, 3)));
    assert_eq!(simulation.state(id), Ended(Outcome::Unknown));
    assert_eq!(simulation.server_ended, [(now + ms(3), told(1))]);
}

/// Whole messages are as many bytes as chunks here: only the number tells.
#[test]
fn a_lost_chunk_that_was_a_whole_request_ends_the_session() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.setup.network.loses = |message| message.to == Party::Server && number(message) == Some(1);
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.ended, None, "nothing has come that could tell");
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.server_ended[0].1, lost(1, 2));
    assert_eq!(*simulation.end().1, told(0));
    assert_eq!(simulation.states(), [Ended(Outcome::NotRun); 2]);
    assert!(simulation.ran.is_empty());
}

#[test]
fn a_chunk_that_comes_twice_is_dropped() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    simulation.setup.network.twice = 1000;
    for _ in 0..10 {
        simulation.call(250);
        simulation.call(10);
        simulation.run_for(ms(10));
    }
    assert_eq!(simulation.states(), [Answered; 20]);
    assert!(simulation.client.is_open() && simulation.server_has_session());
    assert_eq!(simulation.client.late_replies(), 0, "an answer that comes twice is not late");
    assert_eq!(simulation.ran.len(), 20);
}

#[test]
fn a_chunk_that_overtakes_another_ends_the_session() {
    let mut session = accepted(false);
    let request: Bytes = message(MessageType::Call, 1, 0, b"").into();
    session.handle_message(Some("client.session.1"), request.clone());
    session.handle_message(Some("client.session.3"), request.clone());
    assert_eq!(poll(&mut session), (Vec::new(), Some(lost(2, 3))));
    session.handle_message(Some("client.session.2"), request);
    assert_eq!(session.poll_event(), None, "it is over");
    session.poll_transmit().expect("the accept");
    assert_eq!(session.poll_transmit().unwrap().payload, "1 chunk-lost");
}

#[test]
fn a_lost_disconnect_is_said_again_to_the_next_chunk() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.setup.network.lost = 1000;
    simulation.stop_server();
    simulation.setup.network.lost = 0;
    simulation.run_for(ms(1000));
    assert!(simulation.client.is_open());
    simulation.call(10);
    simulation.run_for(ms(2));
    let reason =
        CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: Some(0) };
    assert_eq!(*simulation.end().1, reason);
    assert_eq!(simulation.states(), [Ended(Outcome::NotRun)]);
}

/// A second accept is no data of a session that is open, and neither is the second copy of the first.
#[test]
fn a_handshake_and_its_accepts_that_come_twice_leave_one_session() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.setup.network.twice = 1000;
    simulation.run_for(ms(100));
    assert_eq!(simulation.opened, Some(ms(2)));
    assert_eq!((simulation.client.is_open(), simulation.sessions.len()), (true, 2));
    let reason = CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: None };
    assert!(simulation.server_ended.iter().all(|(_, ended)| *ended == reason));
    assert_eq!(simulation.server_ended.len(), 1, "{:?}", simulation.server_ended);
}

/// Whatever is lost, repeated or reordered: every call gets its own answer or ends with its session, and both sides end
/// in time. (The simulation itself checks every request and every answer, byte by byte.)
#[test]
fn faults_of_the_network_end_sessions_and_never_show_as_data() {
    let seen = RefCell::new(BTreeMap::<_, u32>::new());
    let count = |what: String| *seen.borrow_mut().entry(what).or_default() += 1;
    for_seeds(0..10_000, |seed| {
        let mut random = Random(!seed);
        let mut simulation = Simulation::new(Setup {
            seed,
            network: Network {
                lost: random.one_of(&[0, 5, 50]),
                twice: random.one_of(&[0, 5, 50]),
                unordered: random.one_of(&[0, 0, 50]),
                ..Network::sound(ms(0)..=ms(random.within(1..=20)))
            },
            chunk_limit: random.one_of(&[16, 64, 333, 65_536]) as usize,
            handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
            deadline: random.chance(500).then(|| ms(100)),
            legacy: false,
            format: any_format(&mut random),
        });
        for _ in 0..random.within(1..=15) {
            let len = random.one_of(&[0, 20, 100, 500]) as usize;
            let timeout = random.chance(200).then(|| ms(random.within(0..=60)));
            let calls = Happening::Calls { len, oneway: false, timeout };
            simulation.plan(ms(10 * random.within(0..=30)), calls);
        }
        simulation.run_for(ms(1500));

        // All is quiet, and nothing happens to the network any more. A chunk that was lost with none behind it shows with
        // the next one; in life the time-out of its call comes first.
        let repeats = simulation.setup.network.twice > 0;
        simulation.setup.network = Network::sound(ms(1)..=ms(1));
        if simulation.client.is_open() {
            simulation.call(20);
        }
        simulation.run_for(ms(100));
        let waiting = simulation.states().contains(&CallState::Waiting);
        assert!(!waiting, "{:?}", simulation.states());
        if simulation.client.is_open() {
            let ended = |state: &CallState| matches!(state, Answered | CallState::Expired(_));
            assert!(simulation.states().iter().all(ended), "{:?}", simulation.states());
        } else {
            assert!(simulation.ended.is_some());
            assert_eq!(simulation.client.in_flight(), 0);
        }
        if !repeats {
            // NATS never repeats a message: what is said of one that was not delivered is said of all its copies.
            simulation.check_outcomes();
        }
        if !simulation.client.is_open() && simulation.setup.deadline.is_some() {
            simulation.run_for(ms(300));
            assert!(!simulation.server_has_session(), "nobody beats for it");
        }

        let kind = |reason: &CloseReason| {
            let text = format!("{reason:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        };
        match &simulation.ended {
            None => count("answered".to_owned()),
            Some((_, reason)) => count(format!("client {}", kind(reason))),
        }
        simulation.server_ended.iter().for_each(|(_, reason)| count(format!("server {}", kind(reason))));
        simulation.states().iter().for_each(|state| count(format!("{state:?}")));
    });
    let seen = seen.into_inner();
    for what in [
        "answered",
        "client HandshakeTimeout",
        "client ChunkLost",
        "client Disconnected",
        "server ChunkLost",
        "server Disconnected",
        "server MissedHeartbeats",
        "Answered",
        "Ended(NotRun)",
        "Ended(Unknown)",
        "Expired(Unknown)",
    ] {
        assert!(seen.get(what).is_some_and(|times| *times >= 10), "too few of `{what}`: {seen:#?}");
    }
    let damaged = |what: &String| what.ends_with("Malformed") || what.ends_with("ChunkWithoutNumber");
    assert!(!seen.keys().any(damaged), "found by its number: {seen:#?}");
}
