//! Heartbeats and probes.

use super::*;

const INTERVAL: Duration = ms(100);
/// The time at which the server accepts, with a network delay of 1 ms.
const ACCEPTED: Duration = ms(1);

fn with_heartbeats() -> Setup {
    Setup { interval: Some(INTERVAL), ..Setup::new() }
}

fn is_heartbeat(message: &InTransit) -> bool {
    message.subject.ends_with(".h")
}

#[test]
fn heartbeats_are_sent_every_three_quarters_of_the_interval() {
    for millis in [1, 2, 3, 4, 5, 7, 100, 1500, 60_000] {
        // As the legacy package computes it, in whole numbers: 5 - 5 / 4 is 4.
        let every = ms(millis - millis / 4);
        let mut simulation = Simulation::new(Setup { interval: Some(ms(millis)), ..Setup::new() });
        simulation.run_until(ms(2) + 10 * every);
        let opened = simulation.opened.expect("it is open");
        let expected: Vec<_> = (1..=10).map(|beat| opened + beat * every).collect();
        assert_eq!(simulation.heartbeats(), expected, "an interval of {millis} ms");
        assert!(simulation.server_has_session());
    }
}

#[test]
fn no_heartbeats_are_sent_without_an_interval() {
    let mut simulation = Simulation::opened(Setup::new());
    assert_eq!(simulation.next_timeout(), None);
    simulation.run_for(ms(1_000_000));
    assert!(simulation.heartbeats().is_empty());
    assert!(simulation.server_has_session());
}

#[test]
fn a_stalled_client_does_not_make_up_for_missed_heartbeats() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    let late = simulation.base + ms(1000);
    simulation.client.handle_timeout(late);
    assert!(simulation.client.poll_transmit().is_some_and(|beat| beat.subject.ends_with(".h")));
    assert_eq!(simulation.client.poll_transmit(), None, "one is enough");
    assert_eq!(simulation.client.poll_timeout(), Some(late + ms(75)));
}

/// A heartbeat that waits for a long message would arrive too late, and the session would end.
#[test]
fn a_heartbeat_is_sent_before_queued_data() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    simulation.call(100_000);
    let chunk = simulation.client.poll_transmit().expect("the first chunk");
    assert_eq!(chunk.reply.as_deref(), Some("client.session.1"));
    simulation.client.handle_timeout(simulation.base + ms(77));
    let beat = simulation.client.poll_transmit().expect("the beat");
    assert_eq!((&*beat.subject, &beat.payload[..]), ("server.s0.h", &b""[..]));
    let chunk = simulation.client.poll_transmit().expect("the second chunk");
    assert_eq!(chunk.reply.as_deref(), Some("client.session.2"));
}

#[test]
fn an_ended_session_sends_no_heartbeats() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    simulation.client.handle_timeout(simulation.base + ms(77));
    simulation.close_client();
    assert!(simulation.heartbeats().is_empty());
    assert_eq!(simulation.disconnects(Party::Client), [(ms(2), "0 closed")]);
    assert_eq!(simulation.client.poll_timeout(), None);
}

#[test]
fn a_session_ends_after_exactly_three_intervals_without_a_heartbeat() {
    for (last_beat_arrives, beats_end) in [(ACCEPTED, ms(2)), (ms(78), ms(100)), (ms(78 + 2 * 75), ms(230))] {
        let mut simulation = Simulation::new(with_heartbeats());
        simulation.run_until(beats_end);
        // The client runs, but its messages are lost.
        simulation.setup.network.loses = |message| message.to == Party::Server;
        let expires = last_beat_arrives + 3 * INTERVAL;
        simulation.run_until(expires - Duration::from_nanos(1));
        assert!(simulation.server_has_session(), "not after two, and not before the third is over");
        simulation.run_until(expires);
        assert_eq!(
            simulation.server_ended,
            [(expires, CloseReason::MissedHeartbeats { interval: INTERVAL })]
        );
        assert!(!simulation.server_has_session());
        let disconnects = simulation.disconnects(Party::Server);
        assert_eq!(disconnects, [(expires, "0 missed-heartbeats")]);
    }
}

#[test]
fn a_dead_client_is_detected_with_its_first_missed_heartbeat() {
    for (last_beat_arrives, client_dies) in [(ACCEPTED, ms(2)), (ms(78), ms(100)), (ms(78 + 2 * 75), ms(230))]
    {
        let mut simulation = Simulation::new(with_heartbeats());
        simulation.run_until(client_dies);
        simulation.client_runs = false;
        simulation.run_for(ms(1000));
        // A probe takes one round trip.
        let noticed = last_beat_arrives + INTERVAL + ms(2);
        assert_eq!(simulation.server_ended, [(noticed, CloseReason::PeerGone { chunk: None })]);
    }
}

#[test]
fn clients_with_heartbeats_and_legacy_clients_are_not_probed() {
    let asked = |simulation: &Simulation| {
        let asks = |message: &&Published| message.by == Party::Server && message.payload.is_empty();
        simulation.published.iter().filter(asks).filter(|message| message.subject == INBOX).count()
    };
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_for(ms(1000));
    assert_eq!(asked(&simulation), 0);
    let mut simulation = Simulation::new(Setup { legacy: true, ..with_heartbeats() });
    simulation.run_for(ms(100));
    simulation.client_runs = false;
    simulation.run_for(ms(250));
    assert_eq!(asked(&simulation), 0, "and the disconnect is yet to come");
}

#[test]
fn a_probe_is_not_a_reply_to_the_handshake() {
    let mut simulation = Simulation::new(with_heartbeats());
    // The accept is lost, and nothing else.
    simulation.setup.network.loses = |message| message.to == Party::Client && !message.payload.is_empty();
    simulation.run_until(ACCEPTED + INTERVAL + ms(5));
    assert!(!simulation.client.is_open() && simulation.ended.is_none(), "{:?}", simulation.ended);
}

#[test]
fn two_missed_heartbeats_are_forgiven() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    // Heartbeats are sent at 77 ms, 152 ms, 227 ms, …: the first two of every three are lost.
    for third in 1..=10 {
        simulation.setup.network.loses = is_heartbeat;
        simulation.run_until(ms(2 + 225 * third - 1));
        simulation.setup.network.loses = nothing;
        simulation.run_until(ms(2 + 225 * third));
    }
    assert_eq!(simulation.heartbeats().len(), 30);
    assert!(simulation.server_has_session(), "{:?}", simulation.server_ended);
}

/// The disconnect message tells the client of the end, and which requests the server received.
#[test]
fn data_does_not_count_as_a_heartbeat() {
    let mut simulation = Simulation::new(Setup { handler: ms(50)..=ms(50), ..with_heartbeats() });
    simulation.setup.network.loses = is_heartbeat;
    let expires = ACCEPTED + 3 * INTERVAL;
    for at in [20, 100, 180, 230, 260, 290] {
        simulation.plan(ms(at), PlannedStep::Call { len: 10, oneway: false, timeout: None });
    }
    // Arrives after the end.
    simulation.plan(expires - ms(1) / 2, PlannedStep::Call { len: 10, oneway: false, timeout: None });
    simulation.run_until(expires - Duration::from_nanos(1));
    assert!(simulation.server_has_session());
    simulation.run_until(expires + ms(100));
    assert_eq!(simulation.server_ended, [(expires, CloseReason::MissedHeartbeats { interval: INTERVAL })]);
    assert_eq!(simulation.disconnects(Party::Server)[0], (expires, "6 missed-heartbeats"));
    let reason =
        CloseReason::Disconnected { reason: Some(PeerReason::MissedHeartbeats), acknowledged: Some(6) };
    assert_eq!(simulation.end(), (expires + ms(1), &reason));
    use CallState::{Ended, Replied};
    use Outcome::{NotRun, Unknown};
    assert_eq!(
        simulation.states(),
        [Replied, Replied, Replied, Replied, Ended(Unknown), Ended(Unknown), Ended(NotRun)]
    );
    assert_eq!(simulation.ran, (0..6).collect());
}

#[test]
fn a_session_without_heartbeats_never_expires() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.client_runs = false;
    simulation.run_for(ms(1_000_000_000));
    assert!(simulation.server_has_session());
}
