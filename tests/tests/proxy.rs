//! The proxy does what it is told to messages between a real client and a real server, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use thrift_nats_tests::proxy::{Action, Direction, Message, Operation, Proxy, Rule};
use thrift_nats_tests::{Cluster, NatsServer, eventually};

const BOUND: Duration = Duration::from_secs(30);

/// A server, a proxy, a client on it, and what it hears of what it says itself.
struct Setup {
    proxy: Proxy,
    client: Client,
    heard: Subscriber,
    server: NatsServer,
}

impl Setup {
    async fn new() -> Self {
        let server = NatsServer::start().unwrap();
        let proxy = Proxy::start(&server.url()).await.unwrap();
        let client = async_nats::connect(proxy.url()).await.unwrap();
        let heard = client.subscribe("news").await.unwrap();
        let setup = Self { proxy, client, heard, server };
        setup.client.flush().await.unwrap();
        setup
    }

    async fn say(&self, texts: &[&'static str]) {
        for text in texts {
            self.client.publish("news", Bytes::from_static(text.as_bytes())).await.unwrap();
        }
    }

    async fn hears(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(next(&mut self.heard).await.payload, text.as_bytes());
        }
    }
}

async fn next(heard: &mut Subscriber) -> async_nats::Message {
    tokio::time::timeout(BOUND, heard.next()).await.expect("in time").expect("an open subscription")
}

#[tokio::test]
async fn without_a_rule_everything_passes_as_it_is() {
    let Setup { client, heard, .. } = &mut Setup::new().await;
    let mut headers = HeaderMap::new();
    headers.insert("Key", "value");
    client.publish_with_reply_and_headers("news", "to.me", headers.clone(), "x".into()).await.unwrap();
    let message = next(heard).await;
    assert_eq!(message.headers.as_ref(), Some(&headers));
    assert_eq!((message.reply.as_deref(), &message.payload[..]), (Some("to.me"), &b"x"[..]));
    for len in [0, 1, 4095, 65_536, 1_048_576] {
        let payload = Bytes::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        client.publish("news", payload.clone()).await.unwrap();
        assert!(next(heard).await.payload == payload, "{len}");
    }
    // Nobody hears this: the server says so.
    let answer = client.request("nobody", "".into()).await;
    assert_eq!(answer.unwrap_err().kind(), async_nats::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn what_is_dropped_does_not_arrive_in_either_direction() {
    let mut setup = Setup::new().await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        let lost =
            setup.proxy.add(Rule::on(direction).subject("news").when(|it| it.payload == "b"), Action::Drop);
        setup.say(&["a", "b", "c"]).await;
        setup.hears(&["a", "c"]).await;
        lost.until_applied(1).await;
        setup.proxy.remove(&lost);
    }
    setup.say(&["b"]).await;
    setup.hears(&["b"]).await;
}

#[tokio::test]
async fn what_is_doubled_or_put_behind_arrives_so() {
    let mut setup = Setup::new().await;
    setup.proxy.add(Rule::on(Direction::ToServer).subject("news").times(1), Action::Duplicate);
    setup.proxy.add(Rule::on(Direction::ToServer).subject("news").times(1), Action::Reorder(2));
    setup.say(&["a", "b", "c", "d", "e"]).await;
    setup.hears(&["a", "a", "c", "d", "b", "e"]).await;
}

#[tokio::test]
async fn what_is_delayed_holds_up_all_behind_it() {
    let mut setup = Setup::new().await;
    let delay = Duration::from_millis(50);
    setup
        .proxy
        .add(Rule::on(Direction::ToClient).when(|it| it.payload == "b").times(1), Action::Delay(delay));
    let begun = Instant::now();
    setup.say(&["a", "b", "c"]).await;
    setup.hears(&["a", "b", "c"]).await;
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn a_stall_ends_when_it_is_told_to() {
    let mut setup = Setup::new().await;
    let stalled =
        setup.proxy.add(Rule::on(Direction::ToClient).when(|it| it.payload == "b").times(1), Action::Stall);
    setup.say(&["a", "b", "c"]).await;
    setup.hears(&["a"]).await;
    stalled.until_applied(1).await;
    // The wait can be short: it is not that something may not have come yet.
    assert!(tokio::time::timeout(Duration::from_millis(50), setup.heard.next()).await.is_err());
    setup.proxy.go_on(Direction::ToClient);
    setup.hears(&["b", "c"]).await;
}

#[tokio::test]
async fn a_message_that_is_cut_ends_the_connection_and_the_client_comes_back() {
    let mut setup = Setup::new().await;
    let half = Action::Cut(20);
    let cut =
        setup.proxy.add(Rule::on(Direction::ToClient).when(|it| it.payload.len() == 1000).times(1), half);
    setup.client.publish("news", vec![b'x'; 1000].into()).await.unwrap();
    cut.until_applied(1).await;
    eventually("the client is back", || setup.proxy.accepted() == 2).await;
    // Whatever was on its way is gone; what is said from now on is heard.
    eventually_heard(&mut setup, "after").await;
    assert_eq!(setup.proxy.open(), 1);
}

/// Says it again and again, until it is heard.
async fn eventually_heard(setup: &mut Setup, text: &'static str) {
    for _ in 0..1000 {
        setup.say(&[text]).await;
        let heard = tokio::time::timeout(Duration::from_millis(30), setup.heard.next()).await;
        if heard.is_ok_and(|heard| heard.unwrap().payload == text) {
            return;
        }
    }
    panic!("{text} is not heard");
}

#[tokio::test]
async fn a_proxy_that_cuts_and_refuses_keeps_its_clients_away() {
    let mut setup = Setup::new().await;
    setup.proxy.refuse(true);
    setup.proxy.cut();
    eventually("the client is gone", || {
        setup.client.connection_state() == async_nats::connection::State::Disconnected
    })
    .await;
    assert_eq!(setup.proxy.open(), 0);
    setup.proxy.refuse(false);
    eventually_heard(&mut setup, "after").await;
}

#[tokio::test]
async fn what_is_injected_or_replaced_arrives() {
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
    setup.say(&["a", "c", "e"]).await;
    setup.hears(&["a", "b", "d", "e"]).await;
    setup.proxy.inject(Direction::ToServer, &news("f"));
    setup.hears(&["f"]).await;
}

#[tokio::test]
async fn pings_are_meant_by_their_verb() {
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
    // It goes where the proxy goes.
    proxy.retarget(&cluster.node(1).url());
    proxy.cut();
    eventually("the client is at another node", || client.server_info().server_id != first).await;
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn a_dropped_proxy_is_gone() {
    let Setup { proxy, client, server, .. } = Setup::new().await;
    drop(proxy);
    eventually("the client is gone", || {
        client.connection_state() == async_nats::connection::State::Disconnected
    })
    .await;
    drop(server);
}
