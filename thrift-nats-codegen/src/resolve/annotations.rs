//! Annotations that the generator understands: the keys of the family `rust.`.

use super::Checker;
use super::hints;
use crate::diagnostics::Diagnostic;
use crate::ir::{Annotation, ItemKind, Ty, TyKind};

/// The keys that have a meaning, and what they stand at.
const KNOWN: [&str; 2] = ["rust.name", "rust.derive"];

impl Checker<'_> {
    /// A key of the family that nothing would come of is an error.
    pub(super) fn annotations(&mut self) {
        let mut found = Vec::new();
        for (_, item) in self.items() {
            check(&item.annotations, &mut found);
            match &item.kind {
                ItemKind::Typedef(ty) | ItemKind::Const { ty, .. } => check_type(ty, &mut found),
                ItemKind::Enum(values) => {
                    values.iter().for_each(|value| check(&value.annotations, &mut found))
                }
                ItemKind::Struct { fields, .. } => {
                    for field in fields {
                        check(&field.annotations, &mut found);
                        check_type(&field.ty, &mut found);
                    }
                }
                ItemKind::Service { functions, .. } => {
                    for function in functions {
                        check(&function.annotations, &mut found);
                        for field in function.arguments.iter().chain(&function.throws) {
                            check(&field.annotations, &mut found);
                            check_type(&field.ty, &mut found);
                        }
                        function.returns.iter().for_each(|ty| check_type(ty, &mut found));
                    }
                }
            }
        }
        self.diagnostics.append(&mut found);
    }
}

fn check(annotations: &[Annotation], found: &mut Vec<Diagnostic>) {
    for annotation in annotations {
        if annotation.key.starts_with("rust.") && !KNOWN.contains(&annotation.key.as_str()) {
            let near = hints::nearest(&annotation.key, KNOWN.into_iter());
            found.push(
                Diagnostic::error(annotation.place, format!("unknown annotation `{}`", annotation.key))
                    .label("nothing would come of it")
                    .help(near.map_or_else(
                        || format!("there are `{}`", KNOWN.join("` and `")),
                        |near| format!("there is `{near}`"),
                    )),
            );
        }
    }
}

fn check_type(ty: &Ty, found: &mut Vec<Diagnostic>) {
    check(&ty.annotations, found);
    match &ty.kind {
        TyKind::List(element) | TyKind::Set(element) => check_type(element, found),
        TyKind::Map(key, value) => {
            check_type(key, found);
            check_type(value, found);
        }
        TyKind::Base(_) | TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => {}
    }
}
