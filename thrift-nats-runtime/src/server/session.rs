//! A session of a server: its state, joined to the listener that it belongs to, and the calls that run for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;

use super::listener::Listener;
use super::request::{Request, contain_panic};
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::format::WireFormat;
use crate::link::{Source, Timed, Turn, lock, now};
use crate::method::Message;
use crate::protocol::MessageType;
use crate::session::{CloseReason, ServerSession, SessionConfig, Transmit};
use crate::transport::Frame;

/// How long handlers of a chunk may hold up those behind them, and the answers that are there.
const LONG: Duration = Duration::from_micros(200);

/// A session of a server.
pub(super) struct Session {
    listener: Weak<Listener>,
    token: String,
    state: Mutex<ServerSession>,
    turn: Turn,
    /// How many times the connection had been made when the session was opened: chunks may be gone if it differs.
    connects: u64,
}

impl Session {
    /// Accepts the handshake of the client at `peer`.
    pub(super) fn accept(
        listener: &Arc<Listener>,
        token: String,
        peer: Subject,
        original: bool,
        connects: u64,
    ) -> Arc<Self> {
        let options = listener.options();
        let config = SessionConfig {
            chunk_limit: options.chunk_limit.min(listener.nats().max_payload()),
            limits: options.limits,
            format: WireFormat::default(),
            served: options.protocols,
        };
        let own = Subject::from(format!("{}.{token}", listener.base()));
        let state = ServerSession::accept(now(), peer, own, original, options.heartbeat, config);
        let expires = state.next_timeout();
        let session = Arc::new(Self {
            listener: Arc::downgrade(listener),
            token,
            state: Mutex::new(state),
            turn: Turn::default(),
            connects,
        });
        if let Some(at) = expires {
            let timed: Arc<dyn Timed> = Arc::clone(&session) as Arc<dyn Timed>;
            listener.timers().add(at, Arc::downgrade(&timed));
        }
        session
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Takes a message that came to the session's subject, and starts what is in it.
    pub(super) fn receive(self: &Arc<Self>, reply: Option<&str>, payload: Bytes) {
        let Some(listener) = self.listener.upgrade() else { return };
        // Before a request is taken up: a drain that looks between here and its task finds that something runs.
        let _running = listener.running();
        let mut requests = Vec::new();
        let result = {
            let mut state = lock(&self.state);
            let result = state.receive(reply, payload);
            while let Some(request) = state.next_request() {
                requests.push(request);
            }
            result
        };
        if let Err(reason) = result {
            self.ended(&reason);
        }
        if !requests.is_empty() {
            listener.spawn(Arc::clone(self).run(Arc::clone(&listener), requests));
        }
    }

    /// Runs the requests of a chunk side by side. All begin in one task: those that are done at once, as most are, cost
    /// no task of their own, and their answers leave together. Where that takes long, what is left goes to another task,
    /// and while the handlers are known to take long, each has its own from the start.
    async fn run(self: Arc<Self>, listener: Arc<Listener>, requests: Vec<Frame>) {
        if requests.len() > 1 && listener.runs_apart() {
            for request in requests {
                listener.spawn(Arc::clone(&self).run_boxed(Arc::clone(&listener), vec![request]));
            }
            return;
        }
        let mut requests = VecDeque::from(requests);
        let begun = Instant::now();
        let mut last = begun;
        while let Some(request) = requests.pop_front() {
            let mut call = Box::pin(Arc::clone(&self).answer(Arc::clone(&listener), request));
            if let std::task::Poll::Ready(answer) = futures_util::poll!(&mut call) {
                requests.extend(self.finished(&listener, &answer));
            } else {
                let session = Arc::clone(&self);
                let rest = Arc::clone(&listener);
                listener.spawn(async move {
                    let answer = call.await;
                    let next = session.finished(&rest, &answer);
                    rest.publisher().wake(&session);
                    if !next.is_empty() {
                        rest.spawn(Arc::clone(&session).run_boxed(Arc::clone(&rest), next));
                    }
                });
            }
            let now = Instant::now();
            if now - last > LONG {
                listener.handler_took_long();
            }
            last = now;
            if now - begun > LONG && !requests.is_empty() {
                listener.spawn(Arc::clone(&self).run_boxed(Arc::clone(&listener), requests.into()));
                break;
            }
        }
        if lock(&self.state).is_alone() {
            listener.publisher().publish_now(&self);
        } else {
            listener.publisher().wake(&self);
        }
    }

    /// Notes that a request has been run; what may be run now that it is.
    fn finished(&self, listener: &Listener, answer: &[u8]) -> Vec<Frame> {
        let mut state = lock(&self.state);
        state.finished(answer);
        let next = std::iter::from_fn(|| state.next_request()).collect();
        let open = state.is_open();
        drop(state);
        if !open {
            // It was the last that a drain waited for.
            listener.remove(&self.token);
        }
        next
    }

    /// [`run`](Self::run), for use within itself.
    fn run_boxed(
        self: Arc<Self>,
        listener: Arc<Listener>,
        requests: Vec<Frame>,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.run(listener, requests))
    }

    /// Runs one request; the whole answer, or nothing for a oneway one.
    async fn answer(self: Arc<Self>, listener: Arc<Listener>, request: Frame) -> Vec<u8> {
        let limits = listener.options().limits;
        let message = match Message::parse(request, limits) {
            Ok(message) => message,
            Err(error) => {
                self.close(CloseReason::Malformed(error));
                return Vec::new();
            }
        };
        let kind = message.kind;
        let request = Request::new(message, Some(format!("{}.{}", listener.base(), self.token)), limits);
        let header = request.header();
        let oneway = request.is_oneway();
        let result = match kind {
            MessageType::Call | MessageType::Oneway => contain_panic(listener.service().call(request)).await,
            MessageType::Reply | MessageType::Exception => {
                let kind = ApplicationExceptionKind::INVALID_MESSAGE_TYPE;
                Err(Error::from(ApplicationException::new(kind, "an answer came where a request belongs")))
            }
        };
        if oneway {
            if let Err(error) = result {
                tracing::warn!(%error, "oneway request failed");
            }
            return Vec::new();
        }
        header.answer(result)
    }

    pub(super) fn heartbeat(&self) {
        lock(&self.state).heartbeat(now());
    }

    /// NATS says that nobody listens at the client's any more.
    pub(super) fn undelivered(self: &Arc<Self>, chunk: Option<u64>) {
        self.close(CloseReason::PeerGone { chunk });
    }

    /// Ends the session if the connection is a later one than that which it was opened on.
    pub(super) fn check_connection(self: &Arc<Self>, connects: u64) {
        if self.connects < connects {
            self.close(CloseReason::Reconnected);
        }
    }

    /// Ends the session.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason) {
        let reason = lock(&self.state).close(reason);
        self.ended(&reason);
    }

    /// Ends the session because the server stops; what is answered already goes first.
    pub(super) fn stop(self: &Arc<Self>) {
        lock(&self.state).stop();
        self.wake();
    }

    /// Takes nothing new up, and ends the session once all that was taken up is answered.
    pub(super) fn drain(self: &Arc<Self>) {
        let open = {
            let mut state = lock(&self.state);
            state.drain();
            state.is_open()
        };
        if let (false, Some(listener)) = (open, self.listener.upgrade()) {
            listener.remove(&self.token);
        }
        self.wake();
    }

    fn ended(self: &Arc<Self>, reason: &CloseReason) {
        tracing::debug!(session = self.token, %reason, "session ended");
        if let Some(listener) = self.listener.upgrade() {
            listener.remove(&self.token);
        }
        self.wake();
    }

    fn wake(self: &Arc<Self>) {
        if let Some(listener) = self.listener.upgrade() {
            listener.publisher().wake(self);
        }
    }
}

impl Source for Session {
    fn transmit(&self) -> Option<Transmit> {
        lock(&self.state).transmit()
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}

impl Timed for Session {
    fn on_time(self: Arc<Self>, now: Instant) -> Option<Instant> {
        let result = lock(&self.state).on_timeout(now);
        if let Err(reason) = result {
            self.ended(&reason);
        }
        lock(&self.state).next_timeout()
    }
}
