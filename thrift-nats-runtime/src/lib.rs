//! Runtime.
pub mod protocol;
pub use bytes::Bytes;
pub use ordered_float::OrderedFloat;
pub use uuid::Uuid;
