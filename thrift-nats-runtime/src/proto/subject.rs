//! The subjects of sessions: made from random tokens, below one subject that the process listens on.
//!
//! | subject | what arrives there |
//! | --- | --- |
//! | `<base>.<token>` | data, accept, disconnect, and the server's 503 for a handshake |
//! | `<base>.<token>.h` | heartbeats |
//! | `<base>.<token>.c` | numbers of calls that nobody waits for any more |
//! | `<base>.p` | an empty message of one who asks whether the process is there |
//! | `<base>.p.<n>` | the server's 503 for that: the process with the number `n` is gone |
//! | `<base>.<token>.<n>` | the server's 503 for chunk `n`, which this side sent |
//! | `<base>.<token>.h<n>` | the server's 503 for a heartbeat that this side sent |
//! | `<base>.<token>.d<n>` | the server's 503 for word of a drain that this side sent |

use async_nats::Subject;
use memchr::memchr;

/// The alphabet of tokens: 64 characters that mean nothing to NATS, so that a byte of randomness gives one evenly.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// The length of a token: 22 characters of 6 bits are 132 bits.
const TOKEN_LEN: usize = 22;

/// A token of 132 bits from the operating system's random source: nobody can guess it, and it never comes twice.
pub(crate) fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_LEN];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect())
}

/// The subject of the session with this token, of a process that listens below `base`. Without room to spare: there are many.
pub(crate) fn session_subject(base: &str, token: &str) -> Subject {
    Subject::from([base, ".", token].concat())
}

/// A subject below the one that a process listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// The session itself.
    Session { token: &'a str },
    /// The session's heartbeats.
    Heartbeat { token: &'a str },
    /// Somebody asks whether this process is there.
    Probe,
    /// The process is gone that was asked so.
    Gone { number: u64 },
    /// Calls of the session that were given up.
    Cancelled { token: &'a str },
    /// Where NATS answers that nobody listens to what the session sent: chunk `n`, a heartbeat, or word of a drain.
    Undelivered { token: &'a str, chunk: Option<u64> },
}

impl<'a> Address<'a> {
    /// Takes apart what stands behind the base and its dot; `None` where it is none of ours.
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
        if tail == "c" {
            return Some(Self::Cancelled { token });
        }
        match tail.strip_prefix(['h', DRAINS]) {
            Some("") => (tail == "h").then_some(Self::Heartbeat { token }),
            Some(number) => number.parse::<u64>().ok().map(|_| Self::Undelivered { token, chunk: None }),
            None => tail.parse().ok().map(|number| Self::Undelivered { token, chunk: Some(number) }),
        }
    }
}

/// What no session's token is.
const PROBE: &str = "p";

/// Where the process that listens below `base` is asked whether it is there.
pub(crate) fn probe_subject(base: &str) -> Subject {
    Subject::from(format!("{base}.{PROBE}"))
}

/// Where NATS says that the process with this number is not: `base` is that of the one who asks.
pub(crate) fn probe_reply(base: &str, number: u64) -> Subject {
    Subject::from(format!("{base}.{PROBE}.{number}"))
}

/// The end of the reply subject with which a server asks whether a client is there: a heartbeat's that nobody sends.
const CLIENT_PROBE: &str = ".h0";

/// The reply subject with which the session `own` of a server asks whether its client is there.
pub(super) fn probe(own: &str) -> Subject {
    Subject::from(format!("{own}{CLIENT_PROBE}"))
}

/// The reply subject of chunk `number` of the session `own`.
pub(super) fn chunk_reply(own: &str, number: u64) -> Subject {
    // Not `format!`, which takes five times as long: there is one for each call and each answer.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut reply = String::with_capacity(own.len() + 1 + digits.len());
    reply.push_str(own);
    reply.push('.');
    reply.push_str(digits);
    Subject::from(reply)
}

/// What stands before the number of the last chunk that a session which is drained takes up.
const DRAINS: char = 'd';

/// The reply subject with which the session `own` of a server says that it takes nothing up behind chunk `taken`.
pub(super) fn drains(own: &str, acknowledged: u64) -> Subject {
    Subject::from(format!("{own}.{DRAINS}{acknowledged}"))
}

/// The number of the last chunk that is taken up, where that is what this reply subject of the peer's session says.
pub(super) fn drain_acknowledged(peer: &str, reply: &str) -> Option<u64> {
    reply.strip_prefix(peer)?.strip_prefix('.')?.strip_prefix(DRAINS)?.parse().ok()
}

/// Whether that is what this reply subject is.
pub(super) fn is_probe(reply: &str) -> bool {
    reply.ends_with(CLIENT_PROBE)
}

/// The number at the end of a chunk's reply subject, if it has one.
pub(crate) fn chunk_number(reply: &str) -> Option<u64> {
    // A look at its last few bytes: there is one for each call and each answer.
    let (mut number, mut place) = (0_u64, 1_u64);
    for byte in reply.bytes().rev() {
        match byte {
            b'0'..=b'9' => {
                number = number.checked_add(u64::from(byte - b'0').checked_mul(place)?)?;
                // What is too large ends the number, unless only zeros follow: none is written so.
                place = place.saturating_mul(10);
            }
            b'.' if place > 1 => return Some(number),
            _ => return None,
        }
    }
    None
}

/// The longest subject of a service, in bytes. NATS closes the connection, and with it every session, where the line of
/// a message is longer than 4 KiB, and the reply subject stands in it too.
const SERVICE_SUBJECT_MAX: usize = 2048;

/// Checks a subject that a service is to be served or called on; the error says what is wrong with it. Wildcards are none
/// of its business: a server may listen on many subjects at once.
pub(crate) fn check_service_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() {
        return Err("it is empty");
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has white space or a control character in it");
    }
    if subject.split('.').any(str::is_empty) {
        return Err("it has nothing before, behind or between its dots");
    }
    if subject.len() > SERVICE_SUBJECT_MAX {
        return Err("it is longer than 2048 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_s_number_is_what_stands_behind_the_last_dot() {
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
    fn a_subject_that_nats_does_not_take_is_refused() {
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
    fn tokens_are_long_and_differ() {
        let (one, other) = (random_token().unwrap(), random_token().unwrap());
        assert_eq!(one.len(), TOKEN_LEN);
        assert_ne!(one, other);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn word_of_a_drain_says_up_to_where() {
        for acknowledged in [0, 7, u64::MAX] {
            assert_eq!(drain_acknowledged("server.s", &drains("server.s", acknowledged)), Some(acknowledged));
        }
        for reply in ["server.s.h7", "server.s.7", "server.s.d", "server.s.d-1", "server.s2.d7", "DISCONNECT"]
        {
            assert_eq!(drain_acknowledged("server.s", reply), None, "{reply}");
        }
    }

    #[test]
    fn every_address_is_told_apart() {
        assert_eq!(Address::parse("tok"), Some(Address::Session { token: "tok" }));
        assert_eq!(Address::parse("tok.h"), Some(Address::Heartbeat { token: "tok" }));
        assert_eq!(Address::parse("p"), Some(Address::Probe));
        assert_eq!(Address::parse("p.3"), Some(Address::Gone { number: 3 }));
        assert_eq!(Address::parse("tok.c"), Some(Address::Cancelled { token: "tok" }));
        assert_eq!(Address::parse("tok.17"), Some(Address::Undelivered { token: "tok", chunk: Some(17) }));
        assert_eq!(Address::parse("tok.h17"), Some(Address::Undelivered { token: "tok", chunk: None }));
        assert_eq!(Address::parse("tok.d17"), Some(Address::Undelivered { token: "tok", chunk: None }));
        assert_eq!((Address::parse("tok.d"), Address::parse("tok.x")), (None, None));
    }
}
