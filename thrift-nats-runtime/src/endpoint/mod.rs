//! What joins session state machines to NATS and to time, on both sides.

mod clock;
mod connection;
mod publish_lock;
mod publisher;
mod timers;

pub(crate) use self::clock::now;
pub(crate) use self::connection::{connects, random_base, random_token};
pub(crate) use self::publish_lock::PublishLock;
pub(crate) use self::publisher::{Publisher, TransmitSource};
pub(crate) use self::timers::{Timed, TimerKey, Timers};
