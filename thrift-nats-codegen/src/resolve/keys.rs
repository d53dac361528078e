//! Finds the structs that are keys: elements of sets, keys of maps, and structs within them. Warns of keys that few languages
//! support.

use std::collections::HashSet;

use super::Checker;
use crate::diagnostics::Diagnostic;
use crate::ir::{ItemId, ItemKind, Ty, TyKind};

/// The result of the search.
#[derive(Default)]
struct Keys {
    structs: HashSet<ItemId>,
    /// A warning for each container whose keys few languages can hash.
    containers: Vec<Diagnostic>,
}

impl Checker<'_> {
    pub(super) fn find_keys(&mut self) {
        let mut keys = Keys::default();
        for (_, item) in self.items() {
            match &item.kind {
                ItemKind::Typedef(ty) | ItemKind::Const { ty, .. } => self.keys_in(ty, &mut keys),
                ItemKind::Enum(_) => {}
                ItemKind::Struct { fields, .. } => {
                    fields.iter().for_each(|field| self.keys_in(&field.ty, &mut keys));
                }
                ItemKind::Service { functions, .. } => {
                    for function in functions {
                        function.arguments.iter().for_each(|field| self.keys_in(&field.ty, &mut keys));
                        function.returns.iter().for_each(|ty| self.keys_in(ty, &mut keys));
                    }
                }
            }
        }
        self.program.keys.extend(keys.structs);
        keys.containers.into_iter().for_each(|warning| self.report(warning));
    }

    fn keys_in(&self, ty: &Ty, keys: &mut Keys) {
        match &ty.kind {
            TyKind::List(element) => self.keys_in(element, keys),
            TyKind::Set(element) => self.key(element, "the element of a set", keys),
            TyKind::Map(key, value) => {
                self.key(key, "the key of a map", keys);
                self.keys_in(value, keys);
            }
            // The definition of the type is checked by itself.
            TyKind::Base(_) | TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => {}
        }
    }

    fn key(&self, ty: &Ty, what: &str, keys: &mut Keys) {
        self.structs_in(ty, &mut keys.structs);
        let kind = match &self.program.behind(ty).kind {
            TyKind::List(_) => "a list",
            TyKind::Set(_) => "a set",
            TyKind::Map(..) => "a map",
            TyKind::Base(_) | TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => return,
        };
        keys.containers.push(
            Diagnostic::warning(ty.place, format!("{kind} is {what}"))
                .label("fine in Rust; Go, Python and others cannot have it"),
        );
    }
}
