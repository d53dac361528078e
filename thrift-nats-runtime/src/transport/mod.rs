//! How messages lie in the byte stream of a session.
//!
//! A session is a stream of bytes in each direction, cut into NATS messages anywhere; a transport finds the Thrift
//! messages in it, and tells what each of them is written in. Never touches NATS itself.

mod detect;
mod frame;
mod framing;
mod header;
mod headers;
mod parts;
mod receiver;
mod scanner;

pub(crate) use self::frame::Frame;
pub(crate) use self::framing::{begin_frame, end_frame, may_be_apart};
pub use self::headers::Headers;
pub(crate) use self::parts::Parts;
pub(crate) use self::receiver::Receiver;
