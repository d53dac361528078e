//! Runtime.
pub mod protocol;
