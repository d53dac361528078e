//! Clients and servers that speak the session protocol by hand, so that a test can send what the runtime never sends.
//! Messages are in the binary protocol and the buffered transport.

use async_nats::{Client as Nats, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::bounded::next;

/// A client with an open session.
#[derive(Debug)]
pub struct RawClient {
    nats: Nats,
    /// The subject that the server sends to.
    own: String,
    inbox: Subscriber,
    /// The subject that the server listens on.
    pub listen: Subject,
    /// The body of the accept message: the heartbeat subject and the interval in milliseconds.
    pub accept: String,
}

impl RawClient {
    /// Opens a session as a legacy client does.
    pub async fn legacy(nats: &Nats, subject: &str) -> Self {
        Self::open(nats, subject, &[]).await
    }

    /// Opens a session of protocol version 2, in which messages have numbers.
    pub async fn numbered(nats: &Nats, subject: &str) -> Self {
        Self::numbered_with(nats, subject, &[]).await
    }

    /// The same, with more headers in the handshake.
    pub async fn numbered_with(nats: &Nats, subject: &str, headers: &[(&str, &str)]) -> Self {
        let own = [("Thrift-Nats-Version", "2"), ("Thrift-Nats-Window", "4194304")];
        Self::open(nats, subject, &[&own[..], headers].concat()).await
    }

    /// Opens a session by a handshake with these headers.
    ///
    /// # Panics
    /// If the server does not accept it.
    pub async fn open(nats: &Nats, subject: &str, headers: &[(&str, &str)]) -> Self {
        let own = nats.new_inbox();
        let inbox = nats.subscribe(own.clone()).await.expect("the connection is open");
        let message = headers.iter().fold(HeaderMap::new(), |mut all, (name, value)| {
            all.insert(*name, *value);
            all
        });
        nats.publish_with_reply_and_headers(subject.to_owned(), own.clone(), message, Bytes::new())
            .await
            .expect("the connection is open");
        let mut client =
            Self { nats: nats.clone(), own, inbox, listen: Subject::from_static("-"), accept: String::new() };
        let accept = client.receive().await;
        client.listen = accept.reply.expect("an accept has a reply subject");
        client.accept = String::from_utf8_lossy(&accept.payload).into_owned();
        client
    }

    /// The subject that the client listens on.
    #[must_use]
    pub fn inbox(&self) -> &str {
        &self.own
    }

    /// Sends bytes without a number, as a legacy client does.
    pub async fn send(&self, bytes: impl Into<Bytes>) {
        self.nats.publish(self.listen.clone(), bytes.into()).await.expect("the connection is open");
    }

    /// Sends a heartbeat as a legacy client does.
    ///
    /// # Panics
    /// If the accept named no subject for heartbeats.
    pub async fn heartbeat(&self) {
        let (subject, _) = self.accept.split_once(' ').expect("a heartbeat subject and an interval");
        self.nats.publish(subject.to_owned(), Bytes::new()).await.expect("the connection is open");
    }

    /// Sends a chunk with its number.
    pub async fn send_chunk(&self, number: u64, bytes: impl Into<Bytes>) {
        let reply = format!("{}.{number}", self.own);
        self.nats
            .publish_with_reply(self.listen.clone(), reply, bytes.into())
            .await
            .expect("the connection is open");
    }

    /// Sends calls of functions, without arguments, in one numbered chunk. Their sequence numbers count from 0.
    pub async fn call(&self, chunk: u64, methods: &[&str]) {
        let calls = methods.iter().zip(0..).flat_map(|(method, seqid)| request(method, seqid));
        self.send_chunk(chunk, calls.collect::<Vec<_>>()).await;
    }

    /// Sends the message `number`, of the kind with this letter.
    pub async fn send_control(&self, number: u64, letter: char, body: impl Into<Bytes>) {
        let reply = format!("{}.{number}{letter}", self.own);
        self.nats
            .publish_with_reply(self.listen.clone(), reply, body.into())
            .await
            .expect("the connection is open");
    }

    /// Sends the message `number`: a part of the long message `id`, after which `rest` bytes follow.
    pub async fn send_part(&self, number: u64, id: u64, rest: u64, part: impl Into<Bytes>) {
        let reply = format!("{}.{number}-{id}-{rest}", self.own);
        self.nats
            .publish_with_reply(self.listen.clone(), reply, part.into())
            .await
            .expect("the connection is open");
    }

    /// Cancels calls by the message `number`: their sequence numbers separated by spaces.
    pub async fn cancel(&self, number: u64, seqids: &str) {
        self.send_control(number, 'c', seqids.to_owned()).await;
    }

    /// Ends the session, as a client does that closes it.
    pub async fn disconnect(&self) {
        self.nats
            .publish_with_reply(self.listen.clone(), "DISCONNECT", Bytes::new())
            .await
            .expect("the connection is open");
    }

    /// The next message from the server.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Message> {
        next(&mut self.inbox)
    }

    /// The next message, if it has arrived.
    pub fn try_receive(&mut self) -> Option<Message> {
        self.inbox.next().now_or_never().flatten()
    }

    /// The next `count` replies of `void` functions: their sequence numbers in ascending order.
    pub async fn replies(&mut self, count: usize) -> Vec<u32> {
        let (mut bytes, mut seqids) = (Vec::new(), Vec::new());
        while seqids.len() < count {
            let message = self.receive().await;
            // Not a message that tells how much may be sent, or that asks whether this client is there.
            if message.reply.is_none_or(|reply| !reply.ends_with(char::is_alphabetic)) {
                bytes.extend(message.payload);
            }
            while let Some((seqid, len)) = void_reply(&bytes) {
                seqids.push(seqid);
                bytes.drain(..len);
            }
        }
        seqids.sort_unstable();
        seqids
    }
}

/// A call of a function without arguments.
#[must_use]
pub fn request(method: &str, seqid: u32) -> Vec<u8> {
    message(1, method, seqid, b"")
}

/// A message whose struct has these fields; `kind` is 1 for a call, 2 for a reply and 3 for an exception.
#[must_use]
pub fn message(kind: u8, method: &str, seqid: u32, fields: &[u8]) -> Vec<u8> {
    let len = u32::try_from(method.len()).expect("a name is short");
    [&[0x80, 1, 0, kind], &len.to_be_bytes()[..], method.as_bytes(), &seqid.to_be_bytes(), fields, &[0]]
        .concat()
}

/// The sequence number and the length of the reply that `bytes` start with, if all of it is there.
///
/// # Panics
/// If it is another message.
fn void_reply(bytes: &[u8]) -> Option<(u32, usize)> {
    let (head, rest) = bytes.split_at_checked(8)?;
    assert_eq!(head[..4], [0x80, 1, 0, 2], "a reply");
    let name = u32::from_be_bytes(head[4..].try_into().ok()?) as usize;
    let (seqid, rest) = rest.split_at_checked(name)?.1.split_first_chunk()?;
    assert_eq!(rest.first()?, &0, "a reply without a result");
    Some((u32::from_be_bytes(*seqid), 8 + name + 4 + 1))
}

/// A server that sees the handshakes on its subject.
#[derive(Debug)]
pub struct RawServer {
    nats: Nats,
    handshakes: Subscriber,
}

/// A session of a [`RawServer`].
#[derive(Debug)]
pub struct RawSession {
    nats: Nats,
    /// The subject that the client listens on.
    client: Subject,
    /// The subject that the session listens on.
    pub listen: String,
    inbox: Subscriber,
}

impl RawServer {
    /// Listens on `subject`. NATS knows of it when this returns.
    pub async fn listen(nats: &Nats, subject: &str) -> Self {
        let handshakes = nats.subscribe(subject.to_owned()).await.expect("the connection is open");
        round_trip(nats).await;
        Self { nats: nats.clone(), handshakes }
    }

    /// The next handshake.
    #[track_caller]
    pub fn handshake(&mut self) -> impl Future<Output = Message> {
        next(&mut self.handshakes)
    }

    /// The next handshake, if it has arrived.
    pub fn try_handshake(&mut self) -> Option<Message> {
        self.handshakes.next().now_or_never().flatten()
    }

    /// The number of handshakes that have arrived since the last time.
    pub fn count(&mut self) -> usize {
        std::iter::from_fn(|| self.try_handshake()).count()
    }

    /// Accepts the next handshake, without heartbeats.
    pub async fn accept(&mut self) -> RawSession {
        let listen = self.nats.new_inbox();
        self.accept_at(|_| listen, "heartbeat 0").await
    }

    /// Accepts the next handshake with this body. `listen` chooses the subject to listen on; its argument is that of the
    /// client.
    ///
    /// # Panics
    /// If the handshake has no reply subject.
    pub async fn accept_at(&mut self, listen: impl FnOnce(&str) -> String, body: &'static str) -> RawSession {
        let handshake = self.handshake().await;
        self.accept_handshake(handshake, listen, body).await
    }

    /// Accepts the next handshake as a server of this crate does, without heartbeats, and lets the client send 4 MiB.
    ///
    /// # Panics
    /// If the handshake has no reply subject.
    pub async fn accept_current(&mut self) -> RawSession {
        let client = self.handshake().await.reply.expect("a handshake has a reply subject");
        let listen = self.nats.new_inbox();
        let inbox = self.nats.subscribe(listen.clone()).await.expect("the connection is open");
        round_trip(&self.nats).await;
        let mut headers = HeaderMap::new();
        headers.insert("Thrift-Nats-Version", "2");
        headers.insert("Thrift-Nats-Window", "4194304");
        let sent = self.nats.publish_with_reply_and_headers(
            client.clone(),
            listen.clone(),
            headers,
            "heartbeat 0".into(),
        );
        sent.await.expect("the connection is open");
        RawSession { nats: self.nats.clone(), client, listen, inbox }
    }

    /// Accepts this handshake.
    ///
    /// # Panics
    /// If it has no reply subject.
    pub async fn accept_handshake(
        &self,
        handshake: Message,
        listen: impl FnOnce(&str) -> String,
        body: &'static str,
    ) -> RawSession {
        let client = handshake.reply.expect("a handshake has a reply subject");
        let listen = listen(&client);
        let inbox = self.nats.subscribe(listen.clone()).await.expect("the connection is open");
        round_trip(&self.nats).await;
        let session = RawSession { nats: self.nats.clone(), client, listen: listen.clone(), inbox };
        session.send_with_reply(listen, body).await;
        session
    }

    /// Disconnects the client that sends the next handshake.
    ///
    /// # Panics
    /// If the handshake has no reply subject.
    pub async fn refuse(&mut self, body: &'static str) {
        let client = self.handshake().await.reply.expect("a handshake has a reply subject");
        self.nats
            .publish_with_reply(client, "DISCONNECT", body.into())
            .await
            .expect("the connection is open");
    }
}

impl RawSession {
    /// The next message from the client.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Message> {
        next(&mut self.inbox)
    }

    /// The next message, if it has arrived.
    pub fn try_receive(&mut self) -> Option<Message> {
        self.inbox.next().now_or_never().flatten()
    }

    /// Sends bytes to the client.
    pub async fn send(&self, bytes: impl Into<Bytes>) {
        self.nats.publish(self.client.clone(), bytes.into()).await.expect("the connection is open");
    }

    /// Sends a disconnect message with this body.
    pub async fn disconnect(&self, body: &'static str) {
        self.send_with_reply("DISCONNECT".to_owned(), body).await;
    }

    async fn send_with_reply(&self, reply: String, body: &'static str) {
        self.nats
            .publish_with_reply(self.client.clone(), reply, body.into())
            .await
            .expect("the connection is open");
    }
}

/// Returns when NATS has processed everything that was sent on the connection, subscriptions included.
pub async fn round_trip(nats: &Nats) {
    let own = nats.new_inbox();
    let mut inbox = nats.subscribe(own.clone()).await.expect("the connection is open");
    nats.publish(own, Bytes::new()).await.expect("the connection is open");
    next(&mut inbox).await;
}

/// Whether this is a disconnect message.
#[must_use]
pub fn is_disconnect(message: &Message) -> bool {
    message.reply.as_deref() == Some("DISCONNECT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_separated_by_their_lengths() {
        let both = [message(2, "ping", 7, b""), message(2, "longer", 300, b"")].concat();
        assert_eq!(void_reply(&both), Some((7, 17)));
        assert_eq!(void_reply(&both[17..]), Some((300, 19)));
        for len in 0..17 {
            assert_eq!(void_reply(&both[..len]), None, "{len} bytes");
        }
    }
}
