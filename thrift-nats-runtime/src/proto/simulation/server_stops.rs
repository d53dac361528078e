//! A server stops or drains its sessions, and what becomes of the calls in flight.

use super::CallState::{Ended, Replied};
use super::Outcome::{NotRun, Unknown};
use super::*;

#[test]
fn a_stopped_server_fails_calls_at_once_and_acknowledges_the_last_received_chunk() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(5));
    simulation.call(10);
    simulation.call(10);
    let stopped = start + ms(10);
    simulation.plan(stopped - ms(1) / 2, PlannedStep::Call { len: 10, oneway: false, timeout: None });
    simulation.run_until(stopped);
    simulation.stop_server();
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (stopped + ms(1), &disconnected(PeerReason::Stopping, 3)));
    let last = Ended(NotRun);
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(Unknown), Ended(Unknown), last]);
    assert_eq!(simulation.ran, (0..3).collect());
    assert!(simulation.chunks(Party::Server).is_empty(), "requests that finish later get no reply");
    assert_eq!(simulation.disconnects(Party::Client), [], "the server knows already");
}

#[test]
fn a_request_that_was_received_in_part_is_not_run() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.call(10);
    simulation.call(250);
    // The rest is lost.
    simulation.setup.network.loses =
        |message| message.reply.as_deref().and_then(Tail::of).is_some_and(|tail| tail.number > 3);
    simulation.run_for(ms(2));
    simulation.stop_server();
    simulation.run_for(ms(10));
    assert_eq!(*simulation.end().1, disconnected(PeerReason::Stopping, 3));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
}

#[test]
fn queued_replies_are_sent_before_a_stopped_servers_disconnect() {
    let mut session = accepted(false);
    let request: Bytes = message(MessageType::Call, 1, 0, b"").into();
    session.handle_message(Instant::now(), Some("client.session.1"), request.clone());
    session.handle_message(Instant::now(), Some("client.session.2"), request);
    let (requests, _) = poll(&mut session);
    let [first, second] = requests.try_into().expect("two requests");
    session.finish(first.key, Bytes::from("reply"));
    session.stop();
    session.finish(second.key, Bytes::from("too late"));
    session.poll_transmit().expect("the accept");
    assert_eq!(session.poll_transmit().unwrap().payload, "reply");
    let disconnect = session.poll_transmit().unwrap();
    assert_eq!(
        (disconnect.reply.as_deref(), &disconnect.payload[..]),
        (Some("DISCONNECT"), &b"2 stopping server.s0"[..])
    );
    assert_eq!(session.poll_transmit(), None);
}

#[test]
fn a_server_that_stops_at_any_time_gives_correct_outcomes() {
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
fn a_drain_replies_to_received_requests_and_then_disconnects() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.drain_server();
    simulation.call(10);
    // The client is told at once, so that the request that was not received need not wait for the others.
    simulation.run_for(ms(2));
    assert_eq!(simulation.states(), [CallState::Waiting, CallState::Waiting, Ended(NotRun)]);
    assert!(!simulation.client.is_open());
    simulation.run_for(ms(1000));
    // Received 1 ms after the start, run for 50 ms, replied to 1 ms later.
    assert_eq!(simulation.end(), (start + ms(52), &disconnected(PeerReason::Stopping, 2)));
    assert_eq!(simulation.states(), [Replied, Replied, Ended(NotRun)]);
    assert_eq!(simulation.ran, (0..2).collect());
}

#[test]
fn an_idle_session_drains_at_once() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.drain_server();
    assert_eq!(simulation.disconnects(Party::Server), [(simulation.now, "1 stopping")]);
}

/// As by a NATS server in lame duck mode, and then by the owner of the server.
#[test]
fn draining_twice_sends_one_notice() {
    let mut session = accepted(false);
    session.handle_message(
        Instant::now(),
        Some("client.session.1"),
        message(MessageType::Call, 1, 0, b"").into(),
    );
    one_request(&mut session);
    let told = |session: &mut ServerSession<i32>| {
        let sent = std::iter::from_fn(|| session.poll_transmit());
        let tails = sent.filter_map(|transmit| Tail::of(transmit.reply.as_deref()?));
        tails.filter(|tail| tail.kind == Kind::Drain).count()
    };
    session.drain();
    session.drain();
    assert_eq!(told(&mut session), 1);
    session.drain();
    assert_eq!(told(&mut session), 0);
}

#[test]
fn a_session_drained_before_its_first_message_tells_the_client_after_it() {
    for legacy in [false, true] {
        let mut session = accepted(legacy);
        session.drain();
        assert_eq!(poll(&mut session), (Vec::new(), Some(CloseReason::Stopped)));
        assert_eq!(session.poll_transmit().expect("the accept").payload, "server.s0.h 0");
        assert_eq!(session.poll_transmit(), None);
        if legacy {
            session.handle_heartbeat(Instant::now());
        } else {
            session.handle_message(Instant::now(), Some("client.session.1a"), "alive".into());
        }
        let told = session.poll_transmit().expect("a disconnect message");
        assert_eq!(told.payload, if legacy { "" } else { "0 stopping server.s0" });
        assert!(session.is_closed());
    }
}

#[test]
fn a_client_that_closes_an_unconfirmed_session_is_not_told() {
    let mut session = accepted(false);
    session.stop();
    session.poll_transmit().expect("the accept");
    session.handle_message(Instant::now(), Some("DISCONNECT"), "0 closed".into());
    assert!(session.is_closed() && session.poll_transmit().is_none());
}

#[test]
fn a_session_that_ends_before_its_client_has_sent_anything_waits_for_it_for_a_second() {
    let mut session = accepted(false);
    session.stop();
    assert!(session.poll_transmit().is_some(), "the accept");
    let now = Instant::now();
    session.handle_timeout(now);
    assert_eq!(session.poll_timeout(), Some(now + ms(1000)));
    session.handle_timeout(now + ms(1000));
    assert!(session.is_closed());
    assert_eq!(session.poll_transmit(), None);
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
            assert!(matches!(state, Replied | Ended(NotRun)), "call {id}: {state:?}");
        }
    });
}
