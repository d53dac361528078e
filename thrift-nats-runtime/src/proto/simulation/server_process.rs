//! The server's process: its sessions, and the requests that run.

use std::collections::BTreeMap;

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::messages::{message_in, parse, payload as payload_of, transform};
use super::network::InTransit;
use super::{Party, PlannedStep, SERVICE, Simulation};
use crate::proto::{
    Additions, Address, Announced, CloseReason, EndedSessions, ReceivedRequest, RequestKey, ServerEvent,
    ServerSession,
};
use crate::protocol::MessageType;

#[derive(Debug)]
pub(super) struct SimulatedSession {
    /// Its tasks are named by the sequence numbers of their calls.
    pub(super) session: ServerSession<i32>,
    /// The calls that run, by sequence number.
    pub(super) running: BTreeMap<i32, RequestKey>,
}

impl Simulation {
    pub(super) fn arrive_at_server(&mut self, message: InTransit) {
        let InTransit { subject, reply, status, additions, payload, .. } = message;
        if subject.as_str() == SERVICE {
            return self.accept(reply, additions);
        }
        let suffix = subject.strip_prefix("server.").expect("it was addressed to the server");
        let Some(address) = Address::parse(suffix) else { return };
        let (Address::Session { token } | Address::Heartbeat { token } | Address::Undelivered { token, .. }) =
            address;
        let (token, now) = (token.to_owned(), self.instant());
        if self.sessions.get(&token).is_none_or(|session| session.session.is_closed()) {
            if matches!(address, Address::Session { .. } | Address::Heartbeat { .. }) {
                self.answer_unknown(&token, reply.as_deref());
            }
            return;
        }
        let no_responders = status == Some(StatusCode::NO_RESPONDERS);
        self.server_input(&token, |session| match address {
            Address::Session { .. } if no_responders => session.handle_undelivered(None),
            Address::Session { .. } => session.handle_message(now, reply.as_deref(), payload),
            Address::Heartbeat { .. } => session.handle_heartbeat(now),
            Address::Undelivered { number, .. } if no_responders => {
                session.handle_undelivered(Some(number));
            }
            Address::Undelivered { .. } => {}
        });
    }

    pub(super) fn accept(&mut self, peer: Option<Subject>, additions: Option<Additions>) {
        let peer = peer.expect("a handshake has a reply subject");
        let token = format!("s{}", self.sessions.len());
        let own = Subject::from(format!("server.{token}"));
        let session = ServerSession::accept(
            self.instant(),
            peer,
            own,
            &Announced { additions, ..Announced::default() },
            self.setup.interval,
            &self.setup.server_config(),
        );
        self.sessions.insert(token, SimulatedSession { session, running: BTreeMap::new() });
    }

    /// Gives a session of the server an input, and applies its events.
    pub(super) fn server_input(&mut self, token: &str, input: impl FnOnce(&mut ServerSession<i32>)) {
        let session = self.sessions.get_mut(token).expect("a session of the server");
        input(&mut session.session);
        while let Some(event) = self.sessions.get_mut(token).and_then(|it| it.session.poll_event()) {
            match event {
                ServerEvent::Requests(requests) => {
                    requests.into_iter().for_each(|request| self.start_request(token, request));
                }
                ServerEvent::Confirmed => {}
                ServerEvent::Cancelled { task: seqid } => {
                    let session = self.sessions.get_mut(token).expect("it is there");
                    let key = session.running.remove(&seqid).expect("a call that runs");
                    session.session.finish(key, Bytes::new());
                }
                ServerEvent::Ended { reason } => {
                    if reason != CloseReason::Stopped {
                        self.server_ended.push((self.now, reason));
                    }
                }
            }
        }
    }

    pub(super) fn start_request(&mut self, token: &str, request: ReceivedRequest) {
        let ReceivedRequest { key, frame, received: _, exceeds } = request;
        assert_eq!(exceeds, None);
        let (kind, seqid, id, mut payload) = parse(&frame);
        assert_eq!(frame.format, self.setup.format, "the client's format");
        let session = self.sessions.get_mut(token).expect("a session of the server");
        assert_eq!(session.session.set_task(key, seqid), None, "it has just been received");
        assert!(session.running.insert(seqid, key).is_none(), "the number of a call that runs");
        if self.setup.legacy {
            assert_eq!(session.running.len(), 1, "a legacy peer's requests are run one at a time");
        }
        assert!(self.ran.insert(id), "call {id} is run twice");
        self.order.push(id);
        assert!(payload == payload_of(id, self.calls[id].len), "the request of call {id} is damaged");
        transform(&mut payload);
        let reply = match kind {
            MessageType::Call => message_in(frame.format, MessageType::Reply, seqid, id, &payload),
            MessageType::Oneway => Vec::new(),
            MessageType::Reply | MessageType::Exception => panic!("a reply instead of a request"),
        };
        let at = self.now + self.random.time(&self.setup.handler);
        self.plan(at, PlannedStep::Finish { token: token.to_owned(), seqid, reply });
    }

    /// Stops the server, with all its sessions.
    pub(super) fn stop_server(&mut self) {
        self.listening = false;
        for token in self.tokens() {
            self.server_input(&token, ServerSession::stop);
        }
        self.publish();
    }

    /// Drains the server, with all its sessions.
    pub(super) fn drain_server(&mut self) {
        self.listening = false;
        for token in self.tokens() {
            self.server_input(&token, ServerSession::drain);
        }
        self.publish();
    }

    pub(super) fn tokens(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// Whether the server still has a session.
    pub(super) fn server_has_session(&self) -> bool {
        self.sessions.values().any(|session| !session.session.has_ended())
    }

    /// Replies to a message for a session that has ended. A message for a session that never was gets no reply.
    pub(super) fn answer_unknown(&mut self, token: &str, reply: Option<&str>) {
        let Some(session) = self.sessions.get(token) else { return };
        let mut ended = EndedSessions::default();
        ended.insert(self.instant(), &token.into(), session.session.to_ended());
        if let Some(transmit) = ended.reply_to_client(token, reply) {
            self.carry(Party::Server, transmit);
        }
    }
}
