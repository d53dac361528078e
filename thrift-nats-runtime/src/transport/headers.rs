//! The headers of a message: names and values, beside what is in the IDL.

use std::collections::BTreeMap;

/// Names and values that the header transport carries beside a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    // Takes no memory of its own while it is empty, as it is for most messages.
    entries: BTreeMap<String, String>,
}

impl Headers {
    pub(crate) fn insert(&mut self, name: String, value: String) {
        self.entries.insert(name, value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(String::as_str)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Names and values, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
