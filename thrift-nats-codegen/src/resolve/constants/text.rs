//! Values in the text of errors.

use thrift_parser::syntax::{Value, ValueKind};

/// The path of a value in errors: `M["a"].field`.
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    text: String,
}

impl<'a> Path<'a> {
    pub(super) fn root(name: &str) -> Self {
        Self { parent: None, text: name.to_owned() }
    }

    pub(super) fn then(&'a self, text: String) -> Self {
        Path { parent: Some(self), text }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        f.write_str(&self.text)
    }
}

/// The kind of a value, for errors.
pub(super) fn describe(value: &Value) -> String {
    match &value.kind {
        ValueKind::Integer(number) => format!("the integer {number}"),
        ValueKind::Double(_) => "a double".to_owned(),
        ValueKind::Literal(_) => "a quoted literal".to_owned(),
        ValueKind::Name(name) => format!("`{name}`"),
        ValueKind::List(_) => "a list".to_owned(),
        ValueKind::Map(_) => "a map".to_owned(),
    }
}

/// A value as it is written, shortened.
pub(super) fn written(value: &Value) -> String {
    match &value.kind {
        ValueKind::Integer(number) => number.to_string(),
        ValueKind::Double(number) => number.to_string(),
        ValueKind::Literal(text) if text.chars().count() <= 40 => format!("{text:?}"),
        ValueKind::Literal(text) => format!("{:?}…", text.chars().take(40).collect::<String>()),
        ValueKind::Name(name) => name.clone(),
        ValueKind::List(_) => "[…]".to_owned(),
        ValueKind::Map(_) => "{…}".to_owned(),
    }
}
