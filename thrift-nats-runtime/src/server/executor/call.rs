//! One call of a server: from its request to its reply.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Executor;
use crate::error::{ApplicationException, ApplicationExceptionKind};
use crate::method::Message;
use crate::proto::{CloseReason, ReceivedRequest, RequestKey};
use crate::protocol::MessageType;
use crate::server::accepted_session::{AcceptedSession, Finished};
use crate::service::{Contained, Request, RequestHeader};
use crate::transport::Parts;

/// A call whose handler has been called and not been polled yet.
pub(super) struct StartedCall {
    pub(super) header: RequestHeader,
    pub(super) result: Contained,
    deadline: Option<Instant>,
}

impl StartedCall {
    /// Calls the handler; or returns the reply if the handler is not to see the request, empty if there is no reply.
    pub(super) fn start(
        session: &Arc<AcceptedSession>,
        executor: &Executor,
        request: ReceivedRequest,
        now: Instant,
    ) -> Result<Self, Parts> {
        let limits = executor.limits;
        let ReceivedRequest { key, frame, admitted } = request;
        let message = match Message::parse(frame, limits) {
            Ok(message) => message,
            Err(error) => {
                session.close(CloseReason::Malformed(error));
                return Err(Parts::default());
            }
        };
        let kind = message.kind;
        if session.is_cancelled(key) {
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
        if !admitted || executor.is_full() {
            return refuse(
                ApplicationExceptionKind::LOADSHEDDING,
                "the server runs as many calls as its limit allows",
            );
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            return refuse(
                ApplicationExceptionKind::TIMEOUT,
                "the deadline had passed before the call was started",
            );
        }
        match kind {
            MessageType::Call | MessageType::Oneway => {}
            MessageType::Reply | MessageType::Exception => {
                let kind = ApplicationExceptionKind::INVALID_MESSAGE_TYPE;
                return refuse(kind, "expected a call, found a reply");
            }
        }
        Ok(Self { header, deadline, result: Contained::new(&*executor.service, request) })
    }

    /// Continues a pending call in a task of its own.
    pub(super) fn spawn(self, session: &Arc<AcceptedSession>, executor: &Arc<Executor>, key: RequestKey) {
        let Self { header, deadline, result } = self;
        executor.pending.fetch_add(1, Ordering::Relaxed);
        let pending = PendingCall {
            session: Arc::clone(session),
            executor: Arc::clone(executor),
            key,
            reply: Parts::default(),
        };
        let task = executor.spawn(async move {
            let mut pending = pending;
            let result = match deadline {
                None => result.await,
                Some(deadline) => {
                    tokio::time::timeout_at(deadline.into(), result).await.unwrap_or_else(|_| {
                        let kind = ApplicationExceptionKind::TIMEOUT;
                        Err(ApplicationException::new(kind, "the deadline has passed").into())
                    })
                }
            };
            pending.reply = header.answer(result);
        });
        session.set_task(key, task);
    }
}

/// A call that runs in a task of its own. However the task ends, the session learns that the call has finished.
struct PendingCall {
    session: Arc<AcceptedSession>,
    executor: Arc<Executor>,
    key: RequestKey,
    /// Empty if there is no reply, or if the task was aborted.
    reply: Parts,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.executor.pending.fetch_sub(1, Ordering::Relaxed);
        let finished = Finished { key: self.key, reply: std::mem::take(&mut self.reply) };
        let next = self.session.finish([finished]);
        self.executor.start(Arc::clone(&self.session), next);
    }
}
