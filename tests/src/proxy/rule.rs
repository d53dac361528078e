//! Rules: which operations they match, and the action on each.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::operation::{Direction, Message, Operation};
use super::random::Random;

/// The bound of waits.
const BOUND: Duration = Duration::from_secs(30);

type Predicate = Box<dyn Fn(&Message) -> bool + Send + Sync>;

/// Matches operations. All conditions of a rule must hold. A rule without conditions matches every message in its
/// direction.
#[must_use = "a rule counts once it is added to a proxy"]
pub struct Rule {
    direction: Direction,
    verb: Option<&'static str>,
    subject: Option<String>,
    reply: Option<String>,
    when: Vec<Predicate>,
    skip: u64,
    times: u64,
    probability: f64,
}

/// The action on an operation that a rule matches.
#[derive(Clone, Debug)]
pub enum Action {
    /// None: it is counted, and later rules may apply to it.
    Count,
    /// It is dropped.
    Drop,
    /// It is delayed, together with everything after it. The order is kept.
    Delay(Duration),
    /// It is delivered after this many later messages. If they never arrive, it is not delivered.
    Reorder(usize),
    /// It is delivered twice.
    Duplicate,
    /// This many of its bytes are delivered; then the connection is closed on both sides.
    Cut(usize),
    /// It and everything after it in this direction, on every connection, is delayed until
    /// [`Proxy::go_on`](super::Proxy::go_on).
    Stall,
    /// It is delivered, and this operation after it.
    Inject(Operation),
    /// This operation is delivered instead.
    Replace(Operation),
}

impl Rule {
    /// Matches messages in this direction.
    pub fn on(direction: Direction) -> Self {
        Self {
            direction,
            verb: None,
            subject: None,
            reply: None,
            when: Vec::new(),
            skip: 0,
            times: u64::MAX,
            probability: 1.0,
        }
    }

    /// Matches operations with this first word, such as `PING`, instead of all messages.
    pub fn verb(mut self, verb: &'static str) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Requires a subject that matches this pattern with the wildcards `*` and `>` of NATS.
    pub fn subject(mut self, pattern: impl Into<String>) -> Self {
        self.subject = Some(pattern.into());
        self
    }

    /// Requires a reply subject that matches this pattern.
    pub fn reply(mut self, pattern: impl Into<String>) -> Self {
        self.reply = Some(pattern.into());
        self
    }

    /// Requires this predicate to hold.
    pub fn when(mut self, predicate: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.when.push(Box::new(predicate));
        self
    }

    /// Skips the first `count` matches.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Applies at most `count` times.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Applies with this probability, by the seed of the proxy.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn means(&self, direction: Direction, operation: &Operation) -> bool {
        if self.direction != direction || self.verb.is_some_and(|verb| verb != operation.verb()) {
            return false;
        }
        let Some(message) = operation.message() else {
            return self.verb.is_some()
                && self.subject.is_none()
                && self.reply.is_none()
                && self.when.is_empty();
        };
        self.subject.as_ref().is_none_or(|pattern| matches(pattern, &message.subject))
            && self
                .reply
                .as_ref()
                .is_none_or(|pattern| message.reply.as_ref().is_some_and(|reply| matches(pattern, reply)))
            && self.when.iter().all(|predicate| predicate(message))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("direction", &self.direction)
            .field("subject", &self.subject)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

/// Whether a subject matches a pattern: `*` matches one token, `>` all remaining ones.
fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for expected in pattern.split('.') {
        match tokens.next() {
            Some(_) if expected == ">" => return true,
            Some(token) if expected == "*" || expected == token => {}
            Some(_) | None => return false,
        }
    }
    tokens.next().is_none()
}

/// An active rule, until it is [removed](super::Proxy::remove).
#[derive(Clone)]
pub struct Added(Arc<InForce>);

struct InForce {
    rule: Rule,
    action: Action,
    meant: AtomicU64,
    applied: watch::Sender<u64>,
}

impl Added {
    pub(super) fn new(rule: Rule, action: Action) -> Self {
        Self(Arc::new(InForce { rule, action, meant: AtomicU64::new(0), applied: watch::Sender::new(0) }))
    }

    /// Number of messages to which it was applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.0.applied.borrow()
    }

    /// Waits until it has applied this often.
    ///
    /// # Panics
    /// If that does not happen within 30 s.
    #[track_caller]
    pub fn until_applied(&self, times: u64) -> impl Future<Output = ()> + use<> {
        let caller = std::panic::Location::caller();
        let mut applied = self.0.applied.subscribe();
        async move {
            let waited = tokio::time::timeout(BOUND, applied.wait_for(|applied| *applied >= times)).await;
            assert!(
                waited.is_ok(),
                "the rule has not been applied {times} times within {BOUND:?}, at {caller}"
            );
        }
    }

    /// The action on an operation, if this rule applies to it now.
    fn apply(&self, direction: Direction, operation: &Operation, random: &mut Random) -> Option<Action> {
        let Self(it) = self;
        if !it.rule.means(direction, operation) {
            return None;
        }
        let before = it.meant.fetch_add(1, Ordering::SeqCst);
        let chosen = before >= it.rule.skip && self.applied() < it.rule.times;
        // A random number is drawn for each match, so that the same seed gives the same choices.
        if !(random.chance(it.rule.probability) && chosen) {
            return None;
        }
        it.applied.send_modify(|applied| *applied += 1);
        Some(it.action.clone())
    }
}

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Added")
            .field("rule", &self.0.rule)
            .field("action", &self.0.action)
            .field("applied", &self.applied())
            .finish()
    }
}

/// The rules of a proxy, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Rules {
    state: Mutex<(Vec<Added>, Random)>,
}

impl Rules {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Mutex::new((Vec::new(), Random::new(seed))) }
    }

    pub(super) fn add(&self, added: Added) {
        self.lock().0.push(added);
    }

    pub(super) fn remove(&self, removed: &Added) {
        self.lock().0.retain(|added| !Arc::ptr_eq(&added.0, &removed.0));
    }

    pub(super) fn clear(&self) {
        self.lock().0.clear();
    }

    /// The action of the first rule that applies. Rules that only count do not end the search.
    pub(super) fn action(&self, direction: Direction, operation: &Operation) -> Action {
        let mut state = self.lock();
        let (rules, random) = &mut *state;
        rules
            .iter()
            .filter_map(|added| added.apply(direction, operation, random))
            .find(|action| !matches!(action, Action::Count))
            .unwrap_or(Action::Count)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<Added>, Random)> {
        // A predicate that panics does not change the rules.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(subject: &str) -> Operation {
        Operation::Message(Message { subject: subject.to_owned(), ..Message::default() })
    }

    fn dropped(rules: &Rules, subject: &str) -> bool {
        matches!(rules.action(Direction::ToServer, &message(subject)), Action::Drop)
    }

    #[test]
    fn subjects_match_as_nats_matches_them() {
        for (pattern, subject) in
            [("a.b", "a.b"), ("a.*", "a.b"), ("*.b", "a.b"), ("a.>", "a.b.c"), (">", "a")]
        {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [("a.b", "a"), ("a", "a.b"), ("a.*", "a.b.c"), ("a.>", "a"), ("*", "a.b")] {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }

    #[test]
    fn skipped_matches_are_not_counted() {
        let rules = Rules::new(0);
        let rule = Added::new(Rule::on(Direction::ToServer).subject("a").skip(1).times(2), Action::Drop);
        rules.add(rule.clone());
        let found: Vec<bool> = ["a", "b", "a", "a", "a"].map(|subject| dropped(&rules, subject)).into();
        assert_eq!(found, [false, false, true, true, false]);
        assert_eq!(rule.applied(), 2);
        rules.remove(&rule);
        assert!(!dropped(&rules, "a"));
    }

    #[test]
    fn first_rule_applies_and_counting_rules_hide_no_other() {
        let rules = Rules::new(0);
        let counted = Added::new(Rule::on(Direction::ToServer), Action::Count);
        rules.add(counted.clone());
        rules.add(Added::new(Rule::on(Direction::ToServer).subject("a"), Action::Drop));
        rules.add(Added::new(Rule::on(Direction::ToServer).subject("a"), Action::Duplicate));
        assert!(dropped(&rules, "a") && !dropped(&rules, "b"));
        assert_eq!(counted.applied(), 2);
    }

    #[test]
    fn same_seed_makes_the_same_choices() {
        let choices = |seed| {
            let rules = Rules::new(seed);
            rules.add(Added::new(Rule::on(Direction::ToServer).probability(0.25), Action::Drop));
            (0..4000).map(|_| dropped(&rules, "a")).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        let dropped = choices(7).iter().filter(|dropped| **dropped).count();
        assert!((800..1200).contains(&dropped), "{dropped} of 4000");
    }

    #[test]
    fn control_operations_match_by_verb_only() {
        let ping = Operation::Control(Bytes::from_static(b"PING"));
        assert!(Rule::on(Direction::ToClient).verb("PING").means(Direction::ToClient, &ping));
        assert!(!Rule::on(Direction::ToClient).means(Direction::ToClient, &ping));
        assert!(!Rule::on(Direction::ToClient).verb("PING").means(Direction::ToServer, &ping));
    }
}
