//! The service of the tutorial between clients and servers in Go and in Rust, in all four pairings: calls have the same
//! results, and sessions start and end alike.
//!
//! The peer in Go has the sessions of the legacy Go package and the codecs of Apache (`tests/interop/go`).
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

#[path = "interop/answer.rs"]
mod answer;
#[path = "interop/caller.rs"]
mod caller;
#[path = "interop/go.rs"]
mod go;
#[path = "interop/host.rs"]
mod host;
#[path = "interop/rust.rs"]
mod rust;
#[path = "interop/suite.rs"]
mod suite;
#[path = "interop/wire.rs"]
mod wire;
