//! From a request to its handler, or to the reply that refuses it.

use std::sync::Arc;
use std::time::Instant;

use crate::endpoint::EndpointSession;
use crate::error::{ApplicationException, ApplicationExceptionKind};
use crate::log_limit::limited;
use crate::method::Message;
use crate::proto::{CloseReason, ReceivedRequest};
use crate::protocol::{Limits, MessageType};
use crate::server::accepted_session::AcceptedSession;
use crate::server::fair_share::Resource;
use crate::service::{Contained, Request, RequestHeader, Service};
use crate::transport::Parts;

/// Calls the handlers of a service.
pub(super) struct Dispatch {
    pub(super) service: Arc<dyn Service>,
    pub(super) limits: Limits,
}

/// A call whose handler has been called, and whose future has not been polled.
pub(super) struct StartedCall {
    pub(super) header: RequestHeader,
    pub(super) result: Contained,
    pub(super) deadline: Option<Instant>,
}

impl Dispatch {
    /// Calls the handler. If the handler is not to see the request, returns the reply instead, empty if there is none.
    pub(super) fn start(
        &self,
        session: &Arc<AcceptedSession>,
        request: ReceivedRequest,
        now: Instant,
    ) -> Result<StartedCall, Parts> {
        let ReceivedRequest { key, frame, received, exceeds } = request;
        if !session.may_start(key) {
            return Err(Parts::default());
        }
        let exceeded = session.client().exceeded(Resource::Calls);
        // Decompressing a request takes time that a client above a limit must not get.
        let parse = match exceeds.is_some() || exceeded.is_some() {
            true => Message::parse_start,
            false => Message::parse,
        };
        let message = match parse(frame, self.limits) {
            Ok(message) => message,
            Err(error) => {
                session.close(CloseReason::Malformed(error));
                return Err(Parts::default());
            }
        };
        let exceeds = exceeds.or_else(|| session.decompressed(key, message.inflated));
        let kind = message.kind;
        let (request, header) = Request::new(message, session.origin(received), self.limits);
        let deadline = request.context().deadline();
        let refuse = |kind, text: &str| {
            let error = ApplicationException::new(kind, text);
            if header.is_oneway() {
                limited!(debug, %error, "oneway request not run");
            }
            Err(header.reply_message(Err(error.into())))
        };
        if let Some(limit) = exceeds {
            return refuse(ApplicationExceptionKind::LOADSHEDDING, &limit.to_string());
        }
        if let Some(exceeded) = exceeded {
            let text = format!("the server cannot run more calls: {exceeded}; see `max_calls`");
            return refuse(ApplicationExceptionKind::LOADSHEDDING, &text);
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
                return refuse(
                    ApplicationExceptionKind::INVALID_MESSAGE_TYPE,
                    "expected a call, found a reply",
                );
            }
        }
        Ok(StartedCall { header, deadline, result: Contained::new(&*self.service, request) })
    }
}
