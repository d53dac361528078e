//! The bounds on what a peer can make this side read, keep in memory or write.

use super::error::{DecodeError, DecodeErrorKind};

/// Bounds on the values and messages that are read and written. All defaults are finite.
///
/// | limit | default | bound on |
/// | --- | --- | --- |
/// | [`message`](Self::message) | 64 MiB | one Thrift message, in bytes |
/// | [`string`](Self::string) | 64 MiB | one `string` or `binary`, in bytes |
/// | [`container`](Self::container) | 16,777,216 | one list, set or map, in elements |
/// | [`name`](Self::name) | 4 KiB | the name of a function in a message's header, in bytes |
/// | [`header`](Self::header) | 64 KiB | the headers of one message in the header transport, in bytes; 262,140 at most |
/// | [`depth`](Self::depth) | 64 | structs and containers nested in each other |
/// | [`memory`](Self::memory) | 256 MiB | the memory of the elements of all containers of one message, in bytes |
///
/// A length on the wire never reserves memory by itself: it is first checked against the bytes that have arrived.
///
/// ```
/// use thrift_nats_runtime::Protocol;
/// use thrift_nats_runtime::protocol::{Limits, from_bytes_with_limits};
///
/// let limits = Limits::DEFAULT.with_string(5);
/// let result = from_bytes_with_limits::<String>(Protocol::Json, "\"too long\"", limits);
/// let error = result.unwrap_err();
/// assert_eq!(error.to_string(), "string of 8 bytes exceeds the limit of 5; see `Limits::string`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum length of a message, in bytes.
    pub message: usize,
    /// The maximum length of a `string` or `binary`, in bytes.
    pub string: usize,
    /// The maximum number of elements of a list or set, or of entries of a map.
    pub container: usize,
    /// The maximum length of the function name in the header of a message, in bytes.
    pub name: usize,
    /// The maximum length of all headers of one message in the header transport, in bytes. The transport cannot carry
    /// more than 262,140.
    pub header: usize,
    /// The maximum number of structs and containers that are nested in each other.
    pub depth: usize,
    /// The maximum memory of the elements of all lists, sets and maps of one message, and of all boxed values, in bytes.
    ///
    /// An empty struct takes one byte on the wire, but the size of its type in memory. Without this limit, a list of empty
    /// structs could take hundreds of times its length on the wire. The contents of strings are not counted, because they
    /// are as long in memory as on the wire. While a container grows, its old and its new memory exist at the same time.
    pub memory: usize,
}

impl Limits {
    /// The defaults, as a constant.
    pub const DEFAULT: Self = Self {
        message: 64 << 20,
        string: 64 << 20,
        container: 1 << 24,
        name: 4 << 10,
        header: 64 << 10,
        depth: 64,
        memory: 256 << 20,
    };

    /// Sets [`message`](Self::message), in bytes.
    #[must_use]
    pub const fn with_message(mut self, bytes: usize) -> Self {
        self.message = bytes;
        self
    }

    /// Sets [`string`](Self::string), in bytes.
    #[must_use]
    pub const fn with_string(mut self, bytes: usize) -> Self {
        self.string = bytes;
        self
    }

    /// Sets [`container`](Self::container), in elements.
    #[must_use]
    pub const fn with_container(mut self, elements: usize) -> Self {
        self.container = elements;
        self
    }

    /// Sets [`name`](Self::name), in bytes.
    #[must_use]
    pub const fn with_name(mut self, bytes: usize) -> Self {
        self.name = bytes;
        self
    }

    /// Sets [`header`](Self::header), in bytes.
    #[must_use]
    pub const fn with_header(mut self, bytes: usize) -> Self {
        self.header = bytes;
        self
    }

    /// Sets [`memory`](Self::memory), in bytes.
    #[must_use]
    pub const fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets [`depth`](Self::depth), in levels.
    #[must_use]
    pub const fn with_depth(mut self, levels: usize) -> Self {
        self.depth = levels;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Subtracts `bytes` from `left`, the part of [`Limits::memory`] that a reader has not used.
///
/// # Errors
/// [`DecodeErrorKind::TooLong`] if `bytes` is more than `left`.
#[inline]
pub(super) fn take_memory(left: &mut usize, bytes: usize, limits: Limits) -> Result<(), DecodeError> {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => {
            let taken = limits.memory - *left;
            let len = taken.saturating_add(bytes) as u64;
            Err(DecodeErrorKind::TooLong { what: "memory", len, limit: limits.memory as u64 }.into())
        }
    }
}
