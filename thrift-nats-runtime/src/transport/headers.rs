//! The headers of a message: names and values, beside what is in the IDL.

use std::collections::BTreeMap;

/// Names and values that the header transport carries beside a message: those of a call, or of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    // `None` where there are none, as for most messages: next to nothing to make and to drop.
    entries: Option<BTreeMap<String, String>>,
}

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Sets a header; one of this name that was there before is replaced.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.get_or_insert_default().insert(name.into(), value.into());
    }

    /// The value of a header. Names are compared as they are written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, BTreeMap::len)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
