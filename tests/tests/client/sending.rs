//! Sending requests: chunks, the send queue, and calls that are dropped before they are sent.
//!
//! A single call is sent at once. Calls after it are sent by the publisher task, which runs on the thread of the test, so
//! that nothing is sent before the test awaits something.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures_util::{FutureExt, TryFutureExt};
use thrift_nats_runtime::{Call, Client, Error};
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::raw::RawServer;
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, soon};
use tokio::sync::mpsc;

use crate::{SHORT, length, wait};

/// The lengths of the chunks of a call whose request has about `bytes` bytes, as a server sees them.
async fn chunks(nats: &NatsServer, limit: Option<usize>, bytes: usize) -> Vec<usize> {
    let connection = nats.client().await.unwrap();
    let mut server = RawServer::listen(&connection, SUBJECT).await;
    let chunks = tokio::spawn(async move {
        let mut session = server.accept().await;
        let mut chunks = Vec::new();
        while chunks.iter().sum::<usize>() < bytes {
            chunks.push(session.receive().await.payload.len());
        }
        chunks
    });
    let builder = Client::builder(&connection, SUBJECT);
    let builder = if let Some(limit) = limit { builder.chunk_limit(limit) } else { builder };
    let client = builder.connect().await.unwrap();
    let call = tokio::spawn(length(&client, bytes));
    let chunks = soon(chunks).await.unwrap();
    call.abort();
    chunks
}

#[tokio::test]
async fn chunks_are_no_longer_than_the_chunk_limit() {
    let nats = NatsServer::start().unwrap();
    assert_eq!(chunks(&nats, None, 3_000_000).await[0], 1 << 20);
    let all = chunks(&nats, Some(1000), 10_000).await;
    assert_eq!(all[..10], [1000; 10]);
}

#[tokio::test]
async fn chunks_are_no_longer_than_nats_permits() {
    let nats = NatsServer::builder().max_payload(4096).start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    assert_eq!(soon(length(&client, 100_000)).await, Ok(100_000));
    assert_eq!(soon(ProbeClient::new(client).text(100_000)).await.map(|text| text.len()), Ok(100_000));
}

#[tokio::test]
async fn call_that_is_to_fail_fast_fails_at_once_if_the_send_queue_is_full() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).queue_limit(1_000_000);
    let client = builder.connect().await.unwrap();
    let mut first = pin!(length(&client, 1));
    assert!(first.as_mut().now_or_never().is_none());
    let mut fits = pin!(length(&client, 600_000));
    assert!(fits.as_mut().now_or_never().is_none());
    match length(&client, 600_000).fail_fast().now_or_never() {
        Some(Err(Error::QueueFull { len: 600_000.., queued: 600_000.., limit: 1_000_000 })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(soon(first).await, Ok(1));
    assert_eq!(soon(fits).await, Ok(600_000));
    assert_eq!(soon(length(&client, 600_000)).await, Ok(600_000), "the queue is empty again");
}

#[tokio::test]
async fn call_that_is_dropped_before_it_is_sent_does_not_run() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let _server = service.serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).queue_limit(1_000_000);
    let client = builder.connect().await.unwrap();
    let mut first = pin!(length(&client, 1));
    assert!(first.as_mut().now_or_never().is_none());
    // Together they have more than ten times the bytes that fit into the queue.
    for _ in 0..20 {
        assert!(length(&client, 600_000).now_or_never().is_none());
    }
    assert_eq!(client.calls_in_flight(), 1);
    assert_eq!(soon(first).await, Ok(1));
    assert_eq!(soon(length(&client, 1)).await, Ok(1));
    assert_eq!((service.started("length"), client.late_replies()), (2, 0));
}

/// Sends the number of calls in flight when it is woken.
struct Counting {
    client: Client,
    counts: mpsc::UnboundedSender<usize>,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        let _ = self.counts.send(self.client.calls_in_flight());
    }
}

#[tokio::test]
async fn caller_is_woken_after_its_call_has_left_the_calls_in_flight() {
    let nats = NatsServer::start().unwrap();
    let _server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let probe = ProbeClient::new(client.clone());
    // With another call in flight, a oneway call is not sent within its first poll.
    let mut other = Box::pin(wait(&client));
    assert!(futures_util::poll!(&mut other).is_pending());

    let oneway: Call<()> = client.oneway("notify", &());
    let calls: [(_, Pin<Box<dyn Future<Output = _> + Send>>); 3] = [
        ("reply", Box::pin(probe.text(1).map_ok(drop))),
        ("oneway", Box::pin(oneway)),
        ("expired", Box::pin(wait(&client).timeout(SHORT).map_ok(drop))),
    ];
    for (how, mut call) in calls {
        let (counts, mut seen) = mpsc::unbounded_channel();
        let waker = Waker::from(Arc::new(Counting { client: client.clone(), counts }));
        let mut cx = Context::from_waker(&waker);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(client.calls_in_flight(), 2);
        assert_eq!(soon(seen.recv()).await, Some(1), "{how}");
        assert!(call.as_mut().poll(&mut cx).is_ready());
    }
}

#[tokio::test]
async fn handlers_of_cancelled_calls_end_also_if_the_client_is_dropped_at_once() {
    let nats = NatsServer::start().unwrap();
    let service = TestService::default();
    let server = service.serve(&nats, |server| server).await;
    let client = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|id| tokio::spawn(client.wait(id).timeout(std::time::Duration::from_secs(3600))))
        .collect();
    service.until_started("wait", 100).await;
    drop(client);
    for call in calls {
        call.abort();
    }
    // The handlers wait for the test. A drain ends in time only if all of them were dropped.
    server.drain(thrift_nats_tests::BOUND).await.unwrap();
}
