//! A NATS that loses, duplicates and reorders messages.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::CallState::{Ended, Replied};
use super::*;

fn number(message: &InTransit) -> Option<u64> {
    message.reply.as_deref().and_then(Tail::of).map(|tail| tail.number)
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
    let replied = simulation.call(10);
    simulation.run_for(ms(10));
    simulation.setup.network.loses = |message| message.to == Party::Server && number(message) == Some(4);
    let cut = simulation.call(250);
    let now = simulation.now;
    simulation.run_for(ms(10));
    assert_eq!(simulation.server_ended, [(now + ms(1), lost(4, 5))]);
    assert_eq!(simulation.end(), (now + ms(2), &told(3)));
    assert_eq!(simulation.state(replied), Replied);
    assert_eq!(simulation.state(cut), Ended(Outcome::NotRun));
}

#[test]
fn a_lost_chunk_of_a_reply_ends_the_session() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    simulation.setup.network.loses = |message| message.to == Party::Client && number(message) == Some(2);
    let id = simulation.call(250);
    let now = simulation.now;
    simulation.run_for(ms(10));
    assert_eq!(simulation.end(), (now + ms(2), &lost(2, 3)));
    assert_eq!(simulation.state(id), Ended(Outcome::Unknown));
    assert_eq!(simulation.server_ended, [(now + ms(3), told(1))]);
}

/// Each chunk is a whole message here, so that only the number reveals the loss.
#[test]
fn a_lost_chunk_that_was_a_whole_request_ends_the_session() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.setup.network.loses = |message| message.to == Party::Server && number(message) == Some(2);
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.ended, None, "nothing has arrived that reveals the loss");
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.server_ended[0].1, lost(2, 3));
    assert_eq!(*simulation.end().1, told(1));
    assert_eq!(simulation.states(), [Ended(Outcome::NotRun); 2]);
    assert!(simulation.ran.is_empty());
}

#[test]
fn a_probe_finds_a_lost_request() {
    let mut simulation = Simulation::opened(Setup { pace: Duration::ZERO, ..Setup::new() });
    simulation.setup.network.loses = |message| message.to == Party::Server && number(message) == Some(2);
    let now = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.server_ended, [(now + ms(26), lost(2, 3))]);
    assert_eq!(simulation.end(), (now + ms(27), &told(1)));
    assert_eq!(simulation.states(), [Ended(Outcome::NotRun)]);
}

#[test]
fn the_pause_before_a_probe_grows_with_the_sessions_up_to_five_timeouts() {
    let longest = 5 * LIVENESS_TIMEOUT;
    for (sessions, pause) in [(1, ms(25)), (1000, ms(50)), (usize::MAX, longest)] {
        let mut simulation = Simulation::opened(Setup::new());
        simulation.client.share_probes(sessions);
        simulation.setup.network.loses = |message| message.to == Party::Server;
        let now = simulation.now;
        simulation.call(10);
        simulation.run_for(longest);
        let probes = simulation.of_kind(Party::Client, Kind::Probe);
        assert_eq!(probes[0].at, now + pause, "{sessions} sessions");
    }
}

#[test]
fn the_answer_to_a_probe_finds_a_lost_reply() {
    let mut simulation = Simulation::opened(Setup { pace: Duration::ZERO, ..Setup::new() });
    simulation.setup.network.loses = |message| message.to == Party::Client && number(message) == Some(1);
    let now = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (now + ms(27), &lost(1, 2)));
    assert_eq!(simulation.states(), [Ended(Outcome::Unknown)]);
}

#[test]
fn a_duplicate_chunk_is_dropped() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    simulation.setup.network.twice = 1000;
    for _ in 0..10 {
        simulation.call(250);
        simulation.call(10);
        simulation.run_for(ms(10));
    }
    assert_eq!(simulation.states(), [Replied; 20]);
    assert!(simulation.client.is_open() && simulation.server_has_session());
    assert_eq!(simulation.client.late_replies(), 0, "a duplicate reply is not late");
    assert_eq!(simulation.ran.len(), 20);
}

#[test]
fn a_chunk_that_overtakes_another_ends_the_session() {
    let mut session = accepted(false);
    let request: Bytes = message(MessageType::Call, 1, 0, b"").into();
    session.handle_message(Instant::now(), Some("client.session.1"), request.clone());
    session.handle_message(Instant::now(), Some("client.session.3"), request.clone());
    assert_eq!(poll(&mut session), (Vec::new(), Some(lost(2, 3))));
    session.handle_message(Instant::now(), Some("client.session.2"), request);
    assert_eq!(session.poll_event(), None, "it is over");
    session.poll_transmit().expect("the accept");
    assert_eq!(session.poll_transmit().unwrap().payload, "1 chunk-lost server.s0");
}

#[test]
fn a_lost_disconnect_is_repeated_for_the_next_chunk() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.setup.network.lost = 1000;
    simulation.stop_server();
    simulation.setup.network.lost = 0;
    simulation.run_for(ms(1000));
    assert!(simulation.client.is_open());
    simulation.call(10);
    simulation.run_for(ms(2));
    let reason =
        CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: Some(1) };
    assert_eq!(*simulation.end().1, reason);
    assert_eq!(simulation.states(), [Ended(Outcome::NotRun)]);
}

/// A second accept is not data of the open session, and neither is a duplicate of the first.
#[test]
fn duplicate_handshakes_and_accepts_leave_one_session() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.setup.network.twice = 1000;
    simulation.run_for(ms(100));
    assert_eq!(simulation.opened, Some(ms(2)));
    assert_eq!((simulation.client.is_open(), simulation.sessions.len()), (true, 2));
    let reason = CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: None };
    assert!(simulation.server_ended.iter().all(|(_, ended)| *ended == reason));
    assert_eq!(simulation.server_ended.len(), 1, "{:?}", simulation.server_ended);
}

/// Every call gets its own reply or ends with its session, and both sides end in time. (The simulation itself compares
/// every request and every reply byte by byte.)
#[test]
fn network_faults_end_sessions_and_never_corrupt_data() {
    let seen = RefCell::new(BTreeMap::<_, u32>::new());
    let count = |what: String| *seen.borrow_mut().entry(what).or_default() += 1;
    for_seeds(0..10_000, |seed| {
        let mut random = Random(!seed);
        let mut simulation = Simulation::new(Setup {
            seed,
            network: Network {
                lost: random.one_of(&[0, 0, 5, 5, 50, 50, 400]),
                twice: random.one_of(&[0, 5, 50]),
                unordered: random.one_of(&[0, 0, 50]),
                ..Network::sound(ms(0)..=ms(random.within(1..=20)))
            },
            chunk_limit: random.one_of(&[16, 64, 333, 65_536]) as usize,
            handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
            interval: random.chance(500).then(|| ms(100)),
            legacy: false,
            format: any_format(&mut random),
            pace: Duration::ZERO,
        });
        for _ in 0..random.within(1..=15) {
            let len = random.one_of(&[0, 20, 100, 500]) as usize;
            let timeout = random.chance(200).then(|| ms(random.within(0..=60)));
            let calls = PlannedStep::Call { len, oneway: false, timeout };
            simulation.plan(ms(10 * random.within(0..=30)), calls);
        }
        simulation.run_for(ms(1500));

        // The network is idle, and has no more faults. The lost message of an idle session is found with the next one.
        let repeats = simulation.setup.network.twice > 0;
        simulation.setup.network = Network::sound(ms(1)..=ms(1));
        if simulation.client.is_open() {
            simulation.call(20);
        }
        simulation.run_for(ms(100));
        let waiting = simulation.states().contains(&CallState::Waiting);
        assert!(!waiting, "{:?}", simulation.states());
        if simulation.client.is_open() {
            let ended = |state: &CallState| matches!(state, Replied | CallState::Expired(_));
            assert!(simulation.states().iter().all(ended), "{:?}", simulation.states());
        } else {
            assert!(simulation.ended.is_some());
            assert_eq!(simulation.client.in_flight(), 0);
        }
        if !repeats {
            // NATS does not duplicate messages. If it did, no responders for one copy would not mean that another was lost.
            simulation.check_outcomes();
        }
        if !simulation.client.is_open() && simulation.setup.interval.is_some() {
            // A session whose client never sent anything lasts longest.
            simulation.run_for(ms(5000));
            assert!(!simulation.server_has_session(), "it gets no heartbeats");
        }

        let kind = |reason: &CloseReason| {
            let text = format!("{reason:?}");
            text.split([' ', '(']).next().unwrap_or_default().to_owned()
        };
        match &simulation.ended {
            None => count("no end".to_owned()),
            Some((_, reason)) => count(format!("client {}", kind(reason))),
        }
        simulation.server_ended.iter().for_each(|(_, reason)| count(format!("server {}", kind(reason))));
        simulation.states().iter().for_each(|state| count(format!("{state:?}")));
    });
    let seen = seen.into_inner();
    for what in [
        "no end",
        "client HandshakeTimeout",
        "client ChunkLost",
        "client Disconnected",
        "client Unresponsive",
        "server ChunkLost",
        "server Disconnected",
        "server MissedHeartbeats",
        "Replied",
        "Ended(NotRun)",
        "Ended(Unknown)",
        "Expired(Unknown)",
    ] {
        assert!(seen.get(what).is_some_and(|times| *times >= 10), "too few of `{what}`: {seen:#?}");
    }
    let damaged = |what: &String| what.ends_with("Malformed") || what.ends_with("ChunkWithoutNumber");
    assert!(!seen.keys().any(damaged), "found by its number: {seen:#?}");
}
