//! Calls and their replies.

use super::*;

/// Delays, sizes and limits that differ from seed to seed.
fn any_setup(seed: u64) -> Setup {
    let mut random = Random(!seed);
    Setup {
        seed,
        network: Network::sound(ms(0)..=ms(random.within(0..=20))),
        chunk_limit: random.one_of(&[16, 64, 333, 1000, 65_536]) as usize,
        interval: random.chance(500).then(|| ms(random.within(100..=400))),
        handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
        legacy: false,
        format: any_format(&mut random),
        pace: Duration::ZERO,
    }
}

/// Plans `calls` calls within half a second.
fn plan_calls(simulation: &mut Simulation, calls: u64) {
    for _ in 0..calls {
        let len = match simulation.random.within(0..=9) {
            0 => 3000,
            1 | 2 => 300,
            _ => 20,
        };
        let len = simulation.random.within(0..=len) as usize;
        // In whole hundredths: some calls are made at the same time, and share a chunk.
        let at = simulation.now + ms(10 * simulation.random.within(0..=50));
        let oneway = simulation.random.chance(100);
        simulation.plan(at, PlannedStep::Call { len, oneway, timeout: None });
    }
}

#[test]
fn every_call_gets_its_own_reply() {
    for_seeds(0..3000, |seed| {
        let mut simulation = Simulation::opened(any_setup(seed));
        let calls = simulation.random.within(0..=20);
        plan_calls(&mut simulation, calls);
        simulation.run_for(ms(2000));
        assert_eq!(simulation.calls.len() as u64, calls);
        for (id, call) in simulation.calls.iter().enumerate() {
            assert!(matches!(call.state, CallState::Replied | CallState::Sent), "call {id}: {call:?}");
        }
        assert_eq!(simulation.ran.len() as u64, calls, "oneway calls are run too");
        assert_eq!(simulation.client.in_flight(), 0);
        assert_eq!(simulation.client.late_replies(), 0);
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
        assert!(simulation.server_has_session(), "{:?}", simulation.server_ended);
    });
}

#[test]
fn replies_arrive_in_any_order() {
    let mut simulation = Simulation::opened(Setup { handler: ms(0)..=ms(100), ..Setup::new() });
    for _ in 0..20 {
        simulation.call(5);
    }
    simulation.run_for(ms(300));
    assert_eq!(simulation.states(), [CallState::Replied; 20]);
    let order: Vec<_> = simulation
        .chunks(Party::Server)
        .into_iter()
        .map(|chunk| parse(&unframed(&chunk.payload)).2)
        .collect();
    assert!(!order.is_sorted(), "requests of one session run concurrently: {order:?}");
}

#[test]
fn messages_survive_any_chunk_limit() {
    let total = {
        let mut simulation = Simulation::opened(Setup { chunk_limit: usize::MAX, ..Setup::new() });
        for _ in 0..3 {
            simulation.call(40);
        }
        simulation.run_for(ms(100));
        let chunks = simulation.chunks(Party::Client);
        assert_eq!(chunks.len(), 1, "queued requests share a chunk");
        chunks[0].payload.len()
    };
    assert!(total > 3 * 40);
    for chunk_limit in 1..=total + 1 {
        let mut simulation = Simulation::opened(Setup { chunk_limit, ..Setup::new() });
        for _ in 0..3 {
            simulation.call(40);
        }
        simulation.run_for(ms(100));
        assert_eq!(simulation.states(), [CallState::Replied; 3], "chunks of {chunk_limit}");
        for party in [Party::Client, Party::Server] {
            let numbers: Vec<_> =
                simulation.numbered(party).into_iter().map(|(tail, _)| tail.number).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        }
        // A chunk ends with a message, and a message that is longer than the limit is sent in parts.
        let one = total / 3;
        let expected = if chunk_limit < one {
            3 * one.div_ceil(chunk_limit)
        } else {
            3_usize.div_ceil(chunk_limit / one)
        };
        assert_eq!(simulation.chunks(Party::Client).len(), expected, "chunks of {chunk_limit}");
    }
}

#[test]
fn a_chunk_limit_of_zero_means_one_byte() {
    for mut out in [Outbound::legacy(0), Outbound::numbered(0, 1000)] {
        out.push_message(Bytes::from_static(b"ab"), 1);
        assert_eq!(out.next(|_| ()).unwrap().payload, "a");
        assert_eq!(out.next(|_| ()).unwrap().payload, "b");
        assert_eq!(out.next(|_| ()), None);
    }
}

#[test]
fn a_session_without_calls_sends_nothing() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.run_for(ms(100_000));
    assert_eq!(simulation.published.len(), 3, "{:?}", simulation.published);
}

#[test]
fn late_reply_is_dropped() {
    let mut simulation = Simulation::opened(Setup { handler: ms(50)..=ms(50), ..Setup::new() });
    let late = simulation.call(10);
    let other = simulation.call(10);
    // The reply is in transit.
    simulation.run_for(ms(51));
    simulation.cancel_call(late);
    assert_eq!(simulation.client.in_flight(), 1, "it is not in flight any more");
    simulation.run_for(ms(100));
    assert_eq!(simulation.states(), [CallState::Cancelled, CallState::Replied]);
    assert_eq!(simulation.client.late_replies(), 1);
    assert!(simulation.ran.contains(&late) && simulation.ran.contains(&other));
    let next = simulation.call(10);
    simulation.run_for(ms(100));
    assert_eq!(simulation.state(next), CallState::Replied, "the session continues");
}

#[test]
fn a_cancelled_call_is_dropped_by_its_server() {
    let mut simulation = Simulation::opened(Setup { handler: ms(50)..=ms(50), ..Setup::new() });
    let (cancelled, other) = (simulation.call(10), simulation.call(10));
    simulation.run_for(ms(20));
    simulation.cancel_call(cancelled);
    simulation.run_for(ms(1));
    assert_eq!(
        simulation.sessions["s0"].running.len(),
        1,
        "the server has received the cancellation of the other"
    );
    simulation.run_for(ms(100));
    assert_eq!(simulation.state(other), CallState::Replied);
    assert_eq!(simulation.client.late_replies(), 0);
}

#[test]
fn a_call_expires_at_its_deadline_and_is_cancelled_on_the_server() {
    let mut simulation = Simulation::opened(Setup { handler: ms(50)..=ms(50), ..Setup::new() });
    let calls = [ms(20), ms(70), ms(10), ms(52), ms(51)]
        .map(|timeout| simulation.make_call_within(10, false, Some(timeout)));
    let expired = |outcome| CallState::Expired(outcome);
    simulation.run_for(ms(9));
    assert!(calls.iter().all(|id| simulation.state(*id) == CallState::Waiting));
    simulation.run_for(ms(1));
    assert_eq!(simulation.state(calls[2]), expired(Outcome::Unknown));
    assert_eq!(simulation.client.in_flight(), 4, "it is not in flight any more");
    simulation.run_for(ms(100));
    let replied = [1, 3].map(|index| simulation.state(calls[index]));
    assert_eq!(replied, [CallState::Replied; 2], "a reply that arrives at the deadline counts");
    assert_eq!(simulation.state(calls[0]), expired(Outcome::Unknown));
    assert_eq!(simulation.state(calls[4]), expired(Outcome::Unknown));
    assert_eq!(simulation.client.late_replies(), 1, "of the call whose reply was in transit");
}

#[test]
fn a_call_that_expires_before_it_is_sent_is_not_run() {
    let setup = Setup { legacy: true, handler: ms(50)..=ms(50), ..Setup::new() };
    let mut simulation = Simulation::opened(setup);
    let first = simulation.call(10);
    let held = simulation.make_call_within(10, false, Some(ms(20)));
    simulation.run_for(ms(200));
    assert_eq!(simulation.state(first), CallState::Replied);
    assert_eq!(simulation.state(held), CallState::Expired(Outcome::NotRun));
    simulation.check_outcomes();
}

#[test]
fn cancelling_a_call_twice_has_no_effect() {
    let mut simulation = Simulation::opened(Setup { handler: ms(50)..=ms(50), ..Setup::new() });
    let id = simulation.call(10);
    let seqid = simulation.calls[id].seqid;
    simulation.cancel_call(id);
    assert!(simulation.client.cancel(seqid).is_none());
    assert!(simulation.client.cancel(seqid + 1).is_none(), "there never was one");
}

#[test]
fn calls_cancelled_at_any_time_do_not_disturb_others() {
    for_seeds(0..1000, |seed| {
        let mut simulation = Simulation::opened(any_setup(seed));
        let calls = simulation.random.within(1..=20);
        plan_calls(&mut simulation, calls);
        for id in 0..calls as usize {
            if simulation.random.chance(500) {
                let at = simulation.now + ms(500) + ms(simulation.random.within(0..=60));
                simulation.plan(at, PlannedStep::Cancel { id });
            }
        }
        simulation.run_for(ms(2000));
        let cancelled = simulation.states().iter().filter(|state| **state == CallState::Cancelled).count();
        assert!(!simulation.states().contains(&CallState::Waiting));
        let late = simulation.client.late_replies();
        if simulation.setup.legacy {
            assert_eq!(late, cancelled as u64, "each was run, and its reply dropped");
        } else {
            assert!(late <= cancelled as u64, "{late} replies of {cancelled} calls");
        }
        assert_eq!(simulation.client.in_flight(), 0);
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
    });
}

#[test]
fn a_oneway_call_is_complete_when_its_last_byte_is_sent() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..Setup::new() });
    let id = simulation.make_call(250, true);
    simulation.client.poll_transmit(Instant::now).unwrap();
    simulation.client.poll_transmit(Instant::now).unwrap();
    assert_eq!(simulation.client.poll_event(), None, "a part is still to go");
    simulation.client.poll_transmit(Instant::now).unwrap();
    assert_eq!(simulation.client.poll_event(), Some(ClientEvent::Sent { waiter: id }));
    assert_eq!(simulation.client.in_flight(), 0);
}

#[test]
fn a_sequence_number_is_in_use_while_its_call_is_in_flight() {
    let mut simulation = Simulation::opened(Setup::new());
    assert!(!simulation.client.has_call(7));
    simulation.client.call(7, false, Bytes::from_static(b"x"), None, 99).unwrap();
    assert!(simulation.client.has_call(7) && !simulation.client.has_call(8));
    simulation.client.cancel(7);
    assert!(!simulation.client.has_call(7));
}

/// A connection that accepts nothing for a while does not accumulate cancelled requests.
#[test]
fn a_call_cancelled_before_its_last_byte_is_sent_is_not_run() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 10, ..Setup::new() });
    let first = simulation.call(100);
    simulation.client.poll_transmit(Instant::now).expect("a part of the first");
    let others: Vec<_> = (0..5).map(|_| simulation.call(100)).collect();
    for id in [first, others[1], others[4]] {
        simulation.cancel_call(id);
    }
    assert_eq!(simulation.client.in_flight(), 3);
    let rest = std::iter::from_fn(|| simulation.client.poll_transmit(Instant::now));
    let kind = |transmit: &Transmit| Tail::of(transmit.reply.as_deref()?).map(|tail| tail.kind);
    let (chunks, told): (Vec<_>, Vec<_>) =
        rest.partition(|transmit| matches!(kind(transmit), Some(Kind::Part { .. })));
    let queued: usize = chunks.iter().map(|transmit| transmit.payload.len()).sum();
    let one = message(MessageType::Call, 1, 0, &payload(0, 100)).len();
    assert_eq!(queued, 3 * one, "neither the rest of the first, nor any part of the others");
    let told: Vec<_> = told.iter().map(|transmit| (kind(transmit).unwrap(), &transmit.payload[..])).collect();
    assert_eq!(told, [(Kind::Abandon, &b"1"[..])], "the server forgets the part that was sent");
}

#[test]
fn queued_bytes_and_calls_in_flight_are_bounded() {
    for legacy in [false, true] {
        let base = Instant::now();
        let config = ClientConfig { queue_limit: 100, max_calls: 3, ..Setup::new().client_config() };
        let mut client = open(base, config);
        client.handle_message(base, accept_of_server(legacy));
        assert_eq!(client.poll_event(), Some(ClientEvent::Opened));
        let request = Bytes::from(vec![0; 40]);
        assert_eq!(client.call(1, false, request.clone(), None, 1), Ok(()));
        assert_eq!(client.call(2, false, request.clone(), None, 2), Ok(()));
        let full = Refused::QueueFull { len: 40, queued: 80, limit: 100 };
        assert_eq!(client.call(3, false, request.clone(), None, 3), Err(full));
        assert_eq!(client.in_flight(), 2);
        assert_eq!(client.cancel(2), Some((2, Outcome::NotRun)));
        assert_eq!(client.call(4, false, request.clone(), None, 4), Ok(()), "the queue is not full any more");
        while client.poll_transmit(Instant::now).is_some() {}
        assert_eq!(client.call(5, false, request.clone(), None, 5), Ok(()));
        let too_many = Err(Refused::TooManyCalls { limit: 3 });
        assert_eq!(client.call(6, false, request, None, 6), too_many);
    }
}
