//! The subjects of sessions: a random token below the subject that the process has subscribed to, its base. Also the reply
//! subjects below them.
//!
//! | subject | what arrives there |
//! | --- | --- |
//! | `<base>.<token>` | everything that the peer sends, and the 503 for a handshake or an accept |
//! | `<base>.<token>.h` | heartbeats of a legacy client |
//! | `<base>.<token>.<tail>` | the 503 for the message with this [tail](Tail), which this side sent |
//! | `<base>.<token>`, of no session | a server's own message: NATS has processed all that it sent before |
//!
//! A 503 is NATS's reply to a message without a subscriber (no responders). A session's token is a secret of its two
//! peers. No other process can therefore send to any of its subjects.

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
    /// The heartbeats of a legacy client.
    Heartbeat { token: &'a str },
    /// No responders for the message with this number, which the session sent.
    Undelivered { token: &'a str, number: u64 },
}

impl<'a> Address<'a> {
    /// Parses the part of a subject after the base and its dot. `None` if no peer uses the subject.
    pub(crate) fn parse(suffix: &'a str) -> Option<Self> {
        if suffix.len() == TOKEN_LEN && memchr(b'.', suffix.as_bytes()).is_none() {
            return Some(Self::Session { token: suffix });
        }
        let Some((token, tail)) = suffix.split_once('.') else {
            return Some(Self::Session { token: suffix });
        };
        if tail == HEARTBEAT {
            return Some(Self::Heartbeat { token });
        }
        Tail::parse(tail).map(|tail| Self::Undelivered { token, number: tail.number })
    }
}

/// The kind of a message between peers of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One or several whole Thrift messages.
    Messages,
    /// A part of the long message `id`. `rest` bytes of it follow in later parts.
    Part { id: u64, rest: u64 },
    /// The sender abandons long messages, of which parts were sent: their ids.
    Abandon,
    /// The bytes that the receiver of this message may send.
    Window,
    /// The sequence numbers of cancelled calls.
    Cancel,
    /// The server drains the session: the number of the last message whose requests it runs.
    Drain,
    /// The receiver is asked for [`Kind::Alive`].
    Probe,
    /// The sender is alive: the reply to a probe, a client's heartbeat, and the first message of a client.
    Alive,
}

/// The last token of a reply subject: the number and the kind of a message between peers of this crate.
///
/// | tail | kind |
/// | --- | --- |
/// | `<n>` | [`Kind::Messages`] |
/// | `<n>-<id>-<rest>` | [`Kind::Part`] |
/// | `<n>x`, `<n>w`, `<n>c`, `<n>d`, `<n>p`, `<n>a` | abandon, window, cancel, drain, probe, alive |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// 1, 2, 3, …: one sequence for all that a session sends.
    pub(crate) number: u64,
    pub(crate) kind: Kind,
}

/// The letters of the kinds without numbers of their own.
const LETTERS: [(Kind, char); 6] = [
    (Kind::Abandon, 'x'),
    (Kind::Window, 'w'),
    (Kind::Cancel, 'c'),
    (Kind::Drain, 'd'),
    (Kind::Probe, 'p'),
    (Kind::Alive, 'a'),
];

/// The number in the reply subject of a probe's marker. No other message has it.
pub(crate) const MARKER: u64 = 0;

impl Tail {
    /// The tail of a reply subject, if it has one.
    pub(crate) fn of(reply: &str) -> Option<Self> {
        // The usual case reads only the last few bytes: there is one for each call and each reply.
        if let Some(number) = last_number(reply) {
            return Some(Self { number, kind: Kind::Messages });
        }
        let (_, tail) = reply.rsplit_once('.')?;
        Self::parse(tail)
    }

    fn parse(tail: &str) -> Option<Self> {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (number, kind) = tail.split_at(digits);
        let number = number.parse().ok()?;
        if kind.is_empty() {
            return Some(Self { number, kind: Kind::Messages });
        }
        let kind = match kind.strip_prefix('-') {
            Some(part) => {
                let (id, rest) = part.split_once('-')?;
                Kind::Part { id: parse_digits(id)?, rest: parse_digits(rest)? }
            }
            None => LETTERS.iter().find(|(_, letter)| kind.strip_prefix(*letter) == Some(""))?.0,
        };
        Some(Self { number, kind })
    }

    /// The reply subject with this tail of a message of the session `own`.
    pub(super) fn reply_subject(self, own: &str) -> Subject {
        let Self { number, kind } = self;
        match kind {
            Kind::Messages => numbered_subject(own, number),
            Kind::Part { id, rest } => Subject::from(format!("{own}.{number}-{id}-{rest}")),
            Kind::Abandon | Kind::Window | Kind::Cancel | Kind::Drain | Kind::Probe | Kind::Alive => {
                let letter =
                    LETTERS.iter().find(|(lettered, _)| *lettered == kind).map_or('a', |found| found.1);
                Subject::from(format!("{own}.{number}{letter}"))
            }
        }
    }
}

/// A number without a sign. `None` if it is not one.
fn parse_digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The last token of the subject of heartbeats of a legacy client.
const HEARTBEAT: &str = "h";

/// The subject of a session that this subject belongs to, if it belongs to one.
pub(crate) fn session_of(subject: &str) -> &str {
    match subject.rsplit_once('.') {
        Some((session, tail)) if tail == HEARTBEAT || Tail::parse(tail).is_some() => session,
        Some(_) | None => subject,
    }
}

/// The subject of the heartbeats of the session `own` of a server.
pub(super) fn heartbeat_subject(own: &str) -> Subject {
    Subject::from(format!("{own}.{HEARTBEAT}"))
}

/// The subject `<own>.<number>`.
fn numbered_subject(own: &str, number: u64) -> Subject {
    // `format!` is five times as slow: there is one for each call and each reply.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut reply = String::with_capacity(own.len() + 1 + digits.len());
    reply.push_str(own);
    reply.push('.');
    reply.push_str(digits);
    Subject::from(reply)
}

/// The last token of a subject, if it is a number.
fn last_number(reply: &str) -> Option<u64> {
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

/// Whether subscribing to this subject would receive messages of several subjects.
pub(crate) fn has_wildcard(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_the_last_dot() {
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
            assert_eq!(last_number(reply), number, "{reply:?}");
            assert_eq!(Tail::of(reply).map(|tail| tail.number), number, "{reply:?}");
        }
        assert_eq!(last_number(&format!("a.{most}")), Some(u64::MAX));
    }

    #[test]
    fn every_tail_round_trips() {
        let part = |id, rest| Kind::Part { id, rest };
        let kinds = [Kind::Messages, part(1, 0), part(u64::MAX, u64::MAX)];
        for kind in kinds.into_iter().chain(LETTERS.map(|(kind, _)| kind)) {
            for number in [0, 1, 9, 123_456_789, u64::MAX] {
                let tail = Tail { number, kind };
                let reply = tail.reply_subject("own");
                assert_eq!(Tail::of(&reply), Some(tail), "{reply}");
                let token = "t".repeat(TOKEN_LEN);
                let reply = tail.reply_subject(&token);
                assert_eq!(Address::parse(&reply), Some(Address::Undelivered { token: &token, number }));
            }
        }
        for reply in ["a.1y", "a.1-", "a.1-2", "a.1-2-", "a.1--2", "a.1-+2-3", "a.1-2-3-4", "a.1aa", "a.w"] {
            assert_eq!(Tail::of(reply), None, "{reply}");
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
    fn every_kind_of_address_is_recognized() {
        assert_eq!(Address::parse("tok"), Some(Address::Session { token: "tok" }));
        assert_eq!(Address::parse(&heartbeat_subject("tok")), Some(Address::Heartbeat { token: "tok" }));
        assert_eq!(Address::parse("tok.3"), Some(Address::Undelivered { token: "tok", number: 3 }));
        assert_eq!(Address::parse("tok.3p"), Some(Address::Undelivered { token: "tok", number: 3 }));
        for suffix in ["tok.", "tok.x", "tok.h1", "tok.3.4"] {
            assert_eq!(Address::parse(suffix), None, "{suffix}");
        }
    }
}
