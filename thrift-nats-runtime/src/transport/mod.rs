//! Thrift transports: where a message starts and ends in the byte stream of a session.
//!
//! A session has one stream of bytes in each direction. The stream is cut into NATS messages at any place. This module owns
//! the frames and headers around Thrift messages in that stream. It never performs I/O and never decodes a value.
//!
//! To receive, pass each chunk of the stream to [`Receiver::receive`], which returns complete messages as [`Frame`]s. The
//! path of a chunk is `detect` (which format?), then `scanner` or a length (where does the message end?), then `header`
//! (headers). A compressed message stays compressed until the task that decodes it calls [`Frame::inflate`].
//!
//! To send, call [`begin_frame`], append the message, then call [`end_frame`]. [`Parts`] holds the result.

mod detect;
mod frame;
mod frame_writer;
mod header;
mod headers;
mod parts;
mod receiver;
mod scanner;

pub(crate) use self::frame::{Frame, Inflated};
pub(crate) use self::frame_writer::{begin_frame, end_frame, may_be_apart};
pub use self::headers::Headers;
pub(crate) use self::parts::Parts;
pub(crate) use self::receiver::Receiver;
