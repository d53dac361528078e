//! A server whose runtime does not run its tasks any more, because a handler never returns to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use thrift_nats_runtime::{Client, Context, Error, Outcome, Server};
use thrift_nats_tests::{BOUND, NEVER, NatsServer, eventually, soon};

use crate::api::oracle::{Oracle, OracleAgainError, OracleClient, OracleOnceError, OracleServer, Parcel};

const SUBJECT: &str = "stalled";

/// `linger` never returns to the runtime, until the test says so.
#[derive(Clone, Debug, Default)]
struct Stalling {
    stalled: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
}

impl Oracle for Stalling {
    async fn once(&self, _cx: &Context, parcel: Parcel) -> Result<Parcel, OracleOnceError> {
        Ok(parcel)
    }

    async fn again(&self, _cx: &Context, parcel: Parcel) -> Result<Parcel, OracleAgainError> {
        Ok(parcel)
    }

    async fn make(&self, _cx: &Context, id: i64, _len: i32) -> Result<Parcel, Error> {
        Ok(Parcel { id, ..Parcel::default() })
    }

    async fn tell(&self, _cx: &Context, _parcel: Parcel) -> Result<(), Error> {
        Ok(())
    }

    async fn linger(&self, _cx: &Context, _id: i64) -> Result<(), Error> {
        self.stalled.fetch_add(1, Ordering::SeqCst);
        while !self.ends.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

#[tokio::test]
async fn idempotent_calls_do_not_fail_while_the_runtime_of_a_server_is_stalled() {
    let nats = NatsServer::start().unwrap();
    let (url, stalling) = (nats.url(), Stalling::default());
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (stop, stops) = tokio::sync::oneshot::channel::<()>();
    let handler = stalling.clone();
    let stalled = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let nats = async_nats::connect(url).await.unwrap();
            let server = Server::builder(&nats, SUBJECT).serve(OracleServer::new(handler)).await.unwrap();
            ready.send(()).unwrap();
            stops.await.unwrap();
            server.stop().await
        })
    });
    is_ready.await.unwrap();
    // Both have their session with this server. Then others start.
    let (one, other) = (connect(&nats).await, connect(&nats).await);
    let mut healthy = Vec::new();
    for _ in 0..2 {
        let server = Server::builder(&nats.client().await.unwrap(), SUBJECT);
        healthy.push(server.serve(OracleServer::new(Stalling::default())).await.unwrap());
    }
    let call = tokio::spawn(one.linger(1).timeout(NEVER).into_future());
    eventually("the runtime is stalled", || stalling.stalled.load(Ordering::SeqCst) == 1).await;
    for id in 0..20 {
        for client in [&one, &other] {
            let parcel = client.make(id, 0).timeout(Duration::from_secs(5)).idempotent().await;
            assert_eq!(parcel.map(|parcel| parcel.id), Ok(id));
        }
    }
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    println!("{error}");
    stalling.ends.store(true, Ordering::SeqCst);
    stop.send(()).unwrap();
    tokio::task::spawn_blocking(|| stalled.join()).await.unwrap().unwrap().unwrap();
    assert_eq!(one.make(100, 0).timeout(BOUND).await.map(|parcel| parcel.id), Ok(100));
}

async fn connect(nats: &NatsServer) -> OracleClient {
    OracleClient::new(Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap())
}
