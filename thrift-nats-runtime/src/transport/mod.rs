//! How messages lie in the byte stream of a session.
//!
//! A session is a stream of bytes in each direction, cut into NATS messages anywhere; a transport finds the Thrift
//! messages in it. Never touches NATS itself.

mod buffered;
mod scanner;

pub(crate) use self::buffered::Buffered;
