//! What stands before the arguments or the result of a call.

use std::borrow::Cow;

/// The kinds of messages. The numbers are the same in every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// A request that will be answered.
    Call = 1,
    /// An answer: a result or a declared exception.
    Reply = 2,
    /// An answer: a TApplicationException.
    Exception = 3,
    /// A request that is never answered.
    Oneway = 4,
}

impl MessageType {
    /// The kind with this number.
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
    /// The function that is called or answers, possibly as `service:function`.
    pub name: Cow<'a, str>,
    /// The kind of message.
    pub kind: MessageType,
    /// The number that joins an answer to its request.
    pub seqid: i32,
}
