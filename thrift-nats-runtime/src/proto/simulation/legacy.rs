//! Legacy peers: no version, no numbers, one request at a time.

use super::CallState::{Cancelled, Ended, Replied};
use super::*;

fn legacy() -> Setup {
    Setup { legacy: true, handler: ms(10)..=ms(10), ..Setup::new() }
}

#[test]
fn a_legacy_server_gets_one_request_at_a_time_in_order() {
    for_seeds(0..1000, |seed| {
        let mut random = Random(!seed);
        let mut simulation = Simulation::opened(Setup {
            seed,
            network: Network::sound(ms(0)..=ms(random.within(0..=20))),
            chunk_limit: random.one_of(&[16, 64, 333, 65_536]) as usize,
            handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
            interval: random.chance(500).then(|| ms(100)),
            legacy: true,
            format: WireFormat { protocol: any_format(&mut random).protocol, ..WireFormat::default() },
            pace: Duration::ZERO,
        });
        let calls = random.within(1..=20);
        for _ in 0..calls {
            let len = random.one_of(&[0, 20, 500]) as usize;
            let oneway = random.chance(200);
            let at = simulation.now + ms(10 * random.within(0..=20));
            simulation.plan(at, PlannedStep::Call { len, oneway, timeout: None });
        }
        // That the server never has two of them at a time is what the simulation checks.
        simulation.run_for(ms(5000));
        for (id, state) in simulation.states().into_iter().enumerate() {
            assert!(matches!(state, Replied | CallState::Sent), "call {id}: {state:?}");
        }
        assert_eq!(simulation.order, (0..calls as usize).collect::<Vec<_>>());
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
    });
}

#[test]
fn a_held_request_is_sent_when_the_reply_before_it_arrives() {
    let mut simulation = Simulation::opened(legacy());
    let start = simulation.now;
    for _ in 0..3 {
        simulation.call(10);
    }
    simulation.run_for(ms(1000));
    let left: Vec<_> = simulation.chunks(Party::Client).into_iter().map(|chunk| chunk.at).collect();
    assert_eq!(left, [start, start + ms(12), start + ms(24)]);
}

#[test]
fn a_oneway_request_holds_no_other_request() {
    let mut simulation = Simulation::opened(legacy());
    let start = simulation.now;
    for _ in 0..3 {
        simulation.make_call(10, true);
    }
    simulation.publish();
    let left: Vec<_> = simulation.chunks(Party::Client).into_iter().map(|chunk| chunk.at).collect();
    assert_eq!(left, [start; 3]);
    assert_eq!(simulation.states(), [CallState::Sent; 3]);
}

#[test]
fn a_cancelled_call_keeps_a_legacy_server_busy_until_its_reply() {
    let mut simulation = Simulation::opened(legacy());
    let start = simulation.now;
    let first = simulation.call(10);
    simulation.call(10);
    simulation.run_for(ms(5));
    simulation.cancel_call(first);
    simulation.call(10);
    simulation.run_for(ms(1000));
    let left: Vec<_> = simulation.chunks(Party::Client).into_iter().map(|chunk| chunk.at).collect();
    assert_eq!(left, [start, start + ms(12), start + ms(24)]);
    assert_eq!(simulation.states(), [Cancelled, Replied, Replied]);
    assert_eq!(simulation.client.late_replies(), 1);
    assert_eq!(simulation.client.in_flight(), 0);
}

#[test]
fn held_calls_fail_when_the_call_before_them_expires() {
    for cancels in [false, true] {
        let mut simulation = Simulation::opened(Setup { handler: ms(60_000)..=ms(60_000), ..legacy() });
        let start = simulation.now;
        let hung = simulation.make_call_within(10, false, Some(ms(100)));
        let held = [None, Some(ms(50)), Some(ms(5000))]
            .map(|timeout| simulation.make_call_within(10, false, timeout));
        simulation.run_for(ms(10));
        if cancels {
            simulation.cancel_call(hung);
        }
        simulation.run_for(ms(89));
        assert!(simulation.client.is_open());
        assert_eq!(simulation.state(held[1]), CallState::Expired(Outcome::NotRun), "its own deadline");
        simulation.run_for(ms(10));
        assert_eq!(simulation.end(), (start + ms(100), &CloseReason::Unanswered));
        let expired = if cancels { Cancelled } else { CallState::Expired(Outcome::Unknown) };
        assert_eq!(simulation.state(hung), expired);
        for id in [held[0], held[2]] {
            assert_eq!(simulation.state(id), Ended(Outcome::NotRun));
        }
        assert_eq!(simulation.disconnects(Party::Client), [(start + ms(100), "")]);
        assert_eq!(simulation.order, [hung]);
    }
}

/// The rest of the request has to be sent, because the server would read the next request as the rest of it.
#[test]
fn a_request_sent_in_part_at_its_deadline_ends_a_legacy_session() {
    let mut simulation = Simulation::opened(legacy());
    let long = simulation.make_call_within(5000, false, Some(ms(0)));
    let held = simulation.call(10);
    let begun = simulation.client.poll_transmit(Instant::now).expect("the first chunk");
    assert_eq!(begun.payload.len(), 1000);
    simulation.on_timeout();
    assert_eq!(simulation.state(long), CallState::Expired(Outcome::Unknown));
    assert_eq!(simulation.state(held), Ended(Outcome::NotRun));
    assert_eq!(*simulation.end().1, CloseReason::Unanswered);
}

#[test]
fn a_held_call_that_is_cancelled_is_never_sent() {
    let mut simulation = Simulation::opened(legacy());
    simulation.call(10);
    let held = simulation.call(10);
    simulation.call(10);
    simulation.run_for(ms(5));
    simulation.cancel_call(held);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.states(), [Replied, Cancelled, Replied]);
    assert_eq!(simulation.order, [0, 2]);
    assert_eq!(simulation.client.late_replies(), 0);
}

#[test]
fn a_held_request_is_not_run_when_the_session_ends() {
    let mut simulation = Simulation::opened(legacy());
    simulation.call(10);
    simulation.call(10);
    simulation.run_for(ms(5));
    simulation.stop_server();
    simulation.run_for(ms(1000));
    assert_eq!(*simulation.end().1, CloseReason::Disconnected { reason: None, acknowledged: None });
    assert_eq!(simulation.states(), [Ended(Outcome::Unknown), Ended(Outcome::NotRun)]);
}

#[test]
fn a_held_request_is_not_sent_when_the_client_closes() {
    let mut simulation = Simulation::opened(legacy());
    simulation.call(10);
    simulation.call(10);
    simulation.close_client();
    assert_eq!(simulation.states(), [Ended(Outcome::Unknown), Ended(Outcome::NotRun)]);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.order, [0]);
}

#[test]
fn a_legacy_peer_gets_an_empty_disconnect_message() {
    let mut simulation = Simulation::opened(legacy());
    simulation.close_client();
    assert_eq!(simulation.disconnects(Party::Client), [(simulation.now, "")]);
    let mut simulation = Simulation::opened(legacy());
    simulation.call(10);
    simulation.run_for(ms(1));
    simulation.stop_server();
    assert_eq!(simulation.disconnects(Party::Server), [(simulation.now, "")]);
    assert_eq!(simulation.published[1].payload, "server.s0.h 0", "the accept is the same for everyone");
}

/// A legacy client that sends many requests at once, as the legacy package allows.
fn pipelining_client(requests: usize) -> ServerSession<i32> {
    let mut session = accepted(true);
    let accept = session.poll_transmit().expect("the accept");
    assert_eq!(accept.headers, None, "a legacy peer may not be able to read any");
    let stream: Vec<_> = (0..requests).flat_map(|id| message(MessageType::Call, 0, id, b"")).collect();
    session.handle_message(Instant::now(), None, stream.into());
    session
}

#[test]
fn pipelined_requests_of_a_legacy_client_run_one_at_a_time() {
    let mut session = pipelining_client(5);
    for id in 0..5 {
        let request = one_request(&mut session);
        assert_eq!(parse(&request.frame).2, id);
        assert_eq!(session.poll_event(), None, "not before the reply to the one before");
        session.finish(request.key, Bytes::from(format!("reply {id}")));
        assert_eq!(session.poll_transmit().unwrap().payload, format!("reply {id}"));
    }
    assert_eq!(session.poll_event(), None);
}

#[test]
fn a_drain_replies_to_all_requests_of_a_legacy_client() {
    let mut session = pipelining_client(3);
    let mut request = one_request(&mut session);
    session.drain();
    // A legacy client does not know drain notices.
    let replies: Vec<_> =
        std::iter::from_fn(|| session.poll_transmit()).filter_map(|transmit| transmit.reply).collect();
    assert!(replies.iter().all(|reply| !reply.contains(".d")), "{replies:?}");
    for _ in 0..2 {
        session.finish(request.key, Bytes::from("reply"));
        request = one_request(&mut session);
        assert!(!session.has_ended());
    }
    session.finish(request.key, Bytes::from("reply"));
    assert_eq!(poll(&mut session), (Vec::new(), Some(CloseReason::Stopped)));
}

/// The disconnect message arrives after the requests, and oneway requests among them have to be run.
#[test]
fn requests_before_the_disconnect_of_a_legacy_client_are_run() {
    let mut session = pipelining_client(3);
    let mut request = one_request(&mut session);
    let reason = CloseReason::Disconnected { reason: None, acknowledged: None };
    session.handle_message(Instant::now(), Some("DISCONNECT"), Bytes::new());
    assert_eq!(poll(&mut session), (Vec::new(), Some(reason)));
    for _ in 0..2 {
        session.finish(request.key, Bytes::from("reply"));
        request = one_request(&mut session);
    }
    session.finish(request.key, Bytes::from("reply"));
    assert_eq!(session.poll_event(), None);
    assert_eq!(session.poll_transmit(), None, "the client is gone");
}

#[test]
fn the_reply_subject_of_legacy_data_is_ignored() {
    for reply in [None, Some(""), Some("anything"), Some("client.session.9")] {
        let mut session = accepted(true);
        session.handle_message(Instant::now(), reply, message(MessageType::Call, 0, 1, b"").into());
        let (requests, ended) = poll(&mut session);
        assert_eq!((requests.len(), ended), (1, None), "{reply:?}");
    }
}

#[test]
fn malformed_data_from_a_legacy_peer_ends_the_session() {
    let mut session = accepted(true);
    session.handle_message(Instant::now(), None, Bytes::from_static(b"GET / HTTP/1.1"));
    let (_, ended) = poll(&mut session);
    assert!(matches!(ended, Some(CloseReason::Malformed(_))), "{ended:?}");
    assert!(session.has_ended());
}

/// The first request was not sent, so the server is not busy with it.
#[test]
fn the_next_request_replaces_one_cancelled_before_it_was_sent() {
    let mut simulation = Simulation::opened(legacy());
    let first = simulation.call(10);
    let second = simulation.call(10);
    simulation.cancel_call(first);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.states(), [Cancelled, Replied]);
    assert_eq!(simulation.order, [second]);
    assert_eq!(simulation.client.late_replies(), 0);
}

#[test]
fn cancelling_many_held_calls_takes_linear_time() {
    const CALLS: usize = 60_000;
    let mut simulation = Simulation::opened(legacy());
    for _ in 0..CALLS {
        simulation.call(0);
    }
    let start = Instant::now();
    for id in 0..CALLS {
        simulation.cancel_call(id);
    }
    // A scan of all other calls for each one would take a minute.
    assert!(start.elapsed() < ms(2000), "{:?}", start.elapsed());
    assert_eq!(simulation.client.in_flight(), 0);
}
