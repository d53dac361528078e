//! A call that is encoded and ready to be sent, and how it gets its reply. Knows nothing of the types that it returns until
//! the reply is decoded.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::home_runtime;
use super::options::ClientOptions;
use super::outgoing_request::OutgoingRequest;
use super::retries::{AttemptError, Retries};
use super::session_handle::{CallInFlight, CallResult, Failure, SessionHandle};
use super::session_pool::SessionPool;
use super::target::{InProcess, Target, TargetKind};
use crate::error::{
    ApplicationException, ApplicationExceptionKind, CloseReason, ConnectError, Error, Outcome,
};
use crate::format::{Transport, WireFormat};
use crate::method::{Body, Envelope, Message, MethodError, Success, decode_result};
use crate::proto::Refused;
use crate::protocol::{DecodeErrorKind, EncodeError, Limits, MessageType};
use crate::service::{Contained, Origin, Request, Service};
use crate::time::now;
use crate::transport::{Headers, Parts, Receiver};

/// A call that is ready to be sent.
pub(super) struct PreparedCall {
    pub(super) target: Target,
    pub(super) kind: MessageType,
    pub(super) method: &'static str,
    pub(super) body: Result<Body, EncodeError>,
    pub(super) timeout: Duration,
    pub(super) headers: Headers,
    pub(super) idempotent: bool,
    /// Whether the call fails if no open session has capacity for it, instead of waiting.
    pub(super) fail_fast: bool,
}

impl PreparedCall {
    /// Sends the call; its reply, or `None` for a oneway call that was handed to NATS.
    pub(super) async fn reply(&self) -> Result<Option<Message>, Error> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        if self.timeout.is_zero() {
            return Err(self.expired(Outcome::NotRun));
        }
        let name = &*self.name();
        // `None`: beyond what the clock can count.
        let deadline = now().checked_add(self.timeout);
        match &self.target.kind {
            TargetKind::Pool(pool) => self.reply_of_server(pool, name, body, deadline).await,
            // Boxed: it would make the future of every call larger, which is copied and allocated.
            TargetKind::InProcess(in_process) => {
                Box::pin(self.reply_in_process(in_process, name, body, deadline)).await
            }
        }
    }

    /// Decodes what [`reply`](Self::reply) returned.
    pub(super) fn result<T: Success, E: MethodError>(&self, reply: Option<&Message>) -> Result<T, E> {
        match reply {
            Some(reply) => decode_result(self.method, reply, self.target.options().limits),
            // Only `void` functions are oneway.
            None => T::absent().ok_or_else(|| {
                let text = format!("`{}` is oneway and has no result", self.method);
                let kind = ApplicationExceptionKind::MISSING_RESULT;
                Error::from(ApplicationException::new(kind, text)).into()
            }),
        }
    }

    /// The name of the function in messages.
    fn name(&self) -> Cow<'static, str> {
        match &self.target.service {
            Some(service) => Cow::Owned(format!("{service}:{}", self.method)),
            None => Cow::Borrowed(self.method),
        }
    }

    fn expired(&self, outcome: Outcome) -> Error {
        Error::DeadlineExceeded { method: self.method.to_owned(), timeout: self.timeout, outcome }
    }

    async fn reply_of_server(
        &self,
        pool: &Arc<SessionPool>,
        name: &str,
        body: &Body,
        deadline: Option<Instant>,
    ) -> Result<Option<Message>, Error> {
        let mut retries = Retries::new(self.idempotent);
        loop {
            match self.attempt(pool, name, body, deadline, retries.is_first_attempt()).await {
                Ok(None) => return Ok(None),
                Ok(Some(reply)) => return retries.reply(reply, pool.options().limits).map(Some),
                Err(error) => retries.after(error)?,
            }
        }
    }

    /// A session to make the call on, as soon as one is open.
    async fn open_session(
        &self,
        pool: &Arc<SessionPool>,
        deadline: Option<Instant>,
    ) -> Result<Arc<SessionHandle>, Error> {
        home_runtime::current()?;
        match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), pool.session(Some(deadline)))
                .await
                .unwrap_or_else(|_| Err(self.expired(Outcome::NotRun))),
            None => pool.session(None).await,
        }
    }

    /// Sends the call once.
    async fn attempt(
        &self,
        pool: &Arc<SessionPool>,
        name: &str,
        body: &Body,
        deadline: Option<Instant>,
        first: bool,
    ) -> Result<Option<Message>, AttemptError> {
        let ClientOptions { format, limits, timeout: announced, .. } = *pool.options();
        let (session, at_once) = match pool.current().map_err(AttemptError::Final)? {
            Some(session) => (session, first),
            None => {
                // Boxed, because it is rarely needed, for the same reason as in `reply`.
                let session = Box::pin(self.open_session(pool, deadline)).await;
                (session.map_err(AttemptError::Final)?, false)
            }
        };
        // The whole timeout is left, and the server knows it from the handshake.
        let known = at_once && self.timeout == announced;
        let timeout = if known {
            None
        } else {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            if left == Some(Duration::ZERO) {
                return Err(AttemptError::Final(self.expired(Outcome::NotRun)));
            }
            self.timeout_to_announce(left)
        };
        let (kind, headers) = (self.kind, &self.headers);
        let outgoing = OutgoingRequest { name, kind, body, headers, format, limits, timeout };
        if pool.wait_queues().of_call(body.len()).has_waiting() && !self.fail_fast {
            return Box::pin(self.attempt_in_queue(pool, outgoing, deadline)).await;
        }
        let call = match session.call(&outgoing, deadline) {
            Ok(call) => call,
            Err(Failure::Refused(refused)) => {
                return Box::pin(self.attempt_elsewhere(pool, outgoing, deadline, refused)).await;
            }
            Err(failure) => return Err(self.attempt_error(failure)),
        };
        self.attempt_result(call.result().await, limits)
    }

    /// Sends the call on another session than the one that has refused it, or waits in the queue.
    async fn attempt_elsewhere(
        &self,
        pool: &Arc<SessionPool>,
        outgoing: OutgoingRequest<'_>,
        deadline: Option<Instant>,
        refused: Refused,
    ) -> Result<Option<Message>, AttemptError> {
        let sessions: Vec<_> = pool.open_sessions().collect();
        match first_with_capacity(&sessions, &outgoing, deadline) {
            Ok(Some(call)) => self.attempt_result(call.result().await, outgoing.limits),
            Ok(None) if self.fail_fast => Err(self.attempt_error(Failure::Refused(refused))),
            Ok(None) => self.attempt_in_queue(pool, outgoing, deadline).await,
            Err(failure) => Err(self.attempt_error(failure)),
        }
    }

    /// Waits until the call is the first of the queue and a session has capacity, and sends the call.
    async fn attempt_in_queue(
        &self,
        pool: &Arc<SessionPool>,
        outgoing: OutgoingRequest<'_>,
        deadline: Option<Instant>,
    ) -> Result<Option<Message>, AttemptError> {
        let queued = pool.wait_queues().of_call(outgoing.body.len()).enter();
        let head = self.in_time(deadline, queued.first()).await?;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            if left == Some(Duration::ZERO) {
                return Err(AttemptError::Final(self.expired(Outcome::NotRun)));
            }
            let outgoing = OutgoingRequest { timeout: self.timeout_to_announce(left), ..outgoing };
            let mut sessions: Vec<_> = pool.open_sessions().collect();
            if sessions.is_empty() {
                sessions.push(self.open_session(pool, deadline).await.map_err(AttemptError::Final)?);
            }
            match first_with_capacity(&sessions, &outgoing, deadline) {
                Ok(Some(call)) => {
                    drop(head);
                    drop(queued);
                    return self.attempt_result(call.result().await, outgoing.limits);
                }
                Ok(None) => self.in_time(deadline, head.change()).await?,
                Err(failure) => return Err(self.attempt_error(failure)),
            }
        }
    }

    /// Waits until the call's deadline at most.
    async fn in_time<T>(
        &self,
        deadline: Option<Instant>,
        step: impl Future<Output = T>,
    ) -> Result<T, AttemptError> {
        home_runtime::current().map_err(|error| AttemptError::Final(error.into()))?;
        match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), step)
                .await
                .map_err(|_| AttemptError::Final(self.expired(Outcome::NotRun))),
            None => Ok(step.await),
        }
    }

    fn attempt_result(&self, result: CallResult, limits: Limits) -> Result<Option<Message>, AttemptError> {
        match result {
            Ok(None) => Ok(None),
            Ok(Some(frame)) => match Message::parse(frame, limits) {
                Ok(reply) => Ok(Some(reply)),
                Err(error) => Err(AttemptError::Final(error.into())),
            },
            Err(failure) => Err(self.attempt_error(failure)),
        }
    }

    fn attempt_error(&self, failure: Failure) -> AttemptError {
        AttemptError::Final(match failure {
            Failure::NoRuntime => ConnectError::NoRuntime.into(),
            Failure::NotOpen(reason) => return AttemptError::NotOpen(reason),
            Failure::Ended(reason, outcome) => return AttemptError::SessionEnded(reason, outcome),
            Failure::Expired(outcome) => self.expired(outcome),
            Failure::Headers(reason) => Error::HeadersUnsupported { reason },
            Failure::Encode(error) => error.into(),
            Failure::Refused(Refused::QueueFull { len, queued, limit }) => {
                Error::QueueFull { len, queued, limit }
            }
            Failure::Refused(Refused::TooManyCalls { limit }) => Error::TooManyCalls { limit },
        })
    }

    /// The timeout to send with the request, of which `left` is left, if it is not the one that the handshake announced.
    fn timeout_to_announce(&self, left: Option<Duration>) -> Option<Duration> {
        let announced = self.target.options().timeout;
        let Some(left) = left else {
            return (self.timeout != announced).then_some(self.timeout);
        };
        // A difference of up to an eighth is not worth a frame with headers.
        let known = self.timeout == announced && self.timeout.saturating_sub(left) <= announced / 8;
        (!known).then_some(left)
    }

    /// Calls a service of this process, until the deadline or until the client is closed.
    async fn reply_in_process(
        &self,
        InProcess { service, closed }: &InProcess,
        name: &str,
        body: &Body,
        deadline: Option<Instant>,
    ) -> Result<Option<Message>, Error> {
        let ended = |outcome| Error::SessionEnded { reason: CloseReason::Closed, outcome };
        if closed.is_cancelled() {
            return Err(ended(Outcome::NotRun));
        }
        if deadline.is_some() {
            home_runtime::current()?;
        }
        let reply = async {
            let reply = closed.run_until_cancelled(self.reply_of_service(&**service, name, body));
            reply.await.unwrap_or_else(|| Err(ended(Outcome::Unknown)))
        };
        match deadline {
            // The handler is dropped with the future; it may have run in part.
            Some(deadline) => tokio::time::timeout_at(deadline.into(), reply)
                .await
                .unwrap_or_else(|_| Err(self.expired(Outcome::Unknown))),
            None => reply.await,
        }
    }

    /// Runs the call by a service in this process.
    async fn reply_of_service(
        &self,
        service: &dyn Service,
        name: &str,
        body: &Body,
    ) -> Result<Option<Message>, Error> {
        let ClientOptions { limits, format, .. } = self.target.options();
        let (kind, headers) = (self.kind, &self.headers);
        // A frame says how long it is: the receiver does not have to look for the end of the message.
        let plain = WireFormat { transport: Transport::Framed, ..format };
        let wrapped = WireFormat { transport: Transport::Header, ..format };
        let format = if headers.is_empty() { plain } else { wrapped };
        let receive = |message: Parts| {
            let mut frame = None;
            Receiver::expecting(plain, limits)
                .receive(message.joined(), |received| frame = Some(received))?;
            Message::parse(frame.ok_or(DecodeErrorKind::UnexpectedEnd)?, limits)
        };
        let envelope = Envelope { format, headers, name, kind, seqid: 0 };
        let message = receive(envelope.seal(body, limits)?)?;
        let origin = Origin {
            session: None,
            legacy: false,
            received: now(),
            timeout: Some(self.timeout),
            max_timeout: Duration::MAX,
        };
        let (request, header) = Request::new(message, origin, limits);
        let result = Contained::new(service, request).await;
        if self.kind == MessageType::Oneway {
            return Ok(None);
        }
        let reply = header.reply_message(result);
        if reply.is_empty() {
            // A oneway function that was called as a two-way one: as over NATS, no reply ever comes.
            return std::future::pending().await;
        }
        Ok(Some(receive(reply)?))
    }
}

/// Makes the call on the first session that has capacity for it. `None` if none has.
fn first_with_capacity<'a>(
    sessions: &'a [Arc<SessionHandle>],
    outgoing: &OutgoingRequest<'_>,
    deadline: Option<Instant>,
) -> Result<Option<CallInFlight<'a>>, Failure> {
    for session in sessions {
        match session.call(outgoing, deadline) {
            Ok(call) => return Ok(Some(call)),
            Err(Failure::Refused(refused)) if refused.is_final() => return Err(Failure::Refused(refused)),
            // One that has ended is replaced when the call tries again.
            Err(Failure::Refused(_) | Failure::NotOpen(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, ReplyFuture};

    struct Panics;

    impl Service for Panics {
        fn name(&self) -> &'static str {
            "Panics"
        }

        fn call(&self, _request: Request) -> ReplyFuture {
            panic!("before there is a future")
        }
    }

    #[test]
    fn a_timeout_other_than_the_clients_is_announced() {
        let client = Client::in_process(Panics);
        let announced = |timeout: Duration| {
            let call = client.prepare(MessageType::Call, "f", &());
            let call = PreparedCall { timeout, ..call };
            call.timeout_to_announce(now().checked_add(timeout).map(|_| timeout))
        };
        assert_eq!(announced(ClientOptions::default().timeout), None, "the handshake has announced it");
        assert_eq!(announced(Duration::from_secs(1)), Some(Duration::from_secs(1)));
        assert_eq!(announced(Duration::MAX), Some(Duration::MAX), "no deadline");
    }

    #[tokio::test]
    async fn a_service_that_panics_before_it_returns_a_future_fails_that_call_alone() {
        let call: crate::Call<()> = Client::in_process(Panics).call("f", &());
        let error = call.await.unwrap_err();
        assert!(matches!(&error, Error::Application(it) if it.kind.0 == 6), "{error}");
    }

    #[tokio::test]
    async fn a_call_without_time_does_not_run_in_the_process() {
        let call: crate::Call<()> = Client::in_process(Panics).call("f", &());
        let error = call.timeout(Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, Error::DeadlineExceeded { outcome: Outcome::NotRun, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_closed_client_in_the_process_fails_calls_in_flight_and_later_ones() {
        struct Waits;

        impl Service for Waits {
            fn name(&self) -> &'static str {
                "Waits"
            }

            fn call(&self, _request: Request) -> ReplyFuture {
                Box::pin(std::future::pending())
            }
        }

        let client = Client::in_process(Waits);
        let ended = |outcome| Err(Error::SessionEnded { reason: CloseReason::Closed, outcome });
        let in_flight = async { client.call::<(), Error>("f", &()).await };
        let other = client.for_service("other");
        let (result, closed) = tokio::join!(in_flight, other.close());
        assert_eq!((result, closed), (ended(Outcome::Unknown), Ok(())));
        assert_eq!(client.clone().call::<(), Error>("f", &()).await, ended(Outcome::NotRun));
    }
}
