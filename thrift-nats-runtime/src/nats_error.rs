//! An operation that NATS did not carry out.

use crate::shared_error::{BoxError, ErrorChain, SharedError};

/// An operation that NATS, its client library or the operating system below them did not carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsError {
    what: &'static str,
    cause: SharedError,
}

impl NatsError {
    /// `what` says what failed: "cannot subscribe".
    pub(crate) fn new(what: &'static str, cause: impl Into<BoxError>) -> Self {
        Self { what, cause: SharedError::new(cause) }
    }

    /// The error of the library, for code that wants to downcast it.
    pub fn cause(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self.cause.get()
    }
}

impl std::fmt::Display for NatsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, ErrorChain(self.cause()))
    }
}

/// `source()` returns nothing, because the text contains that of the [`cause`](Self::cause).
impl std::error::Error for NatsError {}
