//! Hostile bytes and hostile peers.
//!
//! The attackers speak NATS by hand.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod decoding;
mod fuzz;
mod log_lines;
mod resources;

use async_nats::{Client as Nats, Subject};
use thrift_nats_runtime::Client;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::{BOUND, NatsServer};

/// The password of every user.
const PASSWORD: &str = "secret";

/// The inbox prefix of the attacker.
const ATTACKER_INBOX: &str = "_INBOX.attacker";

/// Connects as this user, with an inbox prefix.
async fn login(nats: &NatsServer, user: &str, inbox: &str) -> Nats {
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), PASSWORD.to_owned());
    options.custom_inbox_prefix(inbox).connect(nats.url()).await.unwrap()
}

/// The part of a session's subject before its last token: the base of the process.
fn base(session: &Subject) -> &str {
    session.rsplit_once('.').unwrap().0
}

/// Makes a call that must succeed.
async fn assert_serves(client: &Client, what: &str) {
    let sum = ProbeClient::new(client.clone()).add(1, 2).timeout(BOUND).await;
    assert_eq!(sum, Ok(3), "{what}");
}
