//! The errors of the public API: one enum for each operation.
//!
//! [`ConnectError`] is that of connecting a client, [`Error`] that of a call, [`ServeError`] that of serving, and
//! [`ShutdownError`] that of closing a client and of draining or stopping a server. The modules that detect a failure
//! build them; nothing here decides.
//!
//! The text of an error is complete: it contains the text of its cause and of all causes of that. `source()` therefore
//! returns nothing, so that a reporter that walks the chain prints no text twice. The one exception is
//! [`ApplicationException::internal`], whose text hides the cause.

mod application_exception;
mod call;
mod connect;
mod serve;
mod shutdown;
#[cfg(test)]
mod tests;
mod unknown_enum_value;

pub use self::application_exception::{ApplicationException, ApplicationExceptionKind};
pub use self::call::{Error, Result};
pub use self::connect::{ConnectError, InvalidOption};
pub use self::serve::ServeError;
pub use self::shutdown::ShutdownError;
pub use self::unknown_enum_value::UnknownEnumValue;
pub use crate::nats_error::NatsError;
pub use crate::proto::{AcceptError, CloseReason, Outcome, PeerReason};
pub(crate) use crate::shared_error::BoxError;
pub use crate::shared_error::SharedError;
