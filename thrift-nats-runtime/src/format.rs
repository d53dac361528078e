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
            names: list(Self::ALL.iter().map(|it| it.name())),
            text: text.to_owned(),
        })
    }
}

impl FromStr for Transport {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|it| it.name() == text).ok_or_else(|| UnknownFormat {
            what: "transport",
            names: list(Self::ALL.iter().map(|it| it.name())),
            text: text.to_owned(),
        })
    }
}

fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
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

/// The formats that a server serves: the combinations of these protocols and transports that are
/// [valid](WireFormat::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServedFormats {
    /// A bit for each protocol.
    protocols: u8,
    /// A bit for each transport.
    transports: u8,
    /// Whether messages may be compressed.
    compression: bool,
}

impl ServedFormats {
    pub(crate) const ALL: Self = Self { protocols: u8::MAX, transports: u8::MAX, compression: true };

    pub(crate) const fn with_protocols(mut self, protocols: &[Protocol]) -> Self {
        let mut index = 0;
        self.protocols = 0;
        while index < protocols.len() {
            self.protocols |= 1 << protocols[index] as u8;
            index += 1;
        }
        self
    }

    pub(crate) const fn with_transports(mut self, transports: &[Transport]) -> Self {
        let mut index = 0;
        self.transports = 0;
        while index < transports.len() {
            self.transports |= 1 << transports[index] as u8;
            index += 1;
        }
        self
    }

    pub(crate) const fn with_compression(mut self, compression: bool) -> Self {
        self.compression = compression;
        self
    }

    pub(crate) const fn has_protocol(self, protocol: Protocol) -> bool {
        self.protocols & 1 << protocol as u8 != 0
    }

    pub(crate) const fn has_transport(self, transport: Transport) -> bool {
        self.transports & 1 << transport as u8 != 0
    }

    pub(crate) const fn has_compression(self) -> bool {
        self.compression
    }

    /// The protocols that are served in some transport.
    pub(crate) fn protocols(self) -> impl Iterator<Item = Protocol> {
        let protocols = Protocol::ALL.iter().copied().filter(move |protocol| self.has_protocol(*protocol));
        protocols.filter(move |protocol| {
            self.transports().any(|transport| WireFormat::new(*protocol, transport).check().is_ok())
        })
    }

    /// The names of the transports, with commas between them.
    pub(crate) fn transport_names(self) -> String {
        list(self.transports().map(Transport::name))
    }

    fn transports(self) -> impl Iterator<Item = Transport> {
        Transport::ALL.iter().copied().filter(move |transport| self.has_transport(*transport))
    }
}

/// The text that a client gets whose format is not served.
impl fmt::Display for ServedFormats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |names: String| if names.is_empty() { "none".to_owned() } else { names };
        let protocols = or_none(list(self.protocols().map(Protocol::name)));
        let transports = or_none(self.transport_names());
        write!(f, "protocols: {protocols}; transports: {transports}")?;
        if self.compression { Ok(()) } else { f.write_str("; no compression") }
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
    fn served_formats_are_those_that_are_listed() {
        let all = ServedFormats::ALL;
        for protocol in Protocol::ALL {
            let other = all.with_protocols(&[*protocol]);
            assert!(all.has_protocol(*protocol) && other.has_protocol(*protocol));
            assert!(other.protocols().eq([*protocol]));
            assert!(!all.with_protocols(&[]).has_protocol(*protocol));
        }
        for transport in Transport::ALL {
            assert!(
                all.has_transport(*transport) && all.with_transports(&[*transport]).has_transport(*transport)
            );
            assert!(!all.with_transports(&[]).has_transport(*transport));
        }
        assert!(all.has_compression() && !all.with_compression(false).has_compression());
    }

    #[test]
    fn served_formats_are_named() {
        let all = ServedFormats::ALL;
        let text = "protocols: binary, compact, json; transports: buffered, framed, header";
        assert_eq!(all.to_string(), text);
        assert_eq!(all.with_compression(false).to_string(), format!("{text}; no compression"));
        let header = all.with_transports(&[Transport::Header]).to_string();
        assert_eq!(header, "protocols: binary, compact; transports: header", "JSON has no header transport");
        let none = all.with_protocols(&[]).with_transports(&[]).to_string();
        assert_eq!(none, "protocols: none; transports: none");
    }
}
