//! The rules that hold for every error of the public API, each as a table over all variants.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use super::*;
use crate::format::{Protocol, Transport};
use crate::protocol::{DecodeErrorKind, EncodeErrorKind};

fn connect_errors() -> Vec<(ConnectError, &'static str)> {
    let subject = "calculator".to_owned();
    let option = InvalidOption { option: "sessions", value: "0".to_owned(), range: "1 to 65536" };
    vec![
        (
            ConnectError::InvalidSubject { subject: subject.clone(), reason: "it has a space" },
            "invalid_subject",
        ),
        (
            ConnectError::InvalidFormat {
                protocol: Protocol::Json,
                transport: Transport::Header,
                reason: "it has no number for it",
            },
            "invalid_format",
        ),
        (option.into(), "invalid_option"),
        (ConnectError::NoServer { subject: subject.clone() }, "no_server"),
        (ConnectError::Handshake { subject, reason: CloseReason::Reconnected }, "handshake"),
        (ConnectError::NoRuntime, "no_runtime"),
        (NatsError::new("cannot subscribe", "refused").into(), "nats"),
    ]
}

/// Each error of a call with its kind and outcome.
fn call_errors() -> Vec<(Error, &'static str, Outcome)> {
    let application = |kind| Error::from(ApplicationException::new(kind, "text"));
    let (method, timeout) = ("add".to_owned(), Duration::from_secs(1));
    let mut errors = vec![
        (application(ApplicationExceptionKind::INTERNAL_ERROR), "application_exception", Outcome::Unknown),
        (application(ApplicationExceptionKind::UNKNOWN_METHOD), "application_exception", Outcome::NotRun),
        (application(ApplicationExceptionKind::LOADSHEDDING), "application_exception", Outcome::NotRun),
        (Error::HeadersUnsupported { reason: "why" }, "headers_unsupported", Outcome::NotRun),
        (Error::QueueFull { len: 3, queued: 2, limit: 4 }, "queue_full", Outcome::NotRun),
        (Error::TooManyCalls { limit: 1 }, "too_many_calls", Outcome::NotRun),
        (
            Error::Encode(EncodeErrorKind::TooLong { what: "message", len: 2, limit: 1 }.into()),
            "encode",
            Outcome::NotRun,
        ),
        (Error::Decode(DecodeErrorKind::UnexpectedEnd.into()), "decode", Outcome::Unknown),
    ];
    for outcome in [Outcome::NotRun, Outcome::Unknown] {
        let method = method.clone();
        errors.push((Error::DeadlineExceeded { method, timeout, outcome }, "deadline_exceeded", outcome));
        let reason = CloseReason::Reconnected;
        errors.push((Error::SessionEnded { reason, outcome }, "session_ended", outcome));
    }
    errors.extend(connect_errors().into_iter().map(|(error, kind)| (error.into(), kind, Outcome::NotRun)));
    errors
}

fn serve_errors() -> Vec<(ServeError, &'static str)> {
    let option = InvalidOption { option: "heartbeat", value: "0ns".to_owned(), range: "1 ms or more" };
    vec![
        (
            ServeError::InvalidSubject { subject: "a b".to_owned(), reason: "it has a space" },
            "invalid_subject",
        ),
        (option.into(), "invalid_option"),
        (ServeError::NoRuntime, "no_runtime"),
        (NatsError::new("cannot subscribe", "refused").into(), "nats"),
        (ServeError::Panicked, "panicked"),
    ]
}

fn shutdown_errors() -> Vec<(ShutdownError, &'static str)> {
    vec![
        (ShutdownError::NotDrained { timeout: Duration::from_secs(1), calls: 2 }, "not_drained"),
        (NatsError::new("cannot flush", "refused").into(), "nats"),
    ]
}

#[test]
fn every_error_has_its_kind() {
    for (error, kind) in connect_errors() {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    for (error, kind, _) in call_errors() {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    for (error, kind) in serve_errors() {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    for (error, kind) in shutdown_errors() {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[test]
fn every_error_of_a_call_has_its_outcome() {
    for (error, _, outcome) in call_errors() {
        assert_eq!(error.outcome(), outcome, "{error:?}");
    }
}

/// The kinds in the tables of the documentation are those that the code returns.
#[test]
fn every_kind_is_documented() {
    let documented = |source: &str| -> BTreeSet<String> {
        let rows = source.lines().filter_map(|line| line.trim().strip_prefix("/// | `"));
        rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
    };
    let owned = |kinds: Vec<&'static str>| kinds.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let connect = connect_errors().into_iter().map(|(_, kind)| kind);
    assert_eq!(documented(include_str!("connect.rs")), owned(connect.clone().collect()));
    let mut call = owned(call_errors().into_iter().map(|(_, kind, _)| kind).collect());
    for kind in connect {
        call.remove(kind);
    }
    assert_eq!(documented(include_str!("call.rs")), call);
    let serve = serve_errors().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(documented(include_str!("serve.rs")), owned(serve));
    let shutdown = shutdown_errors().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(documented(include_str!("shutdown.rs")), owned(shutdown));
}

/// Does not print its source.
#[derive(Debug, thiserror::Error)]
#[error("nested")]
struct Nested(#[source] async_nats::PublishError);

#[test]
fn a_cause_is_printed_and_not_returned_from_source() {
    let text = |error: &dyn std::error::Error| {
        assert!(error.source().is_none(), "{error:?}");
        let text = error.to_string();
        let first = text.chars().next().unwrap();
        // Names of exception kinds and of IDL items are as they are.
        assert!(
            first.is_lowercase() || first == '`' || first.is_ascii_digit() || text.starts_with("INTERNAL"),
            "{text}"
        );
        assert!(!text.ends_with('.'), "{text}");
        text
    };
    for (error, _) in connect_errors() {
        text(&error);
    }
    for (error, ..) in call_errors().into_iter().filter(|(error, ..)| !matches!(error, Error::Application(_)))
    {
        text(&error);
    }
    for (error, _) in serve_errors() {
        text(&error);
    }
    for (error, _) in shutdown_errors() {
        text(&error);
    }
    let nats = NatsError::new("cannot subscribe", "refused");
    assert_eq!(text(&nats), "cannot subscribe: refused");
    assert_eq!(nats.cause().to_string(), "refused");
    let chain = || {
        let io = std::io::Error::other("connection reset");
        async_nats::PublishError::with_source(async_nats::client::PublishErrorKind::Send, io)
    };
    let nested = NatsError::new("cannot subscribe", Nested(chain()));
    let publish = chain().to_string();
    assert_eq!(text(&nested), format!("cannot subscribe: nested: {publish}"));
    let failed = CloseReason::PublishFailed { chunk: None, source: SharedError::new(Nested(chain())) };
    assert_eq!(failed.to_string(), format!("cannot publish to NATS: nested: {publish}"));
    assert_eq!(publish.matches("connection reset").count(), 1);
    let internal = Error::from(ApplicationException::internal("secret"));
    assert_eq!(internal.to_string(), "INTERNAL_ERROR: internal error");
    assert_eq!(internal.source().unwrap().to_string(), "secret", "it is not printed");
}

#[test]
fn the_error_of_a_drain_says_what_was_not_finished() {
    let text = |calls| ShutdownError::NotDrained { timeout: Duration::from_secs(1), calls }.to_string();
    assert_eq!(text(2), "not drained within 1s: 2 unfinished calls were dropped");
    assert_eq!(text(1), "not drained within 1s: 1 unfinished call was dropped");
    let nats = "NATS had not confirmed that the server left the queue group, or had not taken all replies";
    assert_eq!(text(0), format!("not drained within 1s: {nats}"));
}
