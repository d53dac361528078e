//! The headers of a message: names and values, beside what is in the IDL.

use std::collections::BTreeMap;

/// Names and values that the header transport carries beside a message: those of a call, or of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    // Takes no memory of its own while it is empty, as it is for most messages.
    entries: BTreeMap<String, String>,
}

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    /// Sets a header; one of this name that was there before is replaced.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.insert(name.into(), value.into());
    }

    /// The value of a header. Names are compared as they are written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
