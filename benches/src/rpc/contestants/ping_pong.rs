//! The limit of one NATS message per request and response: two tasks that publish back each message they receive. It matches
//! no responses, wakes no callers and has no reply subjects.

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
        // Until NATS has both subscriptions. This also reads the extra messages.
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
        let mut pongs = self.pongs.take().ok_or("an earlier turn has failed")?;
        let client = self.client.clone();
        // In a task, like the others, because `block_on` would use one more thread.
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
