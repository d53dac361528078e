//! Limits that clients share: no client can take all of one.
//!
//! Owns how many sessions and calls each client of a server has. Never decides what happens to the one above a limit.
//!
//! A client may take one more only while it has less than the free part. A single client therefore gets half of a limit, `n`
//! clients get `1/(n + 1)` each, and a client that has nothing finds something free, unless there are as many clients as the
//! limit allows.
//!
//! Anybody can send handshakes that name the inboxes of a client. Its sessions are therefore counted as soon as it has proved
//! that it receives on its inbox. Until then they are [provisional](super::provisional).
//!
//! NATS does not tell a server which connection sent a message. The sessions of a client are those whose inboxes differ in
//! the last token only: the inboxes of all sessions on a connection of this crate. A peer that is allowed to receive on
//! inboxes with different prefixes can pretend to be several clients.
//!
//! The option `reply_prefixes` therefore makes it two levels. All clients whose inboxes have the same token after the prefix are
//! one user, and the rule applies to users. It applies again to the clients of a user, which share what the user may have: half
//! of what other users have left.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::options::ServerOptions;
use crate::sync::lock;

/// What clients share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// Sessions whose client has sent something, and that have not ended.
    Sessions,
    /// Calls that run and did not complete at once.
    Calls,
}

/// A number for each [`Resource`].
#[derive(Debug, Default)]
struct Counts([AtomicUsize; 2]);

impl Counts {
    const fn of(&self, resource: Resource) -> &AtomicUsize {
        let [sessions, calls] = &self.0;
        match resource {
            Resource::Sessions => sessions,
            Resource::Calls => calls,
        }
    }

    fn get(&self, resource: Resource) -> usize {
        self.of(resource).load(Ordering::Relaxed)
    }
}

/// What the clients of a server have taken.
#[derive(Debug)]
pub(super) struct Clients {
    max_sessions: usize,
    max_calls: usize,
    /// The option: the prefixes of the inboxes of users.
    user_prefixes: Option<Arc<[String]>>,
    taken: Counts,
    by_prefix: Mutex<HashMap<Box<str>, Weak<ClientShare>>>,
}

impl Clients {
    pub(super) fn new(options: &ServerOptions) -> Arc<Self> {
        let &ServerOptions { max_sessions, max_calls, .. } = options;
        let user_prefixes = options.reply_prefixes.clone();
        let (taken, by_prefix) = (Counts::default(), Mutex::default());
        Arc::new(Self { max_sessions, max_calls, user_prefixes, taken, by_prefix })
    }

    /// The share of the client with this inbox.
    pub(super) fn share(self: &Arc<Self>, inbox: &str) -> Arc<ClientShare> {
        let client = client_prefix(inbox);
        // A user may have inboxes without another prefix.
        let user = self.user_prefix(inbox).filter(|user| user.len() < client.len());
        let user = user.map(|user| self.share_of(user, None));
        self.share_of(client, user)
    }

    /// The part of an inbox that identifies its user: the longest prefix of the option, and one more token.
    fn user_prefix<'i>(&self, inbox: &'i str) -> Option<&'i str> {
        let prefixes = self.user_prefixes.iter().flat_map(|prefixes| prefixes.iter());
        let prefixes = prefixes.map(|prefix| prefix.strip_suffix('.').unwrap_or(prefix));
        let users = prefixes.filter_map(|prefix| {
            let rest = inbox.strip_prefix(prefix)?.strip_prefix('.')?;
            let rest = rest.split_once('.').map_or("", |(_, rest)| rest);
            inbox.strip_suffix(rest)?.strip_suffix('.')
        });
        users.max_by_key(|user| user.len())
    }

    fn share_of(self: &Arc<Self>, prefix: &str, user: Option<Arc<ClientShare>>) -> Arc<ClientShare> {
        let mut by_prefix = lock(&self.by_prefix);
        if let Some(share) = by_prefix.get(prefix).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(ClientShare {
            clients: Arc::clone(self),
            prefix: prefix.into(),
            user,
            own: Counts::default(),
        });
        by_prefix.insert(prefix.into(), Arc::downgrade(&share));
        share
    }

    const fn limit(&self, resource: Resource) -> usize {
        match resource {
            Resource::Sessions => self.max_sessions,
            Resource::Calls => self.max_calls,
        }
    }
}

/// The part of an inbox that identifies its client: all before the last token.
pub(super) fn client_prefix(inbox: &str) -> &str {
    inbox.rsplit_once('.').map_or(inbox, |(prefix, _)| prefix)
}

/// What one client has taken, or one user. Each session of the client owns it.
#[derive(Debug)]
pub(super) struct ClientShare {
    clients: Arc<Clients>,
    prefix: Box<str>,
    /// The share of the client's user, if it is known.
    user: Option<Arc<ClientShare>>,
    own: Counts,
}

impl ClientShare {
    /// The part of the client's inbox that is common to its sessions, for logs.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The share itself, and that of the user.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |share| share.user.as_deref())
    }

    /// A number that only the clients of the same user have, or only this client if the user is not known.
    pub(super) fn user_key(&self) -> usize {
        std::ptr::from_ref(self.user.as_deref().unwrap_or(self)).addr()
    }

    /// The limit that one more would exceed. Costs two or three atomic loads, because it is read for every call.
    pub(super) fn exceeded(&self, resource: Resource) -> Option<ExceededShare> {
        let (own, taken) = (self.own.get(resource), self.clients.taken.get(resource));
        let limit = self.clients.limit(resource);
        let free = limit.saturating_sub(taken);
        let of_user = self.user.as_ref().map(|user| user.own.get(resource));
        // A user with `u` may have `(free + u) / 2`. The part of that which is free is `(free + u) / 2 - u`.
        let free = of_user.map_or(free, |user| free.saturating_sub(user).div_ceil(2));
        (own >= free).then_some(ExceededShare { own, of_user, taken, limit })
    }

    /// Takes one more. It is counted until the slot is dropped.
    pub(super) fn take(self: &Arc<Self>, resource: Resource) -> Slot {
        self.levels().for_each(|share| {
            share.own.of(resource).fetch_add(1, Ordering::Relaxed);
        });
        self.clients.taken.of(resource).fetch_add(1, Ordering::Relaxed);
        Slot { client: Arc::clone(self), resource }
    }
}

impl Drop for ClientShare {
    fn drop(&mut self) {
        let mut by_prefix = lock(&self.clients.by_prefix);
        // Another task may have made a new share for the same client.
        if by_prefix.get(&self.prefix).is_some_and(|share| share.strong_count() == 0) {
            by_prefix.remove(&self.prefix);
        }
    }
}

/// One session or call of a client.
#[derive(Debug)]
pub(super) struct Slot {
    client: Arc<ClientShare>,
    resource: Resource,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.client.levels().for_each(|share| {
            share.own.of(self.resource).fetch_sub(1, Ordering::Relaxed);
        });
        self.client.clients.taken.of(self.resource).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client has its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExceededShare {
    /// Number that the client has.
    own: usize,
    /// Number that the clients of its user have, if the user is known.
    of_user: Option<usize>,
    /// Number that all clients have.
    taken: usize,
    limit: usize,
}

impl fmt::Display for ExceededShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { own, of_user, taken, limit } = self;
        write!(f, "{taken} of {limit} are taken, {own} of them by this client")?;
        of_user.map_or(Ok(()), |user| write!(f, ", {user} by all clients of its user"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(max_sessions: usize) -> Arc<Clients> {
        Clients::new(&ServerOptions { max_sessions, ..ServerOptions::default() })
    }

    /// Takes one more, if that exceeds no limit.
    fn try_take(share: &Arc<ClientShare>, resource: Resource) -> Result<Slot, ExceededShare> {
        share.exceeded(resource).map_or_else(|| Ok(share.take(resource)), Err)
    }

    /// Takes as many sessions as the client gets.
    fn take_all(clients: &Arc<Clients>, inbox: &str) -> Vec<Slot> {
        let share = clients.share(inbox);
        std::iter::from_fn(|| try_take(&share, Resource::Sessions).ok()).collect()
    }

    #[test]
    fn a_newcomer_always_finds_room() {
        let clients = clients(100);
        let first = take_all(&clients, "_INBOX.first.1");
        assert_eq!(first.len(), 50);
        let second = take_all(&clients, "_INBOX.second.1");
        assert_eq!(second.len(), 25);
        let third = take_all(&clients, "_INBOX.third.1");
        assert_eq!(third.len(), 13);
        assert!(take_all(&clients, "_INBOX.first.2").is_empty(), "another session of the first client");
        // A client that has more than its share gets nothing of a freed part.
        drop(second);
        assert!(take_all(&clients, "_INBOX.first.3").is_empty());
        assert_eq!(take_all(&clients, "_INBOX.third.2").len(), 12);
        drop(first);
        assert_eq!(take_all(&clients, "_INBOX.fourth.1").len(), 44);
    }

    #[test]
    fn clients_that_take_turns_get_equal_shares() {
        let clients = clients(1000);
        let shares = ["a.1", "b.1", "c.1"].map(|inbox| clients.share(inbox));
        let mut slots = [const { Vec::new() }; 3];
        for _ in 0..1000 {
            for (share, slots) in shares.iter().zip(&mut slots) {
                slots.extend(try_take(share, Resource::Sessions));
            }
        }
        assert_eq!(slots.map(|slots| slots.len()), [250, 250, 250]);
    }

    fn with_users(max_sessions: usize) -> Arc<Clients> {
        let reply_prefixes = Some(["_INBOX.clients".to_owned(), "_INBOX.clients.eu.".to_owned()].into());
        Clients::new(&ServerOptions { max_sessions, reply_prefixes, ..ServerOptions::default() })
    }

    #[test]
    fn the_user_is_the_token_after_the_longest_prefix() {
        let clients = with_users(100);
        for (inbox, user) in [
            ("_INBOX.clients.shop.c.s", Some("_INBOX.clients.shop")),
            ("_INBOX.clients.shop.1.c.s", Some("_INBOX.clients.shop")),
            ("_INBOX.clients.eu.shop.c.s", Some("_INBOX.clients.eu.shop")),
            // The sessions on one connection are one client, whatever its prefix is.
            ("_INBOX.clients.shop.s", None),
            ("_INBOX.clients.s", None),
            ("_INBOX.clients2.shop.c.s", None),
            ("_INBOX.server.c.s", None),
        ] {
            let share = clients.share(inbox);
            assert_eq!(share.prefix(), client_prefix(inbox));
            assert_eq!(share.user.as_ref().map(|user| user.prefix()), user, "{inbox}");
        }
        assert!(Clients::new(&ServerOptions::default()).share("_INBOX.clients.shop.c.s").user.is_none());
        assert!(lock(&clients.by_prefix).is_empty());
    }

    #[test]
    fn a_user_gets_no_more_with_many_clients() {
        let clients = with_users(1 << 18);
        let of_user = |user: &str| {
            let clients = (0..1000).map(|n| take_all(&clients, &format!("_INBOX.clients.{user}.{n}.s")));
            clients.flatten().collect::<Vec<_>>()
        };
        let shop = of_user("shop");
        assert!(shop.len() <= 1 << 17, "{}", shop.len());
        let billing = of_user("billing");
        assert!(billing.len() >= (1 << 16) - 1000, "{}", billing.len());
    }

    #[test]
    fn a_client_leaves_a_part_of_the_share_of_its_user_to_other_clients_of_it() {
        let clients = with_users(1000);
        let first = take_all(&clients, "_INBOX.clients.shop.1.s");
        assert_eq!(first.len(), 250);
        let second = take_all(&clients, "_INBOX.clients.shop.2.s");
        assert_eq!(second.len(), 125);
        let exceeded = clients.share("_INBOX.clients.shop.1.s").exceeded(Resource::Sessions).unwrap();
        let text = "375 of 1000 are taken, 250 of them by this client, 375 by all clients of its user";
        assert_eq!(exceeded.to_string(), text);
        drop((first, second));
        assert_eq!(clients.taken.get(Resource::Sessions), 0);
        assert_eq!(take_all(&clients, "_INBOX.clients.shop.2.s").len(), 250);
    }

    #[test]
    fn each_resource_has_its_own_limit() {
        let options = ServerOptions { max_sessions: 1, max_calls: 0, ..ServerOptions::default() };
        let share = Clients::new(&options).share("a.1");
        let session = try_take(&share, Resource::Sessions).unwrap();
        let exceeded = try_take(&share, Resource::Sessions).unwrap_err();
        assert_eq!(exceeded.to_string(), "1 of 1 are taken, 1 of them by this client");
        assert!(try_take(&share, Resource::Calls).is_err());
        drop(session);
        assert!(try_take(&share, Resource::Sessions).is_ok());
    }

    #[test]
    fn a_client_without_sessions_is_forgotten() {
        let clients = clients(10);
        let one = clients.share("_INBOX.a.1");
        assert!(Arc::ptr_eq(&one, &clients.share("_INBOX.a.2")));
        let slot = one.take(Resource::Calls);
        drop(one);
        assert_eq!(lock(&clients.by_prefix).len(), 1, "one of its calls still runs");
        drop(slot);
        assert!(lock(&clients.by_prefix).is_empty());
    }
}
