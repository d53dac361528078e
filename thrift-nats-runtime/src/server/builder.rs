//! The options of a server. They are checked here, all of them before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client as Nats;

use super::{LameDuck, Server};
use crate::error::{InvalidOption, ServeError};
use crate::format::{Protocol, ProtocolSet};
use crate::proto::check_service_subject;
use crate::protocol::Limits;
use crate::service::Service;

/// The longest heartbeat: a legacy peer counts nanoseconds in 64 bits.
const MAX_HEARTBEAT: Duration = Duration::from_millis(i64::MAX as u64 / 1_000_000);

/// The options of a server. Where [`ClientBuilder`](crate::ClientBuilder) has an option of the same name, it limits the same.
///
/// | option | default | range | what it limits |
/// | --- | --- | --- | --- |
/// | [`heartbeat`](Self::heartbeat) | 10 s | whole ms, 1 ms to 292 years, or `None` | the time between heartbeats of a client |
/// | [`max_sessions`](Self::max_sessions) | 262,144 | 0 or more | open sessions |
/// | [`max_calls`](Self::max_calls) | 65,536 | 0 or more | running calls of all sessions |
/// | [`max_calls_per_session`](Self::max_calls_per_session) | 16,384 | 0 or more | running and waiting calls of a session |
/// | [`queue_limit`](Self::queue_limit) | 64 MiB | 1 byte or more | bytes that a session holds |
/// | [`chunk_limit`](Self::chunk_limit) | 64 KiB | 1 byte or more | bytes of a NATS message |
/// | [`limits`](Self::limits) | see [`Limits`] | | bytes, elements and depth of messages |
/// | [`protocols`](Self::protocols) | all | at least one | the protocols of clients |
/// | [`lame_duck`](Self::lame_duck) | none | | |
///
/// The transport is not an option: a server detects the protocol and transport of each session, and replies in the same.
///
/// These options depend on each other:
///
/// | options | how |
/// | --- | --- |
/// | `limits` and `queue_limit` | a request or reply has to be within both: raise both for longer messages |
/// | `max_calls` and `max_calls_per_session` | a call above either is rejected with `LOADSHEDDING` |
/// | `chunk_limit` and `max_payload` of NATS | the smaller one is the limit |
///
/// ```no_run
/// use std::time::Duration;
///
/// use thrift_nats_runtime::{ServeError, Server, Service};
///
/// async fn serve(nats: &async_nats::Client, calculator: impl Service) -> Result<Server, ServeError> {
///     Server::builder(nats, "calculator")
///         .heartbeat(Duration::from_secs(5))
///         .max_calls(1000)
///         .serve(calculator)
///         .await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `serve` is awaited"]
pub struct ServerBuilder {
    pub(super) nats: Nats,
    pub(super) subject: String,
    pub(super) options: ServerOptions,
    pub(super) lame_duck: Option<LameDuck>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ServerOptions {
    pub(super) heartbeat: Option<Duration>,
    pub(super) max_sessions: usize,
    pub(super) max_calls: usize,
    pub(super) max_calls_per_session: usize,
    pub(super) chunk_limit: usize,
    pub(super) queue_limit: usize,
    pub(super) limits: Limits,
    pub(super) protocols: ProtocolSet,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            heartbeat: Some(Duration::from_secs(10)),
            max_sessions: 1 << 18,
            max_calls: 1 << 16,
            max_calls_per_session: 1 << 14,
            chunk_limit: 64 * 1024,
            queue_limit: 64 << 20,
            limits: Limits::DEFAULT,
            protocols: ProtocolSet::ALL,
        }
    }
}

impl ServerOptions {
    fn check(&self) -> Result<(), InvalidOption> {
        if let Some(heartbeat) = self.heartbeat {
            let whole = heartbeat.subsec_nanos().is_multiple_of(1_000_000);
            if heartbeat.is_zero() || heartbeat > MAX_HEARTBEAT || !whole {
                return Err(InvalidOption {
                    option: "heartbeat",
                    value: format!("{heartbeat:?}"),
                    range: "a whole number of milliseconds from 1 ms to 292 years, or None",
                });
            }
        }
        InvalidOption::check_bytes("chunk_limit", self.chunk_limit)?;
        InvalidOption::check_bytes("queue_limit", self.queue_limit)?;
        if self.protocols == ProtocolSet::new(&[]) {
            let range = "at least one protocol";
            return Err(InvalidOption { option: "protocols", value: "[]".to_owned(), range });
        }
        Ok(())
    }
}

impl ServerBuilder {
    /// The time within which a client has to send each heartbeat: a session whose client misses three in a row ends. `None`
    /// disables heartbeats: then the server notices that a client has vanished only when it sends to it.
    pub fn heartbeat(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.options.heartbeat = deadline.into();
        self
    }

    /// The number of sessions that may be open. The handshake of one more is refused: the client gets
    /// [`ConnectError::Handshake`](crate::ConnectError::Handshake) with
    /// [`PeerReason::Overloaded`](crate::PeerReason::Overloaded).
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.options.max_sessions = sessions;
        self
    }

    /// The number of calls that may run at a time, of all sessions. One more is rejected at once with the exception
    /// [`LOADSHEDDING`](crate::ApplicationExceptionKind::LOADSHEDDING), and does not run. A call whose handler completes
    /// without waiting does not count.
    pub const fn max_calls(mut self, calls: usize) -> Self {
        self.options.max_calls = calls;
        self
    }

    /// The number of calls of a session that may run or wait to run at a time. One more is rejected as with
    /// [`max_calls`](Self::max_calls).
    pub const fn max_calls_per_session(mut self, calls: usize) -> Self {
        self.options.max_calls_per_session = calls;
        self
    }

    /// The number of bytes that a session may hold:
    ///
    /// - replies that NATS has not taken yet, and requests of a legacy client that wait to run. If there are more, the session
    ///   ends with [`CloseReason::QueueOverflow`](crate::CloseReason::QueueOverflow).
    /// - requests that run. A request above the limit is rejected as with [`max_calls`](Self::max_calls).
    pub const fn queue_limit(mut self, bytes: usize) -> Self {
        self.options.queue_limit = bytes;
        self
    }

    /// The largest NATS message to publish, in bytes. The `max_payload` of the NATS server is a limit, too.
    pub const fn chunk_limit(mut self, bytes: usize) -> Self {
        self.options.chunk_limit = bytes;
        self
    }

    /// The limits on messages that are read and written.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The protocols to serve. A client of this crate that uses another fails to connect with
    /// [`CloseReason::Unsupported`](crate::CloseReason::Unsupported), which names these protocols. The session of any other
    /// client ends with its first message.
    pub const fn protocols(mut self, protocols: &[Protocol]) -> Self {
        self.options.protocols = ProtocolSet::new(protocols);
        self
    }

    /// Moves the server to another NATS server when the one of its connection goes into lame duck mode: see [`LameDuck`].
    pub fn lame_duck(mut self, lame_duck: &LameDuck) -> Self {
        self.lame_duck = Some(lame_duck.clone());
        self
    }

    /// Serves `service`. Returns once the server is listening: it accepts every handshake that is sent from then on.
    ///
    /// NATS reports denied permissions only to the event callback of the connection
    /// ([`async_nats::ConnectOptions::event_callback`]). If the account may not subscribe to the subject in the queue group
    /// `rpc`, this function succeeds, and no handshake ever arrives.
    ///
    /// # Errors
    /// - [`ServeError::InvalidSubject`] and [`ServeError::InvalidOption`], before anything is sent
    /// - [`ServeError::Nats`] if NATS cannot be subscribed to, or does not confirm it within 10 s
    ///
    /// # Cancellation
    /// If the future is dropped, the server does not listen.
    pub async fn serve(self, service: impl Service) -> Result<Server, ServeError> {
        if let Err(reason) = check_service_subject(&self.subject) {
            return Err(ServeError::InvalidSubject { subject: self.subject, reason });
        }
        self.options.check()?;
        Server::start(self, Arc::new(service)).await
    }
}

impl Server {
    /// The options of a server that listens on `subject`. NATS gives each session to one of the servers on the same subject.
    pub fn builder(nats: &Nats, subject: impl Into<String>) -> ServerBuilder {
        let options = ServerOptions::default();
        ServerBuilder { nats: nats.clone(), subject: subject.into(), options, lame_duck: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_out_of_range_is_an_error_that_names_it() {
        let with = |change: fn(&mut ServerOptions)| {
            let mut options = ServerOptions::default();
            change(&mut options);
            options.check().err().map(|error| (error.option, error.value))
        };
        let named = |option, value: &str| Some((option, value.to_owned()));
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|options| options.heartbeat = None), None);
        assert_eq!(with(|options| options.heartbeat = Some(MAX_HEARTBEAT)), None);
        for (heartbeat, value) in [
            (Duration::ZERO, "0ns"),
            (Duration::from_micros(1500), "1.5ms"),
            (MAX_HEARTBEAT + Duration::from_millis(1), "9223372036.855s"),
        ] {
            let options = ServerOptions { heartbeat: Some(heartbeat), ..ServerOptions::default() };
            let error = options.check().unwrap_err();
            assert_eq!((error.option, error.value.as_str()), ("heartbeat", value));
        }
        assert_eq!(with(|options| options.chunk_limit = 0), named("chunk_limit", "0"));
        assert_eq!(with(|options| options.queue_limit = 0), named("queue_limit", "0"));
        assert_eq!(with(|options| options.protocols = ProtocolSet::new(&[])), named("protocols", "[]"));
    }
}
