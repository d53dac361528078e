//! Running the requests of a session: side by side, within their deadlines, until somebody says that nobody waits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::accepted_session::{AcceptedSession, Finished};
use super::listener::{Listener, RunningCall};
use super::patience::LONG;
use crate::error::{ApplicationException, ApplicationExceptionKind};
use crate::method::Message;
use crate::proto::{CloseReason, Taken};
use crate::protocol::MessageType;
use crate::service::{Contained, Request, RequestHeader};
use crate::transport::Parts;

/// Runs the requests of a chunk side by side. All begin in one task: those that are done at once, as most are, cost
/// no task of their own, and their answers leave together. Where that takes long, what is left goes to another task,
/// and while the handlers are known to take long, each has its own from the start.
pub(super) async fn run(
    session: Arc<AcceptedSession>,
    listener: Arc<Listener>,
    mut requests: VecDeque<Taken>,
) {
    if requests.len() > 1 && listener.patience().is_over() {
        for request in requests {
            listener.spawn(run_boxed(Arc::clone(&session), Arc::clone(&listener), [request].into()));
        }
        return;
    }
    let mut answers = Vec::with_capacity(requests.len());
    let mut last = Instant::now();
    let chunk_late = last + LONG;
    let mut late = chunk_late;
    let mut count = 0;
    while let Some(request) = requests.pop_front() {
        let len = request.len();
        match Call::begin(&session, &listener, request, last) {
            Err(answer) => answers.push(Finished { len, answer }),
            Ok(mut call) => match futures_util::poll!(&mut call.result) {
                Poll::Ready(result) => {
                    let answer = call.header.answer(result);
                    answers.push(Finished { len, answer });
                }
                Poll::Pending => call.go_on(&session, &listener, len),
            },
        }
        let now = Instant::now();
        if now > late {
            listener.patience().try_with(now - last);
        }
        (last, late) = (now, now + LONG);
        count += 1;
        if now > chunk_late && !requests.is_empty() {
            listener.spawn(run_boxed(
                Arc::clone(&session),
                Arc::clone(&listener),
                std::mem::take(&mut requests),
            ));
        }
        if requests.is_empty() {
            listener.patience().recover(std::mem::take(&mut count));
            // For a legacy peer, the next one may be run now.
            requests = session.finished(answers.drain(..), &listener);
            if now > chunk_late && !requests.is_empty() {
                listener.spawn(run_boxed(session, Arc::clone(&listener), requests));
                return;
            }
        }
    }
}

/// [`run`], for use within itself.
fn run_boxed(
    session: Arc<AcceptedSession>,
    listener: Arc<Listener>,
    requests: VecDeque<Taken>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(run(session, listener, requests))
}

/// A call that was begun.
struct Call {
    header: RequestHeader,
    deadline: Option<Instant>,
    result: Contained,
}

impl Call {
    /// Hands a request to the service; or the answer, where the service never sees it.
    fn begin(
        session: &Arc<AcceptedSession>,
        listener: &Listener,
        taken: Taken,
        now: Instant,
    ) -> Result<Self, Parts> {
        let limits = listener.options().limits;
        let Taken { request, admitted } = taken;
        let message = match Message::parse(request, limits) {
            Ok(message) => message,
            Err(error) => {
                session.close(CloseReason::Malformed(error));
                return Err(Parts::default());
            }
        };
        let kind = message.kind;
        if session.is_given_up(message.seqid) {
            return Err(Parts::default());
        }
        let (request, header) = Request::new(message, session.origin(now), limits);
        let deadline = request.context().deadline();
        let refuse = |kind, text: &str| {
            let error = ApplicationException::new(kind, text);
            if header.is_oneway() {
                tracing::warn!(%error, "oneway request not run");
            }
            Err(header.answer(Err(error.into())))
        };
        if !admitted || listener.is_full() {
            return refuse(
                ApplicationExceptionKind::LOADSHEDDING,
                "the server has all the calls that it may have",
            );
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            return refuse(
                ApplicationExceptionKind::TIMEOUT,
                "the deadline had passed before the call was begun",
            );
        }
        match kind {
            MessageType::Call | MessageType::Oneway => {}
            MessageType::Reply | MessageType::Exception => {
                let kind = ApplicationExceptionKind::INVALID_MESSAGE_TYPE;
                return refuse(kind, "an answer came where a request belongs");
            }
        }
        let result = Contained::new(listener.service(), request);
        Ok(Self { header, deadline, result })
    }

    /// Runs a call that did not end at once in a task of its own.
    fn go_on(self, session: &Arc<AcceptedSession>, listener: &Arc<Listener>, len: usize) {
        let Self { header, deadline, result } = self;
        let seqid = header.seqid();
        let running = Running {
            session: Arc::clone(session),
            listener: Arc::clone(listener),
            seqid,
            finished: Finished { len, answer: Parts::default() },
            _running: listener.running_call(),
        };
        // Before the task can end, which takes it out.
        if !session.goes_on(seqid) {
            // And with it the handler.
            return drop(running);
        }
        let task = listener.spawn(async move {
            let mut running = running;
            let result = match deadline {
                None => result.await,
                Some(deadline) => {
                    tokio::time::timeout_at(deadline.into(), result).await.unwrap_or_else(|_| {
                        let kind = ApplicationExceptionKind::TIMEOUT;
                        Err(ApplicationException::new(kind, "the deadline has passed").into())
                    })
                }
            };
            running.finished.answer = header.answer(result);
        });
        match session.state().running.get_mut(&seqid) {
            Some(running) => *running = Some(task),
            // It has ended, or was given up.
            None => task.abort(),
        }
    }
}

/// A call that runs in a task of its own. Whatever becomes of the task, the session learns that the call is over.
struct Running {
    session: Arc<AcceptedSession>,
    listener: Arc<Listener>,
    seqid: i32,
    /// Without an answer if there is none, or the task was ended.
    finished: Finished,
    _running: RunningCall,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.session.state().running.remove(&self.seqid);
        let Finished { len, answer } = &mut self.finished;
        let finished = Finished { len: *len, answer: std::mem::take(answer) };
        let next = self.session.finished([finished], &self.listener);
        if !next.is_empty() {
            self.listener.spawn(run_boxed(Arc::clone(&self.session), Arc::clone(&self.listener), next));
        }
    }
}
