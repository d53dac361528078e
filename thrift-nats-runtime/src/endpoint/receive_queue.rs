//! The queue between the subscription of an endpoint and the task that receives from it, bounded in bytes.
//!
//! It owns the subscription. It never handles a message.
//!
//! The client library cannot buffer for an endpoint. async-nats 0.51 gives every subscription a channel of as many messages
//! as the user's connection options say, 65,536 by default, and drops a message that finds it full. Nothing else tells that
//! a message was dropped: the `Statistics` count messages of all subscriptions, dropped ones included, and
//! `Event::SlowConsumer` goes only to the callback in the user's options. Yet in one poll the library's task reads until
//! the socket is empty or tokio's budget of 128 reads is used up. These are up to 8 MiB, or 100,000 messages of one byte,
//! and the task that receives does not run before the poll ends: it waits in the LIFO slot of the same thread, from which
//! no other thread takes it, or the runtime has one thread only.
//!
//! The channel is therefore emptied while it is filled. The library's task wakes the receiver of the channel from within
//! `try_send`. This waker does not wake a task: it moves the message to this queue at once, on the thread of the library.
//! The channel never holds more than one message, whatever its capacity. This costs no switch between tasks. If a version
//! of the library woke the receiver later, messages would still arrive, and the bound of the channel would apply again.
//!
//! If many messages wait, the [`Senders`] take turns: a flood of one session does not delay the messages of the others, and
//! the server still answers their probes in time. All messages of no session have one turn together.
//!
//! The messages count against the memory of the endpoint's sessions. If they exceed their part of it, those of the peers
//! that have the most are dropped until 7/8 are left, and their sessions are reported: they have to end, because their
//! messages are lost.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use async_nats::{Message, Subscriber, UnsubscribeError};
use futures_util::Stream;

use super::RECEIVED_PART;
use super::publish_lock::PublishLock;
use super::shedding::{Holder, largest};
use crate::proto::Share;
use crate::sync::lock;

/// Number of messages that the receiving task removes from the queue at a time: the lock is acquired once for all of them.
const BATCH: usize = 64;
/// The bytes of a batch, which the queue no longer counts.
const BATCH_BYTES: usize = 1 << 20;
/// The memory of a message besides its bytes: the [`Message`] is 200 bytes, and its two subjects have allocations.
const MESSAGE_OVERHEAD: usize = 256;
/// The memory that a byte of headers takes at most: `a:b` and a line end become an entry of a map with two strings.
const HEADER_FACTOR: usize = 32;
/// Number of queued messages above which the senders take turns. Below it, messages are handled in the order of their
/// arrival, which costs less.
const TAKES_TURNS: usize = 1024;
/// Capacity above which an empty queue gives its memory back.
const KEPT_CAPACITY: usize = 1024;

/// The senders that the messages of a subscription come from. Called only if there are many messages.
pub(crate) trait Senders: Send + Sync + 'static {
    /// The name of a message's sender, which is part of the message. Messages with the same name stay in order.
    ///
    /// A peer chooses the content of its messages. It must not gain from it that it appears under many names.
    fn name<'m>(&self, message: &'m Message) -> &'m str;

    /// A number that the senders with the same peer share.
    fn peer(&self, name: &str) -> usize;

    /// All messages of a sender were dropped, so many bytes, because the queue exceeded its limit. Called from the task of
    /// the client library.
    fn dropped(&self, name: &str, bytes: usize, limit: usize);
}

/// Receives the messages of a subscription. Dropping it ends the subscription.
pub(crate) struct ReceiveQueue {
    shared: Arc<Shared>,
    /// Messages that were removed from the queue and not yet returned.
    batch: VecDeque<Message>,
}

struct Shared {
    /// Acquired by the thread that moves messages from `subscriber` to `queue`. A waker may be called while it is registered,
    /// by this or another thread, so that a mutex alone would deadlock or lose the message.
    lock: PublishLock,
    /// Locked by the owner of `lock`, or while the subscription is changed.
    subscriber: tokio::sync::Mutex<Subscriber>,
    queue: Mutex<Queue>,
    senders: Box<dyn Senders>,
}

struct Queue {
    /// In the order of their arrival. After those in `turns`.
    messages: VecDeque<Message>,
    /// The older messages, if there were too many: senders take turns.
    turns: Turns,
    /// The memory of the messages.
    bytes: usize,
    /// The messages in the memory of the endpoint.
    share: Share,
    /// The subscription has ended.
    ended: bool,
    /// Wakes the receiving task, if it waits.
    receiver: Option<Waker>,
}

impl ReceiveQueue {
    /// Receives from `subscriber`.
    pub(crate) fn new(subscriber: Subscriber, share: Share, senders: impl Senders) -> Self {
        let shared = Arc::new(Shared {
            lock: PublishLock::default(),
            subscriber: tokio::sync::Mutex::new(subscriber),
            queue: Mutex::new(Queue::new(share)),
            senders: Box::new(senders),
        });
        let queue = Self { shared, batch: VecDeque::new() };
        queue.move_messages();
        queue
    }

    /// Registers the waker, and takes the messages that have arrived before.
    fn move_messages(&self) {
        Arc::new(Mover(Arc::downgrade(&self.shared))).wake();
    }

    /// Ends the subscription. The messages that have arrived before are still returned.
    ///
    /// # Cancellation
    /// If the future is dropped, the subscription may not have ended.
    pub(crate) async fn unsubscribe(&self) -> Result<(), UnsubscribeError> {
        let result = self.shared.subscriber.lock().await.unsubscribe().await;
        self.move_messages();
        result
    }

    /// Has NATS end the subscription after this many messages.
    ///
    /// # Cancellation
    /// If the future is dropped, NATS may not be told.
    pub(crate) async fn unsubscribe_after(&self, messages: u64) -> Result<(), UnsubscribeError> {
        let result = self.shared.subscriber.lock().await.unsubscribe_after(messages).await;
        self.move_messages();
        result
    }

    /// The next message, or `None` after the subscription has ended.
    ///
    /// # Cancellation
    /// Dropping the future loses no message.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        if self.batch.is_empty() {
            poll_fn(|cx| self.poll_batch(cx)).await;
        }
        // Otherwise a full queue would keep its thread.
        tokio::task::consume_budget().await;
        self.batch.pop_front()
    }

    /// Fills the batch, which is empty. It stays empty if the subscription has ended.
    fn poll_batch(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut queue = lock(&self.shared.queue);
        if queue.is_empty() {
            if queue.ended {
                return Poll::Ready(());
            }
            queue.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.take(&mut self.batch, &*self.shared.senders);
        Poll::Ready(())
    }
}

/// Messages by sender. The senders take turns, so that one with many messages does not delay the others.
#[derive(Default)]
struct Turns {
    by_name: HashMap<Arc<str>, VecDeque<Message>>,
    /// The names of the senders with messages, in the order of their turns.
    order: VecDeque<Arc<str>>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn push(&mut self, senders: &dyn Senders, message: Message) {
        let name = senders.name(&message);
        if let Some(messages) = self.by_name.get_mut(name) {
            return messages.push_back(message);
        }
        let name = Arc::<str>::from(name);
        self.order.push_back(Arc::clone(&name));
        self.by_name.insert(name, [message].into());
    }

    fn pop(&mut self) -> Option<Message> {
        let name = self.order.pop_front()?;
        let messages = self.by_name.get_mut(&name)?;
        let message = messages.pop_front();
        if messages.is_empty() {
            self.by_name.remove(&name);
        } else {
            self.order.push_back(name);
        }
        message
    }

    /// Drops all messages of the largest senders until `limit` is kept. Returns their names, and the bytes that each had.
    fn shed(&mut self, senders: &dyn Senders, limit: usize) -> Vec<(Arc<str>, usize)> {
        let held = self.by_name.iter().map(|(name, messages)| Holder {
            session: Arc::clone(name),
            peer: senders.peer(name),
            held: messages.iter().map(memory).sum(),
        });
        let shed = largest(held.collect(), limit);
        for Holder { session: name, .. } in &shed {
            self.by_name.remove(name);
        }
        self.order.retain(|name| self.by_name.contains_key(name));
        shed.into_iter().map(|Holder { session, held, .. }| (session, held)).collect()
    }
}

impl Queue {
    fn new(share: Share) -> Self {
        let (messages, turns) = (VecDeque::new(), Turns::default());
        Self { messages, turns, bytes: 0, share, ended: false, receiver: None }
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.turns.is_empty()
    }

    /// The limit, in bytes.
    fn limit(&self) -> usize {
        self.share.budget().limit() / RECEIVED_PART
    }

    fn set_bytes(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.share.set(bytes);
    }

    /// Moves the next messages to `batch`.
    fn take(&mut self, batch: &mut VecDeque<Message>, senders: &dyn Senders) {
        if !self.turns.is_empty() || self.messages.len() > TAKES_TURNS {
            self.assign_turns(senders);
            return self.take_in_turn(batch);
        }
        let (mut count, mut bytes) = (0, 0);
        for message in self.messages.iter().take(BATCH) {
            if bytes >= BATCH_BYTES {
                break;
            }
            (count, bytes) = (count + 1, bytes + memory(message));
        }
        self.set_bytes(self.bytes - bytes);
        if count == self.messages.len() {
            std::mem::swap(&mut self.messages, batch);
            if self.messages.capacity() > KEPT_CAPACITY {
                self.messages = VecDeque::new();
            }
        } else {
            batch.extend(self.messages.drain(..count));
        }
    }

    /// Has all messages wait for the turns of their senders.
    fn assign_turns(&mut self, senders: &dyn Senders) {
        for message in std::mem::take(&mut self.messages) {
            self.turns.push(senders, message);
        }
    }

    /// The same, one message of each sender after the other.
    fn take_in_turn(&mut self, batch: &mut VecDeque<Message>) {
        let mut bytes = 0;
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(message) = self.turns.pop()
        {
            bytes += memory(&message);
            batch.push_back(message);
        }
        if self.turns.is_empty() {
            // Its tables may have grown with the number of senders.
            self.turns = Turns::default();
        }
        self.set_bytes(self.bytes - bytes);
    }

    /// Drops the messages of the largest senders until the queue is at 7/8 of its limit. Returns the names of the senders,
    /// and the bytes that each had in the queue.
    fn shed(&mut self, senders: &dyn Senders) -> Vec<(Arc<str>, usize)> {
        // Each message is named once: a session may end at any time, and its messages would have another name then.
        self.assign_turns(senders);
        let shed = self.turns.shed(senders, self.limit());
        self.set_bytes(self.bytes - shed.iter().map(|(_, bytes)| bytes).sum::<usize>());
        shed
    }
}

impl Shared {
    /// Moves all messages from the subscription to the queue.
    fn move_messages(&self, waker: &Waker) {
        if !self.lock.acquire() {
            return;
        }
        let mut cx = Context::from_waker(waker);
        loop {
            self.lock.begin();
            // While the subscription is changed, messages stay in its channel.
            if let Ok(mut subscriber) = self.subscriber.try_lock() {
                while let Poll::Ready(message) = poll_unconstrained(&mut subscriber, &mut cx) {
                    if !self.push(message) {
                        // The lock is kept: there is nothing more to move.
                        return;
                    }
                }
            }
            if self.lock.release() {
                return;
            }
        }
    }

    /// Adds a message to the queue, or its end. Returns whether there may be more.
    fn push(&self, message: Option<Message>) -> bool {
        let is_message = message.is_some();
        let mut queue = lock(&self.queue);
        match message {
            Some(message) => {
                let bytes = queue.bytes + memory(&message);
                queue.set_bytes(bytes);
                queue.messages.push_back(message);
            }
            None => queue.ended = true,
        }
        let receiver = queue.receiver.take();
        let limit = queue.limit();
        let shed = if queue.bytes > limit { queue.shed(&*self.senders) } else { Vec::new() };
        drop(queue);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        for (name, bytes) in shed {
            self.senders.dropped(&name, bytes, limit);
        }
        is_message
    }
}

/// Polls without tokio's budget: it belongs to the task of the client library, and messages that it would leave in the
/// channel are what this queue has to avoid.
fn poll_unconstrained(subscriber: &mut Subscriber, cx: &mut Context<'_>) -> Poll<Option<Message>> {
    let next = poll_fn(|cx| Pin::new(&mut *subscriber).poll_next(cx));
    let mut next = std::pin::pin!(tokio::task::unconstrained(next));
    next.as_mut().poll(cx)
}

/// The memory that a message takes, in bytes.
fn memory(message: &Message) -> usize {
    let mut bytes = message.length + MESSAGE_OVERHEAD;
    if message.headers.is_some() {
        let reply = message.reply.as_ref().map_or(0, |reply| reply.len());
        let others = message.payload.len() + message.subject.len() + reply;
        bytes += message.length.saturating_sub(others) * HEADER_FACTOR;
    }
    bytes
}

/// The waker of the subscription. It does not keep the queue alive.
struct Mover(Weak<Shared>);

impl Wake for Mover {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            shared.move_messages(&Waker::from(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::{HeaderMap, Subject};
    use bytes::Bytes;

    use super::*;
    use crate::endpoint::{EndpointSession, SessionSenders, SessionTable};
    use crate::proto::{Budget, CloseReason};

    fn message(session: &str, len: usize) -> Message {
        let (subject, payload) = (Subject::from(session), Bytes::from(vec![0; len]));
        let length = subject.len() + len;
        Message { subject, reply: None, payload, headers: None, status: None, description: None, length }
    }

    fn queue(limit: usize, messages: Vec<Message>) -> Queue {
        let mut queue = Queue::new(Share::new(Budget::new(limit * RECEIVED_PART)));
        queue.set_bytes(messages.iter().map(memory).sum());
        queue.messages = messages.into();
        queue
    }

    /// Each subject is a sender; the peer is its first letter.
    struct BySubject;

    impl Senders for BySubject {
        fn name<'m>(&self, message: &'m Message) -> &'m str {
            &message.subject
        }

        fn peer(&self, name: &str) -> usize {
            usize::from(name.as_bytes()[0])
        }

        fn dropped(&self, _: &str, _: usize, _: usize) {}
    }

    /// The messages that are left, in turn.
    fn take_all(queue: &mut Queue, senders: &dyn Senders) -> Vec<(String, usize)> {
        let (mut batch, mut left) = (VecDeque::new(), Vec::new());
        while !queue.is_empty() {
            queue.take(&mut batch, senders);
            left.extend(batch.drain(..).map(|message| (message.subject.to_string(), message.payload.len())));
        }
        let counted = queue.share.budget().held();
        assert!(queue.bytes == 0 && counted <= 1024, "{} bytes are left, {counted} are counted", queue.bytes);
        left
    }

    #[test]
    fn senders_with_the_most_bytes_lose_their_messages_first() {
        let mut messages = vec![message("small", 10), message("Largest", 100_000), message("large", 60_000)];
        messages.extend((0..1000).map(|_| message("many", 1)));
        messages.push(message("small", 11));
        let mut queue = queue(150_000, messages);
        let shed = queue.shed(&BySubject);
        let names: Vec<_> = shed.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["many", "Largest"], "the overhead of a message counts");
        assert!(queue.shed(&BySubject).is_empty(), "below the limit");
        let counted = queue.share.budget().held();
        assert!(counted >= queue.bytes && counted / 4 * 3 < queue.bytes, "{counted} for {}", queue.bytes);
        let left = [("small", 10), ("large", 60_000), ("small", 11)];
        assert_eq!(take_all(&mut queue, &BySubject), left.map(|(name, len)| (name.to_owned(), len)));
    }

    #[test]
    fn many_senders_of_one_peer_lose_their_messages_before_a_larger_one_of_another() {
        let mut messages = vec![message("large", 50_000)];
        messages.extend((0..1000).map(|n| message(&format!("small{n}"), 100)));
        let mut queue = queue(200_000, messages);
        let shed = queue.shed(&BySubject);
        assert!(!shed.is_empty() && shed.iter().all(|(name, _)| name.starts_with("small")), "{shed:?}");
        assert!(take_all(&mut queue, &BySubject).contains(&("large".to_owned(), 50_000)));
    }

    struct TestSession(usize);

    impl EndpointSession for TestSession {
        fn connection(&self) -> u64 {
            0
        }

        fn peer(&self) -> usize {
            self.0
        }

        fn held(&self) -> usize {
            0
        }

        fn close(self: &Arc<Self>, reason: CloseReason) {
            panic!("session {} ended: {reason}", self.0);
        }
    }

    /// A peer of one session knows the base, and can send to any token below it.
    #[test]
    fn messages_to_unknown_sessions_neither_delay_nor_displace_those_of_sessions() {
        let sessions = Arc::new(SessionTable::default());
        for (token, peer) in [("upload", 1), ("small", 2)] {
            sessions.insert(&token.into(), &Arc::new(TestSession(peer)));
        }
        let senders = SessionSenders { start: "base.".len(), sessions: Arc::downgrade(&sessions) };
        let flood = |n: usize| message(&format!("base.{n:022}"), 100);
        let mut messages: Vec<_> = (0..2 * TAKES_TURNS).map(flood).collect();
        messages.extend([message("base.upload", 100_000), message("base.small.3", 1)]);
        messages.extend((0..2 * TAKES_TURNS).map(|n| message(&format!("base.{n}.h"), 100)));
        messages.extend([message("base.upload", 100_001), message("base.small.4", 2)]);
        let mut queue = queue(500_000, messages);
        let shed = queue.shed(&senders);
        for (name, bytes) in &shed {
            senders.dropped(name, *bytes, 500_000);
        }
        assert_eq!(shed.len(), 1, "the messages of no session have one name");
        queue.messages.extend((0..2 * TAKES_TURNS).map(flood));
        queue.set_bytes(queue.bytes + queue.messages.iter().map(memory).sum::<usize>());
        let left = take_all(&mut queue, &senders);
        let honest = |(_, (subject, _)): &(usize, &(String, usize))| !subject.starts_with("base.0");
        let places: Vec<_> =
            left.iter().enumerate().filter(honest).map(|(place, (_, len))| (place, *len)).collect();
        assert_eq!(places, [(0, 100_000), (1, 1), (3, 100_001), (4, 2)]);
    }

    #[test]
    fn one_sender_above_the_limit_loses_all_its_messages() {
        let mut queue = queue(500, vec![message("one", 1000), message("one", 1)]);
        assert_eq!(queue.shed(&BySubject).len(), 1);
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn a_batch_is_bounded_in_messages_and_bytes_and_keeps_the_order() {
        let large = (0..5).map(|_| message("s", BATCH_BYTES / 2));
        let small = (0..3 * BATCH).map(|len| message("s", len));
        let mut queue = queue(1 << 30, large.chain(small).collect());
        let (mut batch, mut sizes, mut order) = (VecDeque::new(), Vec::new(), Vec::new());
        while !queue.messages.is_empty() {
            queue.take(&mut batch, &BySubject);
            sizes.push(batch.len());
            order.extend(batch.drain(..).map(|message| message.payload.len()));
        }
        assert_eq!(sizes, [2, 2, 64, 64, 64, 1]);
        assert_eq!(order.split_off(5), (0..3 * BATCH).collect::<Vec<_>>());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn the_entries_of_headers_count_with_their_memory() {
        let mut with_headers = message("s", 0);
        let plain = memory(&with_headers);
        with_headers.headers = Some(HeaderMap::new());
        with_headers.length += 100;
        assert_eq!(memory(&with_headers), plain + 100 + 100 * HEADER_FACTOR);
    }

    #[test]
    fn senders_take_turns_if_many_messages_wait() {
        let mut messages: Vec<_> = (0..2 * TAKES_TURNS).map(|len| message("flood", len % 7)).collect();
        messages.extend([message("small", 1), message("small", 2), message("other", 3)]);
        let mut queue = queue(1 << 30, messages);
        let mut batch = VecDeque::new();
        queue.take(&mut batch, &BySubject);
        let first: Vec<_> =
            batch.drain(..).take(6).map(|message| (message.subject, message.payload.len())).collect();
        let expected = [("flood", 0), ("small", 1), ("other", 3), ("flood", 1), ("small", 2), ("flood", 2)];
        assert_eq!(first, expected.map(|(name, len)| (Subject::from(name), len)));
        let late = message("late", 0);
        queue.set_bytes(queue.bytes + memory(&late));
        queue.messages.push_back(late);
        queue.take(&mut batch, &BySubject);
        assert_eq!(&*batch[1].subject, "late", "a new message has its turn at once");
        while !queue.is_empty() {
            batch.clear();
            queue.take(&mut batch, &BySubject);
        }
        assert_eq!((queue.bytes, queue.turns.by_name.len(), queue.turns.order.len()), (0, 0, 0));
    }
}
