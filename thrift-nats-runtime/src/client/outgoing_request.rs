//! The format and the headers of a request.

use std::borrow::Cow;
use std::time::Duration;

use crate::context::CLIENT_TIMEOUT;
use crate::format::{Transport, WireFormat};
use crate::method::Body;
use crate::proto::millis;
use crate::protocol::{Limits, MessageType};
use crate::transport::Headers;

/// A request, apart from what the session gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutgoingRequest<'a> {
    /// The function, or `service:function`.
    pub(super) name: &'a str,
    pub(super) kind: MessageType,
    pub(super) body: &'a Body,
    pub(super) headers: &'a Headers,
    /// The session's protocol and transport. A request with headers is sent in the header transport instead.
    pub(super) format: WireFormat,
    pub(super) limits: Limits,
    /// The call's timeout, if it differs from the one in the session's handshake.
    pub(super) timeout: Option<Duration>,
}

impl OutgoingRequest<'_> {
    /// The format and headers to send the request in. The error says why its headers cannot be sent.
    pub(super) fn wrapping(
        &self,
        reads_header_transport: bool,
    ) -> Result<(WireFormat, Cow<'_, Headers>), &'static str> {
        let format = self.format;
        if self.headers.is_empty() && self.timeout.is_none() {
            return Ok((format, Cow::Borrowed(self.headers)));
        }
        let wrapped = WireFormat { transport: Transport::Header, ..format };
        let reason = if !reads_header_transport {
            "the server is a legacy server or refuses the header transport, which carries them"
        } else if let Err(reason) = wrapped.check() {
            reason
        } else {
            let mut headers = Cow::Borrowed(self.headers);
            if let Some(timeout) = self.timeout {
                headers.to_mut().insert(CLIENT_TIMEOUT, millis(timeout).to_string());
            }
            return Ok((wrapped, headers));
        };
        if self.headers.is_empty() {
            // Only the timeout is not sent. The server does not depend on it.
            return Ok((format, Cow::Borrowed(self.headers)));
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Protocol;

    fn headers() -> Headers {
        let mut headers = Headers::new();
        headers.insert("name", "value");
        headers
    }

    fn wrapping(
        headers: &Headers,
        timeout: Option<Duration>,
        protocol: Protocol,
        reads_header_transport: bool,
    ) -> Option<(Transport, Headers)> {
        let format = WireFormat::new(protocol, Transport::Buffered);
        let body = &Body::from(Vec::new());
        let (kind, limits) = (MessageType::Call, Limits::DEFAULT);
        let outgoing = OutgoingRequest { name: "f", kind, body, headers, format, limits, timeout };
        let (format, headers) = outgoing.wrapping(reads_header_transport).ok()?;
        Some((format.transport, headers.into_owned()))
    }

    #[test]
    fn a_call_goes_with_headers_only_where_it_has_any_and_the_server_can_read_them() {
        let (some, none) = (headers(), Headers::new());
        let second = Some(Duration::from_millis(1500));
        for protocol in [Protocol::Binary, Protocol::Compact] {
            assert_eq!(wrapping(&none, None, protocol, true), Some((Transport::Buffered, none.clone())));
            assert_eq!(wrapping(&some, None, protocol, true), Some((Transport::Header, some.clone())));
            let mut both = some.clone();
            both.insert(CLIENT_TIMEOUT, "1500");
            assert_eq!(wrapping(&some, second, protocol, true), Some((Transport::Header, both)));
        }
        // A server that does not read the header transport, and one whose session speaks JSON, are not told the timeout.
        for (protocol, reads) in [(Protocol::Binary, false), (Protocol::Json, true)] {
            let plain = Some((Transport::Buffered, none.clone()));
            assert_eq!(wrapping(&none, second, protocol, reads), plain);
            assert_eq!(wrapping(&some, None, protocol, reads), None, "they cannot be sent");
        }
    }
}
