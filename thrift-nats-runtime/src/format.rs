//! What a session speaks: a protocol for values and messages, and a transport for where messages end.

use std::fmt;
use std::str::FromStr;

/// How values and messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TBinaryProtocol: big-endian, every length in front. What the legacy package speaks.
    #[default]
    Binary,
    /// TCompactProtocol: numbers of variable length, small headers.
    Compact,
    /// TJSONProtocol: text.
    Json,
}

/// How messages are told apart in the stream of bytes of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Messages as they are, one after the other. What the legacy package calls buffered.
    #[default]
    Buffered,
    /// TFramedTransport: the length before each message.
    Framed,
    /// THeaderTransport: a frame with headers before each message. Never sent to a legacy peer.
    Header,
}

impl Protocol {
    /// All protocols.
    pub const ALL: &'static [Self] = &[Self::Binary, Self::Compact, Self::Json];

    /// Its name in lower case, as `Display` and `FromStr` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Compact => "compact",
            Self::Json => "json",
        }
    }
}

impl Transport {
    /// All transports.
    pub const ALL: &'static [Self] = &[Self::Buffered, Self::Framed, Self::Header];

    /// Its name in lower case, as `Display` and `FromStr` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Framed => "framed",
            Self::Header => "header",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no protocol or transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: there are {names}")]
pub struct UnknownFormat {
    what: &'static str,
    names: String,
    text: String,
}

impl FromStr for Protocol {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|it| it.name() == text).ok_or_else(|| UnknownFormat {
            what: "protocol",
            names: list(Self::ALL),
            text: text.to_owned(),
        })
    }
}

impl FromStr for Transport {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|it| it.name() == text).ok_or_else(|| UnknownFormat {
            what: "transport",
            names: list(Self::ALL),
            text: text.to_owned(),
        })
    }
}

fn list<T: ToString>(names: &[T]) -> String {
    let names: Vec<_> = names.iter().map(T::to_string).collect();
    names.join(", ")
}

/// What a message is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireFormat {
    pub(crate) protocol: Protocol,
    pub(crate) transport: Transport,
    /// Whether the message is compressed, which only the header transport can tell.
    pub(crate) zlib: bool,
}

impl WireFormat {
    pub(crate) const fn new(protocol: Protocol, transport: Transport) -> Self {
        Self { protocol, transport, zlib: false }
    }
}

impl WireFormat {
    /// Whether there is such a thing; the error says why not.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match (self.protocol, self.transport) {
            (Protocol::Json, Transport::Header) => {
                Err("the number of a protocol in its headers is that of binary or compact")
            }
            (
                Protocol::Binary | Protocol::Compact | Protocol::Json,
                Transport::Buffered | Transport::Framed | Transport::Header,
            ) => Ok(()),
        }
    }
}

/// The protocols that a server serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProtocolSet(u8);

impl ProtocolSet {
    pub(crate) const ALL: Self = Self::new(Protocol::ALL);

    pub(crate) const fn new(protocols: &[Protocol]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < protocols.len() {
            bits |= 1 << protocols[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    pub(crate) const fn contains(self, protocol: Protocol) -> bool {
        self.0 & 1 << protocol as u8 != 0
    }
}

impl fmt::Display for ProtocolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served: Vec<_> = Protocol::ALL.iter().copied().filter(|it| self.contains(*it)).collect();
        if served.is_empty() { f.write_str("none") } else { f.write_str(&list(&served)) }
    }
}

impl fmt::Debug for ProtocolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(*protocol));
        }
        for transport in Transport::ALL {
            assert_eq!(transport.to_string().parse(), Ok(*transport));
        }
        let error = "Framed".parse::<Transport>().expect_err("names are in lower case");
        assert_eq!(error.to_string(), "`Framed` is no transport: there are buffered, framed, header");
    }

    #[test]
    fn a_set_holds_what_it_is_made_of() {
        for protocol in Protocol::ALL {
            assert!(ProtocolSet::ALL.contains(*protocol));
            assert!(ProtocolSet::new(&[*protocol]).contains(*protocol));
            assert!(!ProtocolSet::new(&[]).contains(*protocol));
            assert_eq!(ProtocolSet::new(&[*protocol]).to_string(), protocol.name());
        }
        assert_eq!(ProtocolSet::new(&[]).to_string(), "none");
    }
}
