//! The peer in Rust: the same service, and a client with its own thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::json;
use thrift_nats_runtime::{
    ApplicationException, ApplicationExceptionKind, Client, Context, Error, Server, SessionEvent,
    SessionEvents,
};
use thrift_nats_tests::NatsServer;
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, InvalidOperation, Operation,
    Work,
};
use tokio::sync::{mpsc as unbounded, oneshot};

use crate::answer::{Answer, Command};
use crate::wire::Wire;

/// The handler, equivalent to that of the Go peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    log: Arc<Mutex<BTreeMap<i32, SharedStruct>>>,
    ran: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Handler {
    /// The number of runs of a function.
    pub(crate) fn ran(&self, method: &str) -> usize {
        self.ran.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    fn runs(&self, cx: &Context) {
        *self.ran.lock().unwrap().entry(cx.method().to_owned()).or_default() += 1;
    }
}

impl SharedService for Handler {
    async fn get_struct(&self, cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        self.runs(cx);
        // Go returns nil here, which Rust cannot.
        self.log.lock().unwrap().get(&key).cloned().ok_or_else(|| {
            ApplicationException::new(ApplicationExceptionKind::MISSING_RESULT, "nothing is kept there")
                .into()
        })
    }
}

impl Calculator for Handler {
    async fn ping(&self, cx: &Context) -> Result<(), Error> {
        self.runs(cx);
        Ok(())
    }

    async fn add(&self, cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        self.runs(cx);
        Ok(num1.wrapping_add(num2))
    }

    async fn calculate(&self, cx: &Context, logid: i32, w: Work) -> Result<i32, CalculatorCalculateError> {
        self.runs(cx);
        let invalid = |why: &str| InvalidOperation { what_op: w.op.0, why: why.to_owned() };
        let result = match w.op {
            Operation::ADD => w.num1.wrapping_add(w.num2),
            Operation::SUBTRACT => w.num1.wrapping_sub(w.num2),
            Operation::MULTIPLY => w.num1.wrapping_mul(w.num2),
            Operation::DIVIDE if w.num2 == 0 => return Err(invalid("cannot divide by zero").into()),
            Operation::DIVIDE => w.num1.wrapping_div(w.num2),
            // An exception that the IDL does not declare.
            Operation(99) => {
                let exception = ApplicationException::revealed("the handler is broken");
                return Err(Error::from(exception).into());
            }
            Operation(_) => return Err(invalid("unknown operation").into()),
        };
        let value = w.comment.unwrap_or_else(|| result.to_string());
        self.log.lock().unwrap().insert(logid, SharedStruct { key: logid, value });
        Ok(result)
    }

    async fn zip(&self, cx: &Context) -> Result<(), Error> {
        self.runs(cx);
        Ok(())
    }
}

pub(crate) async fn serve(nats: &NatsServer, handler: &Handler, heartbeat: Duration) -> Server {
    Server::builder(&nats.client().await.unwrap(), "calculator")
        .heartbeat((!heartbeat.is_zero()).then_some(heartbeat))
        .serve(CalculatorServer::new(handler.clone()))
        .await
        .unwrap()
}

/// A client on its own thread, which can be blocked.
pub(crate) struct RustCaller {
    commands: unbounded::UnboundedSender<(Command, oneshot::Sender<Answer>)>,
    /// Dropping it unblocks the thread.
    _held: mpsc::Sender<()>,
}

impl RustCaller {
    pub(crate) async fn open(nats: &NatsServer, wire: Wire) -> Self {
        let (commands, mut given) = unbounded::unbounded_channel();
        let (held, hold) = mpsc::channel();
        let (opened, open) = oneshot::channel();
        let url = nats.url();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = runtime.block_on(connect(&url, wire));
            let mut events = client.events();
            opened.send(()).unwrap();
            drive(&runtime, &client, &mut events, &mut given, &hold);
        });
        open.await.unwrap();
        Self { commands, _held: held }
    }

    pub(crate) fn call(&self, command: Command) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        self.commands.send((command, answer)).unwrap();
        answered
    }
}

async fn connect(url: &str, wire: Wire) -> Client {
    let (protocol, transport) = wire.in_rust();
    let nats = async_nats::connect(url).await.unwrap();
    Client::builder(&nats, "calculator").protocol(protocol).transport(transport).connect().await.unwrap()
}

/// Runs commands until their channel closes.
fn drive(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    events: &mut SessionEvents,
    given: &mut unbounded::UnboundedReceiver<(Command, oneshot::Sender<Answer>)>,
    hold: &mpsc::Receiver<()>,
) {
    // The tasks of the runtime, such as heartbeats, run while this waits for the next command.
    while let Some((command, answer)) = runtime.block_on(given.recv()) {
        if command == Command::Mute {
            answer.send(Answer::done()).unwrap();
            let _ = hold.recv();
            continue;
        }
        // An error means that the test has failed already.
        let _ = answer.send(runtime.block_on(run(client, events, command)));
    }
}

async fn run(client: &Client, events: &mut SessionEvents, command: Command) -> Answer {
    let calculator = CalculatorClient::new(client.clone());
    let done = |result: Result<(), Error>| Answer::from(result.map(|()| true));
    match command {
        Command::Ping => done(calculator.ping().await),
        Command::Add { num1, num2, times } => {
            let mut last = Answer::done();
            for _ in 0..times.max(1) {
                last = calculator.add(num1, num2).await.into();
            }
            last
        }
        Command::Calculate { logid, num1, num2, op, comment } => {
            calculator.calculate(logid, &Work { num1, num2, op: Operation(op), comment }).await.into()
        }
        Command::GetStruct { key } => calculator
            .get_struct(key)
            .await
            .map(|entry| json!({ "key": entry.key, "value": entry.value }))
            .into(),
        Command::Zip => done(calculator.zip().await),
        Command::ZipAsCall => done(client.call::<(), Error>("zip", &()).await),
        Command::Unknown => done(client.call::<(), Error>("noSuchFunction", &()).await),
        Command::Close => match calculator.close().await {
            Ok(()) => Answer::done(),
            Err(error) => Answer::Failed(error.to_string()),
        },
        Command::UntilEnded => {
            while !matches!(events.next().await, Some(SessionEvent::Ended { .. })) {}
            Answer::done()
        }
        Command::Mute => unreachable!("`drive` does it"),
    }
}
