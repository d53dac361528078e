//! Serving a service: accepting sessions, running calls, and ending both without loss.

mod accepted_session;
mod accepting;
mod builder;
mod executor;
mod fair_share;
mod lame_duck;
mod options;
mod provisional;
mod receive_loop;
mod running;
mod server_endpoint;

pub use self::builder::ServerBuilder;
pub use self::lame_duck::LameDuck;
pub use self::running::Server;
