//! Removed and moved definitions, and changes to typedefs, constants and enums.

use std::collections::{BTreeSet, HashMap};

use super::Audit;
use super::types::Change;
use super::version::{List, word};
use crate::diagnostics::{Diagnostic, Severity};
use crate::ir::{EnumValue, ItemId, ItemKind, Program, Ty, TyKind};

impl<'a> Audit<'a> {
    /// The module that Rust code finds a file's types in.
    pub(super) fn namespaces(&mut self) {
        for file in 0..self.old.program.files.len() {
            let Some(new_file) = self.matches.file(file) else { continue };
            let (old, new) = (&self.old.program.files[file], &self.new.program.files[new_file]);
            let scope = |of: &crate::ir::File| {
                ["rs", "*"].into_iter().find(|scope| of.namespace_for(scope).is_some())
            };
            let (was, is) = (scope(old), scope(new));
            let name = |of: &'a crate::ir::File, scope: Option<&str>| {
                scope.and_then(|scope| of.namespace_for(scope)).map(|name| format!("`{name}`"))
            };
            let (old_name, new_name) = (name(old, was), name(new, is));
            if old_name == new_name {
                continue;
            }
            let shown = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
            let text = format!("namespace for rs changes from {} to {}", shown(old_name), shown(new_name));
            let old_place =
                was.and_then(|scope| self.old.namespace(file, scope)).or(self.old.beginning(file));
            let new_place =
                is.and_then(|scope| self.new.namespace(new_file, scope)).or(self.new.beginning(new_file));
            match (new_place, old_place) {
                (Some(new), Some(old)) => {
                    let label = "the types are in another module now";
                    self.find(Severity::Warning, text, (new, label), (old, "was this"));
                }
                // The file is empty.
                (Some(place), None) | (None, Some(place)) => {
                    self.findings.push(Diagnostic::warning(place, text));
                }
                (None, None) => {}
            }
        }
    }

    /// Reports the definitions that are in another file now.
    pub(super) fn moved(&mut self) {
        for (old, new) in self.matches.pairs() {
            let (was, is) = (self.old_item(old), self.new_item(new));
            if self.matches.file(was.file.index()) == Some(is.file.index()) {
                continue;
            }
            let text = format!(
                "{} `{}` moves from `{}` to `{}`",
                word(was),
                was.name.text,
                self.old.path(was.file.index()).display(),
                self.new.path(is.file.index()).display()
            );
            let (new, old) = (self.new.name(new), self.old.name(old));
            let label = "files that use it have to include this one";
            self.find(Severity::Warning, text, (new, label), (old, "was here"));
        }
    }

    /// Reports the definitions that were removed.
    pub(super) fn removed(&mut self) {
        let in_use = in_use(self.old.program);
        for id in self.old.program.ids() {
            if self.matches.new_of(id).is_some() {
                continue;
            }
            let item = self.old_item(id);
            let used = in_use.contains(&id) && !self.replaced.contains(&id);
            let (severity, label) = match &item.kind {
                ItemKind::Service { .. } => (Severity::Error, "its clients find no such service"),
                ItemKind::Enum(_) | ItemKind::Struct { .. } if used => {
                    (Severity::Error, "a service has it on the wire")
                }
                ItemKind::Enum(_)
                | ItemKind::Struct { .. }
                | ItemKind::Typedef(_)
                | ItemKind::Const { .. } => {
                    (Severity::Warning, "not on the wire of any service by this name")
                }
            };
            let text = format!("{} `{}` is removed", word(item), item.name.text);
            let place = self.old.name(id);
            let finding = match severity {
                Severity::Error => Diagnostic::error(place, text),
                Severity::Warning => Diagnostic::warning(place, text),
            };
            let finding = finding.label(label);
            let path = self.old.path(item.file.index()).display();
            self.findings.push(match self.missing_at(id) {
                Some((place, note)) => finding.note(place, note),
                None => finding.help(format!("the new version has no file `{path}`, or it is empty")),
            });
        }
    }

    /// The place in the new version for a removed definition: that of its neighbour.
    fn missing_at(&self, gone: ItemId) -> Option<(crate::sources::Place, &'static str)> {
        let file = self.old_item(gone).file.index();
        let new_file = self.matches.file(file)?;
        let items = &self.old.program.files[file].items;
        let own = items.iter().position(|id| *id == gone)?;
        let stays = |id: &ItemId| {
            let new = self.matches.new_of(*id)?;
            (self.new_item(new).file.index() == new_file).then_some(new)
        };
        if let Some(before) = items[..own].iter().rev().find_map(stays) {
            return Some((self.new.name(before), "missing after this"));
        }
        if let Some(after) = items[own..].iter().find_map(stays) {
            return Some((self.new.name(after), "missing before this"));
        }
        self.new.beginning(new_file).map(|place| (place, "missing in this file"))
    }

    /// Compares two matched definitions.
    pub(super) fn definition(&mut self, old: ItemId, new: ItemId) {
        let (was, is) = (self.old_item(old), self.new_item(new));
        match (&was.kind, &is.kind) {
            (ItemKind::Typedef(old_ty), ItemKind::Typedef(new_ty)) => {
                self.type_finding(&format!("typedef `{}`", is.name.text), old_ty, new_ty);
            }
            (ItemKind::Const { ty: old_ty, .. }, ItemKind::Const { ty: new_ty, .. }) => {
                self.constant((old, old_ty), (new, new_ty));
            }
            (ItemKind::Enum(old_values), ItemKind::Enum(new_values)) => {
                self.enumeration((old, old_values), (new, new_values));
            }
            (
                ItemKind::Struct { kind: old_kind, fields: old_fields },
                ItemKind::Struct { kind: new_kind, fields: new_fields },
            ) => {
                if old_kind == new_kind {
                    let (old, new) = ((List::Fields(old), &**old_fields), (List::Fields(new), &**new_fields));
                    self.fields(&is.name.text, *new_kind, old, new);
                } else {
                    self.kind_change(old, new, Severity::Error, "the two do not understand each other");
                }
            }
            (ItemKind::Service { .. }, ItemKind::Service { .. }) => self.service(old, new),
            (_, _) => self.other_kind(old, new),
        }
    }

    fn kind_change(&mut self, old: ItemId, new: ItemId, severity: Severity, label: &str) {
        let (was, is) = (word(self.old_item(old)), word(self.new_item(new)));
        let text =
            format!("`{}` was {} and is {} now", self.new_item(new).name.text, article(was), article(is));
        let (new, old) = (self.new.name(new), self.old.name(old));
        self.find(severity, text, (new, label), (old, &format!("{} before", article(was))));
    }

    /// Compares definitions of different kinds: a typedef may have named the same type.
    fn other_kind(&mut self, old: ItemId, new: ItemId) {
        let old_ty = named(old, self.old_item(old).name.place);
        let new_ty = named(new, self.new_item(new).name.place);
        match self.types_behind(&old_ty, &new_ty) {
            Change::None | Change::Type => {
                self.kind_change(old, new, Severity::Warning, "the same on the wire, not in code");
            }
            Change::Wire { part, new: wire, .. } => {
                self.kind_change(old, new, Severity::Error, &format!("{part}{wire} on the wire"));
            }
        }
    }

    fn constant(&mut self, (old, old_ty): (ItemId, &'a Ty), (new, new_ty): (ItemId, &'a Ty)) {
        let name = &self.new_item(new).name.text;
        if self.types(old_ty, new_ty) != Change::None {
            let (was, is) = (self.old.text(old_ty.place), self.new.text(new_ty.place));
            let text = format!("type of constant `{name}` changes from `{was}` to `{is}`");
            let (new, old) = (self.new.place(new_ty.place), self.old.place(old_ty.place));
            self.find(Severity::Warning, text, (new, "another type in code"), (old, "was this"));
            return;
        }
        let (ItemKind::Const { value: was, .. }, ItemKind::Const { value: is, .. }) =
            (&self.old_item(old).kind, &self.new_item(new).kind)
        else {
            return;
        };
        if !self.same_value(was, is) {
            let new_place = self.new.value(new).unwrap_or(self.new.name(new));
            let old_place = self.old.value(old).unwrap_or(self.old.name(old));
            let text = format!("value of constant `{name}` changes");
            let label = "old and new code do not agree on it";
            self.find(Severity::Warning, text, (new_place, label), (old_place, "was this"));
        }
    }

    fn enumeration(&mut self, (old, was): (ItemId, &[EnumValue]), (new, is): (ItemId, &[EnumValue])) {
        let name = &self.new_item(new).name.text;
        let by_name: HashMap<&str, usize> =
            is.iter().enumerate().map(|(index, value)| (value.name.text.as_str(), index)).collect();
        let old_numbers: HashMap<&str, i32> =
            was.iter().map(|value| (value.name.text.as_str(), value.number)).collect();
        let by_number: HashMap<i32, usize> =
            is.iter().enumerate().rev().map(|(index, value)| (value.number, index)).collect();
        for (old_index, value) in was.iter().enumerate() {
            let value_name = &value.name.text;
            let written = self.old.number(old, old_index).unwrap_or(self.old.place(value.name.place));
            if let Some(index) = by_name.get(value_name.as_str()) {
                let number = is[*index].number;
                if number == value.number {
                    continue;
                }
                let place = self.new.number(new, *index);
                let text = format!("`{name}.{value_name}` is {number} now, and was {}", value.number);
                let at = place.unwrap_or(self.new.place(is[*index].name.place));
                let finding = Diagnostic::error(at, text)
                    .label("an old peer takes it for something else")
                    .note(written, format!("{} before", value.number));
                let help = "give every value its number, and new ones a number that was never used";
                self.findings.push(if place.is_none() { finding.help(help) } else { finding });
                continue;
            }
            let other = by_number.get(&value.number).map(|index| &is[*index].name);
            match other.map(|other| (other, old_numbers.get(other.text.as_str()))) {
                Some((other, None)) => {
                    let text = format!("`{name}.{value_name}` is called `{}` now", other.text);
                    let at = (self.new.place(other.place), "the number is the same");
                    let was = (self.old.place(value.name.place), "the old name");
                    self.find(Severity::Warning, text, at, was);
                }
                Some((other, Some(number))) if *number == value.number => {
                    let text = format!("`{name}.{value_name}` is removed");
                    let at = (self.new.place(other.place), "the number keeps this name");
                    let was = (self.old.place(value.name.place), "was defined here");
                    self.find(Severity::Warning, text, at, was);
                }
                // The number was removed, too, or went to another value.
                None | Some(_) => {
                    let text = format!("`{name}.{value_name}` is removed");
                    let at = (self.new.name(new), "an old peer may still send it");
                    let was = (self.old.place(value.name.place), "was defined here");
                    self.find(Severity::Error, text, at, was);
                }
            }
        }
    }
}

fn named(id: ItemId, place: crate::sources::Place) -> Ty {
    Ty { kind: TyKind::Item(id), annotations: Vec::new(), place }
}

fn article(noun: &str) -> String {
    if noun == "exception" || noun == "enum" { format!("an {noun}") } else { format!("a {noun}") }
}

/// The types that services send: arguments, results and exceptions, and all types within them.
fn in_use(program: &Program) -> BTreeSet<ItemId> {
    let mut found = BTreeSet::new();
    let mut work: Vec<&Ty> = Vec::new();
    for item in &program.items {
        if let ItemKind::Service { functions, .. } = &item.kind {
            for function in functions {
                work.extend(&function.returns);
                work.extend(function.arguments.iter().chain(&function.throws).map(|field| &field.ty));
            }
        }
    }
    while let Some(ty) = work.pop() {
        match &ty.kind {
            TyKind::List(element) | TyKind::Set(element) => work.push(element),
            TyKind::Map(key, value) => work.extend([&**key, &**value]),
            TyKind::Item(id) if found.insert(*id) => match &program.item(*id).kind {
                ItemKind::Typedef(ty) => work.push(ty),
                ItemKind::Struct { fields, .. } => work.extend(fields.iter().map(|field| &field.ty)),
                ItemKind::Enum(_) | ItemKind::Const { .. } | ItemKind::Service { .. } => {}
            },
            TyKind::Item(_) | TyKind::Base(_) | TyKind::Uuid | TyKind::Unknown => {}
        }
    }
    found
}
