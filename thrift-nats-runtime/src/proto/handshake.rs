//! The handshake: what a server answers, and what both sides say of themselves in headers.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, Subject};
use bytes::Bytes;

use super::subject::check_service_subject;
use crate::format::{ProtocolSet, WireFormat};

/// The header that says which version of this project's additions a peer speaks. A legacy peer has none.
pub(crate) const VERSION_HEADER: &str = "Thrift-Nats-Version";
/// The version that this crate speaks.
const VERSION: &str = "1";

/// The header of a handshake that says which protocol the client will speak.
const PROTOCOL_HEADER: &str = "Thrift-Nats-Protocol";
/// The header of a handshake that says which transport the client will speak.
const TRANSPORT_HEADER: &str = "Thrift-Nats-Transport";

/// The header of a handshake that names the service that the client will call, where a server may have several.
const SERVICE_HEADER: &str = "Thrift-Nats-Service";

/// The header of a handshake that says how long a call may take whose request does not say, in milliseconds.
const TIMEOUT_HEADER: &str = "Thrift-Nats-Timeout";

/// The headers of an accept.
pub(crate) fn version_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, VERSION);
    headers
}

/// A time as it is told to a server: in whole milliseconds, and no less than it is, as none at all would be no time to run.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What a client says of itself in the headers of its handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Whether it speaks this project's additions.
    pub(crate) versioned: bool,
    /// What it will speak; `None` if it says nothing of that.
    pub(crate) protocol: Option<String>,
    pub(crate) transport: Option<String>,
    /// How long a call may take whose request does not say.
    pub(crate) timeout: Option<Duration>,
}

impl Announced {
    /// What a client of this crate says.
    pub(crate) fn headers(format: WireFormat, timeout: Duration, service: Option<&str>) -> HeaderMap {
        let mut headers = version_headers();
        headers.insert(PROTOCOL_HEADER, format.protocol.name());
        headers.insert(TRANSPORT_HEADER, format.transport.name());
        headers.insert(TIMEOUT_HEADER, millis(timeout).to_string());
        if let Some(service) = service.and_then(|service| service.parse::<HeaderValue>().ok()) {
            headers.insert(SERVICE_HEADER, service);
        }
        headers
    }

    pub(crate) fn parse(headers: Option<&HeaderMap>) -> Self {
        let Some(headers) = headers else { return Self::default() };
        let text = |name| headers.get(name).map(|value| value.as_str().to_owned());
        Self {
            versioned: headers.get(VERSION_HEADER).is_some(),
            protocol: text(PROTOCOL_HEADER),
            transport: text(TRANSPORT_HEADER),
            timeout: headers
                .get(TIMEOUT_HEADER)
                .and_then(|millis| millis.as_str().parse().ok())
                .map(Duration::from_millis),
        }
    }

    /// Whether a server can serve it that serves these protocols. What is not announced may be served: the first message
    /// tells what it is.
    pub(crate) fn is_served(&self, served: ProtocolSet) -> bool {
        let protocol = match self.protocol.as_deref().map(str::parse) {
            Some(Ok(protocol)) if served.contains(protocol) => protocol,
            Some(_) => return false,
            None => return true,
        };
        match self.transport.as_deref().map(str::parse) {
            Some(Ok(transport)) => WireFormat::new(protocol, transport).check().is_ok(),
            Some(Err(_)) => false,
            None => true,
        }
    }
}

/// What a server answers to a handshake: its body, `"<heartbeat> <deadline>"`, and reply subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    /// Where the client sends its data.
    pub(crate) listen: Subject,
    /// Where the client sends its heartbeats.
    pub(crate) heartbeat: Subject,
    /// How long the server waits for a heartbeat; `None`: it wants none.
    pub(crate) deadline: Option<Duration>,
}

/// Why an answer to a handshake is no accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// It has no reply subject, so that there is nowhere to send data to.
    #[error("it has no reply subject")]
    NoListenSubject,
    /// Its reply subject is none that can be published to.
    #[error("its reply subject is none that data can be sent to")]
    ListenSubject,
    /// Its body is not two tokens with a space between them.
    #[error("its body is not a heartbeat subject and a number of milliseconds")]
    Body,
}

impl Accept {
    /// The body as it goes over the wire.
    pub(crate) fn body(&self) -> Bytes {
        // Exact milliseconds: a deadline that was rounded up would be one the server does not keep.
        let deadline = self.deadline.map_or(0, |deadline| deadline.as_millis().min(i64::MAX as u128));
        Bytes::from(format!("{} {deadline}", self.heartbeat))
    }

    /// Reads an accept.
    pub(crate) fn parse(reply: Option<&Subject>, body: &[u8]) -> Result<Self, AcceptError> {
        let listen = reply.filter(|reply| !reply.is_empty()).ok_or(AcceptError::NoListenSubject)?.clone();
        let body = str::from_utf8(body).map_err(|_| AcceptError::Body)?;
        let (heartbeat, deadline) = body.split_once(' ').ok_or(AcceptError::Body)?;
        let deadline: i64 = deadline.parse().map_err(|_| AcceptError::Body)?;
        let deadline = u64::try_from(deadline).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
        // What is no subject would break the NATS protocol when it is published to, and what is too long for a line of it
        // would end the connection, together with all its other sessions.
        if check_service_subject(&listen).is_err() {
            return Err(AcceptError::ListenSubject);
        }
        if check_service_subject(heartbeat).is_err() {
            return Err(AcceptError::Body);
        }
        Ok(Self { listen, heartbeat: Subject::from(heartbeat), deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Transport;

    fn parse(body: &str) -> Result<Accept, AcceptError> {
        Accept::parse(Some(&Subject::from("listen")), body.as_bytes())
    }

    #[test]
    fn what_a_client_announces_is_served_or_not() {
        let format = WireFormat { transport: Transport::Framed, ..WireFormat::default() };
        let headers = Announced::headers(format, Duration::from_millis(1500), Some("Calculator"));
        let announced = Announced::parse(Some(&headers));
        assert!(announced.versioned && announced.is_served(ProtocolSet::ALL));
        assert!(!announced.is_served(ProtocolSet::new(&[])));
        assert!(Announced::parse(None).is_served(ProtocolSet::ALL), "a legacy peer says nothing");
        for name in [PROTOCOL_HEADER, TRANSPORT_HEADER] {
            let mut headers = headers.clone();
            headers.insert(name, "of-tomorrow");
            assert!(!Announced::parse(Some(&headers)).is_served(ProtocolSet::ALL), "{name}");
        }
    }

    #[test]
    fn an_accept_survives_the_wire() {
        let accept = Accept {
            listen: "listen".into(),
            heartbeat: "_INBOX.a.h".into(),
            deadline: Some(Duration::from_millis(1500)),
        };
        assert_eq!(accept.body(), "_INBOX.a.h 1500");
        assert_eq!(Accept::parse(Some(&accept.listen), &accept.body()), Ok(accept));
    }

    #[test]
    fn a_time_is_never_told_as_less_than_it_is() {
        for (time, told) in
            [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (1_500_000_000, 1500)]
        {
            assert_eq!(millis(Duration::from_nanos(time)), told);
        }
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_heartbeat_subject_too_long_for_a_line_of_nats_is_refused() {
        assert!(parse(&format!("{} 1", "a".repeat(2048))).is_ok());
        assert_eq!(parse(&format!("{} 1", "a".repeat(2049))), Err(AcceptError::Body));
    }

    #[test]
    fn a_listen_subject_too_long_for_a_line_of_nats_is_refused() {
        let parse = |len| Accept::parse(Some(&Subject::from("a".repeat(len))), b"beat 1");
        assert!(parse(2048).is_ok());
        assert_eq!(parse(2049), Err(AcceptError::ListenSubject));
    }

    #[test]
    fn a_deadline_of_zero_or_less_asks_for_no_heartbeats() {
        assert_eq!(parse("beat 0").unwrap().deadline, None);
        assert_eq!(parse("beat -1").unwrap().deadline, None);
        assert_eq!(parse("beat -9223372036854775808").unwrap().deadline, None);
    }

    #[test]
    fn what_is_no_accept_is_refused() {
        for body in
            ["", "beat", "beat x", "beat  1", " 1", "beat 1 2", "beat 9223372036854775808", "be\tat 1"]
        {
            assert_eq!(parse(body), Err(AcceptError::Body), "{body:?}");
        }
        assert_eq!(Accept::parse(None, b"beat 1"), Err(AcceptError::NoListenSubject));
    }
}
