//! Log lines that peers cause.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use thrift_nats_tests::raw::{RawClient, is_disconnect, round_trip};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, eventually};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::no_heartbeats;

/// Keeps the lines of the runtime.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("thrift_nats_runtime")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }
}

#[tokio::test]
async fn peers_cause_few_log_lines_and_one_warning_for_an_ended_session_at_most() {
    const PEERS: usize = 100;
    let (log, begun) = (Log::default(), Instant::now());
    let _default = tracing::subscriber::set_default(log.clone());
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let mut secrets = Vec::new();
    for _ in 0..PEERS {
        let mut client = RawClient::legacy(&connection, SUBJECT).await;
        client.send(Bytes::from_static(b"\xff not a message")).await;
        assert!(is_disconnect(&client.receive().await));
        secrets.push(client.listen.rsplit('.').next().unwrap().to_owned());
        // A handshake with a body.
        let inbox = connection.new_inbox();
        connection.publish_with_reply(SUBJECT, inbox, Bytes::from_static(b"body")).await.unwrap();
    }
    round_trip(&connection).await;
    let lines_of = |text: &str| {
        let lines = log.0.lock().unwrap();
        lines.iter().filter(|(_, line)| line.contains(text)).cloned().collect::<Vec<_>>()
    };
    eventually("a handshake is dropped", || !lines_of("handshake dropped").is_empty()).await;
    assert_eq!(server.sessions(), 0);
    // 20 lines in 10 s.
    let most = 20 * (1 + begun.elapsed().as_secs() as usize / 10);
    let ends = lines_of("session ended");
    assert!((1..=most).contains(&ends.len()), "{} lines for {PEERS} sessions", ends.len());
    for (level, line) in ends {
        assert_eq!(level, Level::WARN);
        assert!(line.contains("malformed"), "{line}");
    }
    let dropped = lines_of("handshake dropped");
    assert!(dropped.len() <= most, "{} lines for {PEERS} handshakes", dropped.len());
    assert!(dropped.iter().all(|(level, _)| *level == Level::DEBUG));
    for secret in secrets {
        assert!(lines_of(&secret).is_empty(), "the log contains the token of a session");
    }
}
