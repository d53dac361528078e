//! Calling a service: opening sessions, calls in flight, and retries when a session ends.

mod admission;
mod backoff;
mod builder;
mod call;
mod client_endpoint;
mod events;
mod home_runtime;
mod opening;
mod options;
mod outgoing_request;
mod prepared_call;
mod retries;
mod session_handle;
mod session_pool;
mod slot;
mod target;
mod untyped_client;
mod wait_queue;

pub use self::builder::ClientBuilder;
pub use self::call::{Call, CallWithHeaders, Response};
pub use self::events::{SessionEvent, SessionEvents};
pub use self::untyped_client::Client;
