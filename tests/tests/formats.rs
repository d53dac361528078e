//! Protocols and transports over a real NATS server: what clients speak, and what servers make of it.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use futures_util::StreamExt;
use thrift_nats_runtime::{
    ApplicationExceptionKind, Client, CloseReason, ConnectError, Context, Error, Protocol, Server, Transport,
};
use thrift_nats_tests::NatsServer;
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, InvalidOperation, Operation,
    Work,
};

struct Handler;

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct { key, value: "\"é☃\u{1}\\".repeat(key as usize) })
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        num1.checked_add(num2)
            .ok_or_else(|| thrift_nats_runtime::ApplicationException::revealed("the sum is no i32").into())
    }

    async fn calculate(&self, _cx: &Context, logid: i32, w: Work) -> Result<i32, CalculatorCalculateError> {
        match w.op {
            Operation::DIVIDE if w.num2 == 0 => {
                Err(InvalidOperation { what_op: w.op.0, why: format!("logid {logid}") }.into())
            }
            _ => Ok(w.num1 - w.num2),
        }
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// All that can be spoken.
fn formats() -> impl Iterator<Item = (Protocol, Transport)> {
    let all = Protocol::ALL.iter().flat_map(|protocol| Transport::ALL.iter().map(|it| (*protocol, *it)));
    all.filter(|format| *format != (Protocol::Json, Transport::Header))
}

async fn serve(nats: &async_nats::Client, protocols: &[Protocol]) -> Server {
    Server::builder(nats, "calculator")
        .protocols(protocols)
        .chunk_limit(100)
        .serve(CalculatorServer::new(Handler))
        .await
        .unwrap()
}

fn client(
    nats: &async_nats::Client,
    (protocol, transport): (Protocol, Transport),
) -> thrift_nats_runtime::ClientBuilder {
    Client::builder(nats, "calculator").protocol(protocol).transport(transport)
}

async fn call_everything(calculator: &CalculatorClient) {
    calculator.ping().await.unwrap();
    assert_eq!(calculator.add(40, 2).await, Ok(42));
    let error = calculator.add(i32::MAX, 1).await.unwrap_err();
    let Error::Application(exception) = error else { panic!("{error}") };
    assert_eq!(exception.kind, ApplicationExceptionKind::INTERNAL_ERROR);
    let work = Work { num1: 15, num2: 10, op: Operation::SUBTRACT, ..Work::default() };
    assert_eq!(calculator.calculate(1, &work).await, Ok(5));
    let work = Work { num1: 1, num2: 0, op: Operation::DIVIDE, comment: Some("é\n".into()) };
    let ouch = InvalidOperation { what_op: Operation::DIVIDE.0, why: "logid 7".into() };
    assert_eq!(calculator.calculate(7, &work).await, Err(CalculatorCalculateError::InvalidOperation(ouch)));
    for key in [0, 1, 5000] {
        let found = calculator.get_struct(key).await.unwrap();
        assert_eq!(found, SharedStruct { key, value: "\"é☃\u{1}\\".repeat(key as usize) });
    }
    calculator.zip().await.unwrap();
    // Many at once: chunks hold parts of several.
    let sums = futures_util::future::join_all((0..200).map(|number| calculator.add(number, 1))).await;
    assert!(sums.into_iter().zip(1..).all(|(sum, expected)| sum == Ok(expected)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_serves_every_protocol_and_transport_at_once() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let running = serve(&nats, Protocol::ALL).await;
    let clients = formats().map(|format| {
        let nats = nats.clone();
        async move {
            for (chunk_limit, zlib) in [(64 * 1024, false), (7, true)] {
                let client = client(&nats, format).chunk_limit(chunk_limit).zlib(zlib);
                let client = client.connect().await.unwrap();
                let calculator = CalculatorClient::new(client);
                call_everything(&calculator).await;
                calculator.close().await.unwrap();
            }
        }
    });
    futures_util::future::join_all(clients).await;
    running.drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn a_protocol_that_is_not_served_is_refused_when_the_client_connects() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let running = serve(&nats, &[Protocol::Compact]).await;
    for format in formats() {
        let result = client(&nats, format).connect().await;
        if format.0 == Protocol::Compact {
            call_everything(&CalculatorClient::new(result.unwrap())).await;
            continue;
        }
        let error = result.expect_err("it is not served");
        let ConnectError::Handshake { subject, reason: CloseReason::Unsupported { served } } = &error else {
            panic!("{error}")
        };
        assert_eq!(subject, "calculator");
        assert_eq!(served, "protocols: compact; transports: buffered, framed, header");
    }
    running.drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn json_in_the_header_transport_is_refused_before_anything_is_sent() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let (protocol, transport) = (Protocol::Json, Transport::Header);
    let error = client(&nats, (protocol, transport)).connect().await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::InvalidFormat { protocol: Protocol::Json, transport: Transport::Header, .. }
        ),
        "{error}"
    );
}

/// Every option is seen on the wire, in the request and in its answer.
#[tokio::test]
async fn what_a_client_is_told_to_speak_is_what_goes_over_nats() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, Protocol::ALL).await;
    for (protocol, transport) in formats() {
        for zlib in [false, true] {
            let calculator = client(&nats, (protocol, transport)).zlib(zlib).connect().await.unwrap();
            let mut wire = nats.subscribe(">").await.unwrap();
            nats.flush().await.unwrap();
            assert_eq!(CalculatorClient::new(calculator).add(40, 2).await, Ok(42));
            let start = match protocol {
                Protocol::Binary => &[0x80, 1][..],
                Protocol::Compact => &[0x82],
                _ => b"[1,\"add\"",
            };
            let mut messages = 0;
            while messages < 2 {
                let next = tokio::time::timeout(Duration::from_secs(10), wire.next()).await;
                let payload = next.unwrap().unwrap().payload;
                // Other sessions end meanwhile, and say so.
                let message = match transport {
                    Transport::Buffered => payload.strip_prefix(start).map(|_| false),
                    Transport::Framed => {
                        payload.get(4..).and_then(|it| it.strip_prefix(start)).map(|_| false)
                    }
                    // How many transforms, behind the number of the protocol.
                    Transport::Header => payload
                        .get(4..)
                        .and_then(|it| it.strip_prefix(&[0x0f, 0xff]))
                        .map(|behind| behind[9] == 1),
                };
                if let Some(compressed) = message {
                    assert_eq!(compressed, zlib && transport == Transport::Header);
                    messages += 1;
                }
            }
        }
    }
}
