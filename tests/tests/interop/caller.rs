//! A client, in either language.

use std::time::Duration;

use thrift_nats_tests::{GoPeer, NatsServer};

use crate::answer::{Answer, Command};
use crate::go::GoProcess;
use crate::rust::RustCaller;
use crate::wire::Wire;

const BOUND: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Go,
    Rust,
}

pub(crate) enum Caller {
    Go(GoProcess),
    Rust(RustCaller),
}

impl Caller {
    /// A client with an open session.
    pub(crate) async fn open(language: Language, peer: &GoPeer, nats: &NatsServer, wire: Wire) -> Self {
        match language {
            Language::Go => {
                let process = GoProcess::start(peer, nats, "client", wire, Duration::ZERO);
                process.until("the Go client has a session", |said| said.opened == 1).await;
                Self::Go(process)
            }
            Language::Rust => Self::Rust(RustCaller::open(nats, wire).await),
        }
    }

    /// Runs a command and waits for its result.
    pub(crate) async fn call(&mut self, command: Command) -> Answer {
        match self {
            Self::Go(process) => {
                process.tell(command.line());
                let mut answer = None;
                process
                    .until("a result of the Go client", |said| {
                        answer = answer.take().or_else(|| said.answers.pop_front());
                        answer.is_some()
                    })
                    .await;
                Answer::parse(&answer.unwrap())
            }
            Self::Rust(caller) => {
                tokio::time::timeout(BOUND, caller.call(command)).await.expect("in time").unwrap()
            }
        }
    }

    /// Waits until the client knows that its session has ended. A call before that could be sent on that session, and its
    /// outcome would be unknown.
    pub(crate) async fn until_ended(&mut self) {
        match self {
            Self::Go(process) => process.until("the Go client is told", |said| !said.closed.is_empty()).await,
            Self::Rust(_) => assert_eq!(self.call(Command::UntilEnded).await, Answer::done()),
        }
    }

    pub(crate) async fn ping(&mut self) -> Answer {
        self.call(Command::Ping).await
    }

    pub(crate) async fn add(&mut self, num1: i32, num2: i32) -> Answer {
        self.call(Command::Add { num1, num2, times: 1 }).await
    }

    pub(crate) async fn calculate(&mut self, logid: i32, num1: i32, op: i32, num2: i32) -> Answer {
        self.call(Command::Calculate { logid, num1, num2, op, comment: None }).await
    }

    /// Stores a text under a key.
    pub(crate) async fn keep(&mut self, logid: i32, text: &str) -> Answer {
        let comment = Some(text.to_owned());
        self.call(Command::Calculate { logid, num1: 1, num2: 1, op: 1, comment }).await
    }

    pub(crate) async fn get_struct(&mut self, key: i32) -> Answer {
        self.call(Command::GetStruct { key }).await
    }
}
