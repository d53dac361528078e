//! Who answers `add`, or what comes closest to it.
//!
//! Each has its server and its client in one process, and a connection for either. Those in Rust share this process and its
//! runtime of two threads, and are idle while another has its turn; the Go peer has a process of its own, with as many.

mod go;
mod grpc;
mod ours;
mod ping_pong;
mod request;

use std::time::Duration;

use tokio::runtime::Runtime;

pub(crate) use self::go::Go;
pub(crate) use self::grpc::Grpc;
pub(crate) use self::ours::Ours;
pub(crate) use self::ping_pong::PingPong;
pub(crate) use self::request::{Responder, request};
use crate::BoxError;
use crate::load::Load;

pub(crate) trait Contestant {
    fn name(&self) -> &'static str;

    /// Makes calls for `time`, so many at once.
    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError>;

    /// The process that its server and its client are in.
    fn process(&self) -> u32 {
        std::process::id()
    }
}
