//! The client's process: a session, and the calls that were made on it.

use std::time::Duration;

use async_nats::StatusCode;

use super::messages::{message_in, parse, payload, transform};
use super::network::InTransit;
use super::{Party, Simulation};
use crate::proto::{Address, ClientEvent, CloseReason, EndedSessions, Incoming, Outcome};
use crate::protocol::MessageType;
use crate::transport::Frame;

/// The state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    Waiting,
    Replied,
    /// A oneway call whose request was sent.
    Sent,
    Cancelled,
    Ended(Outcome),
    /// Its deadline has passed.
    Expired(Outcome),
}

#[derive(Debug)]
pub(super) struct MadeCall {
    pub(super) seqid: i32,
    pub(super) len: usize,
    pub(super) state: CallState,
}

impl Simulation {
    pub(super) fn arrive_at_client(&mut self, message: InTransit) {
        let InTransit { subject, reply, status, additions, payload, .. } = message;
        let suffix = subject.strip_prefix("client.").expect("it was addressed to the client");
        let known = !self.client.is_closed();
        match Address::parse(suffix) {
            Some(Address::Session { .. }) if known => {
                let incoming = Incoming { reply, status, additions, payload, ..Incoming::default() };
                self.client.handle_message(self.instant(), incoming);
                self.client_events();
            }
            Some(Address::Session { token }) => {
                let mut ended = EndedSessions::default();
                ended.insert(self.instant(), &token.into(), self.client.to_ended());
                if let Some(transmit) = ended.reply_to_server(token, reply.as_ref(), &payload) {
                    self.carry(Party::Client, transmit);
                }
            }
            Some(Address::Undelivered { number, .. })
                if known && status == Some(StatusCode::NO_RESPONDERS) =>
            {
                self.client.handle_undelivered(self.instant(), number);
                self.client_events();
            }
            Some(Address::Heartbeat { .. } | Address::Undelivered { .. }) | None => {}
        }
    }

    /// Applies the events of the client's session.
    pub(super) fn client_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Opened => {
                    assert_eq!(self.opened, None, "opened twice");
                    self.opened = Some(self.now);
                }
                ClientEvent::Replied { waiter, reply } => self.replied(waiter, &reply),
                ClientEvent::Sent { waiter } => self.calls[waiter].state = CallState::Sent,
                ClientEvent::Expired { waiter, outcome } => {
                    assert_eq!(self.calls[waiter].state, CallState::Waiting, "call {waiter} expires");
                    self.calls[waiter].state = CallState::Expired(outcome);
                }
                ClientEvent::Draining { not_run, .. } => {
                    not_run.into_iter().for_each(|id| self.call_ends(id, Outcome::NotRun));
                }
                ClientEvent::Ended { reason, calls } => {
                    assert_eq!(self.ended, None, "the client's session ended twice");
                    self.ended = Some((self.now, reason));
                    calls.into_iter().for_each(|(id, outcome)| self.call_ends(id, outcome));
                }
            }
        }
    }

    pub(super) fn call_ends(&mut self, id: usize, outcome: Outcome) {
        assert_eq!(self.calls[id].state, CallState::Waiting, "call {id} ended twice");
        self.calls[id].state = CallState::Ended(outcome);
    }

    /// Closes the client's session.
    pub(super) fn close_client(&mut self) {
        self.client.close(CloseReason::Closed);
        self.client_events();
        self.publish();
    }

    /// Makes a call with a payload of `len` bytes, and does not publish it yet.
    pub(super) fn make_call(&mut self, len: usize, oneway: bool) -> usize {
        self.make_call_within(len, oneway, None)
    }

    pub(super) fn make_call_within(&mut self, len: usize, oneway: bool, timeout: Option<Duration>) -> usize {
        let id = self.calls.len();
        let seqid = id as i32 + 1;
        let kind = if oneway { MessageType::Oneway } else { MessageType::Call };
        let message = message_in(self.setup.format, kind, seqid, id, &payload(id, len));
        self.calls.push(MadeCall { seqid, len, state: CallState::Waiting });
        let deadline = timeout.map(|timeout| self.instant() + timeout);
        if self.client.in_flight() == 0 {
            self.client.becomes_busy(self.instant());
        }
        self.client.call(seqid, oneway, message, deadline, id).expect("the queue is not full");
        id
    }

    pub(super) fn call(&mut self, len: usize) -> usize {
        self.make_call(len, false)
    }

    pub(super) fn cancel_call(&mut self, id: usize) {
        let call = &mut self.calls[id];
        if call.state == CallState::Waiting {
            call.state = CallState::Cancelled;
            assert_eq!(self.client.cancel(call.seqid).map(|(id, _)| id), Some(id));
        }
    }

    /// Checks that the reply belongs to this call.
    pub(super) fn replied(&mut self, id: usize, reply: &Frame) {
        let call = &mut self.calls[id];
        assert_eq!(call.state, CallState::Waiting, "a reply to call {id}");
        let mut expected = payload(id, call.len);
        transform(&mut expected);
        let (kind, seqid, replied, payload) = parse(reply);
        assert_eq!((kind, seqid, replied), (MessageType::Reply, call.seqid, id), "the reply of another call");
        assert!(payload == expected, "the reply of call {id} is damaged");
        call.state = CallState::Replied;
    }

    pub(super) fn state(&self, id: usize) -> CallState {
        self.calls[id].state
    }

    pub(super) fn states(&self) -> Vec<CallState> {
        self.calls.iter().map(|call| call.state).collect()
    }

    /// Checks that every call has ended, and that no call with the outcome `NotRun` was run.
    pub(super) fn check_outcomes(&self) {
        for (id, call) in self.calls.iter().enumerate() {
            match call.state {
                CallState::Waiting => panic!("call {id} never ends"),
                CallState::Ended(Outcome::NotRun) | CallState::Expired(Outcome::NotRun) => {
                    assert!(!self.ran.contains(&id), "call {id} was run")
                }
                CallState::Replied
                | CallState::Sent
                | CallState::Cancelled
                | CallState::Ended(Outcome::Unknown)
                | CallState::Expired(Outcome::Unknown) => {}
            }
        }
    }

    /// The end of the client's session: its time, and its reason.
    pub(super) fn end(&self) -> (Duration, &CloseReason) {
        let (at, reason) = self.ended.as_ref().expect("the client's session has ended");
        (*at, reason)
    }
}
