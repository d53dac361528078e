//! Which structs are keys: elements of sets, keys of maps, and what these are made of.

use std::collections::HashSet;

use super::Checker;
use crate::ir::{ItemKind, Ty, TyKind};

impl Checker<'_> {
    pub(super) fn find_keys(&mut self) {
        let mut keys = HashSet::new();
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
        self.program.keys.extend(keys);
    }

    fn keys_in(&self, ty: &Ty, keys: &mut HashSet<crate::ir::ItemId>) {
        match &ty.kind {
            TyKind::List(element) => self.keys_in(element, keys),
            TyKind::Set(element) => self.structs_in(element, keys),
            TyKind::Map(key, value) => {
                self.structs_in(key, keys);
                self.keys_in(value, keys);
            }
            // Definitions speak for themselves.
            TyKind::Base(_) | TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => {}
        }
    }
}
