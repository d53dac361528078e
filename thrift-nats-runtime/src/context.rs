//! What a handler knows of the call that it serves.

use std::time::Instant;

/// What a handler knows of the call that it serves, besides its arguments.
#[derive(Clone, Debug)]
pub struct Context {
    method: String,
    session: Option<String>,
    received: Instant,
}

impl Context {
    pub(crate) fn new(method: String, session: Option<String>) -> Self {
        Self { method, session, received: Instant::now() }
    }

    /// The function that is called, as it is spelt in the IDL.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The subject of the session that the call came on, as a name for logs; `None` for a call within the process.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// When the call was taken up.
    pub fn received(&self) -> Instant {
        self.received
    }
}
