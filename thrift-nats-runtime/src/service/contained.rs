//! The future of a call whose handler may panic.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{self, Poll};

use super::{Reply, ReplyFuture, Request, Service};
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::log_limit::{cut, limited};

/// A running call. If the handler panics, the call fails with INTERNAL_ERROR, and nothing else is affected.
pub(crate) struct Contained(Option<ReplyFuture>);

impl Contained {
    pub(crate) fn new(service: &dyn Service, request: Request) -> Self {
        let call = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(request)));
        Self(Some(call.unwrap_or_else(|panic| Box::pin(std::future::ready(Err(panicked(&*panic)))))))
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // A value that the handler's future holds may panic when it is dropped, too.
        let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(self.0.take())));
        if let Err(panic) = dropped {
            let _ = panicked(&*panic);
        }
    }
}

/// The error of a call whose handler panicked.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    limited!(error, panic = cut(panic_text(panic)), "handler panicked");
    // The text is not sent to the client: it may contain secrets.
    ApplicationException::new(ApplicationExceptionKind::INTERNAL_ERROR, "the handler panicked").into()
}

impl Future for Contained {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.0 else { return Poll::Pending };
        std::panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)))
            .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no text",
    }
}
