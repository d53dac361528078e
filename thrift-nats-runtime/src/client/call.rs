//! A call: what it is made of, its options, and its way.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session_handle::{Failure, Outgoing};
use super::session_pool::SessionPool;
use super::{Client, Kind, Options};
use crate::context::{Context, TRACEPARENT, TRACESTATE};
use crate::endpoint::now;
use crate::error::{ApplicationException, ApplicationExceptionKind, Error, Outcome};
use crate::format::{Transport, WireFormat};
use crate::method::{Body, Envelope, Message, MethodError, Success, decode_result};
use crate::proto::{CloseReason, Refused};
use crate::protocol::{DecodeErrorKind, EncodeError, MessageType};
use crate::service::{Contained, Origin, Request, Service};
use crate::transport::{Headers, Parts, Receiver};

/// How often a call moves to another session. A server that is drained or gone costs one, and a rolling restart may drain one
/// after the other; a call that is itself what ends its sessions must not end all of them.
const MOVES: u32 = 8;

/// A call that is ready to be made: await it, or set its options first.
///
/// # Errors
/// A declared exception, or an [`Error`]. Every call ends by its deadline.
///
/// # Cancellation
/// Dropping the future gives the call's place in the session back. A request of which no byte has gone is not sent. Of another,
/// a server of this crate is told that nobody waits, and drops the handler's future if it has not ended; a legacy peer runs
/// it all the same, and takes up no other call of the session before, but no longer than until the call's deadline: then the
/// session ends, and the others move. An answer that comes nevertheless is dropped and counted.
#[must_use = "a call is not made until it is awaited"]
pub struct Call<T, E = Error> {
    client: Client,
    kind: MessageType,
    method: &'static str,
    body: Result<Body, EncodeError>,
    timeout: Duration,
    headers: Headers,
    idempotent: bool,
    result: PhantomData<fn() -> (T, E)>,
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<T, E> Call<T, E> {
    pub(super) fn new(
        client: Client,
        kind: MessageType,
        method: &'static str,
        body: Result<Vec<u8>, EncodeError>,
        timeout: Duration,
    ) -> Self {
        let (body, headers) = (body.map(Body::from), Headers::new());
        Self { client, kind, method, body, timeout, headers, idempotent: false, result: PhantomData }
    }

    /// How long the call may take in all, sessions that have to be opened for it included. A server of this crate learns of
    /// it: see [`Context::deadline`].
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets a header of the request, which the handler reads with [`Context::header`]. The call goes in the header transport
    /// then, whatever the session's is. Where it cannot, to a legacy server and in the JSON protocol, the call fails
    /// with [`Error::HeadersUnsupported`] before it is sent.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says which trace the call belongs to, as W3C Trace Context writes it: the header `traceparent`.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.header(TRACEPARENT, traceparent)
    }

    /// Makes the call on behalf of the one that a handler serves: it belongs to the same trace (the headers `traceparent`
    /// and `tracestate` are passed on), and takes no longer than that one has left.
    pub fn on_behalf_of(mut self, cx: &Context) -> Self {
        for name in [TRACEPARENT, TRACESTATE] {
            if let Some(value) = cx.header(name) {
                self.headers.insert(name, value);
            }
        }
        if let Some(remaining) = cx.remaining() {
            self.timeout = self.timeout.min(remaining);
        }
        self
    }

    /// The same call, with the headers of the answer beside what it comes to.
    pub const fn with_headers(self) -> CallWithHeaders<T, E> {
        CallWithHeaders { call: self }
    }

    /// Says that running the call twice does no harm: it is sent again, at most eight times, if its session ends before
    /// the answer is there; not if one of the two sides could not read what the other sent.
    /// Set by generated code where the IDL says `(idempotent = "true")`.
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

impl<T: Success, E: MethodError> IntoFuture for Call<T, E> {
    type Output = Result<T, E>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answer = self.answer().await?;
            self.result(answer.as_ref())
        })
    }
}

/// A call whose answer's headers are wanted, too: see [`Call::with_headers`].
///
/// # Errors
/// Those of the call are in the [`Response`].
///
/// # Cancellation
/// As that of the [`Call`].
#[must_use = "a call is not made until it is awaited"]
pub struct CallWithHeaders<T, E = Error> {
    call: Call<T, E>,
}

impl<T, E> fmt::Debug for CallWithHeaders<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// What a call comes to, and the headers of its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response<T, E = Error> {
    /// What the call comes to.
    pub result: Result<T, E>,
    /// What the handler has set with [`Context::set_header`]. None where there is no answer.
    pub headers: Headers,
}

impl<T: Success, E: MethodError> IntoFuture for CallWithHeaders<T, E> {
    type Output = Response<T, E>;
    type IntoFuture = Pin<Box<dyn Future<Output = Response<T, E>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answer = self.call.answer().await;
            let result = match &answer {
                Ok(answer) => self.call.result(answer.as_ref()),
                Err(error) => Err(error.clone().into()),
            };
            let headers = answer.ok().flatten().map(|answer| answer.headers).unwrap_or_default();
            Response { result, headers }
        })
    }
}

impl<T: Success, E: MethodError> Call<T, E> {
    /// What an answer says.
    fn result(&self, answer: Option<&Message>) -> Result<T, E> {
        match answer {
            Some(answer) => decode_result(self.method, answer, self.client.options().limits),
            // Only `void` functions are oneway.
            None => T::absent().ok_or_else(|| {
                let text = format!("`{}` is oneway and has no result", self.method);
                Error::from(ApplicationException::new(ApplicationExceptionKind::INTERNAL_ERROR, text)).into()
            }),
        }
    }
}

/// The error of a call that may have been run on an earlier session, which ended for this reason: what the last attempt
/// says of itself is not the whole of it.
fn whole(error: Error, earlier: CloseReason) -> Error {
    let outcome = Outcome::Unknown;
    match error {
        Error::SessionEnded { reason, .. } => Error::SessionEnded { reason, outcome },
        Error::DeadlineExceeded { method, timeout, .. } => {
            Error::DeadlineExceeded { method, timeout, outcome }
        }
        error if error.outcome() == Outcome::NotRun => Error::SessionEnded { reason: earlier, outcome },
        error => error,
    }
}

impl<T, E> Call<T, E> {
    /// Makes the call; `None` for a oneway one that has gone.
    async fn answer(&self) -> Result<Option<Message>, Error> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        let name = &*self.name();
        // `None`: longer than the clock goes.
        let deadline = now().checked_add(self.timeout);
        match &self.client.kind {
            Kind::Pool(remote) => self.answer_of(remote, name, body, deadline).await,
            Kind::InProcess(service) => {
                let answer = self.answer_within(&**service, name, body);
                match deadline {
                    // Not run to its end, if it was begun: the handler has gone with the future.
                    Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                        .await
                        .unwrap_or_else(|_| Err(self.expired(Outcome::Unknown))),
                    None => answer.await,
                }
            }
        }
    }

    /// How the function is called in messages.
    fn name(&self) -> Cow<'static, str> {
        match &self.client.service {
            Some(service) => Cow::Owned(format!("{service}:{}", self.method)),
            None => Cow::Borrowed(self.method),
        }
    }

    /// How long the answer is waited for, where a server does not know it from the handshake.
    fn timeout_to_tell(&self, deadline: Option<Instant>) -> Option<Duration> {
        let announced = self.client.options().timeout;
        let Some(deadline) = deadline else {
            // For ever, which the server has to be told as well.
            return (self.timeout != announced).then_some(self.timeout);
        };
        let left = deadline.saturating_duration_since(now());
        // A little less than was announced is not worth a frame with headers.
        let same = self.timeout == announced && self.timeout.saturating_sub(left) <= announced / 8;
        (!same).then_some(left)
    }

    fn expired(&self, outcome: Outcome) -> Error {
        Error::DeadlineExceeded { method: self.method.to_owned(), timeout: self.timeout, outcome }
    }

    async fn answer_of(
        &self,
        remote: &Arc<SessionPool>,
        name: &str,
        body: &Body,
        deadline: Option<Instant>,
    ) -> Result<Option<Message>, Error> {
        let mut perhaps_run = None;
        let answer = self.attempts(remote, name, body, deadline, &mut perhaps_run).await;
        match (answer, perhaps_run) {
            (Err(error), Some(reason)) => Err(whole(error, reason)),
            (Ok(Some(answer)), Some(reason)) => match answer.exception(remote.options().limits) {
                // The server that is asked last says so of itself alone.
                Some(error) if error.outcome() == Outcome::NotRun => Err(whole(error, reason)),
                _ => Ok(Some(answer)),
            },
            (answer, _) => answer,
        }
    }

    /// Sends the call until it is answered or can be sent no more. `perhaps_run` is why the last session ended on which it
    /// may have been run before it moved.
    async fn attempts(
        &self,
        remote: &Arc<SessionPool>,
        name: &str,
        body: &Body,
        deadline: Option<Instant>,
        perhaps_run: &mut Option<CloseReason>,
    ) -> Result<Option<Message>, Error> {
        let mut moves_left = MOVES;
        // Whether all of the call's time is left.
        let mut fresh = true;
        loop {
            let session = match remote.current()? {
                Some(session) => session,
                None => {
                    fresh = false;
                    // In a box: seldom needed, and it would make every call's future several times as large.
                    let opened = Box::pin(remote.session(deadline));
                    match deadline {
                        Some(deadline) => tokio::time::timeout_at(deadline.into(), opened)
                            .await
                            .unwrap_or_else(|_| Err(self.expired(Outcome::NotRun)))?,
                        None => opened.await?,
                    }
                }
            };
            let same = fresh && self.timeout == remote.options().timeout;
            let timeout = if same { None } else { self.timeout_to_tell(deadline) };
            fresh = false;
            let Options { format, limits, .. } = *remote.options();
            let (kind, headers) = (self.kind, &self.headers);
            let outgoing = Outgoing { name, kind, body, headers, format, limits, timeout };
            match session.call(&outgoing, deadline).await {
                Ok(None) => return Ok(None),
                Ok(Some(answer)) => return Ok(Some(Message::parse(answer, limits)?)),
                // Whatever ended it, it was not this call.
                Err(Failure::NotOpen(reason)) => {
                    if moves_left == 0 {
                        return Err(Error::SessionEnded { reason, outcome: Outcome::NotRun });
                    }
                    moves_left -= 1;
                }
                Err(Failure::Ended(reason, outcome)) => {
                    // It was certainly not run, or may be run again: it moves to the next session.
                    let again = reason.is_retryable() && (outcome == Outcome::NotRun || self.idempotent);
                    if !again || moves_left == 0 {
                        return Err(Error::SessionEnded { reason, outcome });
                    }
                    moves_left -= 1;
                    tracing::debug!(method = self.method, %reason, "call moves to another session");
                    if outcome == Outcome::Unknown {
                        *perhaps_run = Some(reason);
                    }
                }
                Err(Failure::Expired(outcome)) => return Err(self.expired(outcome)),
                Err(Failure::Headers(reason)) => return Err(Error::HeadersUnsupported { reason }),
                Err(Failure::Encode(error)) => return Err(error.into()),
                Err(Failure::Refused(Refused::QueueFull { len, queued, limit })) => {
                    return Err(Error::QueueFull { len, queued, limit });
                }
                Err(Failure::Refused(Refused::TooManyCalls { limit })) => {
                    return Err(Error::TooManyCalls { limit });
                }
            }
        }
    }

    /// Makes the call of a service in this process.
    async fn answer_within(
        &self,
        service: &dyn Service,
        name: &str,
        body: &Body,
    ) -> Result<Option<Message>, Error> {
        let Options { limits, format, .. } = self.client.options();
        let (kind, headers) = (self.kind, &self.headers);
        // What is in a frame need not be looked through for its end.
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
        let origin =
            Origin { session: None, legacy: false, received: Instant::now(), timeout: Some(self.timeout) };
        let (request, header) = Request::new(message, origin, limits);
        let reply = Contained::new(service, request).await;
        if self.kind == MessageType::Oneway {
            return Ok(None);
        }
        let answer = header.answer(reply);
        if answer.is_empty() {
            // A oneway function, called as if it were none: as over NATS, no answer ever comes.
            return std::future::pending().await;
        }
        Ok(Some(receive(answer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Service for Nobody {
        fn name(&self) -> &'static str {
            "Nobody"
        }

        fn call(&self, _request: Request) -> crate::service::ReplyFuture {
            panic!("before there is a future")
        }
    }

    #[test]
    fn a_server_is_told_of_a_time_that_is_not_the_usual_one() {
        let client = Client::in_process(Nobody);
        let told = |timeout: Duration| {
            let call: Call<()> = client.call("f", &()).timeout(timeout);
            call.timeout_to_tell(now().checked_add(timeout))
        };
        assert_eq!(told(client.options().timeout), None, "the handshake said so");
        assert!(told(Duration::from_secs(1)).is_some_and(|left| left <= Duration::from_secs(1)));
        assert_eq!(told(Duration::MAX), Some(Duration::MAX), "for ever");
    }

    #[tokio::test]
    async fn a_service_that_panics_before_it_runs_ends_that_call_alone() {
        let call: Call<()> = Client::in_process(Nobody).call("f", &());
        let error = call.await.unwrap_err();
        assert!(matches!(&error, Error::Application(it) if it.kind.0 == 6), "{error}");
    }
}
