//! The headers of a message: metadata that is not in the IDL.

use std::collections::BTreeMap;
use std::fmt;

/// The headers of a call or a reply: names and values that the header transport carries with a message.
///
/// Names are unique and case-sensitive.
///
/// ```
/// use thrift_nats_runtime::Headers;
///
/// let mut headers = Headers::new();
/// headers.insert("tenant", "blue");
/// assert_eq!(headers.get("tenant"), Some("blue"));
/// assert_eq!(format!("{headers:?}"), r#"{"tenant": "blue"}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    // `None` instead of an empty map.
    entries: Option<BTreeMap<String, String>>,
}

/// A map: `{"tenant": "blue"}`.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Headers {
    /// Creates an empty set of headers.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Sets a header, and replaces one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.get_or_insert_default().insert(name.into(), value.into());
    }

    /// The value of a header. `name` is case-sensitive.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// The number of headers.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, BTreeMap::len)
    }

    /// The names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
