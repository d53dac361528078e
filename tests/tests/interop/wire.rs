//! How messages lie on the wire.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Binary,
    Compact,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Buffered,
    Framed,
}

/// A protocol over a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) protocol: Protocol,
    pub(crate) transport: Transport,
}

impl Wire {
    /// What there is unless something else is said.
    pub(crate) const USUAL: Self = Self { protocol: Protocol::Binary, transport: Transport::Buffered };

    /// All that both languages speak.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let protocols = [Protocol::Binary, Protocol::Compact, Protocol::Json];
        protocols.into_iter().flat_map(|protocol| {
            [Transport::Buffered, Transport::Framed].map(|transport| Self { protocol, transport })
        })
    }

    /// Whether Rust speaks it, too.
    pub(crate) fn is_rusts(self) -> bool {
        self == Self::USUAL
    }

    /// As the Go peer is told.
    pub(crate) fn flags(self) -> [String; 2] {
        [format!("--protocol={}", lower(self.protocol)), format!("--transport={}", lower(self.transport))]
    }
}

fn lower(value: impl fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", lower(self.protocol), lower(self.transport))
    }
}
