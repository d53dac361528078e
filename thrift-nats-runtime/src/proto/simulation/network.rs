//! The simulated NATS: carries messages between the parties, and records what they publish.

use std::time::Duration;

use async_nats::{StatusCode, Subject};
use bytes::Bytes;

use super::{INBOX, Network, Party, PlannedStep, SERVICE, Simulation};
use crate::proto::subject::{Kind, Tail};
use crate::proto::{Additions, Transmit};

/// A message in transit.
#[derive(Clone, Debug)]
pub(super) struct InTransit {
    pub(super) to: Party,
    pub(super) subject: Subject,
    pub(super) reply: Option<Subject>,
    pub(super) status: Option<StatusCode>,
    pub(super) additions: Option<Additions>,
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

impl Published {
    /// The number and the kind of the message, if it has them.
    pub(super) fn tail(&self) -> Option<Tail> {
        self.reply.as_deref().and_then(Tail::of)
    }
}

impl Simulation {
    /// Publishes the messages of both sides.
    pub(super) fn publish(&mut self) {
        if self.client_runs {
            let now = self.instant();
            while let Some(transmit) = self.client.poll_transmit(|| now) {
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
        if let Some(Tail { kind, .. }) = reply.as_deref().and_then(Tail::of) {
            assert!(!payload.is_empty(), "a numbered message without a body");
            let is_data = matches!(kind, Kind::Messages | Kind::Part { .. });
            assert!(!is_data || payload.len() <= self.setup.chunk_limit, "a chunk above the limit");
        }
        self.published.push(Published {
            at: self.now,
            by,
            subject: subject.to_string(),
            reply: reply.as_ref().map(Subject::to_string),
            payload: payload.clone(),
        });
        if self.setup.legacy && reply.as_deref().and_then(Tail::of).is_some() {
            // A legacy peer does not number its chunks, and ignores numbers.
            reply = None;
        }
        let Some(to) = Party::of(&subject) else { return };
        let additions = Additions::parse(headers.as_ref()).filter(|_| !self.setup.legacy);
        self.send(InTransit { to, subject, reply, status: None, additions, payload });
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
        self.send(InTransit { to, subject, reply: None, status, additions: None, payload });
    }

    /// Has something arrive that the peer did not send.
    pub(super) fn inject(&mut self, to: Party, reply: Option<&'static str>, payload: impl Into<Bytes>) {
        let subject = match to {
            Party::Client => INBOX,
            Party::Server => "server.s0",
        };
        let (subject, reply) = (subject.into(), reply.map(Subject::from_static));
        let message =
            InTransit { to, subject, reply, status: None, additions: None, payload: payload.into() };
        self.plan(self.now, PlannedStep::Deliver(message));
    }

    // The record.

    /// The times of the client's heartbeats.
    pub(super) fn heartbeats(&self) -> Vec<Duration> {
        // The first numbered message is not a heartbeat: it proves that the client receives on its inbox.
        let is_heartbeat = |message: &&Published| {
            message.by == Party::Client
                && (message.subject.ends_with(".h")
                    || message.tail().is_some_and(|tail| tail.kind == Kind::Alive && tail.number > 1))
        };
        self.published.iter().filter(is_heartbeat).map(|message| message.at).collect()
    }

    /// The disconnects of one side: their times, and their bodies without the server's session.
    pub(super) fn disconnects(&self, by: Party) -> Vec<(Duration, &str)> {
        let of_party =
            |message: &&Published| message.by == by && message.reply.as_deref() == Some("DISCONNECT");
        let body = |message| {
            let body = str::from_utf8(message).expect("bodies of disconnects are text");
            body.rsplit_once(" server.").map_or(body, |(body, _)| body)
        };
        self.published.iter().filter(of_party).map(|message| (message.at, body(&message.payload))).collect()
    }

    /// The numbered messages of one side.
    pub(super) fn numbered(&self, by: Party) -> Vec<(Tail, &Published)> {
        let sent = self.published.iter().filter(|message| message.by == by);
        sent.filter_map(|message| Some((message.tail()?, message))).collect()
    }

    /// The numbered messages of one side that are of this kind.
    pub(super) fn of_kind(&self, by: Party, kind: Kind) -> Vec<&Published> {
        let numbered = self.numbered(by).into_iter();
        numbered.filter(|(tail, _)| tail.kind == kind).map(|(_, message)| message).collect()
    }

    /// The numbered messages of one side that contain data.
    pub(super) fn chunks(&self, by: Party) -> Vec<&Published> {
        let is_data = |tail: &Tail| matches!(tail.kind, Kind::Messages | Kind::Part { .. });
        let numbered = self.numbered(by).into_iter();
        numbered.filter(|(tail, _)| is_data(tail)).map(|(_, message)| message).collect()
    }
}
