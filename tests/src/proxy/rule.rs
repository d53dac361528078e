//! What is done to which operations.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::operation::{Direction, Message, Operation};
use super::random::Random;

/// How long what is waited for may take.
const BOUND: Duration = Duration::from_secs(30);

type Predicate = Box<dyn Fn(&Message) -> bool + Send + Sync>;

/// Which operations are meant. All that is said has to hold; a rule that says nothing more than its direction means
/// every message in it.
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

/// What is done to an operation that a rule means.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing: it is counted, and other rules may apply to it.
    Count,
    /// It does not arrive.
    Drop,
    /// It arrives so much later, and everything behind it too: the order is kept.
    Delay(Duration),
    /// It arrives behind so many messages that came after it. If they never come, neither does it.
    Reorder(usize),
    /// It arrives twice.
    Duplicate,
    /// So many of its bytes arrive; then the connection is closed on both sides.
    Cut(usize),
    /// Neither it nor anything behind it in this direction, on any connection, arrives until
    /// [`Proxy::go_on`](super::Proxy::go_on).
    Stall,
    /// It arrives, and this behind it.
    Inject(Operation),
    /// This arrives in its place.
    Replace(Operation),
}

impl Rule {
    /// Messages in this direction.
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

    /// Operations with this first word instead, such as `PING`, or the messages with it.
    pub fn verb(mut self, verb: &'static str) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Those on a subject that this one matches: with `*` and `>`, as NATS has them.
    pub fn subject(mut self, pattern: impl Into<String>) -> Self {
        self.subject = Some(pattern.into());
        self
    }

    /// Those with a reply subject that this one matches.
    pub fn reply(mut self, pattern: impl Into<String>) -> Self {
        self.reply = Some(pattern.into());
        self
    }

    /// Those of which this holds, too.
    pub fn when(mut self, predicate: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.when.push(Box::new(predicate));
        self
    }

    /// Not the first `count` of them.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// No more than `count` of them.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Each with this probability, by the seed of the proxy.
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

/// Whether a subject matches a pattern: `*` is any one token, `>` all that follow.
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

/// A rule that is in force until it is [removed](super::Proxy::remove).
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

    /// How often it has been applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.0.applied.borrow()
    }

    /// Waits until it has been applied so often.
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

    /// What is to be done to an operation, if it is one that this rule applies to now.
    fn apply(&self, direction: Direction, operation: &Operation, random: &mut Random) -> Option<Action> {
        let Self(it) = self;
        if !it.rule.means(direction, operation) {
            return None;
        }
        let before = it.meant.fetch_add(1, Ordering::SeqCst);
        let chosen = before >= it.rule.skip && self.applied() < it.rule.times;
        // The dice are thrown for each that is meant, so that the same seed gives the same choice.
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

    /// What the first rule that applies does; those that only count are passed.
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
        // A predicate that panics leaves the rules as they were.
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
    fn some_are_skipped_and_the_rest_is_counted() {
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
    fn the_first_rule_that_applies_counts_and_those_that_count_hide_none() {
        let rules = Rules::new(0);
        let counted = Added::new(Rule::on(Direction::ToServer), Action::Count);
        rules.add(counted.clone());
        rules.add(Added::new(Rule::on(Direction::ToServer).subject("a"), Action::Drop));
        rules.add(Added::new(Rule::on(Direction::ToServer).subject("a"), Action::Duplicate));
        assert!(dropped(&rules, "a") && !dropped(&rules, "b"));
        assert_eq!(counted.applied(), 2);
    }

    #[test]
    fn a_seed_makes_the_same_choices_again() {
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
    fn control_is_meant_by_its_verb_alone() {
        let ping = Operation::Control(Bytes::from_static(b"PING"));
        assert!(Rule::on(Direction::ToClient).verb("PING").means(Direction::ToClient, &ping));
        assert!(!Rule::on(Direction::ToClient).means(Direction::ToClient, &ping));
        assert!(!Rule::on(Direction::ToClient).verb("PING").means(Direction::ToServer, &ping));
    }
}
