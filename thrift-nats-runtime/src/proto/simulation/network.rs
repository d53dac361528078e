//! The simulated NATS: carries messages between the parties, and records what they publish.

use std::time::Duration;

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::{INBOX, Network, Party, PlannedStep, SERVICE, Simulation};
use crate::proto::subject::chunk_number;
use crate::proto::{Transmit, VERSION_HEADER};

/// A message in transit.
#[derive(Clone, Debug)]
pub(super) struct InTransit {
    pub(super) to: Party,
    pub(super) subject: Subject,
    pub(super) reply: Option<Subject>,
    pub(super) status: Option<StatusCode>,
    pub(super) versioned: bool,
    pub(super) payload: Bytes,
}

/// A message that was published.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) at: Duration,
    pub(super) by: Party,
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) payload: Bytes,
}

impl Simulation {
    /// Publishes the messages of both sides.
    pub(super) fn publish(&mut self) {
        if self.client_runs {
            while let Some(transmit) = self.client.poll_transmit() {
                self.carry(Party::Client, transmit);
            }
            self.client_events();
        }
        let tokens: Vec<_> = self.sessions.keys().filter(|_| self.server_runs).cloned().collect();
        for token in tokens {
            while let Some(transmit) =
                self.sessions.get_mut(&token).and_then(|session| session.session.poll_transmit())
            {
                self.carry(Party::Server, transmit);
            }
        }
    }

    pub(super) fn carry(&mut self, by: Party, transmit: Transmit) {
        let Transmit { subject, mut reply, headers, payload } = transmit;
        if reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some()) {
            assert!(payload.len() <= self.setup.chunk_limit, "a chunk above the limit");
        }
        self.published.push(Published {
            at: self.now,
            by,
            subject: subject.to_string(),
            reply: reply.as_ref().map(Subject::to_string),
            payload: payload.clone(),
        });
        if self.setup.legacy && reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some()) {
            // A legacy peer does not number its chunks, and ignores numbers.
            reply = None;
        }
        let Some(to) = Party::of(&subject) else { return };
        let versioned =
            !self.setup.legacy && headers.is_some_and(|headers| headers.get(VERSION_HEADER).is_some());
        self.send(InTransit { to, subject, reply, status: None, versioned, payload });
    }

    pub(super) fn send(&mut self, message: InTransit) {
        let Network { delay, lost, twice, unordered, loses } = self.setup.network.clone();
        if self.random.chance(lost) || loses(&message) {
            return;
        }
        let copies = if self.random.chance(twice) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at = self.now + self.random.time(&delay);
            if !self.random.chance(unordered) {
                let last = self.last_arrival.entry(message.to).or_default();
                at = at.max(*last);
                *last = at;
            }
            self.plan(at, PlannedStep::Deliver(message.clone()));
        }
    }

    pub(super) fn arrive(&mut self, message: InTransit) {
        let listens = match message.to {
            Party::Client => self.client_runs,
            Party::Server => self.server_runs && (self.listening || message.subject.as_str() != SERVICE),
        };
        match message.to {
            _ if !listens => self.answer_no_responders(&message),
            Party::Client => self.arrive_at_client(message),
            Party::Server => self.arrive_at_server(message),
        }
    }

    /// NATS reports no responders for a message without a subscriber, at its reply subject.
    pub(super) fn answer_no_responders(&mut self, message: &InTransit) {
        if message.status.is_some() {
            return;
        }
        let Some(reply) = &message.reply else { return };
        let Some(to) = Party::of(reply) else { return };
        let status = Some(StatusCode::NO_RESPONDERS);
        let (subject, payload) = (reply.clone(), Bytes::new());
        self.send(InTransit { to, subject, reply: None, status, versioned: false, payload });
    }

    /// Has something arrive that the peer did not send.
    pub(super) fn inject(&mut self, to: Party, reply: Option<&'static str>, payload: impl Into<Bytes>) {
        let subject = match to {
            Party::Client => INBOX,
            Party::Server => "server.s0",
        };
        let (subject, reply) = (subject.into(), reply.map(Subject::from_static));
        let message =
            InTransit { to, subject, reply, status: None, versioned: false, payload: payload.into() };
        self.plan(self.now, PlannedStep::Deliver(message));
    }

    // The record.

    /// The messages that the client sent to the subject of heartbeats, with their times.
    pub(super) fn heartbeats(&self) -> Vec<Duration> {
        let to_heartbeat =
            |message: &&Published| message.by == Party::Client && message.subject.ends_with(".h");
        self.published.iter().filter(to_heartbeat).map(|message| message.at).collect()
    }

    /// The disconnects of one side: their times and bodies.
    pub(super) fn disconnects(&self, by: Party) -> Vec<(Duration, &str)> {
        let of_party =
            |message: &&Published| message.by == by && message.reply.as_deref() == Some("DISCONNECT");
        let body = |message| str::from_utf8(message).expect("bodies of disconnects are text");
        self.published.iter().filter(of_party).map(|message| (message.at, body(&message.payload))).collect()
    }

    /// The chunks of one side.
    pub(super) fn chunks(&self, by: Party) -> Vec<&Published> {
        let numbered = |message: &&Published| {
            message.reply.as_deref().is_some_and(|reply| chunk_number(reply).is_some())
        };
        self.published.iter().filter(|message| message.by == by).filter(numbered).collect()
    }
}
