//! The handshake: what a server answers, and what both sides say of themselves in headers.

use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

/// The header that says which version of this project's additions a peer speaks. An original peer has none.
pub(crate) const VERSION_HEADER: &str = "Thrift-Nats-Version";
/// The version that this crate speaks.
const VERSION: &str = "1";

/// The headers of a handshake and of an accept.
pub(crate) fn handshake_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, VERSION);
    headers
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
        // A subject with white space would break the NATS protocol when it is published to.
        if heartbeat.is_empty() || heartbeat.contains(char::is_whitespace) {
            return Err(AcceptError::Body);
        }
        Ok(Self { listen, heartbeat: Subject::from(heartbeat), deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Accept, AcceptError> {
        Accept::parse(Some(&Subject::from("listen")), body.as_bytes())
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
