//! A peer uses up shared resources: calls, sessions, memory, processor time, and the connection.

use std::io::Write as _;
use std::time::Duration;

use async_nats::Client as Nats;
use futures_util::future::join_all;
use thrift_nats_runtime::{Client, ServerBuilder};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, RawServer, RawSession, is_disconnect, message, round_trip};
use thrift_nats_tests::{BOUND, NEVER, NatsServer, SUBJECT, TestService, WireClient, eventually, soon};

use crate::{ATTACKER_INBOX, assert_serves, login, until_processed};

/// A timeout of 2^64 - 1 ms.
const FOREVER: (&str, &str) = ("Thrift-Nats-Timeout", "18446744073709551615");

/// A call of `length` with a text of `len` bytes.
fn length_request(len: usize) -> Vec<u8> {
    let size = u32::try_from(len).unwrap().to_be_bytes();
    message(1, "length", 1, &[&[11, 0, 1], &size[..], &vec![b'x'; len]].concat())
}

/// Number of frames that are sent at once, and the length of their messages, in bytes.
const BOMBS: usize = 5;
const BOMB: usize = 40 << 20;

/// A call of `length` with a text of `len` bytes, which is compressed to 1/120. A text of one letter would be compressed to
/// 1/1000, so that the last hundredth has random letters.
fn compressible_request(len: usize) -> Vec<u8> {
    let mut request = length_request(len);
    let mut random = 1_u64;
    let end = request.len() - 1;
    for letter in &mut request[end - len / 102..end] {
        // The constants of Knuth's MMIX.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *letter = b'@' + (random >> 58) as u8 % 63;
    }
    request
}

/// A compressed message in the header transport.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(message).unwrap();
    // The magic number, flags, the sequence number, and the headers in words: binary, one transform, zlib.
    let fixed = [0x0f, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0];
    let body = [&fixed[..], &zlib.finish().unwrap()].concat();
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

/// Waits until the service has started the innocent's call `id`. Fails if the call ends before.
async fn assert_starts(client: &Client, service: &TestService, id: i32) {
    let call = ProbeClient::new(client.clone()).wait(id).timeout(BOUND);
    tokio::select! {
        result = call => panic!("call {id} ended before it was released: {result:?}"),
        () = service.until_runs(id) => {}
    }
}

#[tokio::test]
async fn calls_without_an_end_leave_capacity_for_those_of_other_clients() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let options = |server: ServerBuilder| server.max_calls(64).heartbeat(Duration::from_millis(100));
    let server = service.serve(&nats, options).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let session = RawClient::numbered_with(&attacker, SUBJECT, &[FOREVER]).await;
        session.call(1, &["wait"; 64]).await;
        sessions.push(session);
    }
    round_trip(&attacker).await;
    service.until_started("wait", 1).await;
    assert_serves(&client, "a client beside the attacker").await;
    for id in 1..=8 {
        assert_starts(&client, &service, id).await;
    }

    // The sessions end, because their heartbeats are missing. The handlers of their calls are dropped with them.
    drop(sessions);
    drop(attacker);
    eventually("no handler of the attacker is left", || service.waiting() == 0).await;
    let calls = (10..40).map(|id| ProbeClient::new(client.clone()).wait(id).timeout(BOUND));
    service.release(30);
    for result in soon(join_all(calls)).await {
        assert!(result.is_ok(), "{result:?}");
    }
    soon(server.drain(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn drain_leaves_no_handler_running_whatever_the_deadline_of_its_call() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server.heartbeat(None)).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let session = RawClient::numbered_with(&attacker, SUBJECT, &[FOREVER]).await;
    session.call(1, &["wait"; 100]).await;
    service.until_started("wait", 1).await;
    let drained = soon(server.drain(Duration::from_millis(200))).await;
    assert!(drained.is_err(), "calls were dropped");
    assert_eq!(service.waiting(), 0, "handlers that still run");
}

#[tokio::test]
async fn all_cancelled_calls_are_dropped_however_many_there_are() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let probe = ProbeClient::new(client.clone());
    for wait_for in [5000, 100, 1] {
        let started = service.started("wait");
        let calls = (0..5000).map(|id| probe.wait(id).timeout(NEVER).into_future()).collect::<Vec<_>>();
        let calls = tokio::spawn(join_all(calls));
        service.until_started("wait", started + wait_for).await;
        calls.abort();
        assert!(calls.await.unwrap_err().is_cancelled());
        assert_serves(&client, "the session continues").await;
        eventually("the handlers are dropped", || service.waiting() == 0).await;
    }
}

#[tokio::test]
async fn sessions_that_never_send_leave_capacity_for_other_clients() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default()
        .serve(&nats, |server| server.max_sessions(100).heartbeat(Duration::from_secs(1)))
        .await;
    let first = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    // The attacker receives the accepts, so that no 503 ends the sessions.
    let _inbox = attacker.subscribe(format!("{ATTACKER_INBOX}.>")).await.unwrap();
    round_trip(&attacker).await;
    let mut wire = WireClient::connect(&nats, None).await;
    for n in 0..1000 {
        wire.publish(SUBJECT, Some(&format!("{ATTACKER_INBOX}.{n}")), "").await;
    }
    wire.flush().await;
    for _ in 0..10 {
        let connection = nats.client().await.unwrap();
        let client = Client::connect(&connection, SUBJECT).await.unwrap();
        assert_serves(&client, "a new client beside the attacker").await;
    }
    assert_serves(&first, "an old client beside the attacker").await;
    eventually("only sessions in use are left", || server.sessions() <= 1).await;
}

/// Every handshake names another inbox prefix, so that the attacker looks like many clients.
#[tokio::test]
async fn clients_that_never_send_leave_capacity_for_others_however_many_they_are() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.max_sessions(100).heartbeat(None);
    let _server = TestService::default().serve(&nats, options).await;
    let first = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    assert_serves(&first, "a client before the attack").await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    // The attacker receives the accepts, so that no 503 ends the sessions.
    let _inbox = attacker.subscribe("_INBOX.many.>").await.unwrap();
    round_trip(&attacker).await;
    let mut wire = WireClient::connect(&nats, None).await;
    for n in 0..1000 {
        wire.publish(SUBJECT, Some(&format!("_INBOX.many.{n}.x")), "").await;
    }
    wire.flush().await;
    for _ in 0..10 {
        let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
        assert_serves(&client, "a new client beside the attacker").await;
    }
    assert_serves(&first, "an old client beside the attacker").await;
}

/// The limit of the tests that exceed it.
const MEMORY_LIMIT: usize = 16 << 20;

/// Opens sessions as a legacy client, and sends a request of `len` bytes on each, except its last byte.
async fn unfinished(nats: &Nats, sessions: usize, len: usize) -> Vec<RawClient> {
    let request = length_request(len);
    let unfinished = &request[..request.len() - 1];
    let mut opened = Vec::new();
    for _ in 0..sessions {
        let session = RawClient::legacy(nats, SUBJECT).await;
        for chunk in unfinished.chunks(512 * 1024) {
            session.send(chunk.to_vec()).await;
        }
        // Otherwise the messages would wait in the connection.
        round_trip(nats).await;
        opened.push(session);
    }
    opened
}

/// Number of sessions that the server has disconnected.
fn disconnected(sessions: &mut [RawClient]) -> usize {
    let is_over = |session: &mut RawClient| {
        std::iter::from_fn(|| session.try_receive()).any(|message| is_disconnect(&message))
    };
    sessions.iter_mut().map(is_over).filter(|over| *over).count()
}

#[tokio::test]
async fn unfinished_messages_stay_within_the_memory_limit() {
    const MESSAGE: usize = 4 << 20;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let options = |server: ServerBuilder| server.memory_limit(MEMORY_LIMIT).heartbeat(None);
    let _server = service.serve(&nats, options).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND).into_future());
    service.until_runs(1).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let mut sessions = unfinished(&attacker, 20, MESSAGE).await;
    assert_serves(&client, "a client beside the attacker").await;
    let least = sessions.len() - MEMORY_LIMIT / MESSAGE;
    let mut ended = 0;
    let have_ended = || {
        ended += disconnected(&mut sessions);
        ended >= least
    };
    eventually("the sessions that exceed the limit have ended", have_ended).await;
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(2), "a call that was in flight");
}

/// The sessions of one client count together: those of the attacker are small, and all of them are large.
#[tokio::test]
async fn many_small_sessions_do_not_displace_a_larger_one_of_another_client() {
    let nats = NatsServer::start().unwrap();
    let options = |server: ServerBuilder| server.memory_limit(MEMORY_LIMIT).heartbeat(None);
    let _server = TestService::default().serve(&nats, options).await;
    let innocent = login(&nats, "innocent", "_INBOX.innocent").await;
    let mut large = unfinished(&innocent, 1, 2 << 20).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let mut small = unfinished(&attacker, 300, 100 * 1024).await;
    // The last byte.
    large[0].send(vec![0]).await;
    let reply = large[0].receive().await;
    assert!(!is_disconnect(&reply), "{reply:?}");
    eventually("the limit was exceeded", || disconnected(&mut small) > 0).await;
}

/// A malicious server sends replies that do not end.
#[tokio::test]
async fn unfinished_replies_stay_within_the_memory_limit_of_the_client() {
    const SESSIONS: usize = 10;
    const REPLY: usize = 4 << 20;
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let connection = nats.client().await.unwrap();
    let client = Client::builder(&connection, SUBJECT).memory_limit(MEMORY_LIMIT).connect().await.unwrap();
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND).into_future());
    service.until_runs(1).await;
    let mut evil = RawServer::listen(&nats.client().await.unwrap(), "evil").await;
    let victim = Client::builder(&connection, "evil").memory_limit(MEMORY_LIMIT).sessions(SESSIONS);
    let victim = tokio::spawn(victim.connect());
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(evil.accept().await);
    }
    let victim = soon(victim).await.unwrap().unwrap();
    let calls =
        (0..10 * SESSIONS).map(|_| ProbeClient::new(victim.clone()).text(1).timeout(BOUND).into_future());
    let calls = calls.map(tokio::spawn).collect::<Vec<_>>();
    let size = u32::try_from(REPLY).unwrap().to_be_bytes();
    let reply = message(2, "text", 1, &[&[11, 0, 0], &size[..], &vec![b'x'; REPLY]].concat());
    for session in &mut sessions {
        // A call.
        session.receive().await;
        for chunk in reply[..reply.len() - 1].chunks(512 * 1024) {
            session.send(chunk.to_vec()).await;
        }
    }
    let (mut ended, least) = (0, SESSIONS - MEMORY_LIMIT / REPLY);
    eventually(format!("{least} sessions have ended"), || {
        let over = |session: &mut RawSession| {
            std::iter::from_fn(|| session.try_receive()).any(|message| is_disconnect(&message))
        };
        ended += sessions.iter_mut().map(over).filter(|over| *over).count();
        ended >= least
    })
    .await;
    for call in calls {
        call.abort();
    }
    assert_serves(&client, "a call to another server").await;
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(2), "a call that was in flight");
}

/// The frames are within the limit of 128 times their length: they are decompressed and served. Without optimisation, each
/// takes longer than half a second. In the receive loop, one after the other, they would delay the reply to a probe beyond
/// its timeout. There are more threads than frames, so that one is free for the receive loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn compression_bombs_do_not_delay_the_calls_of_other_clients() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let bomb = compressed(&compressible_request(BOMB));
    let ratio = BOMB / bomb.len();
    assert!((100..128).contains(&ratio), "{} bytes", bomb.len());
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let mut sessions = join_all((0..BOMBS).map(|_| RawClient::legacy(&attacker, SUBJECT))).await;
    for session in &sessions {
        session.send(bomb.clone()).await;
    }
    round_trip(&attacker).await;
    let probe = ProbeClient::new(client);
    for n in 0..50 {
        let sum = probe.add(n, 1).timeout(BOUND).await;
        assert_eq!(sum, Ok(n + 1), "a call beside the bombs");
    }
    for session in &mut sessions {
        let reply = session.receive().await;
        assert!(!is_disconnect(&reply), "the ratio was not exceeded: {reply:?}");
    }
}

/// A frame that is decompressed to more than 128 times its length is refused.
#[tokio::test]
async fn compression_beyond_the_ratio_ends_the_session() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let attacker = nats.client().await.unwrap();
    for (len, is_served) in [(100, true), (1 << 20, false)] {
        let mut session = RawClient::legacy(&attacker, SUBJECT).await;
        session.send(compressed(&length_request(len))).await;
        assert_eq!(!is_disconnect(&session.receive().await), is_served, "{len} bytes");
    }
}

/// NATS closes a connection that sends a longer line, and with it every session of the server.
#[tokio::test]
async fn long_reply_subject_does_not_close_the_connection_of_the_server() {
    let nats = NatsServer::builder().config("max_control_line: 1024").start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let call = tokio::spawn(ProbeClient::new(client.clone()).wait(1).timeout(BOUND));
    service.until_runs(1).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let _inbox = attacker.subscribe(format!("{ATTACKER_INBOX}.>")).await.unwrap();
    let mut wire = WireClient::connect(&nats, None).await;
    for len in (200..1000).step_by(16) {
        wire.publish(SUBJECT, Some(&format!("{ATTACKER_INBOX}.{}", "a".repeat(len))), "").await;
    }
    wire.flush().await;
    until_processed(&attacker, &attacker).await;
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(2), "its session has not ended");
}
