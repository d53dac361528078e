//! Handshakes.

use super::*;

/// Hands `message` to a client that waits for its accept.
fn accept(reply: Option<&'static str>, payload: &'static str) -> Result<(), CloseReason> {
    let mut simulation = Simulation::new(Setup::new());
    simulation.publish();
    let (reply, payload) = (reply.map(Subject::from_static), Bytes::from(payload));
    let message = Incoming { reply, additions: Some(Additions::OWN), payload, ..Incoming::default() };
    simulation.client.handle_message(simulation.base, message);
    match simulation.client.poll_event().expect("it opens, or ends") {
        ClientEvent::Opened => Ok(()),
        ClientEvent::Ended { reason, .. } => Err(reason),
        event => panic!("{event:?}"),
    }
}

#[test]
fn a_handshake_takes_one_round_trip() {
    let simulation = Simulation::opened(Setup::new());
    assert_eq!(simulation.opened, Some(ms(2)));
    let published: Vec<_> = simulation
        .published
        .iter()
        .map(|message| (message.subject.as_str(), message.reply.as_deref(), &message.payload[..]))
        .collect();
    assert_eq!(
        published,
        [
            (SERVICE, Some(INBOX), &b""[..]),
            (INBOX, Some("server.s0"), &b"server.s0.h 0"[..]),
            ("server.s0", Some("client.session.1a"), &b"alive"[..]),
        ]
    );
}

#[test]
fn a_handshake_without_a_server_fails_at_once() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.listening = false;
    simulation.run_for(ms(5000));
    assert_eq!(simulation.end(), (ms(2), &CloseReason::NoServer));
    assert_eq!(simulation.published.len(), 1, "the client knows of no session to end");
}

#[test]
fn a_handshake_without_a_reply_times_out() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.setup.network.lost = 1000;
    simulation.run_until(HANDSHAKE_TIMEOUT - Duration::from_nanos(1));
    assert_eq!(simulation.ended, None);
    simulation.run_until(ms(5000));
    let reason = CloseReason::HandshakeTimeout { timeout: HANDSHAKE_TIMEOUT };
    assert_eq!(simulation.end(), (HANDSHAKE_TIMEOUT, &reason));
    let is_handshake = |message: &Published| message.subject == SERVICE && message.payload.is_empty();
    assert!(simulation.published.iter().all(is_handshake), "the client knows of no session to end");
    assert_eq!(simulation.client.poll_timeout(), None);
}

/// NATS may have given the first one to a server that hangs.
#[test]
fn an_unanswered_handshake_is_repeated_every_200_ms() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.setup.network.loses = |message| message.to == Party::Server;
    simulation.run_until(ms(599));
    simulation.setup.network.loses = nothing;
    simulation.run_until(ms(5000));
    let sent = simulation.published.iter().filter(|message| message.subject == SERVICE);
    assert_eq!(sent.map(|message| message.at).collect::<Vec<_>>(), [0, 200, 400, 600].map(ms));
    assert_eq!((simulation.opened, simulation.sessions.len()), (Some(ms(602)), 1));
}

#[test]
fn the_first_of_several_accepts_wins() {
    // Each of three handshakes is accepted after the third was sent.
    let network = Network::sound(ms(250)..=ms(250));
    let mut simulation = Simulation::new(Setup { network, ..Setup::new() });
    simulation.run_until(ms(2000));
    assert_eq!(simulation.opened, Some(ms(500)));
    let told = simulation.disconnects(Party::Client);
    assert_eq!(told, [(ms(700), "unknown-session"), (ms(900), "unknown-session")]);
    assert_eq!(simulation.sessions.values().filter(|session| !session.session.is_closed()).count(), 1);
    simulation.call(10);
    simulation.run_for(ms(1000));
    assert_eq!(simulation.states(), [CallState::Replied]);
}

#[test]
fn a_late_503_for_a_repeated_handshake_is_ignored() {
    let mut simulation = Simulation::opened(Setup::new());
    let status = Some(async_nats::StatusCode::NO_RESPONDERS);
    simulation.client.handle_message(simulation.base, Incoming { status, ..Incoming::default() });
    simulation.call(10);
    simulation.run_for(ms(100));
    assert_eq!(simulation.states(), [CallState::Replied]);
}

#[test]
fn a_session_whose_client_sends_nothing_ends_silently_after_5_s() {
    for interval in [None, Some(ms(100))] {
        let mut simulation = Simulation::new(Setup { interval, ..Setup::new() });
        simulation.setup.network.loses = |message| message.subject.starts_with("server.");
        simulation.run_until(ms(5000));
        assert!(simulation.sessions["s0"].session.is_provisional());
        simulation.run_until(ms(5001));
        assert!(!simulation.server_has_session());
        let sent: Vec<_> =
            simulation.published.iter().filter(|message| message.by == Party::Server).collect();
        assert_eq!(sent.len(), 1, "only the accept: {sent:?}");
    }
}

#[test]
fn an_open_session_has_no_handshake_timeout() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.run_for(10 * HANDSHAKE_TIMEOUT);
    assert!(simulation.client.is_open());
    assert_eq!(simulation.client.poll_timeout(), None);
}

#[test]
fn a_handshake_with_an_endless_timeout_never_times_out() {
    let base = Instant::now();
    let config = ClientConfig { handshake_timeout: Duration::MAX, ..Setup::new().client_config() };
    let mut client = open::<usize>(base, config);
    assert_eq!(client.poll_timeout(), Some(base + ms(200)), "to repeat it");
    client.handle_timeout(base + ms(1 << 40));
    assert_eq!(client.poll_event(), None);
    client.handle_message(base, accept_of_server(true));
    assert!(client.is_open());
}

#[test]
fn a_duplicate_accept_is_dropped() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.client.handle_message(simulation.base, accept_of_server(false));
    assert_eq!(simulation.client.poll_event(), None);
    simulation.call(10);
    simulation.run_for(ms(100));
    assert!(simulation.client.is_open());
}

#[test]
fn a_second_server_that_accepts_is_disconnected() {
    for legacy in [false, true] {
        let mut simulation = Simulation::opened(Setup { legacy, handler: ms(50)..=ms(50), ..Setup::new() });
        let call = simulation.call(10);
        simulation.publish();
        let handshake = InTransit {
            to: Party::Server,
            subject: SERVICE.into(),
            reply: Some(INBOX.into()),
            status: None,
            additions: (!legacy).then_some(Additions::OWN),
            payload: Bytes::new(),
        };
        simulation.send(handshake);
        simulation.run_for(ms(3));
        let reason = Some(PeerReason::UnknownSession);
        let ended: Vec<_> = simulation.server_ended.iter().map(|(_, reason)| reason.clone()).collect();
        assert_eq!(ended, [CloseReason::Disconnected { reason, acknowledged: None }]);
        simulation.run_for(ms(200));
        assert_eq!((simulation.state(call), simulation.sessions.len()), (CallState::Replied, 2));
        assert!(simulation.client.is_open(), "{:?}", simulation.ended);
    }
}

#[test]
fn a_heartbeat_interval_is_capped_at_the_largest_of_an_accept() {
    let interval = Duration::from_millis(u64::MAX);
    let simulation = Simulation::opened(Setup { interval: Some(interval), ..Setup::new() });
    assert_eq!(simulation.published[1].payload, "server.s0.h 9223372036854775807");
    assert!(simulation.client.is_open());
}

#[test]
fn a_malformed_accept_ends_the_handshake() {
    let end = |reply, payload| accept(reply, payload).unwrap_err();
    assert_eq!(end(None, "server.h 0"), CloseReason::BadAccept(AcceptError::NoListenSubject));
    assert_eq!(end(Some("server.s"), ""), CloseReason::BadAccept(AcceptError::Body));
    assert_eq!(end(Some("server.s"), "server.h"), CloseReason::BadAccept(AcceptError::Body));
    let not_an_inbox = CloseReason::BadAccept(AcceptError::NotAnInbox);
    assert_eq!(end(Some("orders"), "server.h 0"), not_an_inbox);
    assert_eq!(end(Some("server.s"), "$JS.API.STREAM.DELETE.ORDERS 100"), not_an_inbox);
    assert_eq!(
        end(Some("DISCONNECT"), "0 stopping"),
        CloseReason::Disconnected { reason: Some(PeerReason::Stopping), acknowledged: Some(0) }
    );
    assert_eq!(accept(Some("server.s"), "server.h 0"), Ok(()));
    assert_eq!(accept(Some("server.s"), "orders 0"), Ok(()), "no heartbeat is sent there");
}

/// The client's handshake has timed out, and the session is unknown to its process.
#[test]
fn late_accept_gets_a_disconnect_message() {
    let network = Network::sound(ms(600)..=ms(600));
    let mut simulation = Simulation::new(Setup { network, ..Setup::new() });
    simulation.run_for(ms(1199));
    assert!(simulation.server_has_session());
    assert_eq!(simulation.disconnects(Party::Client), []);
    simulation.run_for(ms(5000));
    assert_eq!(simulation.end().0, HANDSHAKE_TIMEOUT);
    let told: Vec<_> = simulation.disconnects(Party::Client).into_iter().map(|(at, _)| at).collect();
    // The handshake was sent five times.
    assert_eq!(told, [1200, 1400, 1600, 1800, 2000].map(ms));
    let reason = CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: None };
    let ended = [1800, 2000, 2200, 2400, 2600].map(|at| (ms(at), reason.clone()));
    assert_eq!(simulation.server_ended, ended);
}

/// The accept arrives after the end of the session and before the process removes the session.
#[test]
fn accept_of_an_abandoned_handshake_gets_a_disconnect_message() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.publish();
    simulation.client.close(CloseReason::Closed);
    simulation.client_events();
    assert_eq!(simulation.client.poll_transmit(Instant::now), None, "the server is not known");
    assert!(!simulation.client.has_transmit());
    for _ in 0..2 {
        let (reply, payload) = (Some("server.s0".into()), Bytes::from_static(b"server.s0.h 400"));
        let accept = Incoming { reply, payload, ..Incoming::default() };
        simulation.client.handle_message(simulation.base, accept);
        assert_eq!(simulation.client.poll_event(), None);
    }
    assert!(simulation.client.has_transmit(), "the publisher has to be woken");
    let transmit = simulation.client.poll_transmit(Instant::now).expect("a disconnect");
    assert!(!simulation.client.has_transmit());
    assert_eq!((&*transmit.subject, transmit.reply.as_deref()), ("server.s0", Some("DISCONNECT")));
    assert_eq!(simulation.client.poll_transmit(Instant::now), None);
    assert!(!simulation.client.is_open());
    assert_eq!(simulation.client.poll_timeout(), None, "it sends no heartbeats");
}

#[test]
fn the_sender_of_a_malformed_accept_is_disconnected() {
    let base = Instant::now();
    let receive = |reply: Option<&'static str>| {
        let mut client = open::<usize>(base, Setup::new().client_config());
        client.poll_transmit(Instant::now).expect("the handshake");
        let incoming =
            Incoming { reply: reply.map(Subject::from_static), payload: "bad".into(), ..Incoming::default() };
        client.handle_message(base, incoming);
        assert!(matches!(client.poll_event(), Some(ClientEvent::Ended { .. })));
        client
            .poll_transmit(Instant::now)
            .map(|told| (told.subject.to_string(), told.reply.unwrap().to_string()))
    };
    assert_eq!(receive(Some("server.7")), Some(("server.7".to_owned(), "DISCONNECT".to_owned())));
    assert_eq!(receive(Some("orders.7")), None, "it is not an inbox");
    assert_eq!(receive(Some("")), None);
    assert_eq!(receive(None), None);
}

fn opening(format: WireFormat) -> Simulation {
    Simulation::new(Setup { format, ..Setup::new() })
}

#[test]
fn a_server_that_does_not_serve_the_protocol_refuses_the_handshake() {
    let mut simulation = opening(WireFormat::default());
    simulation.publish();
    let refused = unsupported(INBOX.into(), ServedFormats::ALL.with_protocols(&[]));
    assert_eq!(refused.subject, Subject::from(INBOX));
    let message = Incoming {
        reply: refused.reply,
        additions: Some(Additions::OWN),
        payload: refused.payload,
        ..Incoming::default()
    };
    simulation.client.handle_message(simulation.base, message);
    simulation.client_events();
    let served = "protocols: none; transports: buffered, framed, header".to_owned();
    assert_eq!(*simulation.end().1, CloseReason::Unsupported { served });
    assert_eq!(simulation.client.poll_transmit(Instant::now), None, "the server has no session");
}

#[test]
fn the_header_transport_is_never_sent_to_a_legacy_server() {
    let format = WireFormat { transport: crate::Transport::Header, ..WireFormat::default() };
    let mut simulation = Simulation::new(Setup { format, legacy: true, ..Setup::new() });
    simulation.run_for(ms(100));
    assert_eq!(*simulation.end().1, CloseReason::HeaderTransportToLegacy);
    assert_eq!(simulation.disconnects(Party::Client), [(ms(2), "")], "the server keeps no session");
    assert!(!simulation.server_has_session());
    assert_eq!(simulation.chunks(Party::Client).len(), 0);
}

#[test]
fn a_reply_in_another_protocol_or_transport_ends_the_session() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.call(10);
    simulation.publish();
    let format = WireFormat { transport: crate::Transport::Framed, ..WireFormat::default() };
    let payload = message_in(format, MessageType::Reply, 1, 0, b"").into();
    let message = Incoming { reply: Some("server.s0.1".into()), payload, ..Incoming::default() };
    let now = simulation.instant();
    simulation.client.handle_message(now, message);
    simulation.client_events();
    let (expected, found) = (crate::Transport::Buffered, crate::Transport::Framed);
    let error = crate::protocol::DecodeErrorKind::UnexpectedTransport { expected, found };
    assert_eq!(*simulation.end().1, CloseReason::Malformed(error.into()));
}

/// Several servers may have accepted the handshake, and all of them know the inbox.
#[test]
fn another_server_of_the_same_handshake_cannot_end_the_session() {
    let mut simulation = Simulation::opened(Setup::new());
    let call = simulation.call(10);
    let from_another = |reply: &'static str, body: &'static str| Incoming {
        reply: Some(Subject::from_static(reply)),
        payload: Bytes::from_static(body.as_bytes()),
        ..Incoming::default()
    };
    for (reply, body) in [
        ("DISCONNECT", "0 chunk-lost server.other"),
        ("DISCONNECT", "0 stopping"),
        ("DISCONNECT", "overloaded"),
        ("DISCONNECT", ""),
        ("server.other.1p", "probe"),
        ("server.other.1d", "0"),
        ("server.other.2", "data"),
    ] {
        simulation.client.handle_message(simulation.instant(), from_another(reply, body));
        simulation.client_events();
        assert_eq!(simulation.ended, None, "{reply} {body}");
    }
    simulation.publish();
    simulation.run_for(ms(100));
    assert_eq!(simulation.state(call), CallState::Replied);
}

/// A legacy server echoes the disconnect message that an unwanted session gets.
#[test]
fn the_echo_of_an_unwanted_legacy_server_does_not_end_the_session() {
    let mut simulation = Simulation::opened(Setup { legacy: true, ..Setup::new() });
    let message = |reply: &'static str, body: &'static str| Incoming {
        reply: Some(Subject::from_static(reply)),
        payload: Bytes::from_static(body.as_bytes()),
        ..Incoming::default()
    };
    let now = simulation.instant();
    simulation.client.handle_message(now, message("server.other", "server.other.h 0"));
    simulation.client.handle_message(now, message("DISCONNECT", ""));
    simulation.client_events();
    assert_eq!(simulation.ended, None);
    simulation.client.handle_message(now, message("DISCONNECT", ""));
    simulation.client_events();
    assert!(simulation.ended.is_some(), "this one is of its own server");
}
