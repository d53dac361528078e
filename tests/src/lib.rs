//! The harness of the tests: NATS servers, a proxy, raw peers, the test service and the oracle. Each test starts its own
//! NATS server, on a free port.
//!
//! ```
//! use thrift_nats_tests::NatsServer;
//!
//! # fn main() -> Result<(), thrift_nats_tests::StartError> {
//! let server = NatsServer::start()?; // found, or installed into the target folder
//! println!("listening at {}", server.url());
//! # Ok(())
//! # } // the server ends here
//! ```
//!
//! `cargo xtask setup` finds or installs the same server before the tests run, and prints its path.

#[cfg(feature = "service")]
thrift_nats_runtime::include_thrift!();

mod apache_python;
#[cfg(feature = "client")]
mod bounded;
mod cluster;
mod command;
mod folders;
mod go_peer;
mod nats_server;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "client")]
pub mod proxy;
#[cfg(feature = "client")]
pub mod raw;
#[cfg(feature = "service")]
mod service;
#[cfg(unix)]
mod signal;
#[cfg(feature = "client")]
mod wire_client;

pub use apache_python::{ApachePython, NoApachePython};
#[cfg(feature = "client")]
pub use bounded::{BOUND, NEVER, eventually, next, soon};
pub use cluster::Cluster;
pub use command::RunError;
pub use folders::{target_dir, workspace_dir};
pub use go_peer::{GoPeer, GoPeerError};
#[cfg(unix)]
pub use nats_server::ReloadError;
pub use nats_server::install::{INSTALLERS, Installer};
pub use nats_server::program::{Attempt, AttemptError, FindError, NatsProgram, Origin, ProbeError, Search};
pub use nats_server::{Builder, NatsServer, StartError};
#[cfg(feature = "service")]
pub use service::{SUBJECT, TestService};
#[cfg(feature = "client")]
pub use wire_client::WireClient;
