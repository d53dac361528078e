//! Hung processes and overload: a peer that stops to respond, sends too much at once or cancels too much at once must not
//! harm others. Each test names one fault; `oracle.rs` has them in random order.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod bursts;
mod cancellation;
#[cfg(unix)]
mod frozen;
mod large;
mod outage;
mod stalled;

#[thrift_nats_runtime::thrift("../idl/oracle.thrift")]
mod api {}
