//! What goes beside a call, over a real NATS server: headers, deadlines, and the service that is called.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::time::Duration;

use thrift_nats_runtime::{
    ApplicationException, ApplicationExceptionKind, Call, Client, Error, Headers, Protocol, Response, Server,
    Transport,
};
use thrift_nats_runtime::{ReplyFuture, Request, Service, Services};
use thrift_nats_tests::NatsServer;

/// `header` gives the value of a header, and sets headers of the answer; `remaining` says how many milliseconds the call
/// has left; `onward` makes the other two on behalf of its own call; anything else fails.
#[derive(Clone)]
struct Metadata {
    name: &'static str,
    next: Option<Client>,
}

impl Service for Metadata {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let Self { name, next } = self.clone();
        Box::pin(async move {
            let cx = request.context();
            cx.set_header("served-by", name);
            match request.method() {
                "header" => {
                    let (name,): (String,) = request.arguments(((1, "name"),))?;
                    let value = cx.header(&name).unwrap_or_default().to_owned();
                    request.reply::<String, Error>(Ok(value))
                }
                "remaining" => {
                    let millis = cx.remaining().map_or(-1, |remaining| remaining.as_millis() as i64);
                    request.reply::<i64, Error>(Ok(millis))
                }
                "onward" => {
                    let next = next.unwrap();
                    let trace = header(&next, "traceparent").on_behalf_of(cx).await?;
                    let state = header(&next, "tracestate").on_behalf_of(cx).await?;
                    let other = header(&next, "other").on_behalf_of(cx).await?;
                    let left = remaining(&next).on_behalf_of(cx).await?;
                    request.reply::<String, Error>(Ok(format!("{trace} {state} {other} {}", left <= 2000)))
                }
                _ => Err(ApplicationException::revealed("it fails").into()),
            }
        })
    }
}

fn header(client: &Client, name: &str) -> Call<String> {
    client.call("header", &((1, name),))
}

fn remaining(client: &Client) -> Call<i64> {
    client.call("remaining", &())
}

async fn serve(nats: &async_nats::Client, service: impl Service) -> Server {
    Server::builder(nats, "metadata").serve(service).await.unwrap()
}

const PLAIN: Metadata = Metadata { name: "Metadata", next: None };

fn only(name: &str, value: &str) -> Headers {
    let mut headers = Headers::new();
    headers.insert(name, value);
    headers
}

#[tokio::test]
async fn headers_go_with_a_call_and_with_its_answer() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, PLAIN).await;
    let mut clients = vec![Client::in_process(PLAIN)];
    for protocol in [Protocol::Binary, Protocol::Compact] {
        for transport in Transport::ALL {
            for zlib in [false, true] {
                let client = Client::builder(&nats, "metadata").protocol(protocol).transport(*transport);
                clients.push(client.zlib(zlib).connect().await.unwrap());
            }
        }
    }
    for client in clients {
        let call = || header(&client, "é").header("é", "värde\n").header("other", "");
        assert_eq!(call().await.as_deref(), Ok("värde\n"));
        let served_by = only("served-by", "Metadata");
        let answer = call().with_headers().await;
        assert_eq!(answer, Response { result: Ok("värde\n".to_owned()), headers: served_by.clone() });
        // Not asked for by a header of its own, and not lost with an error.
        assert_eq!(header(&client, "é").with_headers().await.headers, served_by);
        let failed: Response<i32> = client.call("fails", &()).with_headers().await;
        assert!(matches!(failed.result, Err(Error::Application(_))));
        assert_eq!(failed.headers, served_by);
    }
}

#[tokio::test]
async fn headers_that_cannot_be_sent_are_an_error_and_those_of_an_answer_are_left_out() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, PLAIN).await;
    let client = Client::builder(&nats, "metadata").protocol(Protocol::Json).connect().await.unwrap();
    let error = header(&client, "a").header("a", "b").await.unwrap_err();
    assert!(matches!(error, Error::HeadersUnsupported { .. }), "{error}");
    let answer = header(&client, "a").with_headers().await;
    assert_eq!(answer, Response { result: Ok(String::new()), headers: Headers::new() });
    // They are longer than any headers may be: this call fails, and no other.
    let client = Client::connect(&nats, "metadata").await.unwrap();
    let error = header(&client, "a").header("a", "b".repeat(70_000)).await.unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error}");
    assert_eq!(header(&client, "a").await.as_deref(), Ok(""));
}

#[tokio::test]
async fn a_handler_knows_how_long_the_client_waits() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let _running = serve(&nats, PLAIN).await;
    let within =
        |millis: i64, most: i64| assert!((1..=most).contains(&millis) && most - millis < 5000, "{millis}");
    let default =
        Client::builder(&nats, "metadata").timeout(Duration::from_secs(30)).connect().await.unwrap();
    within(remaining(&default).await.unwrap(), 30_000);
    within(remaining(&default).timeout(Duration::from_secs(7)).await.unwrap(), 7000);
    // The frame with headers did not change what follows.
    within(remaining(&default).await.unwrap(), 30_000);
    within(remaining(&Client::in_process(PLAIN)).timeout(Duration::from_secs(8)).await.unwrap(), 8000);
    // What the handshake says is known in JSON, too; a call's own is not.
    let json = Client::builder(&nats, "metadata").protocol(Protocol::Json).connect().await.unwrap();
    within(remaining(&json).timeout(Duration::from_secs(7)).await.unwrap(), 10_000);
    let endless = Client::builder(&nats, "metadata").timeout(Duration::MAX).connect().await.unwrap();
    assert_eq!(remaining(&endless).await, Ok(-1));
}

#[tokio::test]
async fn a_call_on_behalf_of_another_keeps_its_trace_and_its_deadline() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let next = Client::in_process(PLAIN);
    let _running = serve(&nats, Metadata { next: Some(next), ..PLAIN }).await;
    let client = Client::connect(&nats, "metadata").await.unwrap();
    let call: Call<String> = client.call("onward", &());
    let call = call.traceparent("00-1-2-03").header("tracestate", "a=b").header("other", "stays here");
    assert_eq!(call.timeout(Duration::from_secs(2)).await.as_deref(), Ok("00-1-2-03 a=b  true"));
}

async fn served_by(client: &Client) -> Result<String, Error> {
    let response = header(client, "any").with_headers().await;
    response.result.map(|_| response.headers.get("served-by").unwrap().to_owned())
}

#[tokio::test]
async fn one_server_has_several_services() {
    let server = NatsServer::start().unwrap();
    let nats = server.client().await.unwrap();
    let named = |name| Metadata { name, ..PLAIN };
    let services = Services::new().with(named("First")).with_named("Second", named("AnotherName"));
    let running = serve(&nats, services.clone().with_default(named("Default"))).await;
    for protocol in Protocol::ALL {
        let builder = || Client::builder(&nats, "metadata").protocol(*protocol);
        if *protocol != Protocol::Json {
            let first = builder().service("First").connect().await.unwrap();
            assert_eq!(served_by(&first).await.as_deref(), Ok("First"));
            // They share the session.
            let sessions = running.sessions();
            let second = first.for_service("Second");
            assert_eq!(served_by(&second).await.as_deref(), Ok("AnotherName"));
            assert_eq!(running.sessions(), sessions);
            let plain = builder().connect().await.unwrap();
            assert_eq!(served_by(&plain).await.as_deref(), Ok("Default"));
        }
        let unknown = builder().service("Third").connect().await.unwrap();
        let error = header(&unknown, "any").await.unwrap_err();
        let Error::Application(exception) = error else { panic!("{error}") };
        assert_eq!(exception.kind, ApplicationExceptionKind::UNKNOWN_METHOD);
        assert_eq!(
            exception.message,
            "unknown service `Third` in the call of `header`; the server has First, Second"
        );
    }
    let error = header(&Client::in_process(services), "any").await.unwrap_err();
    let Error::Application(exception) = error else { panic!("{error}") };
    assert_eq!(exception.message, "the call of `header` names no service; the server has First, Second");
}
