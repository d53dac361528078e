//! Attributes that options put on types and fields, chosen by pattern.

use wildmatch::WildMatch;

use crate::diagnostics::Diagnostic;
use crate::ir::{ItemId, ItemKind, Program};

/// An attribute, and the pattern of the types or fields that get it.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The pattern, as it was given.
    pattern: String,
    /// One or more outer attributes: `#[…]`.
    pub(crate) attribute: String,
}

impl Rule {
    /// A rule, if `attribute` is made of outer attributes.
    pub(crate) fn new(pattern: &str, attribute: &str) -> Result<Self, String> {
        let parsed = syn::parse::Parser::parse_str(syn::Attribute::parse_outer, attribute);
        match parsed {
            Ok(attributes) if attributes.is_empty() => {
                Err(format!("`{attribute}` is not an attribute; write `#[…]`"))
            }
            Ok(_) => Ok(Self { pattern: pattern.to_owned(), attribute: attribute.to_owned() }),
            Err(error) => Err(format!("`{attribute}` is not an attribute: {error}")),
        }
    }

    /// Whether the pattern matches the whole path, or its end. `*` stands for any part of a name.
    pub(crate) fn matches(&self, path: &[&str]) -> bool {
        let parts: Vec<&str> = self.pattern.split('.').collect();
        let Some(skipped) = path.len().checked_sub(parts.len()) else { return false };
        parts.iter().zip(&path[skipped..]).all(|(part, name)| WildMatch::new(part).matches(name))
    }
}

/// The attributes for types, and those for fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) types: Vec<Rule>,
    pub(crate) fields: Vec<Rule>,
}

impl Rules {
    /// Reports the rules that match nothing.
    pub(crate) fn check(&self, program: &Program, diagnostics: &mut Vec<Diagnostic>) {
        let types: Vec<Vec<&str>> = program.ids().filter_map(|id| type_path(program, id)).collect();
        let fields = || program.ids().flat_map(|id| member_paths(program, id));
        for rule in &self.types {
            if !types.iter().any(|path| rule.matches(path)) {
                diagnostics.push(unmatched(
                    rule,
                    "type",
                    "a name, as in `Order`, `orders.Order` or `orders.*`",
                ));
            }
        }
        for rule in &self.fields {
            if !fields().any(|path| rule.matches(&path)) {
                diagnostics.push(unmatched(
                    rule,
                    "field",
                    "a type and a field, as in `Order.price` or `*.price`",
                ));
            }
        }
    }
}

fn unmatched(rule: &Rule, what: &str, form: &str) -> Diagnostic {
    let text = format!("no {what} is matched by `{}`, which is to have `{}`", rule.pattern, rule.attribute);
    Diagnostic::without_place(text).help(format!("a pattern is {form}, in the IDL's names"))
}

/// The names of a type from the outside in: its file, and its own.
pub(crate) fn type_path(program: &Program, id: ItemId) -> Option<Vec<&str>> {
    let item = program.item(id);
    let is_type = matches!(item.kind, ItemKind::Enum(_) | ItemKind::Struct { .. });
    is_type.then(|| vec![program.files[item.file.index()].stem.as_str(), item.name.text.as_str()])
}

fn member_paths(program: &Program, id: ItemId) -> impl Iterator<Item = Vec<&str>> {
    let fields = match &program.item(id).kind {
        ItemKind::Struct { fields, .. } => fields.as_slice(),
        _ => &[],
    };
    fields.iter().filter_map(move |field| {
        let mut path = type_path(program, id)?;
        path.push(&field.name.text);
        Some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_of_the_whole_path_or_of_its_end() {
        let matches = |pattern: &str, path: &[&str]| Rule::new(pattern, "#[x]").unwrap().matches(path);
        assert!(matches("Order", &["orders", "Order"]));
        assert!(matches("orders.*", &["orders", "Order"]));
        assert!(matches("*.price", &["orders", "Order", "price"]));
        assert!(matches("Ord*r", &["orders", "Order"]));
        assert!(!matches("Order", &["orders", "OrderItem"]));
        assert!(!matches("other.Order", &["orders", "Order"]));
        assert!(!matches("a.b.c", &["b", "c"]));
    }

    #[test]
    fn only_attributes_are_attributes() {
        assert!(Rule::new("A", "#[derive(Eq)] #[doc = \"x\"]").is_ok());
        assert!(Rule::new("A", "derive(Eq)").is_err());
        assert!(Rule::new("A", "").is_err());
    }
}
