//! The header of a message, which precedes the arguments or the result of a call.

use std::borrow::Cow;

/// The type of a message. The numbers are the same in every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A request that has a reply.
    Call = 1,
    /// A reply with a result or a declared exception.
    Reply = 2,
    /// A reply with a `TApplicationException`.
    Exception = 3,
    /// A request that has no reply.
    Oneway = 4,
}

impl MessageType {
    /// The type with this number, if there is one.
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Call,
            2 => Self::Reply,
            3 => Self::Exception,
            4 => Self::Oneway,
            _ => return None,
        })
    }
}

/// The header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHeader<'a> {
    /// The name of the function, as `function` or `service:function`.
    pub name: Cow<'a, str>,
    /// The type of the message.
    pub kind: MessageType,
    /// The sequence number. A reply has that of its request.
    pub seqid: i32,
}
