//! tonic over one TCP connection on 127.0.0.1, without NATS.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use self::adder::adder_client::AdderClient;
use self::adder::adder_server::{Adder, AdderServer};
use self::adder::{Sum, Terms};
use super::Contestant;
use crate::BoxError;
use crate::load::{Load, drive};

#[expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod adder {
    tonic::include_proto!("adder");
}

struct Service;

#[tonic::async_trait]
impl Adder for Service {
    async fn add(&self, request: Request<Terms>) -> Result<Response<Sum>, Status> {
        let Terms { num1, num2 } = request.into_inner();
        Ok(Response::new(Sum { sum: num1.wrapping_add(num2) }))
    }
}

pub(crate) struct Grpc {
    client: AdderClient<Channel>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Grpc {
    pub(crate) async fn start() -> Result<Self, BoxError> {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let serving = Server::builder().add_service(AdderServer::new(Service)).serve_with_incoming(incoming);
        let server = tokio::spawn(serving);
        let channel = Endpoint::try_from(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        Ok(Self { client: AdderClient::new(channel), server })
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Contestant for Grpc {
    fn name(&self) -> &'static str {
        "tonic"
    }

    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError> {
        let client = self.client.clone();
        runtime.block_on(drive(calls, time, move |number| {
            let mut client = client.clone();
            async move {
                let sum = client.add(Terms { num1: number, num2: 1 }).await?.into_inner().sum;
                if sum == number.wrapping_add(1) { Ok(()) } else { Err("a wrong sum".into()) }
            }
        }))
    }
}
