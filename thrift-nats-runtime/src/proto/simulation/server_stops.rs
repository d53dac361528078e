//! A server stops or drains its sessions, and what becomes of the calls in flight.

use super::CallState::{Answered, Ended};
use super::Outcome::{NotRun, Unknown};
use super::*;

#[test]
fn stopping_the_server_fails_the_calls_in_flight_at_once_and_says_what_was_taken_up() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(5));
    simulation.call(10);
    simulation.call(10);
    let stopped = start + ms(10);
    simulation.plan(stopped - ms(1) / 2, Happening::Calls { len: 10, oneway: false, timeout: None });
    simulation.run_until(stopped);
    simulation.stop_server();
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (stopped + ms(1), &disconnected(PeerReason::Stopping, 2)));
    let last = Ended(NotRun);
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(Unknown), Ended(Unknown), last]);
    assert_eq!(simulation.ran, (0..3).collect());
    assert!(simulation.chunks(Party::Server).is_empty(), "what finishes later is not answered");
    assert_eq!(simulation.disconnects(Party::Client), [], "it has been told, and tells nobody");
}

#[test]
fn a_request_of_which_a_part_was_taken_up_was_not_run() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.call(10);
    simulation.call(250);
    // The rest does not get there in time.
    simulation.setup.network.loses =
        |message| message.reply.as_deref().and_then(chunk_number).is_some_and(|number| number > 2);
    simulation.run_for(ms(2));
    simulation.stop_server();
    simulation.run_for(ms(10));
    assert_eq!(*simulation.end().1, disconnected(PeerReason::Stopping, 2));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
}

#[test]
fn answers_that_are_there_leave_before_the_end_of_a_server_that_stops() {
    let mut session = accepted(false);
    let request: Bytes = message(MessageType::Call, 1, 0, b"").into();
    session.handle_message(Some("client.session.1"), request.clone());
    session.handle_message(Some("client.session.2"), request);
    let (requests, _) = poll(&mut session);
    let [first, second] = requests.try_into().expect("two requests");
    session.finish(first.key, Bytes::from("answer"));
    session.stop();
    session.finish(second.key, Bytes::from("too late"));
    session.poll_transmit().expect("the accept");
    assert_eq!(session.poll_transmit().unwrap().payload, "answer");
    let disconnect = session.poll_transmit().unwrap();
    assert_eq!(
        (disconnect.reply.as_deref(), &disconnect.payload[..]),
        (Some("DISCONNECT"), &b"2 stopping"[..])
    );
    assert_eq!(session.poll_transmit(), None);
}

#[test]
fn a_server_may_stop_at_any_time() {
    for_seeds(0..500, |seed| {
        let mut simulation = in_the_middle(seed);
        simulation.stop_server();
        simulation.run_for(ms(100));
        assert!(matches!(
            simulation.end().1,
            CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(_) }
        ));
        simulation.check_outcomes();
    });
}

#[test]
fn a_drain_answers_what_was_taken_up_then_disconnects_with_its_mark() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.drain_server();
    simulation.call(10);
    // The client is told at once: what is not taken up need not wait for what is, nor be sent.
    simulation.run_for(ms(2));
    assert_eq!(simulation.states(), [CallState::Waiting, CallState::Waiting, Ended(NotRun)]);
    assert!(!simulation.client.is_open());
    simulation.run_for(ms(1000));
    // Taken up 1 ms after the start, run for 50 ms, answered 1 ms later.
    assert_eq!(simulation.end(), (start + ms(52), &disconnected(PeerReason::Stopping, 1)));
    assert_eq!(simulation.states(), [Answered, Answered, Ended(NotRun)]);
    assert_eq!(simulation.ran, (0..2).collect());
}

#[test]
fn a_session_without_calls_is_drained_at_once() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.drain_server();
    assert_eq!(simulation.disconnects(Party::Server), [(simulation.now, "0 stopping")]);
}

/// As by a NATS server that leaves, and then by whoever runs the server.
#[test]
fn a_session_that_is_drained_twice_tells_once() {
    let mut session = accepted(false);
    session.handle_message(Some("client.session.1"), message(MessageType::Call, 1, 0, b"").into());
    one_request(&mut session);
    let told = |session: &mut ServerSession<i32>| {
        let replies = std::iter::from_fn(|| session.poll_transmit()).filter_map(|transmit| transmit.reply);
        replies.filter(|reply| reply.ends_with(".d1")).count()
    };
    session.drain();
    session.drain();
    assert_eq!(told(&mut session), 1);
    session.drain();
    assert_eq!(told(&mut session), 0);
}

#[test]
fn a_session_that_is_drained_before_its_accept_has_gone_opens_and_ends() {
    let mut session = accepted(false);
    session.drain();
    let published: Vec<_> =
        std::iter::from_fn(|| session.poll_transmit()).map(|transmit| transmit.payload).collect();
    assert_eq!(published, ["server.s0.h 0", "0 stopping"]);
}

#[test]
fn a_drain_loses_no_call() {
    for_seeds(0..1000, |seed| {
        let mut simulation = in_the_middle(seed);
        simulation.drain_server();
        simulation.run_for(ms(300));
        assert!(matches!(
            simulation.end().1,
            CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(_) }
        ));
        simulation.check_outcomes();
        for (id, state) in simulation.states().into_iter().enumerate() {
            assert!(matches!(state, Answered | Ended(NotRun)), "call {id}: {state:?}");
        }
    });
}
