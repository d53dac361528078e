//! A request as generated dispatch code sees it, and its reply.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::arguments::Parameters;
use crate::context::Context;
use crate::error::{ApplicationException, ApplicationExceptionKind, Error};
use crate::format::{Protocol, Transport, WireFormat};
use crate::log_limit::{cut, limited};
use crate::method::{
    Body, Envelope, Message, MethodError, Success, decode_arguments, encode_body, encode_result,
};
use crate::protocol::{EncodeError, Limits, MessageType};
use crate::sync::lock;
use crate::transport::{Headers, Parts};

/// A request to a service.
#[derive(Debug)]
pub struct Request {
    context: Context,
    format: WireFormat,
    body: Mutex<Bytes>,
    limits: Limits,
}

/// The session of a request, and the time at which it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The number of the session. `None` within the process.
    pub(crate) session: Option<u64>,
    /// Whether the client is a legacy peer, which may not support the header transport.
    pub(crate) legacy: bool,
    /// The time at which it was received.
    pub(crate) received: Instant,
    /// The timeout of the call, if its headers have none.
    pub(crate) timeout: Option<Duration>,
    /// The longest timeout of a call.
    pub(crate) max_timeout: Duration,
}

/// The parts of a request that its reply needs.
pub(crate) struct RequestHeader {
    context: Context,
    format: WireFormat,
    kind: MessageType,
    seqid: i32,
    legacy: bool,
    limits: Limits,
}

impl Request {
    /// The request in this message, and the parts that its reply needs.
    pub(crate) fn new(message: Message, origin: Origin, limits: Limits) -> (Self, RequestHeader) {
        let Message { format, headers, name, kind, seqid, body, inflated: _ } = message;
        let Origin { session, legacy, received, timeout, max_timeout } = origin;
        let context = Context::new(name, session, received, timeout, max_timeout, headers);
        let header = RequestHeader { context: context.clone(), format, kind, seqid, legacy, limits };
        (Self { context, format, body: Mutex::new(body), limits }, header)
    }

    /// Uses the part of the name before the colon as the service.
    pub(super) fn split_service(&mut self) {
        self.context.split_service();
    }

    /// The function that is called.
    pub fn method(&self) -> &str {
        self.context.method()
    }

    /// The context that the handler gets.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Decodes the arguments: a tuple of their values. This can be done once: it drops the message, so that a handler that
    /// waits does not keep the memory that it was received in.
    ///
    /// # Errors
    /// [`Error::Decode`] if they are not those of the function, or were decoded before.
    pub fn arguments<T>(&self, parameters: impl Parameters<T>) -> Result<T, Error> {
        let body = std::mem::take(&mut *lock(&self.body));
        decode_arguments(self.format.protocol, &body, parameters, self.limits)
            .map_err(|error| Error::Decode(error.in_root("arguments")))
    }

    /// Encodes the reply with this result.
    ///
    /// # Errors
    /// [`Error::Encode`] if the result cannot be written.
    pub fn reply<T: Success, E: MethodError>(&self, result: Result<T, E>) -> Result<Reply, Error> {
        if let Some(error) = result.as_ref().err().and_then(MethodError::undeclared) {
            error.log_hidden(self.method());
        }
        let (kind, body) = encode_result(self.format.protocol, &result, self.limits)?;
        Ok(Reply { kind, body })
    }

    /// Ends a oneway function, which has no reply. An error is logged.
    ///
    /// # Errors
    /// None.
    pub fn no_reply(&self, result: Result<(), Error>) -> Result<Reply, Error> {
        if let Err(error) = result {
            limited!(warn, method = self.method(), error = cut(&error), "oneway function failed");
            error.log_hidden(self.method());
        }
        // Not even if the message is a two-way call: Apache's Go client sends one for a oneway function (since 0.11), and
        // would read a reply to it as that of its next call.
        Ok(Reply { kind: MessageType::Oneway, body: Vec::new().into() })
    }

    /// The error of a function that the service does not have.
    pub fn unknown_method(&self) -> Error {
        let text = format!("unknown method `{}`", self.method());
        ApplicationException::new(ApplicationExceptionKind::UNKNOWN_METHOD, text).into()
    }
}

/// A reply, encoded except for its header.
#[derive(Debug)]
pub struct Reply {
    /// `Oneway` if the function has no reply.
    kind: MessageType,
    body: Body,
}

impl Reply {
    /// The reply to a call that failed with an error that the IDL does not declare.
    fn exception(error: &Error, protocol: Protocol) -> Self {
        let exception = ApplicationException::from(error);
        let body = encode_body(protocol, &exception, Limits::DEFAULT).unwrap_or_else(|_| {
            // The text exceeds the size limit of a message.
            let short = ApplicationException::new(exception.kind, "");
            encode_body(protocol, &short, Limits::DEFAULT).unwrap_or_default()
        });
        Self { kind: MessageType::Exception, body: body.into() }
    }
}

impl RequestHeader {
    pub(crate) const fn is_oneway(&self) -> bool {
        matches!(self.kind, MessageType::Oneway)
    }

    /// The message of a reply, in the protocol and transport of the request. Empty for a oneway call.
    pub(crate) fn reply_message(&self, result: Result<Reply, Error>) -> Parts {
        if self.is_oneway() {
            // A handler's error has been logged.
            return Parts::default();
        }
        let reply = result.unwrap_or_else(|error| {
            error.log_hidden(self.context.method());
            Reply::exception(&error, self.format.protocol)
        });
        if matches!(reply.kind, MessageType::Oneway) {
            return Parts::default();
        }
        self.seal(&reply, &self.headers()).unwrap_or_else(|error| {
            // The name came in a message within the limits, so that the headers are too long.
            let reply = Reply::exception(&error.into(), self.format.protocol);
            self.seal(&reply, &Headers::new()).unwrap_or_default()
        })
    }

    fn seal(&self, reply: &Reply, headers: &Headers) -> Result<Parts, EncodeError> {
        let mut format = self.format;
        if !headers.is_empty() {
            format.transport = Transport::Header;
        }
        // Apache's servers reply with the name of the function alone, and their clients expect it.
        let name = self.context.function();
        let (kind, seqid) = (reply.kind, self.seqid);
        Envelope { format, headers, name, kind, seqid }.seal(&reply.body, self.limits)
    }

    /// The headers of the reply, if it can carry any.
    fn headers(&self) -> Headers {
        let headers = self.context.take_reply_headers();
        let header_transport = WireFormat { transport: Transport::Header, ..self.format };
        let readable = !self.legacy || self.format.transport == Transport::Header;
        if headers.is_empty() || (readable && header_transport.check().is_ok()) {
            return headers;
        }
        limited!(
            debug,
            method = self.context.method(),
            "reply headers dropped: the client or the protocol does not support them"
        );
        Headers::new()
    }
}
