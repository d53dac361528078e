//! The provisional sessions of a server: the clients have not sent anything yet.
//!
//! Owns their order, and says which one ends if a new one needs its place. Never ends a session. A session is in the list until it
//! is confirmed or ends: as long as it has its [`ProvisionalPlace`].
//!
//! A handshake proves nothing: anybody can name the inboxes of any client. A limit therefore refuses no handshake. The oldest
//! session ends instead, so that a client has time for its first message until thousands of handshakes have arrived. The
//! limit of each client lets a flood with one inbox prefix end the sessions of no other client.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, Weak};

use super::accepted_session::AcceptedSession;
use super::fair_share::ClientShare;
use crate::sync::lock;

/// The limit of provisional sessions.
pub(super) const MAX_PROVISIONAL: usize = 1 << 14;
/// The limit of those of one client, or one user if it is known.
pub(super) const MAX_OF_CLIENT: usize = MAX_PROVISIONAL / 2;

/// The provisional sessions of a server.
#[derive(Default)]
pub(super) struct ProvisionalSessions(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    /// All sessions by their numbers, and so in the order in which they were accepted.
    all: BTreeMap<u64, Weak<AcceptedSession>>,
    /// The numbers of the sessions of each client, or each user if it is known.
    by_client: HashMap<usize, BTreeSet<u64>>,
}

impl ProvisionalSessions {
    /// Adds a session with this number. It is in the list until the place is dropped.
    pub(super) fn insert(
        self: &Arc<Self>,
        number: u64,
        session: Weak<AcceptedSession>,
        client: &Arc<ClientShare>,
    ) -> ProvisionalPlace {
        let mut lists = lock(&self.0);
        lists.all.insert(number, session);
        lists.by_client.entry(client.user_key()).or_default().insert(number);
        drop(lists);
        ProvisionalPlace { sessions: Arc::clone(self), number, client: Arc::clone(client) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.0).all.len()
    }

    /// The session whose place a new one of `client` takes, if there are as many as a limit allows.
    pub(super) fn displaced(&self, client: &ClientShare) -> Option<Weak<AcceptedSession>> {
        let lists = lock(&self.0);
        let of_client =
            lists.by_client.get(&client.user_key()).filter(|numbers| numbers.len() >= MAX_OF_CLIENT);
        let oldest = match of_client {
            Some(numbers) => numbers.first(),
            None if lists.all.len() >= MAX_PROVISIONAL => lists.all.keys().next(),
            None => None,
        };
        oldest.and_then(|number| lists.all.get(number).cloned())
    }
}

/// What a session has while it is provisional.
pub(super) struct ProvisionalPlace {
    sessions: Arc<ProvisionalSessions>,
    number: u64,
    client: Arc<ClientShare>,
}

impl Drop for ProvisionalPlace {
    fn drop(&mut self) {
        let mut lists = lock(&self.sessions.0);
        lists.all.remove(&self.number);
        let key = self.client.user_key();
        if let Some(numbers) = lists.by_client.get_mut(&key) {
            numbers.remove(&self.number);
            if numbers.is_empty() {
                lists.by_client.remove(&key);
            }
        }
    }
}
