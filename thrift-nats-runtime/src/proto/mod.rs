//! The state of a session, on either side.
//!
//! [`ClientSession`] and [`ServerSession`] own the handshake, heartbeats, chunk numbers, message boundaries and calls in
//! flight. They contain no clock (`now` is a parameter), no socket, no task and no lock. `client` and `server` connect them
//! to tokio and NATS.
//!
//! # States
//!
//! A client's session. "Tell" means that the [`CloseReason`] has a disconnect reason:
//!
//! ```text
//!             accept              drain notice
//!  Opening -------------> Open ------------------> Draining
//!   |   |                  |                          |
//!   |   |                  +------------+-------------+
//!   |   | unusable         |            | end,
//!   |   | accept           | end, tell  | nothing to tell
//!   |   |                  v            |
//!   |   +--------------> Closing        |
//!   | end                 ^  |          |
//!   v                     |  | disconnect message sent
//!  Abandoned -------------+  |          |
//!             late accept    v          v
//!                          Closed <-----+
//! ```
//!
//! A server's session:
//!
//! ```text
//!   handshake                first message            drain
//!  -----------> Provisional --------------> Open -------------> Draining
//!                |       |                   |                     |
//!      end, tell |       | end, nothing      +----------+----------+ last request finished
//!                v       | to tell           |          |
//!          Unconfirmed   |         end, tell |          | end, nothing to tell
//!           |        |   |                   v          |
//!       1 s |        +---|--------------> Closing       |
//!           | first      |                   |          |
//!           | message    |                   | disconnect message sent
//!           |            |                   v          |
//!           +------------+---------------> Closed <-----+
//! ```
//!
//! In `Provisional`, nothing but the accept is sent: the client has not proved that it receives on its inbox. `Unconfirmed`
//! is the same after the end of the session: if the proof still arrives, the client gets a disconnect message.
//!
//! In `Closing`, a client that closed the session on purpose first sends its queued requests, and a server that stopped or
//! drained the session its queued replies. After any other end, the queue is dropped. Then the disconnect message follows.
//!
//! # Contract
//!
//! Both types have the same shape, which is that of `quinn_proto::Connection`. Their owner
//!
//! 1. gives the session an input: a verb of its side (`call`, `cancel`, `finish`, `drain`, `close`, ...), or `handle_*` for
//!    something that arrived or is due;
//! 2. then calls `poll_event` until it returns `None`. The end of a session is an event as any other, and is reported once;
//! 3. then calls `poll_timeout`, and `handle_timeout` at that time;
//! 4. then, if `has_transmit` or the session has ended, calls `poll_transmit` until it returns `None`, and publishes the
//!    messages in that order. `poll_transmit` is an input, too: steps 2 and 3 follow. If a message cannot be published, the
//!    owner calls `handle_publish_failed` before it calls `poll_transmit` again;
//! 5. drops the session when it has ended and `poll_transmit` has returned `None`. Until then it keeps giving it what
//!    arrives: the peer must not get the reply for an unknown session before the disconnect message.
//!
//! An input after the end changes nothing, with these exceptions:
//!
//! - `poll_transmit` completes the end, and `handle_timeout` ends the wait for it.
//! - In `Closing`, a window message of the peer lets queued messages be sent, and its disconnect message drops them.
//! - In `Unconfirmed`, the first message of the client leads to the disconnect message. A disconnect message of the client
//!   ends the wait.
//! - In `Abandoned`, a late accept is replied to.
//! - `handle_undelivered` drops everything that is left: the peer's process is gone.
//! - Finished requests of a legacy client start those that it had sent before it disconnected.

mod budget;
mod call_table;
mod client_session;
mod close_reason;
mod closing_timer;
mod config;
mod deadlines;
mod ended_sessions;
mod handshake;
mod heartbeat_monitor;
mod inbound;
mod inbox_policy;
mod liveness;
mod outbound;
mod outcome;
mod queue;
mod refusal;
mod request_table;
mod server_session;
#[cfg(test)]
mod simulation;
mod subject;
mod transmit;
mod window;

pub(crate) use self::budget::{Budget, Share};
pub(crate) use self::client_session::{ClientEvent, ClientSession, Incoming, Refused};
pub use self::close_reason::{CloseReason, PeerReason};
pub(crate) use self::config::{ClientConfig, ServerConfig};
pub(crate) use self::ended_sessions::EndedSessions;
pub use self::handshake::AcceptError;
pub(crate) use self::handshake::{Additions, Announced, millis, refuses_header_transport};
pub(crate) use self::inbound::likely_messages;
pub(crate) use self::inbox_policy::{BadInbox, InboxPolicy};
pub(crate) use self::outbound::CHUNK;
pub use self::outcome::Outcome;
pub(crate) use self::refusal::{overloaded, unsupported};
pub(crate) use self::request_table::RequestKey;
pub(crate) use self::server_session::{ReceivedRequest, ServerEvent, ServerSession, SessionLimit};
pub(crate) use self::subject::{
    Address, INBOX_PREFIX_MAX, check_service_subject, has_wildcard, random_token, session_of, session_subject,
};
pub(crate) use self::transmit::Transmit;
