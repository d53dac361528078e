//! A client closes its session, and what becomes of the calls in flight.

use super::CallState::Ended;
use super::Outcome::Unknown;
use super::*;

#[test]
fn a_closed_client_sends_queued_data_and_then_disconnects() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.make_call(250, true);
    simulation.call(10);
    let closed = simulation.now;
    simulation.close_client();
    assert_eq!(simulation.disconnects(Party::Client), [(closed, "0 closed")]);
    let last = simulation.published.last().and_then(|message| message.reply.as_deref());
    assert_eq!(last, Some("DISCONNECT"), "after the data");
    simulation.run_for(ms(1));
    assert_eq!(simulation.server_ended, [(closed + ms(1), disconnected(PeerReason::Closed, 0))]);
    assert_eq!(simulation.ran, (0..2).collect());
    simulation.run_for(ms(1000));
    assert!(simulation.chunks(Party::Server).is_empty(), "the client is gone");
    assert_eq!(simulation.disconnects(Party::Server), [], "it knows already");
}

#[test]
fn a_client_that_closes_first_sends_the_calls_that_it_cancelled() {
    let base = Instant::now();
    let config = ClientConfig { chunk_limit: 12, ..Setup::new().client_config() };
    let mut client = open(base, config);
    client.poll_transmit(Instant::now).expect("the handshake");
    client.handle_message(base, accept_of_server(false));
    for seqid in 1..=2 {
        client.call(seqid, false, Bytes::from_static(b"request"), None, seqid).unwrap();
    }
    while client.poll_transmit(Instant::now).is_some() {}
    assert_eq!(client.cancel(2), Some((2, Outcome::Unknown)));
    client.call(3, true, Bytes::from_static(b"oneway"), None, 3).unwrap();
    client.close(CloseReason::Closed);
    let sent: Vec<_> = std::iter::from_fn(|| client.poll_transmit(Instant::now))
        .map(|message| (message.reply.expect("all have one").to_string(), message.payload))
        .collect();
    let expected = [("client.session.4", "oneway"), ("client.session.5c", "2"), ("DISCONNECT", "0 closed")];
    assert_eq!(sent, expected.map(|(reply, payload)| (reply.to_owned(), Bytes::from(payload))));
}

#[test]
fn a_request_queued_when_the_client_closes_may_be_run() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.close_client();
    assert_eq!(simulation.states(), [Ended(Unknown)]);
    simulation.run_for(ms(10));
    assert_eq!(simulation.ran, (0..1).collect());
}

#[test]
fn a_closing_client_acknowledges_the_last_received_chunk() {
    let mut simulation = Simulation::opened(Setup::new());
    for _ in 0..3 {
        simulation.call(10);
        simulation.run_for(ms(10));
    }
    simulation.close_client();
    assert_eq!(simulation.disconnects(Party::Client), [(simulation.now, "3 closed")]);
}

#[test]
fn a_client_that_closes_at_any_time_gets_correct_outcomes() {
    for_seeds(0..500, |seed| {
        let mut simulation = in_the_middle(seed);
        simulation.close_client();
        simulation.run_for(ms(40));
        assert!(!simulation.server_has_session());
        simulation.check_outcomes();
    });
}

#[test]
fn an_ended_session_ignores_input() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.close_client();
    let late = Incoming {
        reply: Some("server.s0.1".into()),
        payload: message(MessageType::Reply, 1, 0, b"").into(),
        ..Incoming::default()
    };
    simulation.client.handle_message(simulation.instant(), late);
    simulation.client.handle_undelivered(Instant::now(), 1);
    simulation.client.handle_timeout(simulation.instant() + ms(1_000_000));
    simulation.client.close(CloseReason::NatsClosed);
    assert_eq!(simulation.client.poll_event(), None);
    simulation.run_for(ms(10));
    let session = &mut simulation.sessions.get_mut("s0").unwrap().session;
    let request = message(MessageType::Call, 1, 0, b"");
    session.handle_message(Instant::now(), Some("client.session.1"), request.into());
    assert_eq!(session.poll_event(), None);
    assert_eq!((session.poll_transmit(), session.poll_timeout()), (None, None));
}
