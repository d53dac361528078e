//! Heartbeats and probes.

use super::*;

const INTERVAL: Duration = ms(100);
/// The time at which the first message of the client arrives.
const CONFIRMED: Duration = ms(3);

fn with_heartbeats() -> Setup {
    Setup { interval: Some(INTERVAL), ..Setup::new() }
}

fn is_heartbeat(message: &InTransit) -> bool {
    message.subject.ends_with(".h")
}

fn kind(transmit: &Transmit) -> Option<Kind> {
    transmit.reply.as_deref().and_then(Tail::of).map(|tail| tail.kind)
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

/// Else a hostile server could have a client send 1,000 messages a second to the inbox of a third party.
#[test]
fn a_legacy_server_gets_at_most_twenty_heartbeats_a_second() {
    for (millis, every) in [(1, ms(50)), (20, ms(50)), (66, ms(50)), (100, ms(75))] {
        let interval = Some(ms(millis));
        let mut simulation = Simulation::new(Setup { interval, legacy: true, ..Setup::new() });
        simulation.run_until(ms(2) + 10 * every);
        let opened = simulation.opened.expect("it is open");
        assert_eq!(simulation.heartbeats().first(), Some(&(opened + every)), "an interval of {millis} ms");
        assert!(simulation.heartbeats().len() <= 10);
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
    let beat = simulation.client.poll_transmit(Instant::now).expect("a heartbeat");
    assert_eq!((&*beat.subject, kind(&beat)), ("server.s0", Some(Kind::Alive)));
    assert_eq!(simulation.client.poll_transmit(Instant::now), None, "one is enough");
    assert_eq!(simulation.client.poll_timeout(), Some(late + ms(75)));
}

/// A heartbeat that waits for a long message would arrive too late, and the session would end.
#[test]
fn a_heartbeat_is_sent_before_queued_data() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    simulation.call(100_000);
    let chunk = simulation.client.poll_transmit(Instant::now).expect("the first chunk");
    assert_eq!(chunk.number(), Some(2));
    simulation.client.handle_timeout(simulation.base + ms(77));
    let beat = simulation.client.poll_transmit(Instant::now).expect("the beat");
    assert_eq!((beat.number(), kind(&beat)), (Some(3), Some(Kind::Alive)));
    let chunk = simulation.client.poll_transmit(Instant::now).expect("the second chunk");
    assert!(matches!(kind(&chunk), Some(Kind::Part { id: 1, .. })), "{chunk:?}");
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
    for (last_beat_arrives, beats_end, received) in
        [(CONFIRMED, ms(2), 1), (ms(78), ms(100), 2), (ms(78 + 2 * 75), ms(230), 4)]
    {
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
        assert_eq!(disconnects, [(expires, format!("{received} missed-heartbeats").as_str())]);
    }
}

#[test]
fn a_dead_client_is_detected_with_its_first_missed_heartbeat() {
    for (last_beat_arrives, client_dies) in
        [(CONFIRMED, ms(2)), (ms(78), ms(100)), (ms(78 + 2 * 75), ms(230))]
    {
        let mut simulation = Simulation::new(with_heartbeats());
        simulation.run_until(client_dies);
        simulation.client_runs = false;
        simulation.run_for(ms(1000));
        // A probe takes one round trip.
        let noticed = last_beat_arrives + INTERVAL + ms(2);
        assert_eq!(simulation.server_ended, [(noticed, CloseReason::PeerGone { chunk: Some(1) })]);
    }
}

#[test]
fn clients_with_heartbeats_and_legacy_clients_are_not_probed() {
    let asked = |simulation: &Simulation| simulation.of_kind(Party::Server, Kind::Probe).len();
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
fn a_client_that_missed_a_heartbeat_answers_a_probe() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    // Its timers stand still, but it reads its messages.
    simulation.client_stalls = true;
    simulation.run_for(ms(1000));
    let probes = simulation.of_kind(Party::Server, Kind::Probe).len();
    assert_eq!((probes, simulation.of_kind(Party::Client, Kind::Alive).len()), (9, 1 + 9));
    assert!(simulation.server_has_session(), "{:?}", simulation.server_ended);
}

#[test]
fn two_missed_heartbeats_are_forgiven() {
    let mut simulation = Simulation::new(Setup { legacy: true, ..with_heartbeats() });
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

#[test]
fn every_message_of_a_client_of_this_crate_counts_as_a_heartbeat() {
    let mut simulation = Simulation::new(with_heartbeats());
    simulation.run_until(ms(2));
    simulation.client_stalls = true;
    for at in (50..1000).step_by(75) {
        simulation.plan(ms(at), PlannedStep::Call { len: 10, oneway: false, timeout: None });
    }
    simulation.run_until(ms(1000));
    assert!(simulation.server_has_session(), "{:?}", simulation.server_ended);
    assert_eq!(simulation.of_kind(Party::Server, Kind::Probe).len(), 0);
}

/// But the first data proves that the client receives on its inbox, and the intervals count from there.
#[test]
fn data_of_a_legacy_client_does_not_count_as_a_heartbeat() {
    let setup = Setup { handler: ms(50)..=ms(50), legacy: true, ..with_heartbeats() };
    let mut simulation = Simulation::new(setup);
    simulation.setup.network.loses = is_heartbeat;
    let expires = ms(21) + 3 * INTERVAL;
    for at in [20, 100, 180, 230, 260, 290] {
        simulation.plan(ms(at), PlannedStep::Call { len: 10, oneway: false, timeout: None });
    }
    // Arrives after the end.
    simulation.plan(expires - ms(1) / 2, PlannedStep::Call { len: 10, oneway: false, timeout: None });
    simulation.run_until(expires - Duration::from_nanos(1));
    assert!(simulation.server_has_session());
    simulation.run_until(expires + ms(100));
    assert_eq!(simulation.server_ended, [(expires, CloseReason::MissedHeartbeats { interval: INTERVAL })]);
    assert_eq!(simulation.disconnects(Party::Server)[0], (expires, ""));
    let reason = CloseReason::Disconnected { reason: None, acknowledged: None };
    assert_eq!(simulation.end(), (expires + ms(1), &reason));
    use CallState::{Ended, Replied};
    use Outcome::{NotRun, Unknown};
    assert_eq!(
        simulation.states(),
        [Replied, Replied, Replied, Replied, Ended(Unknown), Ended(NotRun), Ended(NotRun)]
    );
    assert_eq!(simulation.ran, (0..5).collect());
}

#[test]
fn a_session_without_heartbeats_never_expires() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.client_runs = false;
    simulation.run_for(ms(1_000_000_000));
    assert!(simulation.server_has_session());
}
