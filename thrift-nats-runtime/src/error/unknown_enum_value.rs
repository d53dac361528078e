//! Text that is no value of an enum.

/// Text that is neither the name of a value of an enum nor a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no value of enum `{name}`")]
pub struct UnknownEnumValue {
    name: &'static str,
    text: String,
}

impl UnknownEnumValue {
    /// The number that `text` is: enums are open, and a value without a name is shown as its number. For generated code.
    ///
    /// # Errors
    /// If it is no number.
    pub fn number(name: &'static str, text: &str) -> Result<i32, Self> {
        text.parse().map_err(|_| Self { name, text: text.to_owned() })
    }
}
