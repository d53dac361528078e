//! How much a peer may ask for.

use super::error::{DecodeError, DecodeErrorKind};

/// Bounds on what is read and written. All defaults are finite.
///
/// | limit | default | what it bounds |
/// | --- | --- | --- |
/// | [`message`](Self::message) | 64 MiB | one Thrift message, in bytes |
/// | [`string`](Self::string) | 64 MiB | one `string` or `binary`, in bytes |
/// | [`container`](Self::container) | 16,777,216 | one list, set or map, in elements |
/// | [`name`](Self::name) | 4 KiB | the name of a function in a message's header, in bytes |
/// | [`header`](Self::header) | 64 KiB | the headers of one message in the header transport, in bytes; 262,140 at most |
/// | [`depth`](Self::depth) | 64 | structs and containers nested in each other |
/// | [`memory`](Self::memory) | 256 MiB | what the elements of all containers of one message take in memory, in bytes |
///
/// Memory is never reserved on a peer's word alone: a length is checked against the bytes that are there first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, in bytes.
    pub message: usize,
    /// The longest `string` or `binary`, in bytes.
    pub string: usize,
    /// The most elements of one list, set or map.
    pub container: usize,
    /// The longest name of a function in the header of a message, in bytes.
    pub name: usize,
    /// The longest headers of one message in the header transport, in bytes. The transport cannot carry more than 262,140.
    pub header: usize,
    /// How deep structs and containers may nest.
    pub depth: usize,
    /// What the elements of all lists, sets and maps of one message, and all that is boxed, may take in memory, in bytes.
    ///
    /// An empty struct is a byte on the wire, and as large in memory as its type is. Without this limit a list of them would
    /// take hundreds of times its size. What strings hold is not counted: it is as long as on the wire. A container that
    /// grows while it is read is there twice for a moment.
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

    /// These limits with another bound on a message, in bytes.
    #[must_use]
    pub const fn with_message(mut self, bytes: usize) -> Self {
        self.message = bytes;
        self
    }

    /// These limits with another bound on a `string` or `binary`, in bytes.
    #[must_use]
    pub const fn with_string(mut self, bytes: usize) -> Self {
        self.string = bytes;
        self
    }

    /// These limits with another bound on the elements of a container.
    #[must_use]
    pub const fn with_container(mut self, elements: usize) -> Self {
        self.container = elements;
        self
    }

    /// These limits with another bound on the name of a function, in bytes.
    #[must_use]
    pub const fn with_name(mut self, bytes: usize) -> Self {
        self.name = bytes;
        self
    }

    /// These limits with another bound on the headers of a message, in bytes.
    #[must_use]
    pub const fn with_header(mut self, bytes: usize) -> Self {
        self.header = bytes;
        self
    }

    /// These limits with another bound on what elements take in memory, in bytes.
    #[must_use]
    pub const fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// These limits with another bound on nesting.
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

/// Takes `bytes` off what a reader may still take of memory.
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
