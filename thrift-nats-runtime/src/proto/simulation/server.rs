//! What a server's session does when its client is gone, and when its own process is late.

use super::*;

#[test]
fn an_accept_that_nobody_waits_for_ends_the_session() {
    let mut simulation = Simulation::new(Setup::new());
    simulation.publish();
    // The handshake has gone, and the client's process with it; no heartbeats are wanted, so that nothing else can tell.
    simulation.client_runs = false;
    simulation.run_for(ms(10));
    assert_eq!(simulation.server_ended, [(ms(3), CloseReason::PeerGone { chunk: None })]);
    assert!(!simulation.server_has_session());
    assert!(simulation.disconnects(Party::Server).is_empty(), "there is nobody to tell");
}

#[test]
fn a_deadline_beyond_all_time_is_kept() {
    let now = Instant::now();
    let mut session = ServerSession::<i32>::accept(
        now,
        INBOX.into(),
        "server.s0".into(),
        &ours(),
        Some(Duration::MAX),
        Setup::new().config(),
    );
    session.handle_heartbeat(now);
    assert!(session.poll_timeout().unwrap() > now + ms(1_000_000_000));
    let accept = session.poll_transmit().unwrap();
    assert_eq!(accept.payload, format!("server.s0.h {}", i64::MAX));
}

#[test]
fn a_stall_of_the_server_ends_no_session_whose_beats_wait_to_be_read() {
    let deadline = ms(100);
    // Less than a window late, and much more.
    for late in [ms(13), ms(99), ms(5000)] {
        let now = Instant::now();
        let config = Setup::new().config();
        let mut session = ServerSession::<i32>::accept(
            now,
            INBOX.into(),
            "server.s0".into(),
            &ours(),
            Some(deadline),
            config,
        );
        let expires = now + 3 * deadline;
        assert_eq!(session.poll_timeout(), Some(now + deadline), "to ask for the client");
        let woken = expires + late;
        session.handle_timeout(woken);
        assert_eq!(session.poll_event(), None, "the timer is done before the beats are read");
        assert_eq!(session.poll_timeout(), Some(woken + deadline));
        // They are read.
        session.handle_heartbeat(woken + ms(1));
        assert_eq!(session.poll_timeout(), Some(woken + ms(1) + deadline));
        // Once more, and no beat is there: one window more is all it gets, however late it is noticed.
        let woken = woken + ms(1) + 3 * deadline + late;
        session.handle_timeout(woken);
        assert_eq!(session.poll_event(), None);
        let reason = CloseReason::MissedHeartbeats { deadline };
        session.handle_timeout(woken + deadline + late);
        assert_eq!(poll(&mut session), (Vec::new(), Some(reason)));
    }
}
