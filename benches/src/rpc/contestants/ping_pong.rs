//! The limit of what NATS messages can do, one for each call: so many in flight, between two tasks that send back what comes.
//! Nobody is woken for an answer, nothing is matched, and no answer has a subject of its own.

use std::time::{Duration, Instant};

use async_nats::{Client, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::Contestant;
use super::request::PAYLOAD;
use crate::BoxError;
use crate::broker::Broker;
use crate::load::Load;

const PING: Subject = Subject::from_static("ping");
const PONG: Subject = Subject::from_static("pong");

pub(crate) struct PingPong {
    client: Client,
    pongs: Option<Subscriber>,
    server: JoinHandle<()>,
}

impl PingPong {
    pub(crate) async fn start(broker: &Broker) -> Result<Self, BoxError> {
        let (server, client) = (broker.connect().await?, broker.connect().await?);
        let mut pings = server.subscribe(PING).await?;
        let mut pongs = client.subscribe(PONG).await?;
        let server = tokio::spawn(async move {
            while let Some(ping) = pings.next().await {
                let _ = server.publish(PONG, ping.payload).await;
            }
        });
        // Until NATS has both subscriptions; what else comes back then is read here.
        client.publish(PING, Bytes::new()).await?;
        while tokio::time::timeout(Duration::from_millis(200), pongs.next()).await.is_err() {
            client.publish(PING, Bytes::new()).await?;
        }
        Ok(Self { client, pongs: Some(pongs), server })
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Contestant for PingPong {
    fn name(&self) -> &'static str {
        "ping-pong"
    }

    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError> {
        let mut pongs = self.pongs.take().ok_or("a turn before has failed")?;
        let client = self.client.clone();
        // In a task, as all the others: what runs in `block_on` has a thread more.
        let (load, pongs) = runtime.block_on(runtime.spawn(async move {
            let begun = Instant::now();
            let mut count = 0;
            for number in 0..calls {
                client.publish(PING, Bytes::copy_from_slice(&[number as u8; PAYLOAD])).await?;
            }
            while begun.elapsed() < time {
                let pong = pongs.next().await.ok_or("the connection is closed")?;
                count += 1;
                client.publish(PING, pong.payload).await?;
            }
            let time = begun.elapsed();
            for _ in 0..calls {
                pongs.next().await.ok_or("the connection is closed")?;
            }
            Ok::<_, BoxError>((Load { calls: count, time }, pongs))
        }))??;
        self.pongs = Some(pongs);
        Ok(load)
    }
}
