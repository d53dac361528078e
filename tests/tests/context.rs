//! Headers, deadlines and service names of calls, over a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use thrift_nats_runtime::{
    ApplicationExceptionKind, Call, Client, Error, Headers, Protocol, ReplyFuture, Request, Response, Server,
    Transport,
};
use thrift_nats_runtime::{Service, Services};
use thrift_nats_tests::probe::{Failure, ProbeClient};
use thrift_nats_tests::{NatsServer, SUBJECT, TestService};

fn header(client: &Client, name: &str) -> Call<String> {
    ProbeClient::new(client.clone()).header(name)
}

fn remaining(client: &Client) -> Call<i64> {
    ProbeClient::new(client.clone()).remaining()
}

async fn serve(nats: &async_nats::Client, service: impl Service) -> Server {
    Server::builder(nats, SUBJECT).serve(service).await.unwrap()
}

fn only(name: &str, value: &str) -> Headers {
    let mut headers = Headers::new();
    headers.insert(name, value);
    headers
}

#[tokio::test]
async fn call_and_response_carry_headers() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let service = TestService::labelled("label");
    let _running = serve(&nats, service.server()).await;
    let mut clients = vec![Client::in_process(service.server())];
    for protocol in [Protocol::Binary, Protocol::Compact] {
        for transport in Transport::ALL {
            for zlib in [false, true] {
                let client = Client::builder(&nats, SUBJECT).protocol(protocol).transport(*transport);
                clients.push(client.zlib(zlib).connect().await.unwrap());
            }
        }
    }
    let served_by = only("served-by", "label");
    for client in clients {
        let call = || header(&client, "é").header("é", "värde\n").header("other", "");
        assert_eq!(call().await.as_deref(), Ok("värde\n"));
        let response = call().with_headers().await;
        assert_eq!(response, Response { result: Ok("värde\n".to_owned()), headers: served_by.clone() });
        // They come without request headers, too, and with an error.
        assert_eq!(header(&client, "é").with_headers().await.headers, served_by);
        let probe = ProbeClient::new(client);
        let failed = probe.fail(Failure::APPLICATION, 0, "").with_headers().await;
        assert!(failed.result.is_err());
        assert_eq!(failed.headers, served_by);
    }
}

#[tokio::test]
async fn request_headers_that_cannot_be_sent_are_an_error_and_response_headers_are_left_out() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, TestService::labelled("label").server()).await;
    let client = Client::builder(&nats, SUBJECT).protocol(Protocol::Json).connect().await.unwrap();
    let error = header(&client, "a").header("a", "b").await.unwrap_err();
    assert!(matches!(error, Error::HeadersUnsupported { .. }), "{error}");
    let response = header(&client, "a").with_headers().await;
    assert_eq!(response, Response { result: Ok(String::new()), headers: Headers::new() });
    // These exceed the limit on headers. This call fails, and no other.
    let client = Client::connect(&nats, SUBJECT).await.unwrap();
    let error = header(&client, "a").header("a", "b".repeat(70_000)).await.unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error}");
    assert_eq!(header(&client, "a").await.as_deref(), Ok(""));
}

#[tokio::test]
async fn handler_sees_the_deadline_of_the_client() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, TestService::default().server()).await;
    let within =
        |millis: i64, most: i64| assert!((1..=most).contains(&millis) && most - millis < 5000, "{millis}");
    let default = Client::builder(&nats, SUBJECT).timeout(Duration::from_secs(30)).connect().await.unwrap();
    within(remaining(&default).await.unwrap(), 30_000);
    within(remaining(&default).timeout(Duration::from_secs(7)).await.unwrap(), 7000);
    // The timeout of the last call did not change that of the session.
    within(remaining(&default).await.unwrap(), 30_000);
    let in_process = Client::in_process(TestService::default().server());
    within(remaining(&in_process).timeout(Duration::from_secs(8)).await.unwrap(), 8000);
    // JSON carries no headers, and so only the timeout in the handshake.
    let json = Client::builder(&nats, SUBJECT).protocol(Protocol::Json).connect().await.unwrap();
    within(remaining(&json).timeout(Duration::from_secs(7)).await.unwrap(), 10_000);
    let endless = Client::builder(&nats, SUBJECT).timeout(Duration::MAX).connect().await.unwrap();
    within(remaining(&endless).await.unwrap(), 600_000);
    let unlimited = Server::builder(&nats, "unlimited").max_timeout(Duration::MAX);
    let _unlimited = unlimited.serve(TestService::default().server()).await.unwrap();
    let endless = Client::builder(&nats, "unlimited").timeout(Duration::MAX).connect().await.unwrap();
    assert_eq!(remaining(&endless).await, Ok(-1));
}

#[tokio::test]
async fn call_on_behalf_of_another_passes_on_its_trace_and_its_deadline() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let service = TestService::forwarding_to(Client::in_process(TestService::default().server()));
    let _running = serve(&nats, service.server()).await;
    let probe = ProbeClient::connect(&nats, SUBJECT).await.unwrap();
    let call = probe.forward().traceparent("00-1-2-03").header("tracestate", "a=b");
    let call = call.header("other", "not passed on").timeout(Duration::from_secs(2));
    let forwarded = call.await.unwrap();
    let (headers, remaining) = forwarded.rsplit_once(' ').unwrap();
    assert_eq!(headers, "00-1-2-03 a=b ");
    assert!((1..=2000).contains(&remaining.parse().unwrap()), "{remaining}");
}

async fn served_by(client: &Client) -> Result<String, Error> {
    let response = header(client, "any").with_headers().await;
    response.result.map(|_| response.headers.get("served-by").unwrap().to_owned())
}

#[tokio::test]
async fn one_server_serves_several_services() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let labelled = |label| TestService::labelled(label).server();
    let services = Services::new().with(labelled("first")).with_named("Second", labelled("second"));
    let running = serve(&nats, services.clone().with_default(labelled("default"))).await;
    for protocol in Protocol::ALL {
        let builder = || Client::builder(&nats, SUBJECT).protocol(*protocol);
        if *protocol != Protocol::Json {
            let first = builder().service("Probe").connect().await.unwrap();
            assert_eq!(served_by(&first).await.as_deref(), Ok("first"));
            // Both use one session.
            let sessions = running.sessions();
            let second = first.for_service("Second");
            assert_eq!(served_by(&second).await.as_deref(), Ok("second"));
            assert_eq!(running.sessions(), sessions);
            let plain = builder().connect().await.unwrap();
            assert_eq!(served_by(&plain).await.as_deref(), Ok("default"));
        }
        let unknown = builder().service("Third").connect().await.unwrap();
        let error = header(&unknown, "any").await.unwrap_err();
        let Error::Application(exception) = error else { panic!("{error}") };
        assert_eq!(exception.kind, ApplicationExceptionKind::UNKNOWN_METHOD);
        assert_eq!(
            exception.message,
            "unknown service `Third` in the call of `header`; the server has Probe, Second"
        );
    }
    let error = header(&Client::in_process(services), "any").await.unwrap_err();
    let Error::Application(exception) = error else { panic!("{error}") };
    assert_eq!(exception.message, "the call of `header` names no service; the server has Probe, Second");
}

/// A service whose every function returns the session of the call.
struct SessionOfCall;

impl Service for SessionOfCall {
    fn name(&self) -> &'static str {
        "SessionOfCall"
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let session = request.context().session().map(|session| session.to_string());
        let reply = request.reply::<String, Error>(Ok(session.unwrap_or_default()));
        Box::pin(std::future::ready(reply))
    }
}

/// The subject of a session is a secret: whoever knows it can send to the session.
#[tokio::test]
async fn handler_sees_the_number_of_the_session_and_not_its_subject() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, SessionOfCall).await;
    let session = async |client: &Client| client.call::<String, Error>("any", &()).await.unwrap();
    let (one, other) = (
        Client::builder(&nats, SUBJECT).connect().await.unwrap(),
        Client::builder(&nats, SUBJECT).connect().await.unwrap(),
    );
    let first = session(&one).await;
    assert!(first.parse::<u64>().is_ok(), "{first}");
    assert_eq!(session(&one).await, first);
    assert_ne!(session(&other).await, first);
    assert_eq!(session(&Client::in_process(SessionOfCall)).await, "");
}
