//! The proxy applies its rules to messages between a real client and a real server, and changes nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use thrift_nats_tests::proxy::{Action, Direction, Message, Operation, Proxy, Rule};
use thrift_nats_tests::{Cluster, NatsServer, eventually};

const BOUND: Duration = Duration::from_secs(30);

/// A server, a proxy, and a client that is subscribed to what it publishes.
struct Setup {
    proxy: Proxy,
    client: Client,
    inbox: Subscriber,
    server: NatsServer,
}

impl Setup {
    async fn new() -> Self {
        let server = NatsServer::start().unwrap();
        let proxy = Proxy::start(&server.url()).await.unwrap();
        let client = async_nats::connect(proxy.url()).await.unwrap();
        let inbox = client.subscribe("news").await.unwrap();
        let setup = Self { proxy, client, inbox, server };
        setup.client.flush().await.unwrap();
        setup
    }

    async fn publish(&self, texts: &[&'static str]) {
        for text in texts {
            self.client.publish("news", Bytes::from_static(text.as_bytes())).await.unwrap();
        }
    }

    async fn receives(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(next(&mut self.inbox).await.payload, text.as_bytes());
        }
    }
}

async fn next(inbox: &mut Subscriber) -> async_nats::Message {
    tokio::time::timeout(BOUND, inbox.next()).await.expect("in time").expect("an open subscription")
}

#[tokio::test]
async fn without_rules_everything_passes_unchanged() {
    let Setup { client, inbox, .. } = &mut Setup::new().await;
    let mut headers = HeaderMap::new();
    headers.insert("Key", "value");
    client.publish_with_reply_and_headers("news", "to.me", headers.clone(), "x".into()).await.unwrap();
    let message = next(inbox).await;
    assert_eq!(message.headers.as_ref(), Some(&headers));
    assert_eq!((message.reply.as_deref(), &message.payload[..]), (Some("to.me"), &b"x"[..]));
    for len in [0, 1, 4095, 65_536, 1_048_576] {
        let payload = Bytes::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        client.publish("news", payload.clone()).await.unwrap();
        assert!(next(inbox).await.payload == payload, "{len}");
    }
    // Without a subscription, the server reports no responders.
    let response = client.request("unused", "".into()).await;
    assert_eq!(response.unwrap_err().kind(), async_nats::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn dropped_message_does_not_arrive_in_either_direction() {
    let mut setup = Setup::new().await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        let lost =
            setup.proxy.add(Rule::on(direction).subject("news").when(|it| it.payload == "b"), Action::Drop);
        setup.publish(&["a", "b", "c"]).await;
        setup.receives(&["a", "c"]).await;
        lost.until_applied(1).await;
        setup.proxy.remove(&lost);
    }
    setup.publish(&["b"]).await;
    setup.receives(&["b"]).await;
}

#[tokio::test]
async fn duplicated_and_reordered_messages_arrive_so() {
    let mut setup = Setup::new().await;
    setup.proxy.add(Rule::on(Direction::ToServer).subject("news").times(1), Action::Duplicate);
    setup.proxy.add(Rule::on(Direction::ToServer).subject("news").times(1), Action::Reorder(2));
    setup.publish(&["a", "b", "c", "d", "e"]).await;
    setup.receives(&["a", "a", "c", "d", "b", "e"]).await;
}

#[tokio::test]
async fn delayed_message_delays_all_after_it() {
    let mut setup = Setup::new().await;
    let delay = Duration::from_millis(50);
    setup
        .proxy
        .add(Rule::on(Direction::ToClient).when(|it| it.payload == "b").times(1), Action::Delay(delay));
    let begun = Instant::now();
    setup.publish(&["a", "b", "c"]).await;
    setup.receives(&["a", "b", "c"]).await;
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn stall_ends_on_go_on() {
    let mut setup = Setup::new().await;
    let stalled =
        setup.proxy.add(Rule::on(Direction::ToClient).when(|it| it.payload == "b").times(1), Action::Stall);
    setup.publish(&["a", "b", "c"]).await;
    setup.receives(&["a"]).await;
    stalled.until_applied(1).await;
    // The wait can be short, because the stall has been applied.
    assert!(tokio::time::timeout(Duration::from_millis(50), setup.inbox.next()).await.is_err());
    setup.proxy.go_on(Direction::ToClient);
    setup.receives(&["b", "c"]).await;
}

#[tokio::test]
async fn cut_closes_the_connection_and_the_client_reconnects() {
    let mut setup = Setup::new().await;
    let half = Action::Cut(20);
    let cut =
        setup.proxy.add(Rule::on(Direction::ToClient).when(|it| it.payload.len() == 1000).times(1), half);
    setup.client.publish("news", vec![b'x'; 1000].into()).await.unwrap();
    cut.until_applied(1).await;
    eventually("the client has reconnected", || setup.proxy.accepted() == 2).await;
    // Messages in transit are lost; later ones arrive.
    eventually_inbox(&mut setup, "after").await;
    assert_eq!(setup.proxy.open(), 1);
}

/// Publishes the text repeatedly until it arrives.
async fn eventually_inbox(setup: &mut Setup, text: &'static str) {
    for _ in 0..1000 {
        setup.publish(&[text]).await;
        let inbox = tokio::time::timeout(Duration::from_millis(30), setup.inbox.next()).await;
        if inbox.is_ok_and(|inbox| inbox.unwrap().payload == text) {
            return;
        }
    }
    panic!("{text} does not arrive");
}

#[tokio::test]
async fn proxy_that_cuts_and_refuses_keeps_clients_disconnected() {
    let mut setup = Setup::new().await;
    setup.proxy.refuse(true);
    setup.proxy.cut();
    eventually("the client is disconnected", || {
        setup.client.connection_state() == async_nats::connection::State::Disconnected
    })
    .await;
    assert_eq!(setup.proxy.open(), 0);
    setup.proxy.refuse(false);
    eventually_inbox(&mut setup, "after").await;
}

#[tokio::test]
async fn injected_and_replaced_messages_arrive() {
    let mut setup = Setup::new().await;
    let news = |text: &'static str| {
        Operation::Message(Message {
            subject: "news".to_owned(),
            payload: Bytes::from_static(text.as_bytes()),
            ..Message::default()
        })
    };
    setup
        .proxy
        .add(Rule::on(Direction::ToServer).when(|it| it.payload == "a").times(1), Action::Inject(news("b")));
    setup
        .proxy
        .add(Rule::on(Direction::ToServer).when(|it| it.payload == "c").times(1), Action::Replace(news("d")));
    setup.publish(&["a", "c", "e"]).await;
    setup.receives(&["a", "b", "d", "e"]).await;
    setup.proxy.inject(Direction::ToServer, &news("f"));
    setup.receives(&["f"]).await;
}

#[tokio::test]
async fn pings_match_by_their_verb() {
    let setup = Setup::new().await;
    let pongs = setup.proxy.add(Rule::on(Direction::ToClient).verb("PONG"), Action::Count);
    let _pinging = setup.client.subscribe("more").await.unwrap();
    setup.proxy.inject(Direction::ToServer, &Operation::Control(Bytes::from_static(b"PING")));
    pongs.until_applied(1).await;
}

#[tokio::test]
async fn clients_of_a_cluster_stay_on_the_proxy() {
    let cluster = Cluster::start().unwrap();
    let proxy = Proxy::start(&cluster.node(0).url()).await.unwrap();
    let client = async_nats::connect(proxy.url()).await.unwrap();
    let address = proxy.url().replace("nats://", "");
    assert_eq!(client.server_info().connect_urls, [address]);
    let first = client.server_info().server_id;
    // The client follows the proxy.
    proxy.retarget(&cluster.node(1).url());
    proxy.cut();
    eventually("the client is connected to another node", || client.server_info().server_id != first).await;
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn dropped_proxy_closes_its_connections() {
    let Setup { proxy, client, server, .. } = Setup::new().await;
    drop(proxy);
    eventually("the client is disconnected", || {
        client.connection_state() == async_nats::connection::State::Disconnected
    })
    .await;
    drop(server);
}
