//! The subjects of sessions: a random token below the subject that the process has subscribed to, its base. Also the other
//! subjects below a base.
//!
//! | subject | what arrives there |
//! | --- | --- |
//! | `<base>.<token>` | data, accepts, disconnect messages, and the 503 for a handshake |
//! | `<base>.<token>.h` | heartbeats |
//! | `<base>.<token>.c` | numbers of cancelled calls |
//! | `<base>.p` | liveness probes |
//! | `<base>.p.<n>` | the 503 for a liveness probe: the process with the number `n` is gone |
//! | `<base>.<token>.<n>` | the 503 for chunk `n`, which this side sent |
//! | `<base>.<token>.h<n>` | the 503 for a heartbeat or probe that this side sent |
//! | `<base>.<token>.d<n>` | the 503 for a drain notice that this side sent |
//! | `<base>.ready`, `<base>.left`, `<base>.end` | a server's own message: NATS has processed all that it sent before |
//!
//! A 503 is NATS's reply to a message without a subscriber (no responders).

use async_nats::Subject;
use memchr::memchr;

/// The alphabet of tokens: 64 characters without a meaning to NATS. 6 bits of a random byte choose one evenly.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// The length of a token: 22 characters of 6 bits are 132 bits.
const TOKEN_LEN: usize = 22;

/// A token of 132 bits from the operating system's random source: it cannot be guessed and does not repeat.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_LEN];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect())
}

/// The subject of the session with this token below `base`. Its string has no spare capacity, because there are many.
pub(crate) fn session_subject(base: &str, token: &str) -> Subject {
    Subject::from([base, ".", token].concat())
}

/// A subject below the base of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// The session itself.
    Session { token: &'a str },
    /// The session's heartbeats.
    Heartbeat { token: &'a str },
    /// A liveness probe of this process.
    Probe,
    /// The process with this number, which was probed, is gone.
    Gone { number: u64 },
    /// Calls of the session that were cancelled.
    Cancelled { token: &'a str },
    /// No responders for something that the session sent: a chunk, a heartbeat, a probe, or a drain notice.
    Undelivered { token: &'a str, chunk: Option<u64> },
}

impl<'a> Address<'a> {
    /// Parses the part of a subject after the base and its dot. `None` if no peer of this crate uses the subject.
    pub(crate) fn parse(suffix: &'a str) -> Option<Self> {
        if suffix.len() == TOKEN_LEN && memchr(b'.', suffix.as_bytes()).is_none() {
            return Some(Self::Session { token: suffix });
        }
        let Some((token, tail)) = suffix.split_once('.') else {
            return Some(if suffix == PROBE { Self::Probe } else { Self::Session { token: suffix } });
        };
        if token == PROBE {
            return tail.parse().ok().map(|number| Self::Gone { number });
        }
        if tail == CANCELLED {
            return Some(Self::Cancelled { token });
        }
        if tail == HEARTBEAT {
            return Some(Self::Heartbeat { token });
        }
        match tail.strip_prefix(HEARTBEAT).or_else(|| tail.strip_prefix(DRAIN)) {
            Some(number) => number.parse::<u64>().ok().map(|_| Self::Undelivered { token, chunk: None }),
            None => tail.parse().ok().map(|number| Self::Undelivered { token, chunk: Some(number) }),
        }
    }
}

/// The token of liveness probes. No session has it.
const PROBE: &str = "p";

/// The subject for liveness probes of the process with this base.
pub(crate) fn probe_subject(base: &str) -> Subject {
    Subject::from(format!("{base}.{PROBE}"))
}

/// The reply subject of a probe: NATS reports no responders here if the process with this number is gone. `base` is that of
/// the prober.
pub(crate) fn probe_reply(base: &str, number: u64) -> Subject {
    Subject::from(format!("{base}.{PROBE}.{number}"))
}

/// The last token of the subject of a session's heartbeats, and the prefix of the number in their reply subject.
const HEARTBEAT: &str = "h";

/// The subject of the heartbeats of the session `own` of a server.
pub(super) fn heartbeat_subject(own: &str) -> Subject {
    Subject::from(format!("{own}.{HEARTBEAT}"))
}

/// The reply subject of a heartbeat of the session `own` of a client, which has sent chunks up to `number`. It is not the
/// reply subject of a chunk: no responders for a heartbeat does not mean that a chunk was lost.
pub(super) fn heartbeat_reply(own: &str, number: u64) -> Subject {
    Subject::from(format!("{own}.{HEARTBEAT}{number}"))
}

/// The last token of the subject of cancelled calls.
const CANCELLED: &str = "c";

/// The subject of the cancelled calls of the session `listen` of a server.
pub(super) fn cancellation_subject(listen: &str) -> Subject {
    Subject::from(format!("{listen}.{CANCELLED}"))
}

/// A step of a server after which it waits until NATS has processed it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Checkpoint {
    /// It has subscribed to its subjects.
    Subscribed,
    /// It has left the queue group.
    LeftQueueGroup,
    /// It has sent the disconnect messages.
    Disconnected,
}

/// The subject of the message that a server with this base sends to itself: it arrives after NATS has processed all that the
/// server sent before. No session has this token.
pub(crate) fn checkpoint_subject(base: &str, checkpoint: Checkpoint) -> Subject {
    let token = match checkpoint {
        Checkpoint::Subscribed => "ready",
        Checkpoint::LeftQueueGroup => "left",
        Checkpoint::Disconnected => "end",
    };
    Subject::from(format!("{base}.{token}"))
}

/// The end of the reply subject with which a server probes a client. A server sends no heartbeats, so that it is not the
/// reply subject of any other message of a server.
const CLIENT_PROBE: &str = ".h0";

/// The reply subject with which the session `own` of a server probes its client.
pub(super) fn probe(own: &str) -> Subject {
    Subject::from(format!("{own}{CLIENT_PROBE}"))
}

/// The reply subject of chunk `number` of the session `own`.
pub(super) fn chunk_reply(own: &str, number: u64) -> Subject {
    // `format!` is five times as slow: there is one for each call and each reply.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut reply = String::with_capacity(own.len() + 1 + digits.len());
    reply.push_str(own);
    reply.push('.');
    reply.push_str(digits);
    Subject::from(reply)
}

/// The prefix of the chunk number in the reply subject of a drain notice.
const DRAIN: &str = "d";

/// The reply subject of the drain notice of the session `own`, which receives no chunk after `acknowledged`.
pub(super) fn drain_notice(own: &str, acknowledged: u64) -> Subject {
    Subject::from(format!("{own}.{DRAIN}{acknowledged}"))
}

/// The number of the last chunk that is received, if this is the reply subject of a drain notice of the session `peer`.
pub(super) fn drain_acknowledged(peer: &str, reply: &str) -> Option<u64> {
    reply.strip_prefix(peer)?.strip_prefix('.')?.strip_prefix(DRAIN)?.parse().ok()
}

/// Whether this is the reply subject of a probe of a client.
pub(super) fn is_probe(reply: &str) -> bool {
    reply.ends_with(CLIENT_PROBE)
}

/// The number at the end of a chunk's reply subject, if there is one.
pub(crate) fn chunk_number(reply: &str) -> Option<u64> {
    // Reads the last few bytes only: there is one for each call and each reply.
    let (mut number, mut place) = (0_u64, 1_u64);
    for byte in reply.bytes().rev() {
        match byte {
            b'0'..=b'9' => {
                number = number.checked_add(u64::from(byte - b'0').checked_mul(place)?)?;
                // Leading zeros overflow the place and not the number: no number is written with that many.
                place = place.saturating_mul(10);
            }
            b'.' if place > 1 => return Some(number),
            _ => return None,
        }
    }
    None
}

/// The length limit of subjects, in bytes. NATS closes the connection, and with it every session, if a protocol line is
/// longer than its option `max_control_line`: 4 KiB by default. The client library does not tell the value. All lines of this
/// crate are shorter than 1 KiB: the longest ones have such a subject, a subject of a session as reply subject, which has at
/// most [`INBOX_PREFIX_MAX`] + 120 bytes, and two numbers.
const SERVICE_SUBJECT_MAX: usize = 512;
/// The length limit of the inbox prefix of a connection, in bytes.
pub(crate) const INBOX_PREFIX_MAX: usize = 192;

/// Checks the subject of a service, or one that a peer sent; the error describes the fault. Wildcards are allowed,
/// because a server may listen on many subjects at once.
pub(crate) fn check_service_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() {
        return Err("it is empty");
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it contains white space or a control character");
    }
    if subject.split('.').any(str::is_empty) {
        return Err("it has an empty token: a leading, trailing or double dot");
    }
    if subject.len() > SERVICE_SUBJECT_MAX {
        return Err("it is longer than 512 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_number_follows_the_last_dot() {
        let most = u64::MAX.to_string();
        for (reply, number) in [
            ("a.b.1", Some(1)),
            ("a.0", Some(0)),
            (".90", Some(90)),
            ("a.007", Some(7)),
            ("a", None),
            ("1", None),
            ("", None),
            ("a.", None),
            ("a.h1", None),
            ("a.1h", None),
            ("a.-1", None),
            ("a.18446744073709551616", None),
            ("a.99999999999999999999999", None),
        ] {
            assert_eq!(chunk_number(reply), number, "{reply:?}");
        }
        assert_eq!(chunk_number(&format!("a.{most}")), Some(u64::MAX));
        for number in [0, 9, 10, 123_456_789, u64::MAX] {
            let reply = chunk_reply("own", number);
            assert_eq!((reply.as_str(), chunk_number(&reply)), (&*format!("own.{number}"), Some(number)));
        }
    }

    #[test]
    fn a_subject_that_nats_rejects_is_rejected() {
        for subject in ["", " ", "a b", "a\tb", "a\r\nPUB b 0", "a\0", "a\u{a0}b", ".", ".a", "a.", "a..b"] {
            assert!(check_service_subject(subject).is_err(), "{subject:?}");
        }
        for subject in ["a", "calc.eu-1", "$SYS.x", "ünïcode", "calc.*", "calc.>"] {
            assert_eq!(check_service_subject(subject), Ok(()), "{subject:?}");
        }
        assert!(check_service_subject(&"a".repeat(SERVICE_SUBJECT_MAX)).is_ok());
        assert!(check_service_subject(&"a".repeat(SERVICE_SUBJECT_MAX + 1)).is_err());
    }

    #[test]
    fn tokens_are_long_and_distinct() {
        let (one, other) = (random_token().unwrap(), random_token().unwrap());
        assert_eq!(one.len(), TOKEN_LEN);
        assert_ne!(one, other);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn a_drain_notice_names_the_last_chunk() {
        for acknowledged in [0, 7, u64::MAX] {
            assert_eq!(
                drain_acknowledged("server.s", &drain_notice("server.s", acknowledged)),
                Some(acknowledged)
            );
        }
        for reply in ["server.s.h7", "server.s.7", "server.s.d", "server.s.d-1", "server.s2.d7", "DISCONNECT"]
        {
            assert_eq!(drain_acknowledged("server.s", reply), None, "{reply}");
        }
    }

    #[test]
    fn no_session_has_the_token_of_a_checkpoint() {
        for checkpoint in [Checkpoint::Subscribed, Checkpoint::LeftQueueGroup, Checkpoint::Disconnected] {
            let subject = checkpoint_subject("base", checkpoint);
            assert_ne!(subject.len(), session_subject("base", &random_token().unwrap()).len(), "{subject}");
        }
    }

    #[test]
    fn every_kind_of_address_is_recognized() {
        assert_eq!(Address::parse("tok"), Some(Address::Session { token: "tok" }));
        assert_eq!(Address::parse("tok.h"), Some(Address::Heartbeat { token: "tok" }));
        assert_eq!(Address::parse("p"), Some(Address::Probe));
        assert_eq!(Address::parse("p.3"), Some(Address::Gone { number: 3 }));
        assert_eq!(
            Address::parse(heartbeat_subject("tok").as_str()),
            Some(Address::Heartbeat { token: "tok" })
        );
        assert_eq!(
            Address::parse(heartbeat_reply("tok", 0).as_str()),
            Some(Address::Undelivered { token: "tok", chunk: None })
        );
        assert_eq!(
            Address::parse(probe("tok").as_str()),
            Some(Address::Undelivered { token: "tok", chunk: None })
        );
        assert_eq!(
            Address::parse(cancellation_subject("tok").as_str()),
            Some(Address::Cancelled { token: "tok" })
        );
        assert_eq!(Address::parse("tok.c"), Some(Address::Cancelled { token: "tok" }));
        assert_eq!(Address::parse("tok.17"), Some(Address::Undelivered { token: "tok", chunk: Some(17) }));
        assert_eq!(Address::parse("tok.h17"), Some(Address::Undelivered { token: "tok", chunk: None }));
        assert_eq!(Address::parse("tok.d17"), Some(Address::Undelivered { token: "tok", chunk: None }));
        assert_eq!((Address::parse("tok.d"), Address::parse("tok.x")), (None, None));
    }
}
