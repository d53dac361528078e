//! What a handler knows of the call that it serves.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::Subject;
use memchr::memchr;
use smol_str::SmolStr;

use crate::sync::lock;
use crate::time::FAR_FUTURE;
use crate::transport::Headers;

/// The header that says how long the caller waits for the answer, in milliseconds: as fbthrift calls it.
pub(crate) const CLIENT_TIMEOUT: &str = "client_timeout";
/// The header of W3C Trace Context that says which trace a call belongs to.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The header that goes with it.
pub(crate) const TRACESTATE: &str = "tracestate";

/// What a handler knows of the call that it serves, besides its arguments. Cheap to clone; all clones are of the same call.
#[derive(Clone, Debug)]
pub struct Context {
    call: Arc<Call>,
    /// Where the function starts in the name: behind the service, if there are several.
    function: usize,
}

#[derive(Debug)]
struct Call {
    /// The name in the message: a function, or `service:function`.
    name: SmolStr,
    session: Option<Subject>,
    received: Instant,
    deadline: Option<Instant>,
    headers: Headers,
    answer: Mutex<Headers>,
}

impl Context {
    /// The context of a call of `name`. `timeout` is how long the client waits, unless the call's headers say.
    pub(crate) fn new(
        name: SmolStr,
        session: Option<Subject>,
        received: Instant,
        timeout: Option<Duration>,
        headers: Headers,
    ) -> Self {
        let millis = headers.get(CLIENT_TIMEOUT).and_then(|millis| millis.parse().ok());
        let timeout = millis.map(Duration::from_millis).or(timeout);
        let deadline =
            timeout.filter(|it| *it < FAR_FUTURE).and_then(|timeout| received.checked_add(timeout));
        let answer = Mutex::default();
        Self { call: Arc::new(Call { name, session, received, deadline, headers, answer }), function: 0 }
    }

    /// The function that is called, as it is spelt in the IDL.
    pub fn method(&self) -> &str {
        &self.call.name[self.function..]
    }

    /// The service that is called, where a server has several: see [`Services`](crate::Services).
    pub fn service(&self) -> Option<&str> {
        self.function.checked_sub(1).map(|end| &self.call.name[..end])
    }

    /// The function, whether a service was split off before it or not: no name of a function has a colon.
    pub(crate) fn function(&self) -> &str {
        let name = self.call.name.as_str();
        memchr(b':', name.as_bytes()).map_or(name, |colon| &name[colon + 1..])
    }

    /// Takes the part of the name before its colon for a service; false where there is none.
    pub(crate) fn split_service(&mut self) -> bool {
        let colon = self.call.name.find(':');
        self.function = colon.map_or(0, |colon| colon + 1);
        colon.is_some()
    }

    /// The subject of the session that the call came on, as a name for logs; `None` for a call within the process.
    pub fn session(&self) -> Option<&str> {
        self.call.session.as_deref()
    }

    /// When the call was taken up.
    pub fn received(&self) -> Instant {
        self.call.received
    }

    /// When the caller gives the call up, as far as this side knows it: the time that the caller gave it, from when it was taken
    /// up. `None` if the caller did not say, as a legacy peer. The handler's future is dropped then.
    pub fn deadline(&self) -> Option<Instant> {
        self.call.deadline
    }

    /// How much time is left until [`deadline`](Self::deadline); zero if it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.call.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// What the call has under this name beside its arguments: see [`Call::header`](crate::Call::header).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.call.headers.get(name)
    }

    /// All that the call has beside its arguments.
    pub fn headers(&self) -> &Headers {
        &self.call.headers
    }

    /// Sets a header of the answer, whatever the answer will be; [`Call::with_headers`](crate::Call::with_headers) has it
    /// at the client. Dropped where the answer cannot carry any: to a legacy peer, and in the JSON protocol.
    pub fn set_header(&self, name: impl Into<String>, value: impl Into<String>) {
        lock(&self.call.answer).insert(name, value);
    }

    /// The trace that the call belongs to, as W3C Trace Context writes it: the header `traceparent`.
    pub fn traceparent(&self) -> Option<&str> {
        self.header(TRACEPARENT)
    }

    /// Takes the headers that were set for the answer.
    pub(crate) fn take_answer_headers(&self) -> Headers {
        std::mem::take(&mut *lock(&self.call.answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str, headers: Headers, timeout: Option<Duration>) -> Context {
        Context::new(name.into(), None, Instant::now(), timeout, headers)
    }

    #[test]
    fn what_a_call_says_of_its_deadline_outranks_the_session() {
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
        assert_eq!(context("f", headers, None).deadline(), None, "it is beyond all time");
        assert_eq!(context("f", Headers::new(), None).remaining(), None);
    }

    #[test]
    fn the_service_is_a_part_of_the_name_where_there_are_several() {
        let mut one = context("Calculator:add", Headers::new(), None);
        assert_eq!((one.service(), one.method()), (None, "Calculator:add"));
        assert!(one.split_service());
        assert_eq!((one.service(), one.method()), (Some("Calculator"), "add"));
        let mut plain = context("add", Headers::new(), None);
        assert!(!plain.split_service());
        assert_eq!((plain.service(), plain.method()), (None, "add"));
    }
}
