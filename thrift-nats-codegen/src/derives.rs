//! `rust.derive`: the traits that it asks for, those that a type has already, and those that a type cannot have.

use thrift_parser::syntax::BaseType;

use crate::attributes::type_path;
use crate::diagnostics::Diagnostic;
use crate::ir::{Annotation, Field, ItemId, ItemKind, Program, Ty, TyKind};
use crate::options::Options;
use crate::shape::{Shapes, custom, is_hash};

/// Knows which traits each type has.
pub(crate) struct Derives<'a> {
    pub(crate) program: &'a Program,
    pub(crate) shapes: &'a Shapes,
    pub(crate) options: &'a Options,
}

/// The reason why a field lacks a trait, and a fix that does not remove the trait.
struct Lack {
    why: String,
    instead: Option<String>,
}

impl Lack {
    fn of(why: &str) -> Self {
        Self { why: why.to_owned(), instead: None }
    }
}

/// The traits that `rust.derive` asks for at a type: each path, and the annotation that has it.
pub(crate) fn asked(annotations: &[Annotation]) -> impl Iterator<Item = (&str, &Annotation)> {
    let lists = annotations.iter().filter(|annotation| annotation.key == "rust.derive");
    let paths = lists.flat_map(|list| list.value.split(',').map(move |path| (path.trim(), list)));
    paths.filter(|(path, _)| !path.is_empty())
}

/// The path of a trait without its blanks, and its last name alone if it is of the standard library: that has no two traits
/// of one name to derive.
pub(crate) fn standard_name(path: &str) -> String {
    let path: String = path.split_whitespace().collect();
    let rooted = path.strip_prefix("::").unwrap_or(&path);
    match rooted.split_once("::") {
        Some(("std" | "core", rest)) => rest.rsplit("::").next().unwrap_or(rest).to_owned(),
        _ => path,
    }
}

/// Whether a path is that of one of serde's traits, which the option `serde` derives itself.
pub(crate) fn is_of_serde(path: &str) -> bool {
    let path: String = path.split_whitespace().collect();
    ["serde::Serialize", "serde::Deserialize"]
        .iter()
        .any(|name| path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with("::")))
}

impl Derives<'_> {
    /// Reports the traits of the standard library that a struct or union is to derive and cannot.
    pub(crate) fn check(&self, diagnostics: &mut Vec<Diagnostic>) {
        for id in self.program.ids() {
            let item = self.program.item(id);
            let ItemKind::Struct { fields, .. } = &item.kind else { continue };
            for (path, annotation) in asked(&item.annotations) {
                let name = standard_name(path);
                let lacking = fields
                    .iter()
                    .enumerate()
                    .find_map(|(index, field)| Some((field, self.lacking_in(id, index, field, &name)?)));
                let text = format!("`{name}` cannot be derived for `{}`", item.name.text);
                let error = Diagnostic::error(annotation.place, text);
                if let Some((field, lack)) = lacking {
                    let error = error.label(format!("not all fields are `{name}`"));
                    diagnostics.push(error.note(field.ty.place, lack.why).help(match lack.instead {
                        Some(instead) => format!("remove `{name}`, or {instead}"),
                        None => format!("remove `{name}`"),
                    }));
                } else if name == "Copy" && self.options.keep_unknown_fields {
                    let error = error.label("it keeps unknown fields, which are not `Copy`");
                    diagnostics.push(error.help(format!("remove `{name}`")));
                } else if name == "Ord" && !self.has(id, "PartialOrd") {
                    let error = error.label("`Ord` needs `PartialOrd`");
                    diagnostics.push(error.help("write `rust.derive = \"PartialOrd, Ord\"`"));
                }
            }
        }
    }

    /// The reason why a field of a struct lacks a trait, if it does.
    fn lacking_in(&self, id: ItemId, index: usize, field: &Field, name: &str) -> Option<Lack> {
        // Keys are made to be ordered and hashed.
        if name != "Copy" && self.program.keys.contains(&id) {
            return None;
        }
        if name == "Copy" && self.shapes.field(id, index).boxed {
            return Some(Lack::of("is on the heap"));
        }
        self.lacking(&field.ty, name)
    }

    /// The reason why a type lacks a trait, if it does. Nothing is known of the user's own types.
    fn lacking(&self, ty: &Ty, name: &str) -> Option<Lack> {
        if custom(ty).is_some() {
            return None;
        }
        let ty = self.program.behind(ty);
        if custom(ty).is_some() {
            return None;
        }
        let is_on_heap = match ty.kind {
            TyKind::Base(base) => matches!(base, BaseType::String | BaseType::Binary),
            TyKind::List(_) | TyKind::Set(_) | TyKind::Map(..) => true,
            TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => false,
        };
        match (name, &ty.kind) {
            ("Copy", _) if is_on_heap => Some(Lack::of("is on the heap")),
            ("Eq" | "Ord" | "Hash", TyKind::Base(BaseType::Double)) => Some(Lack::of("a double is not")),
            ("PartialOrd" | "Ord" | "Hash", TyKind::Set(_) | TyKind::Map(..))
                if is_hash(self.options, ty) =>
            {
                let instead = "make it a B-tree with `(rust.type = \"btree\")`".to_owned();
                Some(Lack { instead: Some(instead), ..Lack::of("a hash container is not") })
            }
            (_, TyKind::List(element) | TyKind::Map(_, element)) => self.lacking(element, name),
            (_, TyKind::Item(id)) if !self.has(*id, name) => {
                let other = &self.program.item(*id).name.text;
                let instead = format!("have `{other}` derive it, too");
                Some(Lack { why: format!("`{other}` is not"), instead: Some(instead) })
            }
            _ => None,
        }
    }

    /// Whether a type has a trait of the standard library. One of another crate, it may have.
    fn has(&self, id: ItemId, name: &str) -> bool {
        let item = self.program.item(id);
        if !matches!(item.kind, ItemKind::Struct { .. }) {
            return true;
        }
        let has_anyway = match name {
            "Eq" => self.shapes.has_total_equality(id),
            "Hash" => self.shapes.has_hash(id),
            "PartialOrd" | "Ord" => self.program.keys.contains(&id),
            "Copy" => false,
            _ => true,
        };
        let path = type_path(self.program, id).unwrap_or_default();
        has_anyway
            || asked(&item.annotations).any(|(path, _)| standard_name(path) == name)
            || self.options.attributes.types.iter().any(|rule| rule.matches(&path))
    }
}
