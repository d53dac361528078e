//! Protocols and transports over a real NATS server: every format of a client, against one server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use thrift_nats_runtime::{
    ApplicationExceptionKind, Client, CloseReason, ConnectError, Error, Protocol, Server, Transport,
};
use thrift_nats_tests::probe::{Failure, ProbeClient, ProbeFailError, Record, Refused};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, next};

/// All formats.
fn formats() -> impl Iterator<Item = (Protocol, Transport)> {
    let all = Protocol::ALL.iter().flat_map(|protocol| Transport::ALL.iter().map(|it| (*protocol, *it)));
    all.filter(|format| *format != (Protocol::Json, Transport::Header))
}

async fn serve(nats: &async_nats::Client, service: &TestService, protocols: &[Protocol]) -> Server {
    let server = Server::builder(nats, SUBJECT).protocols(protocols).chunk_limit(100);
    server.serve(service.server()).await.unwrap()
}

fn client(
    nats: &async_nats::Client,
    (protocol, transport): (Protocol, Transport),
) -> thrift_nats_runtime::ClientBuilder {
    Client::builder(nats, SUBJECT).protocol(protocol).transport(transport)
}

/// Every kind of call: with and without a result, oneway, with exceptions, with long strings, and many at once.
async fn call_everything(probe: &ProbeClient, service: &TestService) {
    probe.ping().await.unwrap();
    assert_eq!(probe.add(40, 2).await, Ok(42));
    let failed = probe.fail(Failure::APPLICATION, 0, "é\n").await.unwrap_err();
    let ProbeFailError::Rpc(Error::Application(exception)) = failed else { panic!("{failed}") };
    assert_eq!((exception.kind, exception.message.as_str()), (ApplicationExceptionKind(42), "é\n"));
    let failed = probe.fail(Failure::DECLARED, 7, "é\n").await;
    let refused = Refused { code: 7, reason: "é\n".to_owned() };
    assert_eq!(failed, Err(ProbeFailError::Refused(refused)));
    for key in [0, 1, 5000] {
        let text = "\"é☃\u{1}\\".repeat(key as usize);
        let record = Record { key, comment: (key == 1).then(|| text.clone()), text };
        assert_eq!(probe.echo(&record).await, Ok(record));
    }
    let notified = service.started("notify");
    probe.notify(1).await.unwrap();
    service.until_started("notify", notified + 1).await;
    // Chunks contain parts of several messages.
    let sums = futures_util::future::join_all((0..200).map(|number| probe.add(number, 1))).await;
    assert!(sums.into_iter().zip(1..).all(|(sum, expected)| sum == Ok(expected)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_serves_every_protocol_and_transport_at_once() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let service = TestService::default();
    let running = serve(&nats, &service, Protocol::ALL).await;
    let clients = formats().map(|format| {
        let (nats, service) = (nats.clone(), &service);
        async move {
            for (chunk_limit, zlib) in [(64 * 1024, false), (7, true)] {
                let client = client(&nats, format).chunk_limit(chunk_limit).zlib(zlib);
                let client = client.connect().await.unwrap();
                let probe = ProbeClient::new(client);
                call_everything(&probe, service).await;
                probe.close().await.unwrap();
            }
        }
    });
    futures_util::future::join_all(clients).await;
    running.drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn protocol_that_is_not_served_is_refused_when_the_client_connects() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let service = TestService::default();
    let running = serve(&nats, &service, &[Protocol::Compact]).await;
    for format in formats() {
        let result = client(&nats, format).connect().await;
        if format.0 == Protocol::Compact {
            call_everything(&ProbeClient::new(result.unwrap()), &service).await;
            continue;
        }
        let error = result.expect_err("the protocol is not served");
        let ConnectError::Handshake { subject, reason: CloseReason::Unsupported { served } } = &error else {
            panic!("{error}")
        };
        assert_eq!(subject, SUBJECT);
        assert_eq!(served, "protocols: compact; transports: buffered, framed, header");
    }
    running.drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test]
async fn json_in_the_header_transport_is_rejected_before_anything_is_sent() {
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

/// Both the request and its reply are in the format of the client.
#[tokio::test]
async fn options_of_the_client_set_the_format_on_the_wire() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let service = TestService::default();
    let _running = serve(&nats, &service, Protocol::ALL).await;
    for (protocol, transport) in formats() {
        for zlib in [false, true] {
            let probe = client(&nats, (protocol, transport)).zlib(zlib).connect().await.unwrap();
            let mut wire = nats.subscribe(">").await.unwrap();
            nats.flush().await.unwrap();
            assert_eq!(ProbeClient::new(probe).add(40, 2).await, Ok(42));
            let start = match protocol {
                Protocol::Binary => &[0x80, 1][..],
                Protocol::Compact => &[0x82],
                _ => b"[1,\"add\"",
            };
            let mut messages = 0;
            while messages < 2 {
                // The disconnect messages of earlier sessions come in between.
                let payload = next(&mut wire).await.payload;
                let message = match transport {
                    Transport::Buffered => payload.strip_prefix(start).map(|_| false),
                    Transport::Framed => {
                        payload.get(4..).and_then(|it| it.strip_prefix(start)).map(|_| false)
                    }
                    // The number of transforms comes after that of the protocol.
                    Transport::Header => payload
                        .get(4..)
                        .and_then(|it| it.strip_prefix(&[0x0f, 0xff]))
                        .map(|rest| rest[9] == 1),
                };
                if let Some(compressed) = message {
                    assert_eq!(compressed, zlib && transport == Transport::Header);
                    messages += 1;
                }
            }
        }
    }
}
