//! A NATS client that writes the client protocol by hand. It publishes what `async-nats` does not: headers with a status such
//! as `503`, wildcards, and subjects that are longer than permitted.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::proxy::{Message, Operation};
use crate::{NatsServer, soon};

/// The header block of the message with which NATS reports that a message had no subscriber.
const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// A connection that publishes and never subscribes.
#[derive(Debug)]
pub struct WireClient {
    stream: BufReader<TcpStream>,
    /// Bytes that are not written yet.
    pending: BytesMut,
}

impl WireClient {
    /// Connects. `login` is a user and a password, for a server that asks for them.
    ///
    /// # Panics
    /// If the server does not accept the connection.
    pub async fn connect(nats: &NatsServer, login: Option<(&str, &str)>) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", nats.port())).await.expect("the server listens");
        let mut client = Self { stream: BufReader::new(stream), pending: BytesMut::new() };
        let mut options = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "name": "wire", "lang": "rust", "version": "0",
        });
        if let Some((user, password)) = login {
            options["user"] = user.into();
            options["pass"] = password.into();
        }
        client.pending.extend_from_slice(format!("CONNECT {options}\r\n").as_bytes());
        client.flush().await;
        client
    }

    /// Publishes a message without headers.
    pub async fn publish(&mut self, subject: &str, reply: Option<&str>, payload: impl Into<Bytes>) {
        self.publish_with_headers(subject, reply, None, payload).await;
    }

    /// Publishes a message with this block of headers, which starts with `NATS/1.0` and ends with an empty line.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn publish_with_headers(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<Bytes>,
        payload: impl Into<Bytes>,
    ) {
        let message = Message {
            subject: subject.to_owned(),
            reply: reply.map(str::to_owned),
            sid: None,
            headers,
            payload: payload.into(),
        };
        Operation::Message(message).encode(&mut self.pending);
        if self.pending.len() >= 64 * 1024 {
            self.write().await;
        }
    }

    /// Publishes a forged report that a message had no subscriber.
    pub async fn publish_no_responders(&mut self, subject: &str) {
        self.publish_with_headers(subject, None, Some(Bytes::from_static(NO_RESPONDERS)), "").await;
    }

    /// Waits until NATS has processed all messages.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn flush(&mut self) {
        self.pending.extend_from_slice(b"PING\r\n");
        self.write().await;
        let mut line = String::new();
        while line != "PONG\r\n" {
            line.clear();
            let len = soon(self.stream.read_line(&mut line)).await.expect("the connection is open");
            assert_ne!(len, 0, "NATS has closed the connection");
            if line == "PING\r\n" {
                self.pending.extend_from_slice(b"PONG\r\n");
                self.write().await;
            }
        }
    }

    async fn write(&mut self) {
        let pending = self.pending.split();
        soon(self.stream.get_mut().write_all(&pending)).await.expect("the connection is open");
    }
}
