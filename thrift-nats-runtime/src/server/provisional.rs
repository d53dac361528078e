//! The provisional sessions of a server: the clients have not sent anything yet.
//!
//! Owns their order, so that the oldest can end if a new client needs its place. Never ends a session. A session is in the
//! list until it is confirmed or ends: as long as it has its [`ProvisionalPlace`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use super::accepted_session::AcceptedSession;
use super::fair_share::Slot;
use crate::sync::lock;

/// The provisional sessions of a server by their numbers, and so in the order in which they were accepted.
#[derive(Default)]
pub(super) struct ProvisionalSessions(Mutex<BTreeMap<u64, Weak<AcceptedSession>>>);

impl ProvisionalSessions {
    /// Adds a session with this number. It is in the list until the place is dropped.
    pub(super) fn insert(
        self: &Arc<Self>,
        number: u64,
        session: Weak<AcceptedSession>,
        slot: Slot,
    ) -> ProvisionalPlace {
        lock(&self.0).insert(number, session);
        ProvisionalPlace { sessions: Arc::clone(self), number, _slot: slot }
    }

    /// Removes the oldest session.
    pub(super) fn take_oldest(&self) -> Option<Weak<AcceptedSession>> {
        lock(&self.0).pop_first().map(|(_, session)| session)
    }
}

/// What a session has while it is provisional.
pub(super) struct ProvisionalPlace {
    sessions: Arc<ProvisionalSessions>,
    number: u64,
    /// The place counts against the limit of all clients.
    _slot: Slot,
}

impl Drop for ProvisionalPlace {
    fn drop(&mut self) {
        lock(&self.sessions.0).remove(&self.number);
    }
}
