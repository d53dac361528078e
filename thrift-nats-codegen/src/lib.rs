//! Apache Thrift IDL to typed async Rust for thrift-nats.
//!
//! In a build script:
//!
//! ```no_run
//! fn main() -> Result<(), thrift_nats_codegen::Error> {
//!     thrift_nats_codegen::compile(["idl/tutorial.thrift"])
//! }
//! ```
//!
//! and in the crate `thrift_nats_runtime::include_thrift!();`. [`Options`] sets options; the attribute macro of the runtime and the
//! command `thrift-nats-gen` have the same ones.
//!
//! A file is parsed (`thrift-parser`). It is resolved and checked with all files that it includes (`resolve`), which gives a program
//! that knows no Rust (`ir`). Names (`naming`) and shapes (`shape`) are decided. Then code is emitted (`emit`) and laid out
//! (`layout`).

mod attributes;
mod audit;
mod derives;
mod diagnostics;
mod emit;
mod error;
mod externs;
mod generate;
mod graph;
#[cfg(feature = "html")]
mod html;
mod ir;
mod layout;
mod naming;
mod options;
mod output;
mod parsed;
mod reading;
mod resolve;
mod shape;
mod sources;
mod unread;

use std::path::Path;

pub use self::audit::{Version, audit};
#[doc(hidden)]
pub use self::diagnostics::FrontEnd;
pub use self::diagnostics::{Finding, Location, Report, Severity};
pub use self::error::Error;
pub use self::generate::Generated;
#[cfg(feature = "html")]
pub use self::html::Documentation;
pub use self::options::{Containers, Options, Strings};
pub use self::parsed::ParsedFile;

/// For build scripts: generates from `files` and all files that they include, with all options at their defaults.
///
/// # Errors
/// See [`Error`].
pub fn compile(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<(), Error> {
    Options::new().compile(files)
}
