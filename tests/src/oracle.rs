//! The oracle makes calls under faults and checks that the guarantees of the runtime hold.
//!
//! Every call has a unique number, from which its function, its arguments and its reply follow. Clients record how each call
//! ended; servers record each call before they run it. Both are separate processes, which the oracle can kill. At the end it
//! compares the records. By its deadline, each call must have ended with the right reply or with a typed error. No call may
//! have run twice, unless its function is idempotent. A call whose error says that it did not run must not have run. Some
//! faults must not make certain calls fail. After a fault, the calls of all clients must succeed again, and a server must
//! drain.

mod call;
mod drive;
mod flood;
mod notes;
mod peer;
mod plan;
mod serve;
mod verdict;

pub use self::call::{CallOptions, call};
pub use self::drive::{DriveOptions, drive};
pub use self::flood::{FloodOptions, flood};
pub use self::peer::Peer;
pub use self::plan::Fault;
pub use self::serve::{ServeOptions, serve};
pub use self::verdict::{Report, Violation};

#[thrift_nats_runtime::thrift("../idl/oracle.thrift")]
mod api {}

/// An error that ends the oracle without a verdict.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The subject of the service.
const SUBJECT: &str = "oracle";
