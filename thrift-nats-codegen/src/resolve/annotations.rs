//! Annotations that the generator understands: the keys of the family `rust.`.

use thrift_parser::syntax::BaseType;

use super::Checker;
use super::hints;
use crate::diagnostics::Diagnostic;
use crate::ir::{Annotation, ItemKind, Ty, TyKind};

/// The owner of an annotation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// A typedef or a field: a name, and a type.
    Typed,
    /// A function, or the value of an enum.
    Named,
    /// An enum, a struct, a union or an exception.
    Derived,
    /// A service.
    Service,
    Type,
}

impl At {
    const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Typed => &["rust.name", "rust.type"],
            Self::Named | Self::Service => &["rust.name"],
            Self::Derived => &["rust.name", "rust.derive"],
            Self::Type => &["rust.type"],
        }
    }
}

impl Checker<'_> {
    /// Reports keys of the family `rust.` that have no effect, and values without a meaning.
    pub(super) fn annotations(&mut self) {
        let mut found = Vec::new();
        for (_, item) in self.items() {
            let at = match &item.kind {
                ItemKind::Typedef(_) => At::Typed,
                ItemKind::Const { .. } | ItemKind::Service { .. } => At::Service,
                ItemKind::Enum(_) | ItemKind::Struct { .. } => At::Derived,
            };
            check(&item.annotations, at, &mut found);
            match &item.kind {
                ItemKind::Typedef(ty) | ItemKind::Const { ty, .. } => self.check_type(ty, &mut found),
                ItemKind::Enum(values) => {
                    values.iter().for_each(|value| check(&value.annotations, At::Named, &mut found));
                }
                ItemKind::Struct { fields, .. } => {
                    for field in fields {
                        check(&field.annotations, At::Typed, &mut found);
                        self.check_type(&field.ty, &mut found);
                    }
                }
                ItemKind::Service { functions, .. } => {
                    for function in functions {
                        check(&function.annotations, At::Named, &mut found);
                        check_idempotent(&function.annotations, &mut found);
                        for field in function.arguments.iter().chain(&function.throws) {
                            check(&field.annotations, At::Typed, &mut found);
                            self.check_type(&field.ty, &mut found);
                        }
                        function.returns.iter().for_each(|ty| self.check_type(ty, &mut found));
                    }
                }
            }
        }
        self.diagnostics.append(&mut found);
    }

    fn check_type(&self, ty: &Ty, found: &mut Vec<Diagnostic>) {
        check(&ty.annotations, At::Type, found);
        if let Some(annotation) = ty.rust_type()
            && let Some(why) = self.misplaced(ty, &annotation.value)
        {
            let text = format!("`rust.type = \"{}\"` does not fit", annotation.value);
            found.push(Diagnostic::error(annotation.place, text).label(why).note(ty.place, "the type"));
        }
        match &ty.kind {
            TyKind::List(element) | TyKind::Set(element) => self.check_type(element, found),
            TyKind::Map(key, value) => {
                self.check_type(key, found);
                self.check_type(value, found);
            }
            TyKind::Base(_) | TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => {}
        }
    }

    /// The reason why a type cannot have this `rust.type`.
    fn misplaced(&self, ty: &Ty, value: &str) -> Option<&'static str> {
        match (value, &ty.kind) {
            (_, TyKind::Unknown) => None,
            ("hash" | "btree", TyKind::Set(_) | TyKind::Map(..)) => None,
            ("shared" | "owned", TyKind::Base(BaseType::String)) => None,
            ("hash" | "btree" | "shared" | "owned", TyKind::Item(id))
                if matches!(self.program.item(*id).kind, ItemKind::Typedef(_)) =>
            {
                Some("the name stands for one type everywhere: write it at the typedef")
            }
            ("hash" | "btree", _) => Some("only for sets and maps"),
            ("shared" | "owned", _) => Some("only for strings"),
            (path, _) => match syn::parse_str::<syn::Type>(path) {
                Ok(_) => None,
                Err(_) => Some("neither `hash`, `btree`, `shared`, `owned` nor a type of Rust"),
            },
        }
    }
}

/// Reports other values than yes and no. Such a value would mean no: calls would silently not be retried.
fn check_idempotent(annotations: &[Annotation], found: &mut Vec<Diagnostic>) {
    for annotation in annotations.iter().filter(|annotation| annotation.key == "idempotent") {
        if !matches!(annotation.value.as_str(), "1" | "true" | "0" | "false") {
            let text = format!("`idempotent = \"{}\"` says neither yes nor no", annotation.value);
            found.push(
                Diagnostic::warning(annotation.place, text)
                    .label("taken for `false`")
                    .help("write `idempotent = \"true\"` if the call may be sent again"),
            );
        }
    }
}

fn check(annotations: &[Annotation], at: At, found: &mut Vec<Diagnostic>) {
    let known = at.known();
    for annotation in annotations.iter().filter(|annotation| annotation.key.starts_with("rust.")) {
        if !known.contains(&annotation.key.as_str()) {
            const ALL: [&str; 3] = ["rust.name", "rust.type", "rust.derive"];
            let elsewhere = ALL.contains(&annotation.key.as_str());
            let near = hints::nearest(&annotation.key, ALL.into_iter());
            let text = if elsewhere {
                format!("annotation `{}` has no meaning here", annotation.key)
            } else {
                format!("unknown annotation `{}`", annotation.key)
            };
            found.push(Diagnostic::error(annotation.place, text).label("nothing would come of it").help(
                near.filter(|_| !elsewhere).map_or_else(
                    || format!("here there can be `{}`", known.join("` and `")),
                    |near| format!("there is `{near}`"),
                ),
            ));
        } else if annotation.key == "rust.derive" {
            for path in annotation.value.split(',').map(str::trim).filter(|path| !path.is_empty()) {
                if syn::parse_str::<syn::Path>(path).is_err() {
                    let text = format!("`{path}` is not the path of a trait");
                    found.push(
                        Diagnostic::error(annotation.place, text)
                            .label("expected paths with commas between them"),
                    );
                }
            }
        }
    }
}
