//! What a server does with peers that misbehave, vanish or come at the wrong time, over a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use thrift_nats_examples::shared::{SharedService, SharedStruct};
use thrift_nats_examples::tutorial::{Calculator, CalculatorCalculateError, CalculatorServer, Work};
use thrift_nats_runtime::{Context, Error, Server};
use thrift_nats_tests::NatsServer;

const BOUND: Duration = Duration::from_secs(30);

/// Adds.
#[derive(Clone, Default)]
struct Handler;

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, _key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct::default())
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, _cx: &Context, _id: i32, _w: Work) -> Result<i32, CalculatorCalculateError> {
        Ok(0)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test]
async fn a_subject_that_nats_does_not_take_is_refused_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a..b", "a\r\nPUB b 0"] {
        let serving = Server::new(connection.clone(), subject).serve(CalculatorServer::new(Handler));
        match tokio::time::timeout(BOUND, serving).await.expect("at once") {
            Err(Error::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}
