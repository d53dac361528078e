//! The log lines that peers can cause.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_nats::Message;
use bytes::Bytes;
use thrift_nats_runtime::ServerBuilder;
use thrift_nats_tests::raw::{RawClient, is_disconnect, message, request, round_trip};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, WireClient, eventually};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::{ATTACKER_INBOX, base, login};

/// Number of messages of each kind.
const FLOOD: usize = 500;
/// Number of lines above `debug` that a flood may cause.
const LINES: usize = 10;

/// Keeps the log lines of the runtime that are written on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    /// The lines above `debug` since the last call.
    fn take(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.into_iter().filter(|(level, _)| *level < Level::DEBUG).map(|(_, line)| line).collect()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("thrift_nats_runtime")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Whether this is a reply of `ping`.
fn is_ping_reply(message: &Message) -> bool {
    message.payload.windows(4).any(|name| name == b"ping")
}

#[tokio::test]
async fn flood_of_a_peer_does_not_flood_the_log() {
    let lines = Lines::default();
    // The test, the server and the client run on this thread.
    let _guard = tracing::subscriber::set_default(lines.clone());
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server.max_sessions(50)).await;
    let attacker = login(&nats, "attacker", ATTACKER_INBOX).await;
    let _inbox = attacker.subscribe(format!("{ATTACKER_INBOX}.>")).await.unwrap();
    let mut session = RawClient::legacy(&attacker, SUBJECT).await;
    let mut wire = WireClient::connect(&nats, None).await;
    let base = base(&session.listen);
    let token = "a".repeat(22);
    let unknown = [message(4, "unknown", 1, b""), message(1, "unknown", 2, b"")].concat();
    let status = Bytes::from_static(b"NATS/1.0 503\r\n\r\n");
    let version =
        Bytes::from_static(b"NATS/1.0\r\nThrift-Nats-Version: 2\r\nThrift-Nats-Protocol: x\r\n\r\n");
    let inbox = format!("{ATTACKER_INBOX}.x");
    type Flood<'a> = (&'a str, String, Option<&'a str>, Option<Bytes>, Vec<u8>);
    let floods: [Flood<'_>; 8] = [
        ("handshakes with a body", SUBJECT.to_owned(), Some(&inbox), None, b"x".to_vec()),
        ("handshakes without a reply subject", SUBJECT.to_owned(), None, None, Vec::new()),
        ("handshakes with a reserved subject", SUBJECT.to_owned(), Some("$JS.API.X"), None, Vec::new()),
        ("handshakes with an unknown protocol", SUBJECT.to_owned(), Some(&inbox), Some(version), Vec::new()),
        ("messages to an unknown session", format!("{base}.{token}"), Some(&inbox), None, b"x".to_vec()),
        ("forged reports", format!("{base}.{token}.7"), None, Some(status), Vec::new()),
        ("calls of unknown functions", session.listen.to_string(), None, None, unknown),
        ("handshakes above the limit", SUBJECT.to_owned(), Some(&inbox), None, Vec::new()),
    ];
    lines.take();
    for (what, subject, reply, headers, body) in floods {
        for _ in 0..FLOOD {
            wire.publish_with_headers(&subject, reply, headers.clone(), body.clone()).await;
        }
        wire.flush().await;
        // The reply comes after all of them.
        session.send(request("ping", 3)).await;
        while !is_ping_reply(&session.receive().await) {}
        round_trip(&attacker).await;
        let written = lines.take();
        assert!(written.len() <= LINES, "{what}: {} lines, such as {:?}", written.len(), written.first());
    }
}

#[tokio::test]
async fn sessions_that_end_for_faults_of_their_peers_do_not_flood_the_log() {
    const SESSIONS: usize = 100;
    let (lines, begun) = (Lines::default(), Instant::now());
    let _guard = tracing::subscriber::set_default(lines.clone());
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, |server: ServerBuilder| server.heartbeat(None)).await;
    let attacker = nats.client().await.unwrap();
    for _ in 0..SESSIONS {
        let mut session = RawClient::legacy(&attacker, SUBJECT).await;
        session.send("garbage").await;
        assert!(is_disconnect(&session.receive().await));
    }
    eventually("all sessions have ended", || server.sessions() == 0).await;
    // 20 lines in 10 s.
    let most = 20 * (1 + begun.elapsed().as_secs() as usize / 10);
    let written = lines.take();
    assert!((1..=most).contains(&written.len()), "{} lines for {SESSIONS} sessions", written.len());
}

#[tokio::test]
async fn session_that_ends_for_a_fault_of_its_peer_is_one_warning_with_the_reason() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, |server: ServerBuilder| server.heartbeat(None)).await;
    let attacker = nats.client().await.unwrap();
    let mut wire = WireClient::connect(&nats, None).await;
    for legacy in [true, false] {
        lines.take();
        let session = if legacy {
            RawClient::legacy(&attacker, SUBJECT).await
        } else {
            RawClient::numbered(&attacker, SUBJECT).await
        };
        // Its peer, or another process that has learned its subject, sends handshakes that name it.
        for (tail, body) in [("", ""), ("", "x"), (".7", "x"), (".h", "x")] {
            let reply = Some(format!("{}{tail}", session.listen));
            wire.publish(SUBJECT, reply.as_deref(), body).await;
        }
        wire.flush().await;
        round_trip(&attacker).await;
        for number in 1..5 {
            session.send_chunk(number, "garbage").await;
        }
        eventually("the session has ended", || server.sessions() == 0).await;
        let token = session.listen.rsplit_once('.').unwrap().1;
        let all = lines.0.lock().unwrap().clone();
        assert!(
            !all.iter().any(|(_, line)| line.contains(token)),
            "the secret of a session is logged: {all:?}"
        );
        let written = lines.take();
        assert_eq!(written.len(), 1, "{written:?}");
        assert!(written[0].contains("malformed"), "{written:?}");
    }
}
