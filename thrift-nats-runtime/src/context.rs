//! What a handler knows of the call that it serves.

use std::time::Instant;

use crate::transport::Headers;

/// What a handler knows of the call that it serves, besides its arguments.
#[derive(Clone, Debug)]
pub struct Context {
    method: String,
    session: Option<String>,
    received: Instant,
    headers: Headers,
}

impl Context {
    pub(crate) fn new(method: String, session: Option<String>, headers: Headers) -> Self {
        Self { method, session, received: Instant::now(), headers }
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

    /// When the call was taken up.
    pub fn received(&self) -> Instant {
        self.received
    }
}
