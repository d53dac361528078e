//! A server's session whose client is gone, or whose own process was stalled.

use super::*;

#[test]
fn no_responders_for_an_accept_ends_the_session() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.publish();
    // The client's process ends after its handshake. Without heartbeats, only the accept reveals that.
    simulation.client_runs = false;
    simulation.run_for(ms(10));
    assert_eq!(simulation.server_ended, [(ms(3), CloseReason::PeerGone { chunk: None })]);
    assert!(!simulation.server_has_session());
    assert!(simulation.disconnects(Party::Server).is_empty(), "the client is gone");
}

#[test]
fn a_heartbeat_interval_in_the_far_future_is_accepted() {
    let now = Instant::now();
    let mut session = ServerSession::<i32>::accept(
        now,
        INBOX.into(),
        "server.s0".into(),
        &ours(),
        Some(Duration::MAX),
        &Setup::new().server_config(),
    );
    session.handle_heartbeat(now);
    assert!(session.poll_timeout().unwrap() > now + ms(1_000_000_000));
    let accept = session.poll_transmit().unwrap();
    assert_eq!(accept.payload, format!("server.s0.h {}", i64::MAX));
}

#[test]
fn a_stalled_server_does_not_miss_unread_heartbeats() {
    let interval = ms(100);
    // Less than an interval late, and much more.
    for late in [ms(13), ms(99), ms(5000)] {
        let now = Instant::now();
        let config = Setup::new().server_config();
        let mut session = ServerSession::<i32>::accept(
            now,
            INBOX.into(),
            "server.s0".into(),
            &ours(),
            Some(interval),
            &config,
        );
        session.handle_message(now, Some("client.session.1a"), Bytes::from_static(b"alive"));
        assert_eq!(poll(&mut session), (Vec::new(), None));
        let expires = now + 3 * interval;
        assert_eq!(session.poll_timeout(), Some(now + interval), "to probe the client");
        let woken = expires + late;
        session.handle_timeout(woken);
        assert_eq!(session.poll_event(), None, "the timer fires before the heartbeats are read");
        assert_eq!(session.poll_timeout(), Some(woken + interval));
        // The heartbeats are read.
        session.handle_message(woken + ms(1), Some("client.session.2a"), Bytes::from_static(b"alive"));
        assert_eq!(session.poll_timeout(), Some(woken + ms(1) + interval));
        // Once more, without a heartbeat: the client gets one more interval, however late the timer is.
        let woken = woken + ms(1) + 3 * interval + late;
        session.handle_timeout(woken);
        assert_eq!(session.poll_event(), None);
        let reason = CloseReason::MissedHeartbeats { interval };
        session.handle_timeout(woken + interval + late);
        assert_eq!(poll(&mut session), (Vec::new(), Some(reason)));
    }
}

/// Such a reply comes from something that replies to whatever it receives, and so to the accept.
#[test]
fn a_reply_to_the_accept_proves_nothing() {
    let mut session = accepted(false);
    session.poll_transmit().expect("the accept");
    for reply in [None, Some("client.session"), Some("other.1"), Some("client.session2.1"), Some("17")] {
        session.handle_message(Instant::now(), reply, "-ERR unknown command".into());
    }
    session.handle_message(Instant::now(), Some("client.session.1a"), Bytes::new());
    assert!(session.is_provisional() && session.poll_transmit().is_none());
    session.handle_message(Instant::now(), Some("client.session.1a"), "alive".into());
    assert!(!session.is_provisional());
}

/// The first message of the client may have arrived while this process was stalled, and wait to be read.
#[test]
fn a_stalled_server_gives_a_provisional_session_more_time_once() {
    // The heartbeat interval of the server does not matter to a client of this crate, which sends its first message at once.
    for (announced, interval, timeout, extension) in [
        (ours(), ms(100), ms(5000), ms(5000)),
        (ours(), ms(3_600_000), ms(5000), ms(5000)),
        (Announced::default(), ms(100), ms(300), ms(100)),
    ] {
        let now = Instant::now();
        let config = Setup::new().server_config();
        let accept = || {
            let own = "server.s0".into();
            ServerSession::<i32>::accept(now, INBOX.into(), own, &announced, Some(interval), &config)
        };
        let over = (Vec::new(), Some(CloseReason::Unconfirmed));
        let expires = now + timeout;
        let mut session = accept();
        assert_eq!(session.poll_timeout(), Some(expires));
        session.handle_timeout(expires);
        assert_eq!(poll(&mut session), over, "the timer is not late");
        let mut session = accept();
        let woken = expires + ms(1000);
        session.handle_timeout(woken);
        session.handle_timeout(woken + extension - ms(1));
        assert!(!session.has_ended());
        assert_eq!(session.poll_timeout(), Some(woken + extension));
        session.handle_timeout(woken + extension + ms(5000));
        assert_eq!(poll(&mut session), over, "only once");
        assert!(session.is_closed(), "the client is not told");
    }
}

/// The memory budget sees only memory that is held for requests.
#[test]
fn a_message_without_requests_reserves_no_memory() {
    let now = Instant::now();
    let mut session = accepted(false);
    for number in 1..=100 {
        session.handle_message(now, Some(&format!("client.session.{number}a")), vec![b'x'; 4096].into());
    }
    session.handle_message(now, Some("client.session.1"), vec![b'x'; 4096].into());
    assert!(poll(&mut session).0.is_empty());
    assert!(session.reserved() <= 4, "{}", session.reserved());
}
