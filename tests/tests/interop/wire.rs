//! The wire formats.

use std::fmt;

use thrift_nats_runtime::{Protocol, Transport};

/// A protocol and a transport, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    protocol: &'static str,
    transport: &'static str,
}

impl Wire {
    /// The default.
    pub(crate) const USUAL: Self = Self { protocol: "binary", transport: "buffered" };

    /// All formats that both languages support.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ["binary", "compact", "json"]
            .into_iter()
            .flat_map(|protocol| ["buffered", "framed"].map(|transport| Self { protocol, transport }))
    }

    /// The same for Rust.
    pub(crate) fn in_rust(self) -> (Protocol, Transport) {
        (self.protocol.parse().unwrap(), self.transport.parse().unwrap())
    }

    /// The flags of the Go peer.
    pub(crate) fn flags(self) -> [String; 2] {
        [format!("--protocol={}", self.protocol), format!("--transport={}", self.transport)]
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.protocol, self.transport)
    }
}
