//! This project: one client, one session.

use std::time::Duration;

use thrift_nats_runtime::Server;
use tokio::runtime::Runtime;

use super::Contestant;
use crate::BoxError;
use crate::broker::Broker;
use crate::calls::OURS;
use crate::load::{Load, drive};
use crate::services::Adder;
use crate::tutorial::{CalculatorClient, CalculatorServer};

pub(crate) struct Ours {
    client: CalculatorClient,
    _server: Server,
}

impl Ours {
    pub(crate) async fn start(broker: &Broker) -> Result<Self, BoxError> {
        let server =
            Server::builder(&broker.connect().await?, "ours").serve(CalculatorServer::new(Adder)).await?;
        let client = CalculatorClient::connect(&broker.connect().await?, "ours").await?;
        Ok(Self { client, _server: server })
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        OURS
    }

    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError> {
        let client = self.client.clone();
        runtime.block_on(drive(calls, time, move |number| {
            let call = client.add(number, 1);
            async move {
                let sum = call.await?;
                if sum == number.wrapping_add(1) { Ok(()) } else { Err("a wrong sum".into()) }
            }
        }))
    }
}
