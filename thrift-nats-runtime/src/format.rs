//! The formats of a session: its protocol and its transport, and which combinations are valid.
//!
//! Owns the names of formats. Never reads or writes a message: the modules `protocol` and `transport` do.

use std::fmt;
use std::str::FromStr;

/// A Thrift protocol: the encoding of values and messages.
///
/// The text form is the name in lower case.
///
/// ```
/// use thrift_nats_runtime::Protocol;
///
/// assert_eq!("compact".parse(), Ok(Protocol::Compact));
/// assert_eq!(Protocol::Json.to_string(), "json");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// TBinaryProtocol: big-endian numbers of a fixed length. The protocol of the legacy package.
    #[default]
    Binary,
    /// TCompactProtocol: varints and headers of one byte.
    Compact,
    /// TJSONProtocol: JSON text.
    Json,
}

/// A Thrift transport: the framing of messages in the byte stream of a session.
///
/// The text form is the name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Messages one after the other, without frames. The legacy package calls this buffered.
    #[default]
    Buffered,
    /// TFramedTransport: a length of 4 bytes before each message.
    Framed,
    /// THeaderTransport: a length and headers before each message. Never sent to a legacy peer. Not available with
    /// [`Protocol::Json`].
    Header,
}

impl Protocol {
    /// All protocols.
    pub const ALL: &'static [Self] = &[Self::Binary, Self::Compact, Self::Json];

    /// The name in lower case, as in `Display` and `FromStr`.
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

    /// The name in lower case, as in `Display` and `FromStr`.
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

/// A text is not the name of a protocol or transport.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{text}`; expected one of {names}")]
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

/// The protocol and transport of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireFormat {
    pub(crate) protocol: Protocol,
    pub(crate) transport: Transport,
    /// Whether the message is compressed. Only the header transport supports this.
    pub(crate) zlib: bool,
}

impl WireFormat {
    pub(crate) const fn new(protocol: Protocol, transport: Transport) -> Self {
        Self { protocol, transport, zlib: false }
    }
}

impl WireFormat {
    /// Checks that the combination is valid. The error is the reason why it is not.
    pub(crate) fn check(self) -> Result<(), &'static str> {
        match (self.protocol, self.transport) {
            (Protocol::Json, Transport::Header) => {
                Err("the header transport supports only the binary and compact protocols")
            }
            (
                Protocol::Binary | Protocol::Compact | Protocol::Json,
                Transport::Buffered | Transport::Framed | Transport::Header,
            ) => Ok(()),
        }
    }
}

/// The set of protocols that a server serves.
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
    fn every_name_parses() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(*protocol));
        }
        for transport in Transport::ALL {
            assert_eq!(transport.to_string().parse(), Ok(*transport));
        }
        let error = "Framed".parse::<Transport>().expect_err("names are in lower case");
        assert_eq!(error.to_string(), "unknown transport `Framed`; expected one of buffered, framed, header");
    }

    #[test]
    fn set_contains_the_protocols_it_is_made_of() {
        for protocol in Protocol::ALL {
            assert!(ProtocolSet::ALL.contains(*protocol));
            assert!(ProtocolSet::new(&[*protocol]).contains(*protocol));
            assert!(!ProtocolSet::new(&[]).contains(*protocol));
            assert_eq!(ProtocolSet::new(&[*protocol]).to_string(), protocol.name());
        }
        assert_eq!(ProtocolSet::new(&[]).to_string(), "none");
    }
}
