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
    let mut session = ServerSession::accept(
        now,
        INBOX.into(),
        "server.s0".into(),
        false,
        Some(Duration::MAX),
        Setup::new().config(),
    );
    session.heartbeat(now);
    assert!(session.next_timeout().unwrap() > now + ms(1_000_000_000));
    let accept = session.transmit().unwrap();
    assert_eq!(accept.payload, format!("server.s0.h {}", i64::MAX));
}
