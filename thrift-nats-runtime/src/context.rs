//! The context of a call that a handler serves.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memchr::memchr;
use smol_str::SmolStr;

use crate::sync::lock;
use crate::time::{FAR_FUTURE, after, now};
use crate::transport::Headers;

/// The header with the caller's timeout in milliseconds. The name is that of fbthrift.
pub(crate) const CLIENT_TIMEOUT: &str = "client_timeout";
/// The header of W3C Trace Context that names the trace of a call.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The header of W3C Trace Context with the data of tracing systems.
pub(crate) const TRACESTATE: &str = "tracestate";

/// The call that a handler serves, besides its arguments: its deadline, its headers, and the headers of its reply.
///
/// Cheap to clone; all clones belong to the same call.
///
/// ```no_run
/// use thrift_nats_runtime::{Context, Error};
///
/// # struct Handler;
/// # impl Handler {
/// async fn greet(&self, cx: &Context, name: String) -> Result<String, Error> {
///     let language = cx.header("accept-language").unwrap_or("en");
///     cx.set_header("content-language", language);
///     if let Some(remaining) = cx.remaining() {
///         println!("{} has {remaining:?} left", cx.method());
///     }
///     Ok(format!("Hello, {name}!"))
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<CallContext>,
    /// The start of the function in the name: after the service, if the server has several.
    function: usize,
}

#[derive(Debug)]
struct CallContext {
    /// The name in the message: a function, or `service:function`.
    name: SmolStr,
    session: Option<u64>,
    received: Instant,
    deadline: Option<Instant>,
    headers: Headers,
    reply_headers: Mutex<Headers>,
}

impl Context {
    /// The context of a call of `name`. `timeout` applies if the call's headers have none, and `max_timeout` in any case.
    pub(crate) fn new(
        name: SmolStr,
        session: Option<u64>,
        received: Instant,
        timeout: Option<Duration>,
        max_timeout: Duration,
        headers: Headers,
    ) -> Self {
        let millis = headers.get(CLIENT_TIMEOUT).and_then(|millis| millis.parse().ok());
        let timeout = millis.map(Duration::from_millis).or(timeout).unwrap_or(Duration::MAX).min(max_timeout);
        let deadline = (timeout < FAR_FUTURE).then(|| after(received, timeout));
        let reply_headers = Mutex::default();
        let shared = CallContext { name, session, received, deadline, headers, reply_headers };
        Self { shared: Arc::new(shared), function: 0 }
    }

    /// The function that is called, as spelt in the IDL.
    pub fn method(&self) -> &str {
        &self.shared.name[self.function..]
    }

    /// The service that is called, if the server has several: see [`Services`](crate::Services).
    pub fn service(&self) -> Option<&str> {
        self.function.checked_sub(1).map(|end| &self.shared.name[..end])
    }

    /// The function without a service. Names of functions have no colon.
    pub(crate) fn function(&self) -> &str {
        let name = self.shared.name.as_str();
        memchr(b':', name.as_bytes()).map_or(name, |colon| &name[colon + 1..])
    }

    /// Uses the part of the name before the colon as the service. Returns false if the name has no colon.
    pub(crate) fn split_service(&mut self) -> bool {
        let colon = self.shared.name.find(':');
        self.function = colon.map_or(0, |colon| colon + 1);
        colon.is_some()
    }

    /// The number of the call's session, for logs: the lines of this crate about the session have it, too. It is unique in
    /// this process, and does not reveal the subject of the session. `None` for a call within the process.
    pub fn session(&self) -> Option<u64> {
        self.shared.session
    }

    /// The time at which the server received the call.
    pub fn received(&self) -> Instant {
        self.shared.received
    }

    /// The deadline of the call: the time at which it was received, plus the caller's timeout or the server's
    /// [`max_timeout`](crate::ServerBuilder::max_timeout), whichever is less. Legacy clients announce no timeout. The
    /// handler's future is dropped at the deadline. `None` if neither is limited.
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.deadline
    }

    /// The time until the [`deadline`](Self::deadline), or zero if it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.shared.deadline.map(|deadline| deadline.saturating_duration_since(now()))
    }

    /// A header of the call: see [`Call::header`](crate::Call::header).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.shared.headers.get(name)
    }

    /// All headers of the call.
    pub fn headers(&self) -> &Headers {
        &self.shared.headers
    }

    /// Sets a header of the reply, which the client gets from [`Call::with_headers`](crate::Call::with_headers), also if
    /// the call fails. It is dropped if the client is a legacy peer, or the protocol is JSON: their replies have no
    /// headers.
    pub fn set_header(&self, name: impl Into<String>, value: impl Into<String>) {
        lock(&self.shared.reply_headers).insert(name, value);
    }

    /// The trace of the call, as W3C Trace Context writes it: the header `traceparent`.
    pub fn traceparent(&self) -> Option<&str> {
        self.header(TRACEPARENT)
    }

    /// Removes and returns the headers that were set for the reply.
    pub(crate) fn take_reply_headers(&self) -> Headers {
        std::mem::take(&mut *lock(&self.shared.reply_headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str, headers: Headers, timeout: Option<Duration>) -> Context {
        Context::new(name.into(), None, Instant::now(), timeout, Duration::MAX, headers)
    }

    #[test]
    fn the_timeout_of_a_call_overrides_that_of_the_session() {
        let minute = Some(Duration::from_secs(60));
        let plain = context("f", Headers::new(), minute);
        assert_eq!(plain.deadline(), Some(plain.received() + Duration::from_secs(60)));
        let mut headers = Headers::new();
        headers.insert(CLIENT_TIMEOUT, "250");
        let own = context("f", headers.clone(), minute);
        assert_eq!(own.deadline(), Some(own.received() + Duration::from_millis(250)));
        assert!(own.remaining().unwrap() <= Duration::from_millis(250));
        headers.insert(CLIENT_TIMEOUT, "soon");
        let unclear = context("f", headers.clone(), minute);
        assert_eq!(unclear.deadline(), Some(unclear.received() + Duration::from_secs(60)));
        headers.insert(CLIENT_TIMEOUT, u64::MAX.to_string());
        assert_eq!(context("f", headers, None).deadline(), None, "in the far future");
        assert_eq!(context("f", Headers::new(), None).remaining(), None);
    }

    #[test]
    fn no_timeout_is_longer_than_that_of_the_server() {
        let max = Duration::from_secs(60);
        let within = |timeout: Option<u64>, own: Option<u64>| {
            let mut headers = Headers::new();
            if let Some(own) = own {
                headers.insert(CLIENT_TIMEOUT, own.to_string());
            }
            let timeout = timeout.map(Duration::from_millis);
            let context = Context::new("f".into(), None, Instant::now(), timeout, max, headers);
            context.deadline().unwrap() - context.received()
        };
        assert_eq!(within(None, None), max, "a legacy client announces none");
        assert_eq!(within(Some(u64::MAX), None), max);
        assert_eq!(within(None, Some(u64::MAX)), max);
        assert_eq!(within(Some(60_001), Some(60_001)), max);
        assert_eq!(within(Some(59_000), None), Duration::from_secs(59));
        assert_eq!(within(Some(u64::MAX), Some(250)), Duration::from_millis(250));
    }

    #[test]
    fn the_service_is_the_part_of_the_name_before_the_colon() {
        let mut one = context("Calculator:add", Headers::new(), None);
        assert_eq!((one.service(), one.method()), (None, "Calculator:add"));
        assert!(one.split_service());
        assert_eq!((one.service(), one.method()), (Some("Calculator"), "add"));
        let mut plain = context("add", Headers::new(), None);
        assert!(!plain.split_service());
        assert_eq!((plain.service(), plain.method()), (None, "add"));
    }
}
