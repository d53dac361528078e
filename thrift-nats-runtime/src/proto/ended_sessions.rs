//! The sessions of a process that ended a short while ago, and the replies to messages for them.
//!
//! A peer that has missed the end of its session continues to send. It gets a disconnect message, at the subject that it
//! had in the session. A message for any other unknown session gets no reply: the subjects in it are the word of its
//! sender, who may not be allowed to publish there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::close_reason::{DISCONNECT, PeerReason};
use super::handshake::Accept;
use super::inbox_policy::InboxPolicy;
use super::subject::Tail;
use super::transmit::Transmit;

/// The time for which an ended session is remembered.
const KEPT: Duration = Duration::from_secs(60);
/// Limit of ended sessions that are remembered. Each takes less than 300 bytes.
const LIMIT: usize = 1 << 14;

/// The sessions that ended a short while ago.
#[derive(Debug, Default)]
pub(crate) struct EndedSessions {
    confirmed: Remembered,
    /// Those of a server whose clients had proved nothing. Apart from the others: anybody can cause them.
    unconfirmed: Remembered,
}

/// Sessions by their tokens.
#[derive(Debug, Default)]
struct Remembered {
    by_token: FxHashMap<Arc<str>, EndedSession>,
    /// When each session ended, oldest first.
    order: VecDeque<(Instant, Arc<str>)>,
}

/// A session that has ended.
#[derive(Debug)]
pub(crate) enum EndedSession {
    /// Of a server.
    OfServer {
        /// The subject of the session.
        own: Subject,
        /// The inbox of the client, which has proved that it receives there.
        client: Subject,
    },
    /// Of a server, whose client had not proved that it receives on its inbox.
    Unconfirmed {
        /// The subject of the session.
        own: Subject,
        /// The inbox that the handshake named.
        client: Subject,
    },
    /// Of a client.
    OfClient {
        /// The subject of the server's session; `None` if no server had accepted.
        server: Option<Subject>,
        /// The subjects that a late accept may name.
        inboxes: InboxPolicy,
    },
}

impl Remembered {
    fn insert(&mut self, now: Instant, token: &Arc<str>, session: EndedSession) {
        while let Some((ended, _)) = self.order.front()
            && (self.order.len() >= LIMIT || now.saturating_duration_since(*ended) > KEPT)
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.by_token.remove(&oldest);
        }
        if self.by_token.insert(Arc::clone(token), session).is_none() {
            self.order.push_back((now, Arc::clone(token)));
        }
    }
}

impl EndedSessions {
    /// Notes that a session has ended.
    pub(crate) fn insert(&mut self, now: Instant, token: &Arc<str>, session: EndedSession) {
        let remembered = match session {
            EndedSession::OfServer { .. } | EndedSession::OfClient { .. } => &mut self.confirmed,
            EndedSession::Unconfirmed { .. } => &mut self.unconfirmed,
        };
        remembered.insert(now, token, session);
    }

    fn get(&self, token: &str) -> Option<&EndedSession> {
        self.confirmed.by_token.get(token).or_else(|| self.unconfirmed.by_token.get(token))
    }

    /// A server's reply to a message of a client for the session `token`, with this reply subject.
    pub(crate) fn reply_to_client(&self, token: &str, reply: Option<&str>) -> Option<Transmit> {
        match self.get(token)? {
            EndedSession::OfServer { own, client } if reply != Some(DISCONNECT) => {
                let body = PeerReason::UnknownSession.body_of_server(acknowledged(client, reply), own);
                Some(Transmit::disconnect(client.clone(), body))
            }
            // A numbered message proves that the client has received the accept, and so that it receives on its inbox. Nothing
            // was received in the session before it ended.
            EndedSession::Unconfirmed { own, client } => {
                reply?.strip_prefix(&**client).filter(|tail| tail.starts_with('.')).and_then(Tail::of)?;
                let body = PeerReason::UnknownSession.body_of_server(Some(0), own);
                Some(Transmit::disconnect(client.clone(), body))
            }
            EndedSession::OfServer { .. } | EndedSession::OfClient { .. } => None,
        }
    }

    /// A client's reply to a message of a server for the session `token`: late data, or a late accept. A late accept is
    /// from a server that got the handshake. It is told at the subject that it names, if that is an inbox.
    pub(crate) fn reply_to_server(
        &self,
        token: &str,
        reply: Option<&Subject>,
        payload: &Bytes,
    ) -> Option<Transmit> {
        let EndedSession::OfClient { server, inboxes } = self.get(token)? else { return None };
        let reply = reply.filter(|reply| reply.as_str() != DISCONNECT)?;
        if let Ok(accept) = Accept::read(Some(reply), payload, inboxes) {
            return Some(unknown_session(&accept.listen, None));
        }
        let server = server.as_ref()?;
        reply.strip_prefix(&**server)?.strip_prefix('.')?;
        Some(unknown_session(server, Some(reply)))
    }
}

/// The disconnect message for a peer that has sent a message with this reply subject to a session that has ended.
fn unknown_session(peer: &Subject, reply: Option<&str>) -> Transmit {
    Transmit::disconnect(peer.clone(), PeerReason::UnknownSession.body(acknowledged(peer, reply)))
}

/// The number of the last message that may have been received, if a message of `peer` with this reply subject was not.
fn acknowledged(peer: &str, reply: Option<&str>) -> Option<u64> {
    // This message was not received, nor any after it. About those before it nothing is known any more.
    let tail = reply?.strip_prefix(peer).and_then(Tail::of)?;
    tail.number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(session: EndedSession) -> EndedSessions {
        let mut ended = EndedSessions::default();
        ended.insert(Instant::now(), &"token".into(), session);
        ended
    }

    fn of_server() -> EndedSession {
        EndedSession::OfServer { own: "server.s".into(), client: "client.a".into() }
    }

    fn of_client(server: Option<&str>) -> EndedSession {
        let inboxes = InboxPolicy::new("client", Some(["server".to_owned()].into()));
        EndedSession::OfClient { server: server.map(Subject::from), inboxes }
    }

    fn told(transmit: Option<Transmit>) -> Option<(String, String)> {
        let Transmit { subject, reply, payload, .. } = transmit?;
        assert_eq!(reply.as_deref(), Some(DISCONNECT));
        Some((subject.to_string(), str::from_utf8(&payload).unwrap().to_owned()))
    }

    fn expected(subject: &str, body: &str) -> Option<(String, String)> {
        Some((subject.to_owned(), body.to_owned()))
    }

    #[test]
    fn a_client_is_told_at_its_inbox_only() {
        let table = ended(of_server());
        for (reply, body) in [
            (Some("client.a.17"), "16 unknown-session server.s"),
            (Some("client.a.17a"), "16 unknown-session server.s"),
            (Some("client.a.17-1-0"), "16 unknown-session server.s"),
            (Some("client.a.0"), "unknown-session server.s"),
            (Some("$JS.API.STREAM.DELETE.ORDERS"), "unknown-session server.s"),
            (Some("client.b.17"), "unknown-session server.s"),
            (None, "unknown-session server.s"),
        ] {
            assert_eq!(told(table.reply_to_client("token", reply)), expected("client.a", body), "{reply:?}");
        }
        assert_eq!(told(table.reply_to_client("token", Some(DISCONNECT))), None, "without end");
        assert_eq!(told(table.reply_to_client("other", Some("client.a.17"))), None);
    }

    #[test]
    fn a_client_that_proves_its_inbox_after_the_end_of_its_session_learns_that_nothing_was_received() {
        let unconfirmed = || EndedSession::Unconfirmed { own: "server.s".into(), client: "client.a".into() };
        let table = ended(unconfirmed());
        for reply in ["client.a.1", "client.a.17", "client.a.1a", "client.a.1-1-0"] {
            let told = told(table.reply_to_client("token", Some(reply)));
            assert_eq!(told, expected("client.a", "0 unknown-session server.s"), "{reply}");
        }
        for reply in [None, Some(DISCONNECT), Some("client.a"), Some("client.a.x"), Some("client.b.1")] {
            assert_eq!(told(table.reply_to_client("token", reply)), None, "{reply:?} is not a proof");
        }
        // However many there are, they displace no session with a proof.
        let mut table = ended(of_server());
        for index in 0..=LIMIT {
            table.insert(Instant::now(), &Arc::from(index.to_string()), unconfirmed());
        }
        assert!(table.reply_to_client("token", None).is_some());
        assert_eq!(table.unconfirmed.by_token.len(), LIMIT);
    }

    #[test]
    fn a_server_is_told_at_its_subject_only() {
        let told = |table: &EndedSessions, token, reply: Option<&'static str>, payload| {
            let reply = reply.map(Subject::from_static);
            told(table.reply_to_server(token, reply.as_ref(), &Bytes::from_static(payload)))
        };
        let accept = b"server.s.h 0";
        let open = ended(of_client(Some("server.s")));
        assert_eq!(told(&open, "token", Some("server.s.7"), b"x"), expected("server.s", "6 unknown-session"));
        for reply in [None, Some("server.t.7"), Some("server.s"), Some("orders"), Some(DISCONNECT)] {
            assert_eq!(told(&open, "token", reply, b"x"), None, "{reply:?}");
        }
        for table in [&open, &ended(of_client(None))] {
            let late = told(table, "token", Some("server.t.7"), accept);
            assert_eq!(late, expected("server.t.7", "unknown-session"), "whatever its last token is");
            assert_eq!(told(table, "token", Some("$JS.API.STREAM.DELETE.ORDERS"), accept), None);
            assert_eq!(told(table, "token", Some(DISCONNECT), accept), None, "without end");
            assert_eq!(told(table, "other", Some("server.t"), accept), None);
        }
        assert_eq!(
            told(&ended(of_client(None)), "token", Some("server.s.7"), b"x"),
            None,
            "its server is not known"
        );
    }

    #[test]
    fn an_ended_session_is_forgotten_after_a_while() {
        let now = Instant::now();
        let mut table = EndedSessions::default();
        let token = |index: usize| Arc::from(index.to_string());
        let is_known =
            |table: &EndedSessions, index: usize| table.reply_to_client(&index.to_string(), None).is_some();
        for index in 0..=LIMIT {
            table.insert(now, &token(index), of_server());
        }
        assert!(!is_known(&table, 0) && is_known(&table, 1) && is_known(&table, LIMIT));
        assert_eq!((table.confirmed.by_token.len(), table.confirmed.order.len()), (LIMIT, LIMIT));
        table.insert(now + KEPT * 2, &token(0), of_server());
        assert_eq!((table.confirmed.by_token.len(), table.confirmed.order.len()), (1, 1));
        table.insert(now + KEPT * 2, &token(0), of_server());
        assert_eq!((table.confirmed.by_token.len(), table.confirmed.order.len()), (1, 1));
    }
}
