//! Hostile bytes and hostile peers.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod decoding;
