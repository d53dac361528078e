//! What a handler knows of the call that it serves.

use std::time::{Duration, Instant};

use async_nats::Subject;

use crate::transport::Headers;

/// The header that says how long the caller waits for the answer, in milliseconds: as fbthrift calls it.
pub(crate) const CLIENT_TIMEOUT: &str = "client_timeout";

/// What a handler knows of the call that it serves, besides its arguments.
#[derive(Clone, Debug)]
pub struct Context {
    method: String,
    session: Option<Subject>,
    received: Instant,
    deadline: Option<Instant>,
    headers: Headers,
}

impl Context {
    /// `timeout` is how long the call may take where its headers do not say.
    pub(crate) fn new(
        method: String,
        session: Option<Subject>,
        timeout: Option<Duration>,
        headers: Headers,
    ) -> Self {
        let received = Instant::now();
        let said =
            headers.get(CLIENT_TIMEOUT).and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
        let deadline = said.or(timeout).and_then(|timeout| received.checked_add(timeout));
        Self { method, session, received, deadline, headers }
    }

    /// The function that is called, as it is spelt in the IDL.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The subject of the session that the call came on, as a name for logs; `None` for a call within the process.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// What the header transport carried under this name beside the call.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// All names and values that the header transport carried beside the call, by name.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter()
    }

    /// When the caller gives the call up, as far as this side knows it: the time that the caller gave it, from when it was taken
    /// up. `None` if the caller did not say. The handler's future is dropped then.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When the call was taken up.
    pub fn received(&self) -> Instant {
        self.received
    }
}
