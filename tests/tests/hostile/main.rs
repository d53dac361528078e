//! Hostile bytes and hostile peers.
//!
//! The attackers speak NATS by hand. Where a test has a spy, it subscribes to `>` and so sees every message of the account.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod confused_deputy;
mod decoding;
mod fuzz;
mod log_lines;
mod own_session;
mod permissions;
mod resources;
mod spoofing;

use async_nats::{Client as Nats, Message, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use thrift_nats_runtime::{Client, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::{RawClient, round_trip};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService};

/// The password of every user.
const PASSWORD: &str = "secret";

/// The inbox prefix of the attacker, and the only subjects that it may subscribe to.
const ATTACKER_INBOX: &str = "_INBOX.attacker";

/// A NATS server with JetStream. `admin` may do everything, as the servers and clients of a deployment without permissions.
/// `attacker` may publish to [`SUBJECT`] and has an inbox.
fn nats_with_attacker() -> NatsServer {
    let config = format!(
        "jetstream: enabled
        authorization {{ users: [
            {{ user: admin, password: {PASSWORD} }}
            {{ user: attacker, password: {PASSWORD}, permissions: {{
                publish: [{SUBJECT}], subscribe: [\"{ATTACKER_INBOX}.>\"]
            }} }}
        ] }}"
    );
    NatsServer::builder().config(config).start().unwrap()
}

/// Connects as this user, with an inbox prefix.
async fn login(nats: &NatsServer, user: &str, inbox: &str) -> Nats {
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), PASSWORD.to_owned());
    options.custom_inbox_prefix(inbox).connect(nats.url()).await.unwrap()
}

async fn serve(nats: &Nats, subject: &str, service: &TestService) -> Server {
    Server::builder(nats, subject).serve(service.server()).await.unwrap()
}

/// Subscribes to every subject of the account.
struct Spy {
    nats: Nats,
    inbox: Subscriber,
}

impl Spy {
    async fn new(nats: Nats) -> Self {
        let inbox = nats.subscribe(">").await.unwrap();
        round_trip(&nats).await;
        Self { nats, inbox }
    }

    /// The messages of the account since the last call.
    async fn messages(&mut self) -> Vec<Message> {
        // Its own message comes after all others that NATS has processed.
        let end = self.nats.new_inbox();
        self.nats.publish(end.clone(), "".into()).await.unwrap();
        let mut messages = Vec::new();
        loop {
            let message = thrift_nats_tests::next(&mut self.inbox).await;
            if message.subject.as_str() == end {
                return messages;
            }
            messages.push(message);
        }
    }
}

/// The part of a session's subject before its last token: the base of the process.
fn base(session: &Subject) -> &str {
    session.rsplit_once('.').unwrap().0
}

/// Returns after a server on [`SUBJECT`] has processed all handshakes that were sent before, and NATS has processed what the
/// server sent in reply: each session that this opens is accepted after them.
async fn until_processed(nats: &Nats, other: &Nats) {
    for _ in 0..3 {
        let _session = RawClient::legacy(nats, SUBJECT).await;
        round_trip(other).await;
    }
}

/// The next message, if it has arrived.
fn try_next(inbox: &mut Subscriber) -> Option<Message> {
    inbox.next().now_or_never().flatten()
}

/// Makes a call that must succeed.
async fn assert_serves(client: &Client, what: &str) {
    let sum = ProbeClient::new(client.clone()).add(1, 2).timeout(BOUND).await;
    assert_eq!(sum, Ok(3), "{what}");
}
