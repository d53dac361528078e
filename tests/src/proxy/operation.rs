//! The operations of the NATS client protocol.

use bytes::{BufMut, Bytes, BytesMut};

/// The direction of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: published messages and subscriptions.
    ToServer,
    /// From the server to the client: delivered messages.
    ToClient,
}

/// An operation of the NATS client protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `PUB`, `HPUB`, `MSG` or `HMSG`.
    Message(Message),
    /// Any other operation: its line without the line end. `INFO`, `CONNECT`, `SUB`, `UNSUB`, `PING`, `PONG`, `+OK`, `-ERR`.
    Control(Bytes),
}

/// A published or delivered message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// The reply subject.
    pub reply: Option<String>,
    /// The subscription of a delivered message. `None` for a published one.
    pub sid: Option<String>,
    /// The block of headers, including `NATS/1.0` and the empty line.
    pub headers: Option<Bytes>,
    /// Its payload.
    pub payload: Bytes,
}

impl Operation {
    /// Its first word, in upper case.
    #[must_use]
    pub fn verb(&self) -> String {
        match self {
            Self::Message(message) => message.verb().to_owned(),
            Self::Control(line) => {
                let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
                String::from_utf8_lossy(word).to_ascii_uppercase()
            }
        }
    }

    /// The message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Control(_) => None,
        }
    }

    /// Encodes it for the wire.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Message(message) => message.encode(out),
            Self::Control(line) => {
                out.put_slice(line);
                out.put_slice(b"\r\n");
            }
        }
    }
}

impl Message {
    fn verb(&self) -> &'static str {
        match (&self.sid, &self.headers) {
            (None, None) => "PUB",
            (None, Some(_)) => "HPUB",
            (Some(_), None) => "MSG",
            (Some(_), Some(_)) => "HMSG",
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        let sid = self.sid.iter().map(String::as_str);
        let words = [self.verb(), &self.subject].into_iter().chain(sid).chain(self.reply.as_deref());
        for word in words {
            out.put_slice(word.as_bytes());
            out.put_u8(b' ');
        }
        let headers = self.headers.as_deref().unwrap_or_default();
        if self.headers.is_some() {
            out.put_slice(format!("{} ", headers.len()).as_bytes());
        }
        out.put_slice(format!("{}\r\n", headers.len() + self.payload.len()).as_bytes());
        out.put_slice(headers);
        out.put_slice(&self.payload);
        out.put_slice(b"\r\n");
    }
}
