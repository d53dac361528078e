//! `request` of async-nats, with a responder that sends back each payload. No codec, no service.

use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::Contestant;
use crate::BoxError;
use crate::broker::Broker;
use crate::load::{Load, drive};

/// The length of a payload. A call of `add` has a few bytes less.
pub(crate) const PAYLOAD: usize = 40;

pub(crate) struct Responder {
    client: Client,
    responder: JoinHandle<()>,
}

impl Responder {
    pub(crate) async fn start(broker: &Broker) -> Result<Self, BoxError> {
        let server = broker.connect().await?;
        let mut requests = server.subscribe("request").await?;
        let responder = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                // The request fails without a response.
                let Some(reply) = request.reply else { continue };
                let _ = server.publish(reply, request.payload).await;
            }
        });
        let client = broker.connect().await?;
        // Until NATS has the subscription.
        while client.request("request", Bytes::new()).await.is_err() {}
        Ok(Self { client, responder })
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.responder.abort();
    }
}

/// Sends a payload and checks the response.
pub(crate) async fn request(client: Client, payload: Bytes) -> Result<(), BoxError> {
    let len = payload.len();
    let response = client.request("request", payload).await?;
    if response.payload.len() == len { Ok(()) } else { Err("a wrong response".into()) }
}

impl Contestant for Responder {
    fn name(&self) -> &'static str {
        "async-nats request"
    }

    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError> {
        let client = self.client.clone();
        runtime.block_on(drive(calls, time, move |number| {
            // Each call allocates its payload, as a call of `add` does.
            request(client.clone(), Bytes::copy_from_slice(&[number as u8; PAYLOAD]))
        }))
    }
}
