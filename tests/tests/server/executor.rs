//! Running requests: handlers that block, are slow, panic or are cancelled delay and end nothing else.

use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use thrift_nats_runtime::{ApplicationException, Error, ReplyFuture, Request, Server, Service};
use thrift_nats_tests::raw::{RawClient, is_disconnect};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn handlers_that_block_their_threads_delay_no_other_message() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let connection = nats.client().await.unwrap();
    let mut one = RawClient::numbered(&connection, SUBJECT).await;
    let mut other = RawClient::numbered(&connection, SUBJECT).await;

    // Three handlers block three threads. The receive loop still receives from the same client and from another one.
    for chunk in 1..=3 {
        one.call(chunk, &["block", "ping"]).await;
    }
    service.until_started("block", 3).await;
    for chunk in 4..=6 {
        one.call(chunk, &["ping"]).await;
        assert_eq!(one.replies(1).await, [0]);
        other.call(chunk - 3, &["ping"]).await;
        assert_eq!(other.replies(1).await, [0]);
    }
    service.unblock(3);
    assert_eq!(one.replies(6).await, [0, 0, 0, 1, 1, 1]);

    // The end of the server does not wait for a handler that blocks, either.
    one.call(7, &["block"]).await;
    service.until_started("block", 4).await;
    server.stop().await.unwrap();
    assert!(is_disconnect(&other.receive().await));
    service.unblock(1);
}

#[tokio::test]
async fn replies_do_not_wait_for_slow_handlers_after_them_in_the_same_message() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["busy"; 20]).await;
    // Each takes longer than the time slice of a chunk task.
    let first = client.receive().await.payload.len() / 17;
    assert!(first < 20, "the replies came together");
    assert_eq!(client.replies(20 - first).await.len(), 20 - first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn call_that_is_cancelled_before_it_starts_does_not_run() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    // The numbers of calls that are over, as most are when they are cancelled. They are not kept although a call still
    // runs.
    client.call(1, &["wait"]).await;
    service.until_started("wait", 1).await;
    let over: Vec<_> = (1000..1100).map(|seqid| seqid.to_string()).collect();
    client.cancel(2, &over.join(" ")).await;
    // The second call is cancelled while the first blocks their thread. The third chunk arrives after the cancel message.
    client.call(3, &["block", "run", "ping"]).await;
    client.cancel(4, "1").await;
    client.call(5, &["ping"]).await;
    assert_eq!(client.replies(1).await, [0]);
    service.unblock(1);
    assert_eq!(client.replies(2).await, [0, 2]);
    client.cancel(6, "0").await;
    server.drain(BOUND).await.unwrap();
    assert_eq!(service.started("run"), 0);
}

#[tokio::test]
async fn deadline_counts_from_when_the_request_was_received() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let headers = [("Thrift-Nats-Timeout", "50")];
    let mut client = RawClient::numbered_with(&nats.client().await.unwrap(), SUBJECT, &headers).await;
    // The requests before the last one take 20 * 5 ms. It would be run if its 50 ms began when it starts.
    client.call(1, &[&["busy"; 20][..], &["run"]].concat()).await;
    let mut bytes = Vec::new();
    let text = b"the deadline had passed";
    while !bytes.windows(text.len()).any(|window| window == text) {
        bytes.extend_from_slice(&client.receive().await.payload);
    }
    assert_eq!(service.started("run"), 0);
}

/// A service whose method `block` blocks its thread without telling tokio, until the test sends a message.
struct Blocks<S> {
    service: S,
    unblock: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl<S: Service> Service for Blocks<S> {
    fn name(&self) -> &'static str {
        self.service.name()
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let block = request.method() == "block";
        let reply = request.reply::<(), Error>(Ok(()));
        let unblock = Arc::clone(&self.unblock);
        Box::pin(async move {
            if block {
                unblock.lock().unwrap().recv_timeout(BOUND).unwrap();
            }
            reply
        })
    }
}

/// After the reply to `ping` is published, the task of the connection must not wait for the thread that `block` holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocking_request_of_a_legacy_client_holds_up_no_reply_before_it() {
    let nats = NatsServer::start().unwrap();
    let (unblock, blocked) = mpsc::channel();
    let service = Blocks { service: TestService::default().server(), unblock: Arc::new(Mutex::new(blocked)) };
    let _server = Server::builder(&nats.client().await.unwrap(), SUBJECT).serve(service).await.unwrap();
    let mut client = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    client.call(1, &["ping", "block", "ping"]).await;
    assert_eq!(client.replies(1).await, [0]);
    unblock.send(()).unwrap();
    assert_eq!(client.replies(2).await, [1, 2]);
}

/// A service whose futures panic when they are dropped.
struct PanicsOnDrop<S>(S);

impl<S: Service> Service for PanicsOnDrop<S> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn call(&self, request: Request) -> ReplyFuture {
        Box::pin(Bomb(self.0.call(request)))
    }
}

struct Bomb(ReplyFuture);

impl Future for Bomb {
    type Output = <ReplyFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test]
async fn handler_that_panics_when_it_is_dropped_ends_nothing_else() {
    let nats = NatsServer::start().unwrap();
    let service = PanicsOnDrop(TestService::default().server());
    let server = Server::builder(&nats.client().await.unwrap(), SUBJECT).serve(service).await.unwrap();
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    for chunk in 1..=3 {
        client.call(chunk, &["ping"]).await;
        assert_eq!(client.replies(1).await, [0]);
    }
    assert_eq!(server.failed().now_or_never(), None);
}

/// A subscriber that panics at every event.
struct PanicsAtEvents;

impl Subscriber for PanicsAtEvents {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        panic!("an event of {}", event.metadata().target());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A service whose method `fail` fails with an error that is logged, at once or after it was pending.
struct Fails<S>(S);

impl<S: Service> Service for Fails<S> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let (now, later) = (request.method() == "fail", request.method() == "failLater");
        if !now && !later {
            return self.0.call(request);
        }
        Box::pin(async move {
            if later {
                tokio::task::yield_now().await;
            }
            let error = ApplicationException::internal("the log of the test does not exist");
            request.reply::<(), Error>(Err(error.into()))
        })
    }
}

/// The log is written by the executor's own tasks.
#[tokio::test]
async fn panic_in_a_task_of_the_executor_costs_one_reply() {
    let nats = NatsServer::start().unwrap();
    let service = Fails(TestService::default().server());
    let server = Server::builder(&nats.client().await.unwrap(), SUBJECT).serve(service).await.unwrap();
    let mut client = RawClient::numbered(&nats.client().await.unwrap(), SUBJECT).await;
    let _panics = tracing::subscriber::set_default(PanicsAtEvents);
    client.call(1, &["ping", "fail", "ping", "failLater", "ping"]).await;
    assert_eq!(client.replies(3).await, [0, 2, 4]);
    let mut legacy = RawClient::legacy(&nats.client().await.unwrap(), SUBJECT).await;
    legacy.call(1, &["fail", "ping", "failLater", "ping"]).await;
    assert_eq!(legacy.replies(2).await, [1, 3]);
    assert_eq!(server.failed().now_or_never(), None);
    server.drain(BOUND).await.unwrap();
}

/// A legacy client sends its next request without waiting for the reply to the last one. They run one after the other.
#[tokio::test]
async fn legacy_client_that_does_not_wait_for_replies_gets_each_at_once() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let connection = nats.client().await.unwrap();
    let mut client = RawClient::legacy(&connection, SUBJECT).await;
    let calls = 2000;
    client.call(1, &vec!["busy"; calls]).await;
    // The first reply does not wait for the last request.
    assert_eq!(client.receive().await.payload.len(), 17);
    assert!(service.started("busy") < calls);
    // Other sessions get their share of the thread.
    let mut other = RawClient::numbered(&connection, SUBJECT).await;
    other.call(1, &["ping"]).await;
    assert_eq!(other.replies(1).await, [0]);
    server.stop().await.unwrap();
    assert!(service.started("busy") < calls);
}
