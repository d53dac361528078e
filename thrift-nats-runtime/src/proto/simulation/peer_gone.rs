//! One side is gone, or has forgotten the session.

use super::CallState::Ended;
use super::Outcome::{NotRun, Unknown};
use super::*;

#[test]
fn no_responders_for_a_chunk_ends_the_session() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_runs = false;
    simulation.call(10);
    let sent = simulation.now;
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (sent + ms(2), &CloseReason::PeerGone { chunk: Some(3) }));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
    assert_eq!(simulation.disconnects(Party::Client), [], "the peer is gone");
}

#[test]
fn a_request_that_was_delivered_in_part_is_not_run() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.call(250);
    simulation.client.poll_transmit(Instant::now).expect("the first chunk, which arrives");
    simulation.server_runs = false;
    simulation.run_for(ms(10));
    assert_eq!(*simulation.end().1, CloseReason::PeerGone { chunk: Some(3) });
    assert_eq!(simulation.states(), [Ended(NotRun)]);
}

#[test]
fn no_responders_for_a_heartbeat_ends_the_session() {
    let mut simulation = Simulation::new(Setup { interval: Some(ms(1000)), ..slow() });
    simulation.run_until(ms(2));
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_runs = false;
    simulation.run_for(ms(2000));
    assert_eq!(simulation.end(), (ms(2 + 750 + 2), &CloseReason::PeerGone { chunk: Some(3) }));
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}

#[test]
fn no_responders_for_a_reply_ends_the_session_on_the_server() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.client_runs = false;
    simulation.run_for(ms(1000));
    let reason = CloseReason::PeerGone { chunk: Some(1) };
    assert_eq!(simulation.server_ended, [(start + ms(1 + 50 + 2), reason)]);
    assert_eq!(simulation.disconnects(Party::Server), [], "the peer is gone");
}

#[test]
fn a_peer_that_dies_at_any_time_is_detected() {
    for_seeds(0..1000, |seed| {
        let mut simulation = in_the_middle(seed);
        if seed % 2 == 0 {
            simulation.server_runs = false;
            // NATS reports no responders for the next heartbeat at the latest.
            simulation.run_for(ms(75 + 41));
            assert!(matches!(simulation.end().1, CloseReason::PeerGone { .. }));
            simulation.check_outcomes();
        } else {
            simulation.client_runs = false;
            simulation.run_for(ms(300 + 21));
            assert!(!simulation.server_has_session());
        }
    });
}

/// The server ends the session as if the client were gone, without a disconnect message.
fn forgotten(setup: Setup) -> Simulation {
    let mut simulation = Simulation::new(setup);
    simulation.run_until(ms(2));
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_input("s0", |session| session.handle_undelivered(None));
    simulation.server_ended.clear();
    simulation
}

/// Requests before the unknown one may have been run. It was not run, and none after it was.
#[test]
fn data_for_an_unknown_session_gets_a_disconnect_message() {
    let mut simulation = forgotten(slow());
    simulation.call(10);
    let sent = simulation.now;
    simulation.plan(sent + ms(1), PlannedStep::Call { len: 10, oneway: false, timeout: None });
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (sent + ms(2), &disconnected(PeerReason::UnknownSession, 2)));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun), Ended(NotRun)]);
    simulation.check_outcomes();
}

#[test]
fn a_heartbeat_for_an_unknown_session_gets_a_disconnect_message() {
    let mut simulation = forgotten(Setup { interval: Some(ms(100)), ..slow() });
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (ms(2 + 75 + 2), &disconnected(PeerReason::UnknownSession, 2)));
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}
