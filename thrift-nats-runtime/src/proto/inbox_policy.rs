//! The subjects of peers that this process publishes to.
//!
//! A handshake names the subject for the reply, and an accept those for data and heartbeats. Whatever this process
//! publishes there, it publishes with its own permissions. Without a rule, a peer could therefore have it publish to a
//! subject that the peer itself may not publish to: an API of NATS, a stream, or another service.

use std::fmt;
use std::sync::Arc;

use super::subject::{check_service_subject, has_wildcard};
use crate::error::InvalidOption;

/// The start of the first token of inboxes, in every NATS client library. Private inboxes of users are by convention
/// `_INBOX_<user>`.
const INBOX: &str = "_INBOX";

/// The length limit of a subject that a peer names, in bytes. With the other parts of a protocol line it is far below 1024,
/// so that it does not exceed a `max_control_line` of NATS that is lower than the default of 4096. NATS closes the
/// connection, and with it all sessions, if a line exceeds it.
const MAX_LEN: usize = 256;

/// Decides which subjects that a peer names may be published to.
#[derive(Clone, Debug)]
pub(crate) struct InboxPolicy {
    /// The inbox prefix of the own connection.
    own: Arc<str>,
    /// The base of the process, below which no peer may name a subject. `None` without [`excluding`](Self::excluding).
    base: Option<Arc<str>>,
    /// The prefixes that are allowed besides; `None`: every inbox with the usual first token.
    prefixes: Option<Arc<[String]>>,
}

/// The reason why a subject that a peer named is not published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadInbox {
    /// It is not a subject that NATS accepts, or it is too long.
    Invalid(&'static str),
    /// It has a wildcard.
    Wildcard,
    /// It starts with `$`, as the subjects of NATS' own interfaces do.
    Reserved,
    /// It is a subject of this process.
    Own,
    /// No prefix of an inbox that is allowed.
    NotAnInbox,
}

impl fmt::Display for BadInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::Wildcard => f.write_str("it has a wildcard"),
            Self::Reserved => f.write_str("it starts with `$`"),
            Self::Own => f.write_str("it is a subject of this process"),
            Self::NotAnInbox => f.write_str("it is not below an allowed prefix; see `reply_prefixes`"),
        }
    }
}

impl InboxPolicy {
    /// `own` is the inbox prefix of the connection, without a dot at the end. `prefixes` are those of the option
    /// `reply_prefixes`; `None` is the default.
    pub(crate) fn new(own: &str, prefixes: Option<Arc<[String]>>) -> Self {
        Self { own: own.into(), base: None, prefixes }
    }

    /// The same, without the subjects below `base`, which are the process's own.
    pub(crate) fn excluding(self, base: &str) -> Self {
        Self { base: Some(base.into()), ..self }
    }

    /// Whether this can be a prefix of the option `reply_prefixes`.
    fn is_prefix(prefix: &str) -> bool {
        let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
        check_service_subject(prefix).is_ok() && !prefix.starts_with('$') && !has_wildcard(prefix)
    }

    /// Checks the option `reply_prefixes`.
    pub(crate) fn check_prefixes(prefixes: Option<&[String]>) -> Result<(), InvalidOption> {
        match prefixes.unwrap_or_default().iter().find(|prefix| !Self::is_prefix(prefix)) {
            Some(prefix) => Err(InvalidOption {
                option: "reply_prefixes",
                value: format!("{prefix:?}"),
                range: "subjects without wildcards that do not start with `$`",
            }),
            None => Ok(()),
        }
    }

    /// Checks a subject that a peer has named.
    pub(crate) fn check(&self, subject: &str) -> Result<(), BadInbox> {
        check_service_subject(subject).map_err(BadInbox::Invalid)?;
        if subject.len() > MAX_LEN {
            return Err(BadInbox::Invalid("it is longer than 256 bytes"));
        }
        if subject.starts_with('$') {
            return Err(BadInbox::Reserved);
        }
        if has_wildcard(subject) {
            return Err(BadInbox::Wildcard);
        }
        if self.base.as_ref().is_some_and(|base| is_below(subject, base)) {
            return Err(BadInbox::Own);
        }
        let is_allowed = is_below(subject, &self.own)
            || match &self.prefixes {
                Some(prefixes) => prefixes.iter().any(|prefix| is_below(subject, prefix)),
                // Not the token alone: an inbox is below it.
                None => subject.starts_with(INBOX) && subject.contains('.'),
            };
        if is_allowed { Ok(()) } else { Err(BadInbox::NotAnInbox) }
    }
}

/// Whether `subject` has `prefix` as its first tokens, and more after them.
fn is_below(subject: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
    !prefix.is_empty() && subject.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inboxes_are_published_to_by_default() {
        let policy = InboxPolicy::new("corp.inbox", None);
        for inbox in ["_INBOX.a.b", "_INBOX_alice.x", "corp.inbox.x"] {
            assert_eq!(policy.check(inbox), Ok(()), "{inbox}");
        }
        for (subject, bad) in [
            ("$JS.API.STREAM.DELETE.ORDERS", BadInbox::Reserved),
            ("$SYS.REQ.SERVER.PING", BadInbox::Reserved),
            ("_INBOX.>", BadInbox::Wildcard),
            ("_INBOX.*.a", BadInbox::Wildcard),
            ("orders.created", BadInbox::NotAnInbox),
            ("_INBOX", BadInbox::NotAnInbox),
            ("corp.inbox", BadInbox::NotAnInbox),
            ("corp.inboxes.a", BadInbox::NotAnInbox),
        ] {
            assert_eq!(policy.check(subject), Err(bad), "{subject}");
        }
        for subject in ["", "a b", "_INBOX..a", "_INBOX.a."] {
            assert!(matches!(policy.check(subject), Err(BadInbox::Invalid(_))), "{subject}");
        }
    }

    #[test]
    fn a_long_subject_is_refused_because_nats_would_close_the_connection() {
        let policy = InboxPolicy::new("_INBOX", None);
        let of_len = |len: usize| format!("_INBOX.{}", "a".repeat(len - "_INBOX.".len()));
        assert_eq!(policy.check(&of_len(MAX_LEN)), Ok(()));
        assert!(matches!(policy.check(&of_len(MAX_LEN + 1)), Err(BadInbox::Invalid(_))));
    }

    #[test]
    fn a_prefix_is_a_subject_without_wildcards() {
        for prefix in ["_INBOX_alice", "corp.inbox", "corp.inbox."] {
            assert!(InboxPolicy::is_prefix(prefix), "{prefix}");
        }
        for prefix in ["", ".", "$JS.API", "$JS", "a.*", ">", "a b", "a..b", "a.."] {
            assert!(!InboxPolicy::is_prefix(prefix), "{prefix}");
        }
    }

    #[test]
    fn the_own_subjects_are_refused() {
        let policy = InboxPolicy::new("_INBOX", None).excluding("_INBOX.own");
        assert_eq!(policy.check("_INBOX.own.session"), Err(BadInbox::Own));
        assert_eq!(policy.check("_INBOX.owner.session"), Ok(()));
    }

    #[test]
    fn configured_prefixes_replace_the_usual_one() {
        let prefixes: Arc<[String]> = ["_INBOX_alice".to_owned(), "bob.".to_owned()].into();
        let policy = InboxPolicy::new("_INBOX_server", Some(prefixes));
        for inbox in ["_INBOX_alice.a", "bob.a", "_INBOX_server.a"] {
            assert_eq!(policy.check(inbox), Ok(()), "{inbox}");
        }
        for subject in ["_INBOX.a", "_INBOX_alice2.a", "_INBOX_alice", "bobby.a"] {
            assert_eq!(policy.check(subject), Err(BadInbox::NotAnInbox), "{subject}");
        }
    }
}
