//! The future of a call, with its options.

use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::prepared_call::PreparedCall;
use crate::context::{Context, TRACEPARENT, TRACESTATE};
use crate::error::Error;
use crate::method::{MethodError, Success};
use crate::transport::Headers;

pin_project! {
    /// A call of a function: a future, whose options can be set until it is polled.
    ///
    /// Nothing is sent before the first poll, and the timeout starts with it. From then on the future is pinned, so that
    /// options cannot be set any more.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use thrift_nats_runtime::{Client, Context, Error};
    /// # struct CalculatorClient(Client);
    /// # impl CalculatorClient {
    /// #     fn add(&self, num1: i32, num2: i32) -> thrift_nats_runtime::Call<i32> {
    /// #         self.0.call("add", &((1, &num1), (2, &num2)))
    /// #     }
    /// # }
    /// async fn sum(calculator: &CalculatorClient, cx: &Context) -> Result<i32, Error> {
    ///     // With the options of the client:
    ///     let three = calculator.add(1, 2).await?;
    ///     // In a task, with options of the call:
    ///     let seven = tokio::spawn(calculator.add(3, 4).timeout(Duration::from_millis(50)));
    ///     // For a handler, within the time left to it:
    ///     let eleven = calculator.add(5, 6).on_behalf_of(cx).idempotent().await?;
    ///     Ok(three + seven.await.expect("the task does not panic")? + eleven)
    /// }
    /// ```
    ///
    /// ```compile_fail,E0507
    /// # use thrift_nats_runtime::Call;
    /// # async fn example(call: Call<i32>) {
    /// let mut call = std::pin::pin!(call);
    /// let _ = futures_util::poll!(call.as_mut());
    /// call.timeout(std::time::Duration::from_secs(1)).await; // error: the call cannot be moved any more
    /// # }
    /// ```
    ///
    /// # Errors
    /// A declared exception, or an [`Error`]. Every call ends by its deadline.
    ///
    /// # Cancellation
    /// Dropping the future cancels the call, and frees its place in the session. A request that was not sent yet is never
    /// sent. If it was sent, a server of this crate is told, and drops the handler's future. A legacy server cannot be
    /// told: it runs the call, and no other call of the session before it has ended. If it has not replied by the call's
    /// deadline, the session ends and the other calls are retried on another one. A late reply is dropped and counted in
    /// [`Client::late_replies`](crate::Client::late_replies).
    ///
    /// # Panics
    /// If it is polled after it has completed.
    #[must_use = "a call is not sent until it is polled"]
    pub struct Call<T, E = Error> {
        state: FutureState<Result<T, E>>,
        // A call that was polled cannot be moved, and so not be given options, which take it by value.
        #[pin]
        pinned: PhantomPinned,
    }
}

enum FutureState<O> {
    Unsent(PreparedCall),
    InFlight(Pin<Box<dyn Future<Output = O> + Send>>),
    Completed,
}

impl<O> FutureState<O> {
    /// Polls the future that `send` makes of the call.
    fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        send: impl FnOnce(PreparedCall) -> Pin<Box<dyn Future<Output = O> + Send>>,
    ) -> Poll<O> {
        if matches!(self, Self::Unsent(_))
            && let Self::Unsent(call) = std::mem::replace(self, Self::Completed)
        {
            *self = Self::InFlight(send(call));
        }
        // The future stays in its place: moving the state at each poll would copy as many bytes as an unsent call has.
        let Self::InFlight(future) = self else { panic!("a call was polled after it had completed") };
        let poll = future.as_mut().poll(cx);
        if poll.is_ready() {
            *self = Self::Completed;
        }
        poll
    }
}

impl<O> fmt::Debug for FutureState<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(call) => f
                .debug_struct("Unsent")
                .field("method", &call.method)
                .field("timeout", &call.timeout)
                .finish_non_exhaustive(),
            Self::InFlight(_) => f.write_str("InFlight"),
            Self::Completed => f.write_str("Completed"),
        }
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.state).finish()
    }
}

impl<T, E> Call<T, E> {
    pub(super) const fn new(call: PreparedCall) -> Self {
        Self { state: FutureState::Unsent(call), pinned: PhantomPinned }
    }

    /// Changes a call that was not polled, as every call that can be moved.
    fn with(mut self, change: impl FnOnce(&mut PreparedCall)) -> Self {
        if let FutureState::Unsent(call) = &mut self.state {
            change(call);
        }
        self
    }

    /// The time that the call may take, including opening a session and retries. The default is that of the
    /// [client](crate::ClientBuilder::timeout). A server of this crate learns of it: see [`Context::deadline`]. A call with
    /// a timeout of 0 fails with [`Error::DeadlineExceeded`], and nothing is sent.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|call| call.timeout = timeout)
    }

    /// Sets a header of the request, which the handler reads with [`Context::header`]. The request is sent in the header
    /// transport, whatever the session's transport is. A legacy server and the JSON protocol have no headers: then the call
    /// fails with [`Error::HeadersUnsupported`] before it is sent.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|call| call.headers.insert(name, value))
    }

    /// Sets the trace of the call, as W3C Trace Context writes it: the header `traceparent`.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.header(TRACEPARENT, traceparent)
    }

    /// Makes the call part of the call that a handler serves: it gets the same trace (the headers `traceparent` and
    /// `tracestate`), and its timeout is at most the time that is left of that call.
    pub fn on_behalf_of(self, cx: &Context) -> Self {
        self.with(|call| {
            for name in [TRACEPARENT, TRACESTATE] {
                if let Some(value) = cx.header(name) {
                    call.headers.insert(name, value);
                }
            }
            if let Some(remaining) = cx.remaining() {
                call.timeout = call.timeout.min(remaining);
            }
        })
    }

    /// Declares that running the call twice does no harm: if its session ends before the reply arrives, it is retried on
    /// another session, at most eight times. It is not retried if one side could not read what the other sent. Generated
    /// code sets it where the IDL says `(idempotent = "true")`.
    pub fn idempotent(self) -> Self {
        self.with(|call| call.idempotent = true)
    }

    /// Has the call fail at once with [`Error::QueueFull`] or [`Error::TooManyCalls`] if no open session has capacity for
    /// it, instead of waiting. The default is that of the [client](crate::ClientBuilder::fail_fast).
    pub fn fail_fast(self) -> Self {
        self.with(|call| call.fail_fast = true)
    }

    /// The same call, which returns the headers of the reply beside the result.
    pub fn with_headers(self) -> CallWithHeaders<T, E> {
        let state = match self.state {
            FutureState::Unsent(call) => FutureState::Unsent(call),
            // Cannot be: a call that was polled cannot be moved.
            FutureState::InFlight(_) | FutureState::Completed => FutureState::Completed,
        };
        CallWithHeaders { state }
    }
}

impl<T: Success, E: MethodError> Future for Call<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.project().state.poll(cx, |call| {
            Box::pin(async move {
                let reply = call.reply().await?;
                call.result(reply.as_ref())
            })
        })
    }
}

/// A call that returns the headers of its reply, too: see [`Call::with_headers`].
///
/// # Errors
/// Those of the call are in the [`Response`].
///
/// # Cancellation
/// As for [`Call`].
///
/// # Panics
/// If it is polled after it has completed.
#[must_use = "a call is not sent until it is polled"]
pub struct CallWithHeaders<T, E = Error> {
    state: FutureState<Response<T, E>>,
}

impl<T, E> fmt::Debug for CallWithHeaders<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallWithHeaders").field(&self.state).finish()
    }
}

/// The result of a call, and the headers of its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Response<T, E = Error> {
    /// The result of the call.
    pub result: Result<T, E>,
    /// The headers that the handler set with [`Context::set_header`]. Empty without a reply.
    pub headers: Headers,
}

impl<T: Success, E: MethodError> Future for CallWithHeaders<T, E> {
    type Output = Response<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.state.poll(cx, |call| {
            Box::pin(async move {
                let reply = call.reply().await;
                let result = match &reply {
                    Ok(reply) => call.result(reply.as_ref()),
                    Err(error) => Err(error.clone().into()),
                };
                let headers = reply.ok().flatten().map(|reply| reply.headers).unwrap_or_default();
                Response { result, headers }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::service::{Reply, ReplyFuture, Request, Service};

    struct Echo;

    impl Service for Echo {
        fn name(&self) -> &'static str {
            "Echo"
        }

        fn call(&self, request: Request) -> ReplyFuture {
            Box::pin(async move { request.reply::<i32, Error>(Ok(7)) as Result<Reply, Error> })
        }
    }

    fn call() -> Call<i32> {
        Client::in_process(Echo).call("f", &())
    }

    #[tokio::test]
    async fn a_call_can_be_spawned_and_joined() {
        fn sendable<T: Send + 'static>(value: T) -> T {
            value
        }
        let spawned = tokio::spawn(sendable(call().timeout(Duration::from_secs(1))));
        let joined = futures_util::future::join_all([call(), call()]).await;
        assert_eq!(joined, [Ok(7), Ok(7)]);
        assert_eq!(spawned.await.unwrap(), Ok(7));
        let with_headers = tokio::spawn(sendable(call().with_headers())).await.unwrap();
        assert_eq!(with_headers, Response { result: Ok(7), headers: Headers::new() });
    }

    #[tokio::test]
    async fn a_call_is_not_sent_before_it_is_polled() {
        let call = call();
        assert!(format!("{call:?}").contains("Unsent"), "{call:?}");
        let mut call = std::pin::pin!(call);
        assert_eq!(call.as_mut().await, Ok(7));
        assert!(format!("{call:?}").contains("Completed"), "{call:?}");
    }
}
