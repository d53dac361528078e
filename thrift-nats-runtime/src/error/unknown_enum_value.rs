//! Text that does not name a value of an enum.

/// Text that is neither the name of a value of an enum nor a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a value of enum `{name}` nor a number")]
pub struct UnknownEnumValue {
    name: &'static str,
    text: String,
}

impl UnknownEnumValue {
    /// Parses `text` as a number: enums are open, and a value without a name is written as its number. For generated code.
    ///
    /// # Errors
    /// If it is not an `i32`.
    pub fn number(name: &'static str, text: &str) -> Result<i32, Self> {
        text.parse().map_err(|_| Self { name, text: text.to_owned() })
    }
}
