//! How sessions end, and what becomes of the calls in flight.

use super::CallState::{Answered, Ended};
use super::Outcome::{NotRun, Unknown};
use super::*;
use crate::protocol::DecodeErrorKind;
use crate::shared_error::SharedError;

fn slow() -> Setup {
    Setup { handler: ms(50)..=ms(50), ..Setup::new() }
}

fn disconnected(reason: PeerReason, acknowledged: u64) -> CloseReason {
    CloseReason::Disconnected { reason: Some(reason), acknowledged: Some(acknowledged) }
}

/// A session with many calls of all sizes, up to some moment in the middle of them.
fn in_the_middle(seed: u64) -> Simulation {
    let mut random = Random(!seed);
    let mut simulation = Simulation::opened(Setup {
        seed,
        network: Network::sound(ms(0)..=ms(random.within(0..=20))),
        chunk_limit: random.one_of(&[16, 64, 333, 65_536]) as usize,
        handler: ms(0)..=ms(random.one_of(&[0, 5, 50])),
        deadline: Some(ms(100)),
        legacy: false,
        format: any_format(&mut random),
    });
    for _ in 0..random.within(1..=20) {
        let at = simulation.now + ms(5 * random.within(0..=30));
        let len = random.one_of(&[0, 20, 100, 500]) as usize;
        simulation.plan(at, Happening::Calls { len, oneway: false, timeout: None });
    }
    simulation.run_for(ms(random.within(1..=200)));
    simulation
}

// The client closes.

#[test]
fn closing_the_client_ends_the_session_on_the_server_at_once_after_queued_data() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.make_call(250, true);
    simulation.call(10);
    let closed = simulation.now;
    simulation.close_client();
    assert_eq!(simulation.disconnects(Party::Client), [(closed, "0 closed")]);
    let last = simulation.published.last().and_then(|message| message.reply.as_deref());
    assert_eq!(last, Some("DISCONNECT"), "behind the data");
    simulation.run_for(ms(1));
    assert_eq!(simulation.server_ended, [(closed + ms(1), disconnected(PeerReason::Closed, 0))]);
    assert_eq!(simulation.ran, (0..2).collect());
    simulation.run_for(ms(1000));
    assert!(simulation.chunks(Party::Server).is_empty(), "nobody is there to be answered");
    assert_eq!(simulation.disconnects(Party::Server), [], "it knows already");
}

#[test]
fn what_is_queued_when_the_client_closes_may_be_run() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.close_client();
    assert_eq!(simulation.states(), [Ended(Unknown)]);
    simulation.run_for(ms(10));
    assert_eq!(simulation.ran, (0..1).collect());
}

#[test]
fn a_client_that_closes_says_what_it_has_taken_up() {
    let mut simulation = Simulation::opened(Setup::new());
    for _ in 0..3 {
        simulation.call(10);
        simulation.run_for(ms(10));
    }
    simulation.close_client();
    assert_eq!(simulation.disconnects(Party::Client), [(simulation.now, "3 closed")]);
}

#[test]
fn a_client_may_close_at_any_time() {
    for_seeds(0..500, |seed| {
        let mut simulation = in_the_middle(seed);
        simulation.close_client();
        simulation.run_for(ms(40));
        assert!(!simulation.server_has_session());
        simulation.check_outcomes();
    });
}

#[test]
fn an_ended_session_takes_nothing_more() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.close_client();
    let late = Incoming {
        reply: Some("server.s0.1".into()),
        payload: message(MessageType::Reply, 1, 0, b"").into(),
        ..Incoming::default()
    };
    simulation.client.handle_message(simulation.instant(), late);
    simulation.client.handle_undelivered(Some(1));
    simulation.client.handle_timeout(simulation.instant() + ms(1_000_000));
    simulation.client.close(CloseReason::NatsClosed);
    assert_eq!(simulation.client.poll_event(), None);
    simulation.run_for(ms(10));
    let session = &mut simulation.sessions.get_mut("s0").unwrap().session;
    let request = message(MessageType::Call, 1, 0, b"");
    session.handle_message(Some("client.session.1"), request.into());
    assert_eq!(session.poll_event(), None);
    assert_eq!((session.poll_transmit(), session.poll_timeout()), (None, None));
}

// The server stops or drains.

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

// One side is gone.

#[test]
fn a_chunk_that_nobody_listens_to_ends_the_session() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_runs = false;
    simulation.call(10);
    let sent = simulation.now;
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (sent + ms(2), &CloseReason::PeerGone { chunk: Some(2) }));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
    assert_eq!(simulation.disconnects(Party::Client), [], "nobody is there to be told");
}

#[test]
fn a_request_of_which_a_part_was_not_delivered_was_not_run() {
    let mut simulation = Simulation::opened(Setup { chunk_limit: 100, ..slow() });
    simulation.call(250);
    simulation.client.poll_transmit().expect("the first chunk, which arrives");
    simulation.server_runs = false;
    simulation.run_for(ms(10));
    assert_eq!(*simulation.end().1, CloseReason::PeerGone { chunk: Some(2) });
    assert_eq!(simulation.states(), [Ended(NotRun)]);
}

#[test]
fn a_beat_that_nobody_listens_to_ends_the_session() {
    let mut simulation = Simulation::new(Setup { deadline: Some(ms(1000)), ..slow() });
    simulation.run_until(ms(2));
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_runs = false;
    simulation.run_for(ms(2000));
    assert_eq!(simulation.end(), (ms(2 + 750 + 2), &CloseReason::PeerGone { chunk: None }));
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}

#[test]
fn an_answer_that_nobody_listens_to_ends_the_session_on_the_server() {
    let mut simulation = Simulation::opened(slow());
    let start = simulation.now;
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.client_runs = false;
    simulation.run_for(ms(1000));
    let reason = CloseReason::PeerGone { chunk: Some(1) };
    assert_eq!(simulation.server_ended, [(start + ms(1 + 50 + 2), reason)]);
    assert_eq!(simulation.disconnects(Party::Server), [], "nobody is there to be told");
}

#[test]
fn either_side_may_die_at_any_time() {
    for_seeds(0..1000, |seed| {
        let mut simulation = in_the_middle(seed);
        if seed % 2 == 0 {
            simulation.server_runs = false;
            // The next beat at the latest is answered by NATS.
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

// One side has forgotten the session.

/// The server closes the session as if the client were gone, and tells nobody.
fn forgotten(setup: Setup) -> Simulation {
    let mut simulation = Simulation::new(setup);
    simulation.run_until(ms(2));
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.server_input("s0", |session| session.handle_undelivered(None));
    simulation.server_ended.clear();
    simulation
}

/// What was sent before may have been run; what nobody knew what to do with was not, and nothing after it.
#[test]
fn data_for_an_unknown_session_is_answered_with_disconnect() {
    let mut simulation = forgotten(slow());
    simulation.call(10);
    let sent = simulation.now;
    simulation.plan(sent + ms(1), Happening::Calls { len: 10, oneway: false, timeout: None });
    simulation.run_for(ms(1000));
    assert_eq!(simulation.end(), (sent + ms(2), &disconnected(PeerReason::UnknownSession, 1)));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun), Ended(NotRun)]);
    simulation.check_outcomes();
}

#[test]
fn a_heartbeat_for_an_unknown_session_is_answered_with_disconnect() {
    let mut simulation = forgotten(Setup { deadline: Some(ms(100)), ..slow() });
    simulation.run_for(ms(1000));
    let reason = CloseReason::Disconnected { reason: Some(PeerReason::UnknownSession), acknowledged: None };
    assert_eq!(simulation.end(), (ms(2 + 75 + 2), &reason));
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}

// What comes is wrong.

impl Simulation {
    /// Has something arrive that the peer did not send.
    fn inject(&mut self, to: Party, reply: Option<&'static str>, payload: impl Into<Bytes>) {
        let subject = match to {
            Party::Client => INBOX,
            Party::Server => "server.s0",
        };
        let (subject, reply) = (subject.into(), reply.map(Subject::from_static));
        let message = Carried { to, subject, reply, status: None, versioned: false, payload: payload.into() };
        self.plan(self.now, Happening::Arrives(message));
    }
}

#[test]
fn garbage_ends_the_session_of_the_client_and_the_server_is_told() {
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

/// The request in front of the garbage came in the same chunk, which is not taken up.
#[test]
fn garbage_ends_the_session_of_the_server_and_the_client_is_told() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.run_for(ms(10));
    simulation.setup.network.loses = |message| message.reply.as_deref() == Some("client.session.2");
    simulation.call(10);
    simulation.run_for(ms(10));
    let mut garbage = message(MessageType::Call, simulation.calls[1].seqid, 1, &payload(1, 10));
    garbage.extend_from_slice(&[0x80, 0x01, 0, 9]);
    simulation.inject(Party::Server, Some("client.session.2"), garbage);
    let now = simulation.now;
    simulation.run_for(ms(1000));
    let error = DecodeErrorKind::UnknownMessageType(9).into();
    assert_eq!(simulation.server_ended, [(now, CloseReason::Malformed(error))]);
    assert_eq!(simulation.end(), (now + ms(1), &disconnected(PeerReason::Malformed, 1)));
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun)]);
    simulation.check_outcomes();
}

#[test]
fn a_chunk_without_a_number_from_a_peer_that_numbers_them_ends_the_session() {
    for reply in [None, Some("server.s0"), Some("server.s0.h1"), Some("17")] {
        let mut simulation = Simulation::opened(Setup::new());
        simulation.inject(Party::Client, reply, "x");
        simulation.run_for(ms(10));
        assert_eq!(*simulation.end().1, CloseReason::ChunkWithoutNumber);
        assert_eq!(simulation.disconnects(Party::Client)[0].1, "0 malformed");

        let mut simulation = Simulation::opened(Setup::new());
        simulation.inject(Party::Server, reply, "x");
        simulation.run_for(ms(10));
        assert_eq!(simulation.server_ended[0].1, CloseReason::ChunkWithoutNumber);
        assert_eq!(*simulation.end().1, disconnected(PeerReason::Malformed, 0));
    }
}

/// Neither data nor a disconnect: an answer of NATS to the session's own subject is such a message.
#[test]
fn an_empty_message_changes_nothing() {
    let mut simulation = Simulation::opened(Setup::new());
    simulation.inject(Party::Client, None, "");
    simulation.inject(Party::Server, None, "");
    simulation.inject(Party::Client, Some("server.s0.9"), "");
    simulation.inject(Party::Server, Some("client.session.9"), "");
    let id = simulation.call(10);
    simulation.run_for(ms(10));
    assert_eq!(simulation.state(id), Answered);
}

#[test]
fn an_answer_that_nobody_can_wait_for_is_dropped() {
    let mut simulation = Simulation::opened(slow());
    let id = simulation.call(10);
    // The request has not gone yet: this is the answer to something else.
    let seqid = simulation.calls[id].seqid;
    let stray = message(MessageType::Reply, seqid, id, b"stray");
    let (reply, payload) = (Some("server.s0.1".into()), stray.into());
    let incoming = Incoming { reply, payload, ..Incoming::default() };
    simulation.client.handle_message(simulation.instant(), incoming);
    assert_eq!(simulation.client.poll_event(), None);
    assert_eq!((simulation.client.late_replies(), simulation.client.in_flight()), (1, 1));
}

// What cannot be published.

#[test]
fn a_chunk_that_cannot_be_published_ends_the_session_and_was_not_run() {
    let mut simulation = Simulation::opened(slow());
    simulation.call(10);
    simulation.publish();
    simulation.call(10);
    let refused = simulation.client.poll_transmit().expect("the second request");
    simulation.call(10);
    let source = SharedError::new("refused");
    simulation.client.handle_publish_failed(refused.chunk(), source.clone());
    simulation.client_events();
    assert_eq!(*simulation.end().1, CloseReason::PublishFailed { chunk: Some(2), source: source.clone() });
    assert_eq!(simulation.states(), [Ended(Unknown), Ended(NotRun), Ended(NotRun)]);
    let farewell = simulation.client.poll_transmit().expect("the peer is told");
    simulation.client.handle_publish_failed(farewell.chunk(), source);
    assert_eq!(simulation.client.poll_event(), None, "it has ended");
    assert_eq!(simulation.client.poll_transmit(), None);
}

#[test]
fn a_heartbeat_that_cannot_be_published_says_nothing_of_the_requests_before() {
    let mut simulation = Simulation::opened(Setup { deadline: Some(ms(100)), ..slow() });
    simulation.call(10);
    simulation.publish();
    simulation.client.handle_timeout(simulation.instant() + ms(200));
    let beat = simulation.client.poll_transmit().expect("a heartbeat");
    simulation.client.handle_publish_failed(beat.chunk(), SharedError::new("refused"));
    simulation.client_events();
    assert_eq!(simulation.states(), [Ended(Unknown)]);
}

#[test]
fn a_handshake_that_cannot_be_published_ends_the_opening() {
    let mut simulation = Simulation::new(Setup::new());
    let handshake = simulation.client.poll_transmit().expect("the handshake");
    let source = SharedError::new("refused");
    simulation.client.handle_publish_failed(handshake.chunk(), source.clone());
    simulation.client_events();
    assert_eq!(*simulation.end().1, CloseReason::PublishFailed { chunk: None, source });
    assert_eq!(simulation.client.poll_transmit(), None);
}

// All reasons.

/// What this side says when it ends the session, and what it says of a request that has gone and of one that has not.
#[test]
fn every_reason_is_told_and_decides_the_outcome() {
    let deadline = ms(1);
    let failed = |chunk| CloseReason::PublishFailed { chunk, source: SharedError::new("refused") };
    let lost = CloseReason::ChunkLost { expected: 1, found: 2 };
    let malformed = CloseReason::Malformed(DecodeErrorKind::InvalidUtf8.into());
    let peer_closed = CloseReason::Disconnected { reason: None, acknowledged: None };
    for (reason, told, sent, queued) in [
        (CloseReason::Closed, Some("0 closed"), Unknown, Unknown),
        (CloseReason::Reconnected, Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::NatsClosed, None, Unknown, NotRun),
        (failed(None), Some("0 chunk-lost"), Unknown, NotRun),
        (failed(Some(1)), Some("0 chunk-lost"), NotRun, NotRun),
        (failed(Some(2)), Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::MissedHeartbeats { deadline }, Some("0 missed-heartbeats"), Unknown, NotRun),
        (lost, Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::ChunkWithoutNumber, Some("0 malformed"), Unknown, NotRun),
        (malformed, Some("0 malformed"), Unknown, NotRun),
        (peer_closed, None, Unknown, NotRun),
        (disconnected(PeerReason::Stopping, 1), None, Unknown, NotRun),
        (disconnected(PeerReason::Stopping, 0), None, NotRun, NotRun),
        (CloseReason::PeerGone { chunk: None }, None, Unknown, NotRun),
        (CloseReason::PeerGone { chunk: Some(2) }, None, Unknown, NotRun),
        (CloseReason::PeerGone { chunk: Some(1) }, None, NotRun, NotRun),
    ] {
        let mut simulation = Simulation::opened(slow());
        simulation.call(10);
        simulation.publish();
        simulation.call(10);
        simulation.client.close(reason.clone());
        simulation.client_events();
        assert_eq!(simulation.states(), [Ended(sent), Ended(queued)], "{reason:?}");
        simulation.publish();
        let disconnects = simulation.disconnects(Party::Client);
        assert_eq!(disconnects.first().map(|(_, body)| *body), told, "{reason:?}");
        let chunks = if queued == Unknown { 2 } else { 1 };
        assert_eq!(simulation.chunks(Party::Client).len(), chunks, "{reason:?}");

        let mut session = accepted(false);
        session.poll_transmit().expect("the accept");
        session.handle_message(Some("client.session.1"), message(MessageType::Call, 1, 0, b"").into());
        let request = one_request(&mut session);
        session.finish(request.key, Bytes::from("answer"));
        session.close(reason.clone());
        session.close(CloseReason::Reconnected);
        assert_eq!(poll(&mut session), (Vec::new(), Some(reason.clone())));
        let published: Vec<_> =
            std::iter::from_fn(|| session.poll_transmit()).map(|transmit| transmit.payload).collect();
        let told: Vec<_> =
            told.map(|told| told.replacen('0', "1", 1).into()).into_iter().collect::<Vec<Bytes>>();
        assert_eq!(published, told, "{reason:?}: once, and without what is queued");
    }
}
