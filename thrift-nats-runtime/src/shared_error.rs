//! An error of another library, shared by all calls that it fails.

use std::fmt;
use std::sync::Arc;

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of another library, cheap to clone. Two are equal if their texts are.
#[derive(Clone)]
pub struct SharedError(Arc<dyn std::error::Error + Send + Sync>);

impl SharedError {
    pub(crate) fn new(error: impl Into<BoxError>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// The error itself, for code that wants to downcast it.
    pub fn get(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// The text of an error and of all its sources, for an error whose `source` returns nothing.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        f.write_str(&text)?;
        let mut error = self.0;
        while let Some(source) = error.source() {
            let before = std::mem::replace(&mut text, source.to_string());
            // Some errors print their source and return it, too, for example those of `async_nats`.
            if !before.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            error = source;
        }
        Ok(())
    }
}

impl Eq for SharedError {}

impl PartialEq for SharedError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("refused")]
    struct Refused;

    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Hides(#[source] Refused);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot publish: {0}")]
    struct Prints(#[source] Hides);

    #[test]
    fn a_chain_contains_the_text_of_every_source_once() {
        assert_eq!(ErrorChain(&Refused).to_string(), "refused");
        assert_eq!(ErrorChain(&Hides(Refused)).to_string(), "no connection: refused");
        assert_eq!(ErrorChain(&Prints(Hides(Refused))).to_string(), "cannot publish: no connection: refused");
    }
}
