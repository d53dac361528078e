//! Messages that are malformed, and messages that cannot be published.

use super::CallState::{Ended, Replied};
use super::Outcome::{NotRun, Unknown};
use super::*;
use crate::error::SharedError;
use crate::protocol::DecodeErrorKind;

#[test]
fn malformed_data_to_a_client_ends_the_session_on_both_sides() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.inject(Party::Client, Some("server.s0.1"), "GET / HTTP/1.1");
    let now = simulation.now;
    simulation.run_for(ms(1000));
    let error = DecodeErrorKind::NotAMessage(b'G').into();
    assert_eq!(simulation.end(), (now, &CloseReason::Malformed(error)));
    assert_eq!(simulation.states(), [Ended(Unknown)]);
    assert_eq!(simulation.disconnects(Party::Client), [(now, "0 malformed")]);
    assert_eq!(simulation.server_ended, [(now + ms(1), disconnected(PeerReason::Malformed, 0))]);
}

/// The request before the malformed bytes is in the same chunk, which is not acknowledged.
#[test]
fn malformed_data_to_a_server_ends_the_session_on_both_sides() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.setup.network.loses = |message| message.reply.as_deref() == Some("client.session.3");
    simulation.call(10);
    simulation.run_for(ms(10));
    let mut garbage = message(MessageType::Call, simulation.calls[1].seqid, 1, &payload(1, 10));
    garbage.extend_from_slice(&[0x80, 0x01, 0, 9]);
    simulation.inject(Party::Server, Some("client.session.3"), garbage);
    let now = simulation.now;
    simulation.run_for(ms(1000));
    let error = DecodeErrorKind::UnknownMessageType(9).into();
    assert_eq!(simulation.server_ended, [(now, CloseReason::Malformed(error))]);
    assert_eq!(simulation.end(), (now + ms(1), &disconnected(PeerReason::Malformed, 2)));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
    simulation.check_outcomes();
}

#[test]
fn a_message_of_the_peer_without_a_number_ends_the_session_and_others_do_not() {
    for reply in [None, Some("server.s0"), Some("server.s0.h1"), Some("client.session.h1"), Some("17")] {
        let mut simulation = Simulation::opened(Setup::new());
        simulation.inject(Party::Client, reply, "x");
        simulation.run_for(ms(10));
        if reply.is_some_and(|reply| reply.starts_with("server.s0.")) {
            assert_eq!(*simulation.end().1, CloseReason::ChunkWithoutNumber);
            assert_eq!(simulation.disconnects(Party::Client)[0].1, "0 malformed");
        } else {
            assert_eq!(simulation.ended, None, "it is not of the session's server: {reply:?}");
        }

        let mut simulation = Simulation::opened(Setup::new());
        simulation.inject(Party::Server, reply, "x");
        simulation.run_for(ms(10));
        if reply.is_some_and(|reply| reply.starts_with("client.session.")) {
            assert_eq!(simulation.server_ended[0].1, CloseReason::ChunkWithoutNumber);
            assert_eq!(*simulation.end().1, disconnected(PeerReason::Malformed, 1));
        } else {
            assert_eq!(simulation.server_ended, [], "it is not of the session's client: {reply:?}");
        }
    }
}

/// An empty message is neither data nor a disconnect message. NATS sends such a message to report no responders.
#[test]
fn an_empty_message_is_ignored() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.inject(Party::Client, None, "");
    simulation.inject(Party::Server, None, "");
    simulation.inject(Party::Client, Some("server.s0.9"), "");
    simulation.inject(Party::Server, Some("client.session.9"), "");
    let id = simulation.call(10);
    simulation.run_for(ms(10));
    assert_eq!(simulation.state(id), Replied);
}

#[test]
fn a_reply_to_an_unsent_request_is_dropped() {
    let mut simulation = Simulation::opened(slow());
    let id = simulation.call(10);
    // The request was not sent yet, so this reply belongs to something else.
    let seqid = simulation.calls[id].seqid;
    let stray = message(MessageType::Reply, seqid, id, b"stray");
    let (reply, payload) = (Some("server.s0.1".into()), stray.into());
    let incoming = Incoming { reply, payload, ..Incoming::default() };
    simulation.client.handle_message(simulation.instant(), incoming);
    assert_eq!(simulation.client.poll_event(), None);
    assert_eq!((simulation.client.late_replies(), simulation.client.in_flight()), (1, 1));
}

#[test]
fn an_unpublished_chunk_ends_the_session_and_its_request_is_not_run() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.publish();
    simulation.call(10);
    let refused = simulation.client.poll_transmit(Instant::now).expect("the second request");
    simulation.call(10);
    let source = SharedError::new("refused");
    simulation.client.handle_publish_failed(refused.number(), source.clone());
    simulation.client_events();
    assert_eq!(*simulation.end().1, CloseReason::PublishFailed { chunk: Some(3), source: source.clone() });
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun), Ended(NotRun)]);
    let disconnect = simulation.client.poll_transmit(Instant::now).expect("the peer is told");
    simulation.client.handle_publish_failed(disconnect.number(), source);
    assert_eq!(simulation.client.poll_event(), None, "it has ended");
    assert_eq!(simulation.client.poll_transmit(Instant::now), None);
}

#[test]
fn an_unpublished_heartbeat_leaves_earlier_outcomes_unknown() {
    let mut simulation = Simulation::opened(Setup { interval: Some(ms(100)), ..slow() });
    simulation.call(10);
    simulation.publish();
    simulation.client.handle_timeout(simulation.instant() + ms(200));
    let beat = simulation.client.poll_transmit(Instant::now).expect("a heartbeat");
    simulation.client.handle_publish_failed(beat.number(), SharedError::new("refused"));
    simulation.client_events();
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}

#[test]
fn an_unpublished_handshake_fails_the_opening() {
    let mut simulation = Simulation::new(Setup::new());
    let handshake = simulation.client.poll_transmit(Instant::now).expect("the handshake");
    let source = SharedError::new("refused");
    simulation.client.handle_publish_failed(handshake.number(), source.clone());
    simulation.client_events();
    assert_eq!(*simulation.end().1, CloseReason::PublishFailed { chunk: None, source });
    assert_eq!(simulation.client.poll_transmit(Instant::now), None);
}
