//! The contestants: implementations of `add` or of the closest equivalent.
//!
//! Each runs its server and its client in one process, each side with a connection. Those in Rust share this process and its
//! runtime of two threads, and are idle while another has its turn. The Go peer has its own process with two threads.

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

    /// Makes `calls` concurrent calls for `time`.
    fn run(&mut self, runtime: &Runtime, calls: usize, time: Duration) -> Result<Load, BoxError>;

    /// The process of its server and its client.
    fn process(&self) -> u32 {
        std::process::id()
    }
}
