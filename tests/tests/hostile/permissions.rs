//! The permissions that `docs/security.md` recommends: everything works with them, and what remains to an attacker is what
//! the page says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client as Nats, ConnectOptions, Event};
use thrift_nats_runtime::{Client, Server};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::round_trip;
use thrift_nats_tests::{BOUND, NEVER, NatsServer, TestService, WireClient, eventually, next, soon};

use crate::{PASSWORD, Spy, assert_serves, try_next};

const PAGE: &str = include_str!("../../../docs/security.md");
const SERVICE: &str = "calculator";

/// The permissions of the page, and a user that may do everything.
fn config() -> String {
    let (_, block) = PAGE.split_once("```nats\n").expect("the page has a block of permissions");
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.contains("$CALCULATOR") && block.contains("users: [\n"), "{block}");
    let block =
        block.replace("$CALCULATOR", PASSWORD).replace("$SHOP", PASSWORD).replace("$BILLING", PASSWORD);
    block.replacen("users: [\n", &format!("users: [\n{{ user: admin, password: {PASSWORD} }}\n"), 1)
}

/// The errors that NATS has reported to a connection, such as permission violations.
#[derive(Clone, Default)]
struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    async fn login(&self, nats: &NatsServer, user: &str, inbox: &str) -> Nats {
        let seen = Arc::clone(&self.0);
        let options = ConnectOptions::with_user_and_password(user.to_owned(), PASSWORD.to_owned())
            .custom_inbox_prefix(inbox)
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    seen.lock().unwrap().push(error.to_string());
                }
                std::future::ready(())
            });
        options.connect(nats.url()).await.unwrap()
    }

    fn assert_none(&self) {
        let seen = self.0.lock().unwrap();
        assert!(seen.is_empty(), "{seen:?}");
    }
}

struct Deployment {
    nats: NatsServer,
    violations: Violations,
    service: TestService,
    server: Server,
    shop: Client,
    billing: Client,
}

impl Deployment {
    async fn start() -> Self {
        let nats = NatsServer::builder().config(config()).start().unwrap();
        let violations = Violations::default();
        let service = TestService::default();
        let connection = violations.login(&nats, "calculator", "_INBOX.calculator").await;
        let server = Self::serve(&connection, &service).await;
        let shop = violations.login(&nats, "shop", "_INBOX.clients.shop").await;
        let shop = Client::connect(&shop, SERVICE).await.unwrap();
        let billing = violations.login(&nats, "billing", "_INBOX.clients.billing").await;
        let billing = Client::connect(&billing, SERVICE).await.unwrap();
        Self { nats, violations, service, server, shop, billing }
    }

    /// With the option that the page recommends.
    async fn serve(connection: &Nats, service: &TestService) -> Server {
        let server = Server::builder(connection, SERVICE).reply_prefixes(["_INBOX.clients"]);
        server.serve(service.server()).await.unwrap()
    }
}

#[tokio::test]
async fn recommended_permissions_suffice_for_everything_that_peers_do() {
    let Deployment { nats, violations, service, server, shop, billing } = Deployment::start().await;
    for client in [&shop, &billing] {
        let probe = ProbeClient::new(client.clone());
        assert_eq!(soon(probe.add(1, 2).timeout(BOUND)).await, Ok(3));
        let text = "x".repeat(3 << 20);
        assert_eq!(soon(probe.length(&text).timeout(BOUND)).await, Ok(3 << 20));
        assert_eq!(soon(probe.text(3 << 20).timeout(BOUND)).await.unwrap().len(), 3 << 20);
        // A cancellation.
        let call = tokio::spawn(probe.wait(1).timeout(NEVER).into_future());
        eventually("the call has started", || service.waiting() == 1).await;
        call.abort();
        eventually("the call is cancelled", || service.waiting() == 0).await;
    }
    // A drain, with a call in flight and a retry on another server.
    let call = tokio::spawn(ProbeClient::new(shop.clone()).wait(2).timeout(BOUND).into_future());
    eventually("the call has started", || service.waiting() == 1).await;
    let connection = violations.login(&nats, "calculator", "_INBOX.calculator").await;
    let other = Deployment::serve(&connection, &service).await;
    let drain = tokio::spawn(server.drain(BOUND));
    assert_eq!(soon(ProbeClient::new(billing.clone()).add(1, 2).timeout(BOUND)).await, Ok(3));
    service.release(1);
    assert_eq!(soon(call).await.unwrap(), Ok(4));
    soon(drain).await.unwrap().unwrap();
    for client in [shop, billing] {
        assert_serves(&client, "a client after the drain").await;
        soon(client.close()).await.unwrap();
    }
    soon(other.stop()).await.unwrap();
    violations.assert_none();
}

#[tokio::test]
async fn recommended_permissions_leave_a_client_nothing_but_its_own_sessions() {
    let Deployment { nats, violations, service: _, server, shop, billing } = Deployment::start().await;
    let mut spy = Spy::new(violations.login(&nats, "admin", "_INBOX.admin").await).await;
    let mut wire = WireClient::connect(&nats, Some(("shop", PASSWORD))).await;
    let billing_inbox = "_INBOX.clients.billing.unused";
    let admin = violations.login(&nats, "admin", "_INBOX.admin").await;
    let mut inbox = admin.subscribe(billing_inbox).await.unwrap();
    round_trip(&admin).await;
    let replies = ["orders.new", "$JS.API.STREAM.DELETE.ORDERS", "_INBOX.elsewhere.x", billing_inbox];
    for reply in replies {
        wire.publish(SERVICE, Some(reply), "").await;
    }
    // NATS refuses these: other services, and the inboxes of clients.
    for subject in ["orders.new", "$JS.API.STREAM.DELETE.ORDERS", billing_inbox, "_INBOX.clients.shop.x"] {
        wire.publish(subject, Some("DISCONNECT"), "").await;
    }
    wire.flush().await;
    for client in [&shop, &billing] {
        assert_serves(client, "a client beside the attack").await;
    }
    // The accept, and nothing more, also when the session ends.
    let accept = next(&mut inbox).await;
    assert!(accept.reply.is_some_and(|reply| reply.starts_with("_INBOX.calculator.")));
    soon(server.drain(Duration::from_secs(10))).await.unwrap();
    round_trip(&admin).await;
    assert!(try_next(&mut inbox).is_none());
    let subjects = spy.messages().await.into_iter().map(|message| message.subject.to_string());
    let permitted = |subject: &String| {
        subject == SERVICE
            || ["_INBOX.calculator.", "_INBOX.clients.", "_INBOX.admin."]
                .iter()
                .any(|prefix| subject.starts_with(prefix))
    };
    let foreign = subjects.filter(|subject| !permitted(subject)).collect::<Vec<_>>();
    assert_eq!(foreign, [] as [&str; 0]);

    // A client that subscribes to everything sees nothing, because NATS refuses the subscription.
    violations.assert_none();
    let curious = violations.login(&nats, "shop", "_INBOX.clients.shop").await;
    for subject in [">", "_INBOX.>", "_INBOX.clients.billing.>", "_INBOX.calculator.>", SERVICE] {
        let _refused = curious.subscribe(subject).await.unwrap();
    }
    eventually("NATS refuses five subscriptions", || violations.0.lock().unwrap().len() == 5).await;
}

/// NATS grants it for one message to each reply subject, and a session sends many to that of its handshake.
#[tokio::test]
async fn permission_to_respond_does_not_replace_the_permission_to_publish() {
    let publish = r#"publish: ["_INBOX.calculator.>", "_INBOX.clients.>"]"#;
    let respond = r#"publish: ["_INBOX.calculator.>"], allow_responses: true"#;
    assert!(config().contains(publish));
    let nats = NatsServer::builder().config(config().replacen(publish, respond, 1)).start().unwrap();
    let violations = Violations::default();
    let connection = violations.login(&nats, "calculator", "_INBOX.calculator").await;
    let _server = Deployment::serve(&connection, &TestService::default()).await;
    let shop = violations.login(&nats, "shop", "_INBOX.clients.shop").await;
    let shop = soon(Client::connect(&shop, SERVICE)).await.unwrap();
    violations.assert_none();
    let call = tokio::spawn(ProbeClient::new(shop).add(1, 2).timeout(BOUND).into_future());
    eventually("NATS refuses the reply", || !violations.0.lock().unwrap().is_empty()).await;
    call.abort();
}
