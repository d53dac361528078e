//! Protocols and transports over a real NATS server: every format of a client, against one server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use thrift_nats_runtime::internals::{Framing, wrap};
use thrift_nats_runtime::protocol::Limits;
use thrift_nats_runtime::{
    ApplicationExceptionKind, Client, CloseReason, ConnectError, Error, Protocol, Server, ServerBuilder,
    Transport,
};
use thrift_nats_tests::probe::{Failure, ProbeClient, ProbeFailError, Record, Refused};
use thrift_nats_tests::raw::{RawClient, is_disconnect, message, request};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService, next};

type Options = fn(ServerBuilder) -> ServerBuilder;

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
async fn transport_or_compression_that_is_not_served_is_refused_when_the_client_connects() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    // The option, what the server says it serves, and how many of the 16 clients it refuses.
    let cases: [(Options, &str, usize); 3] = [
        (
            |server| server.transports(&[Transport::Framed]),
            "protocols: binary, compact, json; transports: framed",
            10,
        ),
        (
            |server| server.transports(&[Transport::Header]),
            "protocols: binary, compact; transports: header",
            12,
        ),
        (
            |server| server.compression(false),
            "protocols: binary, compact, json; transports: buffered, framed, header; no compression",
            8,
        ),
    ];
    for (options, text, expected) in cases {
        let service = TestService::default();
        let running = service.serve(&nats, options).await;
        let mut refused = 0;
        for (format, zlib) in formats().flat_map(|format| [(format, false), (format, true)]) {
            match client(&connection, format).zlib(zlib).connect().await {
                Ok(client) => call_everything(&ProbeClient::new(client), &service).await,
                Err(ConnectError::Handshake { reason: CloseReason::Unsupported { served }, .. }) => {
                    assert_eq!(served, text);
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(refused, expected, "{text}");
        running.drain(Duration::from_secs(10)).await.unwrap();
    }
}

/// A client that announces nothing is not refused before its first message.
#[tokio::test]
async fn message_in_a_format_that_is_not_served_ends_its_session() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let cases: [(Options, Transport, bool); 3] = [
        (|server| server.transports(&[Transport::Buffered, Transport::Framed]), Transport::Header, false),
        (|server| server.transports(&[Transport::Buffered, Transport::Header]), Transport::Framed, false),
        (|server| server.compression(false), Transport::Header, true),
    ];
    for (options, transport, zlib) in cases {
        let running = TestService::default().serve(&nats, options).await;
        let mut client = RawClient::open(&connection, SUBJECT, &[]).await;
        client.send(request("ping", 1)).await;
        assert_eq!(client.replies(1).await, [1]);
        let framing = Framing { protocol: Protocol::Binary, transport, zlib, headers: Vec::new() };
        client.send(wrap(&request("ping", 2), &framing, 2, Limits::DEFAULT).unwrap()).await;
        assert!(is_disconnect(&client.receive().await), "{transport}");
        running.drain(Duration::from_secs(10)).await.unwrap();
    }
}

#[tokio::test]
async fn server_without_the_header_transport_gets_calls_without_headers() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let options = |server: ServerBuilder| server.transports(&[Transport::Buffered]);
    let _running = service.serve(&nats, options).await;
    let probe = ProbeClient::connect(&connection, SUBJECT).await.unwrap();
    let error = probe.add(1, 2).header("name", "value").await.unwrap_err();
    assert!(matches!(error, Error::HeadersUnsupported { .. }), "{error}");
    // The server is not told the timeout.
    assert_eq!(probe.add(1, 2).timeout(Duration::from_secs(3)).await, Ok(3));
    assert_eq!(probe.add(1, 2).await, Ok(3), "the session continues");
}

/// A frame in the header transport with a compressed message: a call of `add`, and zeros.
fn bomb(seqid: u32, len: usize) -> Vec<u8> {
    let field = [&[11, 0, 9][..], &u32::try_from(len).unwrap().to_be_bytes(), &vec![0; len]].concat();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&message(1, "add", seqid, &field)).unwrap();
    let head = [&[0x0f, 0xff, 0, 0][..], &seqid.to_be_bytes(), &[0, 1, 0, 1, 1, 0]].concat();
    let frame = [head, encoder.finish().unwrap()].concat();
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_that_decompresses_to_too_much_ends_its_session_alone() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _running = service.serve(&nats, |server| server).await;
    let probe = ProbeClient::connect(&connection, SUBJECT).await.unwrap();
    let waiting = tokio::spawn(probe.wait(1));
    service.until_started("wait", 1).await;
    let (harmless, bomb) = (bomb(1, 1_000), bomb(2, 60_000_000));
    assert!(bomb.len() < 64 * 1024, "{} bytes", bomb.len());
    for _ in 0..10 {
        let mut attacker = RawClient::open(&connection, SUBJECT, &[]).await;
        attacker.send(harmless.clone()).await;
        assert!(!is_disconnect(&attacker.receive().await));
        attacker.send(bomb.clone()).await;
        assert_eq!(probe.add(1, 2).await, Ok(3));
        assert!(is_disconnect(&attacker.receive().await));
    }
    service.release(1);
    assert_eq!(waiting.await.unwrap(), Ok(2), "the session was open all the time");
}

/// The request holds what it was decompressed to until it has finished.
#[tokio::test]
async fn decompressed_requests_count_against_the_queue_limit() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let service = TestService::default();
    let _running = service.serve(&nats, |server| server.queue_limit(100_000)).await;
    let client = client(&connection, (Protocol::Binary, Transport::Header)).zlib(true);
    let probe = ProbeClient::new(client.connect().await.unwrap());
    // Compressed to a small part of the limit, but longer than half of it.
    let text: String = (0..10_000).map(|number| format!("{:04}:text", number % 50)).collect();
    let record = Record { key: 1, comment: None, text };
    assert_eq!(probe.echo(&record).await.as_ref(), Ok(&record), "alone");
    let waiting = tokio::spawn(probe.wait(1));
    service.until_started("wait", 1).await;
    let error = probe.echo(&record).await.unwrap_err();
    let Error::Application(exception) = &error else { panic!("{error}") };
    assert_eq!(exception.kind, ApplicationExceptionKind::LOADSHEDDING);
    assert!(exception.message.contains("see `queue_limit`"), "{exception}");
    service.release(1);
    assert_eq!(waiting.await.unwrap(), Ok(2));
    assert_eq!(probe.echo(&record).await, Ok(record), "the other call has finished");
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
