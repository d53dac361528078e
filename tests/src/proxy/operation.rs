//! What goes over a connection between a NATS client and a NATS server: one operation after the other.

use bytes::{BufMut, Bytes, BytesMut};

/// Which way an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: what the client publishes, and its subscriptions.
    ToServer,
    /// From the server to the client: what it delivers.
    ToClient,
}

/// An operation of the NATS client protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `PUB`, `HPUB`, `MSG` or `HMSG`.
    Message(Message),
    /// Any other: its line, without the line's end. `INFO`, `CONNECT`, `SUB`, `UNSUB`, `PING`, `PONG`, `+OK`, `-ERR`.
    Control(Bytes),
}

/// A message, on its way to the server or from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// The subject for answers.
    pub reply: Option<String>,
    /// The subscription that it is delivered for; `None` on its way to the server.
    pub sid: Option<String>,
    /// The whole block of headers, `NATS/1.0` and the empty line included.
    pub headers: Option<Bytes>,
    /// What it carries.
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

    /// Writes it as it goes over the wire.
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
