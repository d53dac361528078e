//! The sessions of an endpoint by their tokens.

use std::sync::{Arc, Mutex, MutexGuard};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use crate::proto::EndedSessions;
use crate::sync::lock;

/// The sessions of an endpoint. It owns them; a session is removed when it has ended and has sent its disconnect message.
pub(crate) struct SessionTable<S> {
    by_token: Mutex<FxHashMap<Arc<str>, Arc<S>>>,
    ended: Mutex<EndedSessions>,
    /// Notified when the last session is removed.
    emptied: Notify,
}

impl<S> Default for SessionTable<S> {
    fn default() -> Self {
        Self { by_token: Mutex::default(), ended: Mutex::default(), emptied: Notify::new() }
    }
}

impl<S> SessionTable<S> {
    pub(crate) fn insert(&self, token: &Arc<str>, session: &Arc<S>) {
        lock(&self.by_token).insert(Arc::clone(token), Arc::clone(session));
    }

    pub(crate) fn get(&self, token: &str) -> Option<Arc<S>> {
        lock(&self.by_token).get(token).cloned()
    }

    /// The result of `f` for a session; `None` if it is not in the table. `f` must not use the table.
    pub(super) fn with<R>(&self, token: &str, f: impl FnOnce(&S) -> R) -> Option<R> {
        lock(&self.by_token).get(token).map(|session| f(session))
    }

    pub(crate) fn remove(&self, token: &str) {
        let mut sessions = lock(&self.by_token);
        let removed = sessions.remove(token);
        if sessions.is_empty() {
            self.emptied.notify_waiters();
        }
        drop(sessions);
        // Not under the lock: this may be the last owner of the session.
        drop(removed);
    }

    /// The sessions that were removed a short while ago.
    pub(crate) fn ended(&self) -> MutexGuard<'_, EndedSessions> {
        lock(&self.ended)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.by_token).len()
    }

    /// All sessions at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<S>> {
        lock(&self.by_token).values().cloned().collect()
    }

    /// Waits until the table is empty.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }
}
