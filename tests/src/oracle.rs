//! The oracle: makes calls while things break, and tells whether anything happened that must not.
//!
//! Every call has a number of its own, which decides what it is and what its answer has to be. Clients write down what
//! became of each, servers each that they run, before they run it; both are processes of their own that can be killed. In
//! the end the notes are laid beside each other. Each call must have ended in the right answer or in a typed error by its
//! deadline; none may have been run twice, unless its function is idempotent; and what is said not to have been run must
//! not have been.

mod call;
mod drive;
mod notes;
mod peer;
mod plan;
mod serve;
mod verdict;

pub use self::call::{CallOptions, call};
pub use self::drive::{DriveOptions, drive};
pub use self::plan::Fault;
pub use self::serve::{ServeOptions, serve};
pub use self::verdict::{Report, Violation};

#[thrift_nats_runtime::thrift("../idl/oracle.thrift")]
mod api {}

/// What ends an oracle without a verdict.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where the service of the oracle is.
const SUBJECT: &str = "oracle";
