//! The handshake: the server's accept, and what both sides announce in headers.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, Subject};
use bytes::Bytes;

use super::inbox_policy::InboxPolicy;
use super::subject::check_service_subject;
use super::window::SESSION_WINDOW;
use crate::format::{ServedFormats, Transport, WireFormat};
use crate::log_limit::cut;

/// The header with the version of this project's additions that a peer supports. A legacy peer does not send it.
const VERSION_HEADER: &str = "Thrift-Nats-Version";
/// The version that this crate supports.
const VERSION: u32 = 2;
/// The header with the number of bytes that the sender of the header allows to be on the way to it.
const WINDOW_HEADER: &str = "Thrift-Nats-Window";

/// The header of a handshake that names the client's protocol.
const PROTOCOL_HEADER: &str = "Thrift-Nats-Protocol";
/// The header of a handshake that names the client's transport.
const TRANSPORT_HEADER: &str = "Thrift-Nats-Transport";

/// The header of a handshake that names the compression of the client's messages, if they are compressed.
const COMPRESSION_HEADER: &str = "Thrift-Nats-Compression";
/// The only compression.
const ZLIB: &str = "zlib";

/// The header of an accept that names the server's transports, if the header transport is not among them.
const TRANSPORTS_HEADER: &str = "Thrift-Nats-Transports";

/// The header of a handshake that names the service, for servers that have several.
const SERVICE_HEADER: &str = "Thrift-Nats-Service";

/// The header of a handshake with the timeout of calls whose requests have none, in milliseconds.
const TIMEOUT_HEADER: &str = "Thrift-Nats-Timeout";

/// The headers of every handshake, accept and refusal of this crate.
pub(super) fn version_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, HeaderValue::from(u64::from(VERSION)));
    headers.insert(WINDOW_HEADER, HeaderValue::from(SESSION_WINDOW));
    headers
}

/// The headers of an accept.
pub(crate) fn accept_headers(served: ServedFormats) -> HeaderMap {
    let mut headers = version_headers();
    if !served.has_transport(Transport::Header) {
        headers.insert(TRANSPORTS_HEADER, served.transport_names());
    }
    headers
}

/// Whether a server with these headers in its accept does not read the header transport, although it is not a legacy server.
pub(crate) fn refuses_header_transport(headers: &HeaderMap) -> bool {
    headers.get(TRANSPORTS_HEADER).is_some_and(|transports| {
        !transports.as_str().split(", ").any(|transport| transport == Transport::Header.name())
    })
}

/// The additions to the legacy protocol that a peer announces. A legacy peer announces none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Additions {
    /// 0 if the header is not a number.
    pub(super) version: u32,
    /// Number of bytes that the peer allows to be on the way to it.
    pub(super) window: u64,
}

impl Additions {
    /// Those of this crate.
    #[cfg(test)]
    pub(super) const OWN: Self = Self { version: VERSION, window: SESSION_WINDOW };

    /// The additions that these headers announce.
    pub(crate) fn parse(headers: Option<&HeaderMap>) -> Option<Self> {
        let headers = headers?;
        let version = headers.get(VERSION_HEADER)?.as_str().parse().unwrap_or(0);
        let window = headers.get(WINDOW_HEADER).and_then(|window| window.as_str().parse().ok());
        Some(Self { version, window: window.unwrap_or(0) })
    }

    /// Whether this crate supports them.
    pub(super) const fn are_supported(self) -> bool {
        self.version == VERSION
    }
}

/// A timeout in whole milliseconds, rounded up: rounded down to 0, it would leave a call no time to run.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The announcements in the headers of a client's handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The additions that both sides support. A client with another version is served as a legacy client.
    pub(crate) additions: Option<Additions>,
    /// `None` if the client does not announce it.
    pub(crate) protocol: Option<String>,
    pub(crate) transport: Option<String>,
    /// `None` if the client does not compress its messages.
    pub(crate) compression: Option<String>,
    /// The timeout of calls whose requests have none.
    pub(crate) timeout: Option<Duration>,
}

impl Announced {
    /// The headers of a client of this crate.
    pub(crate) fn headers(format: WireFormat, timeout: Duration, service: Option<&str>) -> HeaderMap {
        let mut headers = version_headers();
        headers.insert(PROTOCOL_HEADER, format.protocol.name());
        headers.insert(TRANSPORT_HEADER, format.transport.name());
        if format.zlib {
            headers.insert(COMPRESSION_HEADER, ZLIB);
        }
        headers.insert(TIMEOUT_HEADER, millis(timeout).to_string());
        if let Some(service) = service.and_then(|service| service.parse::<HeaderValue>().ok()) {
            headers.insert(SERVICE_HEADER, service);
        }
        headers
    }

    pub(crate) fn parse(headers: Option<&HeaderMap>) -> Self {
        let Some(headers) = headers else { return Self::default() };
        // Nothing that is served has a longer name, and the log contains it.
        let text = |name| headers.get(name).map(cut);
        Self {
            additions: Additions::parse(Some(headers)).filter(|additions| additions.are_supported()),
            protocol: text(PROTOCOL_HEADER),
            transport: text(TRANSPORT_HEADER),
            compression: text(COMPRESSION_HEADER),
            timeout: headers
                .get(TIMEOUT_HEADER)
                .and_then(|millis| millis.as_str().parse().ok())
                .map(Duration::from_millis),
        }
    }

    /// Whether a server with these formats can serve the client. A protocol or transport that is not announced is
    /// detected from the first message.
    pub(crate) fn is_served(&self, served: ServedFormats) -> bool {
        if self.compression.as_deref().is_some_and(|name| name != ZLIB || !served.has_compression()) {
            return false;
        }
        let protocol = match self.protocol.as_deref().map(str::parse) {
            Some(Ok(protocol)) if served.has_protocol(protocol) => protocol,
            Some(_) => return false,
            None => return true,
        };
        match self.transport.as_deref().map(str::parse) {
            Some(Ok(transport)) => {
                served.has_transport(transport) && WireFormat::new(protocol, transport).check().is_ok()
            }
            Some(Err(_)) => false,
            None => true,
        }
    }
}

/// A server's accept: a message with the body `"<heartbeat> <interval>"` and a reply subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    /// The subject to which the client sends its data.
    pub(crate) listen: Subject,
    /// The subject to which the client sends its heartbeats.
    pub(crate) heartbeat: Subject,
    /// The heartbeat interval; `None` without heartbeats.
    pub(crate) interval: Option<Duration>,
}

/// The fault of a malformed accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It has no reply subject, which is where the client would send its data.
    #[error("it has no reply subject")]
    NoListenSubject,
    /// Data cannot be published to its reply subject.
    #[error("data cannot be published to its reply subject")]
    ListenSubject,
    /// Its body is not two tokens with a space between them.
    #[error("its body is not a heartbeat subject and a number of milliseconds")]
    Body,
    /// It names a subject that is not below an allowed inbox prefix. To publish there could do what the server itself may
    /// not do.
    #[error("it names a subject that is not below an allowed inbox prefix; see `reply_prefixes`")]
    NotAnInbox,
    /// The server uses another version of the additions to the legacy protocol.
    #[error("the server uses another version of the session protocol")]
    Version,
}

impl Accept {
    /// The body of the message.
    pub(crate) fn body(&self) -> Bytes {
        // Rounded down: the server must not announce a longer interval than it waits.
        let interval = self.interval.map_or(0, |interval| interval.as_millis().min(i64::MAX as u128));
        Bytes::from(format!("{} {interval}", self.heartbeat))
    }

    /// Reads an accept. Its subjects have to be inboxes that `policy` allows.
    pub(crate) fn read(
        reply: Option<&Subject>,
        body: &[u8],
        policy: &InboxPolicy,
    ) -> Result<Self, AcceptError> {
        let accept = Self::parse(reply, body)?;
        // Without heartbeats, nothing is published to their subject.
        let heartbeat = accept.interval.map(|_| &accept.heartbeat);
        for subject in std::iter::once(&accept.listen).chain(heartbeat) {
            policy.check(subject).map_err(|_| AcceptError::NotAnInbox)?;
        }
        Ok(accept)
    }

    /// Reads an accept, whatever its subjects are.
    pub(crate) fn parse(reply: Option<&Subject>, body: &[u8]) -> Result<Self, AcceptError> {
        let listen = reply.filter(|reply| !reply.is_empty()).ok_or(AcceptError::NoListenSubject)?.clone();
        let body = str::from_utf8(body).map_err(|_| AcceptError::Body)?;
        let (heartbeat, interval) = body.split_once(' ').ok_or(AcceptError::Body)?;
        let interval: i64 = interval.parse().map_err(|_| AcceptError::Body)?;
        let interval = u64::try_from(interval).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
        // Publishing to an invalid subject would break the NATS protocol, and a subject that is too long for a protocol
        // line would close the connection, with all its other sessions.
        if check_service_subject(&listen).is_err() {
            return Err(AcceptError::ListenSubject);
        }
        if check_service_subject(heartbeat).is_err() {
            return Err(AcceptError::Body);
        }
        Ok(Self { listen, heartbeat: Subject::from(heartbeat), interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Accept, AcceptError> {
        Accept::parse(Some(&Subject::from("listen")), body.as_bytes())
    }

    #[test]
    fn only_announced_protocols_and_transports_decide_whether_a_client_is_served() {
        let format = WireFormat { transport: Transport::Framed, ..WireFormat::default() };
        let headers = Announced::headers(format, Duration::from_millis(1500), Some("Calculator"));
        let announced = Announced::parse(Some(&headers));
        let all = ServedFormats::ALL;
        assert!(
            announced.additions == Some(Additions::OWN) && announced.is_served(all.with_compression(false))
        );
        assert!(!announced.is_served(all.with_protocols(&[])));
        assert!(!announced.is_served(all.with_transports(&[Transport::Buffered, Transport::Header])));
        let none = all.with_protocols(&[]);
        assert!(Announced::parse(None).is_served(none), "a legacy client announces nothing");
        for name in [PROTOCOL_HEADER, TRANSPORT_HEADER, COMPRESSION_HEADER] {
            let mut headers = headers.clone();
            headers.insert(name, "of-tomorrow");
            assert!(!Announced::parse(Some(&headers)).is_served(all), "{name}");
        }
        let zlib = WireFormat { zlib: true, ..format };
        let announced = Announced::parse(Some(&Announced::headers(zlib, Duration::from_secs(1), None)));
        assert!(announced.is_served(all) && !announced.is_served(all.with_compression(false)));
    }

    #[test]
    fn an_accept_says_that_the_header_transport_is_refused() {
        for transport in Transport::ALL {
            let headers = accept_headers(ServedFormats::ALL.with_transports(&[*transport]));
            assert_eq!(refuses_header_transport(&headers), *transport != Transport::Header);
        }
        assert!(!refuses_header_transport(&accept_headers(ServedFormats::ALL)));
    }

    #[test]
    fn an_accept_round_trips() {
        let accept = Accept {
            listen: "listen".into(),
            heartbeat: "_INBOX.a.h".into(),
            interval: Some(Duration::from_millis(1500)),
        };
        assert_eq!(accept.body(), "_INBOX.a.h 1500");
        assert_eq!(Accept::parse(Some(&accept.listen), &accept.body()), Ok(accept));
    }

    #[test]
    fn a_timeout_is_rounded_up() {
        for (time, told) in
            [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (1_500_000_000, 1500)]
        {
            assert_eq!(millis(Duration::from_nanos(time)), told);
        }
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_heartbeat_subject_above_the_length_limit_is_rejected() {
        assert!(parse(&format!("{} 1", "a".repeat(512))).is_ok());
        assert_eq!(parse(&format!("{} 1", "a".repeat(513))), Err(AcceptError::Body));
    }

    #[test]
    fn a_listen_subject_above_the_length_limit_is_rejected() {
        let parse = |len| Accept::parse(Some(&Subject::from("a".repeat(len))), b"beat 1");
        assert!(parse(512).is_ok());
        assert_eq!(parse(513), Err(AcceptError::ListenSubject));
    }

    #[test]
    fn an_interval_of_zero_or_less_disables_heartbeats() {
        assert_eq!(parse("beat 0").unwrap().interval, None);
        assert_eq!(parse("beat -1").unwrap().interval, None);
        assert_eq!(parse("beat -9223372036854775808").unwrap().interval, None);
    }

    #[test]
    fn a_malformed_accept_is_rejected() {
        for body in
            ["", "beat", "beat x", "beat  1", " 1", "beat 1 2", "beat 9223372036854775808", "be\tat 1"]
        {
            assert_eq!(parse(body), Err(AcceptError::Body), "{body:?}");
        }
        assert_eq!(Accept::parse(None, b"beat 1"), Err(AcceptError::NoListenSubject));
    }
}
