//! Fields of structs, arguments of functions, and exceptions of functions: three lists of the same form.

use std::collections::HashMap;

use thrift_parser::syntax::StructKind;

use super::Audit;
use super::types::Change;
use super::version::List;
use crate::diagnostics::Severity;
use crate::ir::{Field, Requiredness};
use crate::sources::Place;

/// The kind of a list's entries, for the wording of findings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Field,
    Variant,
    Argument,
    Exception,
}

impl Role {
    /// The entry in words.
    fn of(self, name: &str, owner: &str) -> String {
        match self {
            Self::Field | Self::Variant => format!("field `{owner}.{name}`"),
            Self::Argument => format!("argument `{name}` of `{owner}`"),
            Self::Exception => format!("exception `{name}` of `{owner}`"),
        }
    }
}

/// A list of fields of one version.
type Fields<'a> = (List, &'a [Field]);

/// The definition that has both lists.
struct Owner<'n> {
    name: &'n str,
    role: Role,
    /// The places of its name, old and new.
    old: Place,
    new: Place,
}

impl<'a> Audit<'a> {
    /// Compares the fields of a struct, union or exception.
    pub(super) fn fields(&mut self, name: &str, kind: StructKind, old: Fields<'a>, new: Fields<'a>) {
        let (List::Fields(old_id), List::Fields(new_id)) = (old.0, new.0) else { return };
        let role = if kind == StructKind::Union { Role::Variant } else { Role::Field };
        let owner = Owner { name, role, old: self.old.name(old_id), new: self.new.name(new_id) };
        self.list(&owner, old, new);
    }

    /// Compares the arguments of a function: they are the fields of a struct that has no name.
    pub(super) fn arguments(&mut self, name: &str, places: (Place, Place), old: Fields<'a>, new: Fields<'a>) {
        let owner = Owner { name, role: Role::Argument, old: places.0, new: places.1 };
        self.list(&owner, old, new);
    }

    /// Compares the exceptions of a function.
    pub(super) fn throws(&mut self, name: &str, places: (Place, Place), old: Fields<'a>, new: Fields<'a>) {
        let owner = Owner { name, role: Role::Exception, old: places.0, new: places.1 };
        self.list(&owner, old, new);
    }

    fn list(&mut self, owner: &Owner<'_>, old: Fields<'a>, new: Fields<'a>) {
        let by_id: HashMap<i16, usize> = new.1.iter().enumerate().map(|(at, field)| (field.id, at)).collect();
        let new_names = names(new.1);
        let old_names = names(old.1);
        // Entries of the new list that are renamed entries of the old one.
        let mut renamed = vec![false; new.1.len()];
        for (at, was) in old.1.iter().enumerate() {
            let same_name = new_names.get(was.name.text.as_str()).copied();
            let same_id = by_id.get(&was.id).copied();
            match (same_name, same_id) {
                (Some(found), _) if new.1[found].id == was.id => {
                    let what = owner.role.of(&was.name.text, owner.name);
                    let change = self.types(&was.ty, &new.1[found].ty);
                    self.changed(&change, &what, &was.ty, &new.1[found].ty);
                    self.rest(&what, (old, at), (new, found));
                }
                (Some(found), _) => self.renumbered(owner, (old, at), (new, found)),
                (None, Some(found)) if !old_names.contains_key(new.1[found].name.text.as_str()) => {
                    renamed[found] = true;
                    self.renamed(owner, (old, at), (new, found));
                }
                (None, _) => self.field_removed(owner, was),
            }
        }
        for (field, renamed) in new.1.iter().zip(renamed) {
            if !renamed && !old_names.contains_key(field.name.text.as_str()) {
                self.field_added(owner, field);
            }
        }
    }

    fn renumbered(
        &mut self,
        owner: &Owner<'_>,
        (old, old_at): (Fields<'a>, usize),
        (new, new_at): (Fields<'a>, usize),
    ) {
        let (was, is) = (&old.1[old_at], &new.1[new_at]);
        let what = owner.role.of(&is.name.text, owner.name);
        let text = format!("{what} has id {} now, and had {}", is.id, was.id);
        let new_place = self.new.field_id(new.0, new_at).unwrap_or(self.new.place(is.name.place));
        let old_place = self.old.field_id(old.0, old_at).unwrap_or(self.old.place(was.name.place));
        let note = format!("{} before", was.id);
        let at = (new_place, "an old peer does not find it");
        let was = (old_place, note.as_str());
        if is.id < 0 {
            let help =
                "ids that are not written follow from the order: write them, with the numbers they had";
            self.find_with_help(Severity::Error, text, at, was, help);
        } else {
            self.find(Severity::Error, text, at, was);
        }
    }

    /// Reports a new name at an id: a renamed field, or another field that should have a new id.
    fn renamed(
        &mut self,
        owner: &Owner<'_>,
        (old, old_at): (Fields<'a>, usize),
        (new, new_at): (Fields<'a>, usize),
    ) {
        let (was, is) = (&old.1[old_at], &new.1[new_at]);
        let change = self.types(&was.ty, &is.ty);
        if let Change::Wire { part, old: old_wire, new: new_wire } = &change {
            let text = match owner.role {
                Role::Field | Role::Variant => format!("id {} of `{}` is used anew", was.id, owner.name),
                Role::Argument => format!("id {} of the arguments of `{}` is used anew", was.id, owner.name),
                Role::Exception => format!("id {} of what `{}` throws is used anew", was.id, owner.name),
            };
            let new_place = self.new.place(is.name.place);
            let old_place = self.old.place(was.name.place);
            let label = format!("{part}{new_wire} on the wire");
            let note = format!("{part}{old_wire} before");
            let help = "give it an id that was never used";
            self.find_with_help(Severity::Error, text, (new_place, &label), (old_place, &note), help);
            return;
        }
        let what = owner.role.of(&was.name.text, owner.name);
        let text = format!("{what} is called `{}` now", is.name.text);
        let at = (self.new.place(is.name.place), "the same on the wire, not in code");
        self.find(Severity::Warning, text, at, (self.old.place(was.name.place), "the old name"));
        let what = owner.role.of(&is.name.text, owner.name);
        self.changed(&change, &what, &was.ty, &is.ty);
        self.rest(&what, (old, old_at), (new, new_at));
    }

    fn field_removed(&mut self, owner: &Owner<'_>, was: &Field) {
        let what = owner.role.of(&was.name.text, owner.name);
        let text = format!("{what} is removed");
        let (severity, label) = match (owner.role, was.requiredness) {
            (Role::Exception, _) => (Severity::Error, "an old server may still throw it"),
            (_, Requiredness::Required) => (Severity::Error, "an old peer requires it"),
            (Role::Variant, _) => (Severity::Warning, "an old peer may still send it"),
            (Role::Field | Role::Argument, _) => (Severity::Warning, "what an old peer sends in it is lost"),
        };
        let help = format!("id {} must not be used for anything else", was.id);
        let note = (self.old.place(was.name.place), "was defined here");
        self.find_with_help(severity, text, (owner.new, label), note, help);
    }

    fn field_added(&mut self, owner: &Owner<'_>, is: &Field) {
        let what = owner.role.of(&is.name.text, owner.name);
        let place = self.new.place(is.name.place);
        match (owner.role, is.requiredness) {
            (Role::Exception, _) => {
                let text = format!("{what} is new");
                let at = (place, "an old client cannot tell it from a missing result");
                self.find(Severity::Warning, text, at, (owner.old, "did not throw it"));
            }
            (_, Requiredness::Required) => {
                let text = format!("{what} is new, and required");
                let note = (owner.old, "an old peer does not send it");
                self.find_with_help(Severity::Error, text, (place, "required"), note, "make it `optional`");
            }
            (Role::Field | Role::Variant | Role::Argument, _) => {}
        }
    }

    /// Compares requiredness and default.
    fn rest(&mut self, what: &str, (old, old_at): (Fields<'a>, usize), (new, new_at): (Fields<'a>, usize)) {
        let (was, is) = (&old.1[old_at], &new.1[new_at]);
        if was.requiredness != is.requiredness {
            let (severity, label) = match (was.requiredness, is.requiredness) {
                (_, Requiredness::Required) => (Severity::Error, "an old peer may leave it out"),
                (Requiredness::Required, Requiredness::Optional) => {
                    (Severity::Error, "an old peer requires it, and it may be left out now")
                }
                (Requiredness::Required, Requiredness::Default) => {
                    (Severity::Warning, "an old peer requires it; not every language writes it always")
                }
                (Requiredness::Default, Requiredness::Optional) => {
                    (Severity::Warning, "may be left out: an old peer reads the default then")
                }
                (Requiredness::Optional, Requiredness::Default) => {
                    (Severity::Warning, "whether it was left out cannot be told any more")
                }
                (Requiredness::Optional, Requiredness::Optional)
                | (Requiredness::Default, Requiredness::Default) => return,
            };
            let text = format!("{what} was {} and is {} now", word(was.requiredness), word(is.requiredness));
            let new_place = self.new.requiredness(new.0, new_at).unwrap_or(self.new.place(is.name.place));
            let old_place = self.old.requiredness(old.0, old_at).unwrap_or(self.old.place(was.name.place));
            let note = format!("{} before", word(was.requiredness));
            self.find(severity, text, (new_place, label), (old_place, &note));
        }
        let (text, label, note) = match (&was.default, &is.default) {
            (None, None) => return,
            (Some(before), Some(now)) => {
                if self.same_value(before, now) {
                    return;
                }
                ("changes", "the new value of a missing field", "the old value")
            }
            (Some(_), None) => ("is removed", "a missing field is zero or empty now", "the old value"),
            (None, Some(_)) => ("is new", "the new value of a missing field", "had none"),
        };
        let text = format!("default of {what} {text}");
        let new_place = self.new.default(new.0, new_at).unwrap_or(self.new.place(is.name.place));
        let old_place = self.old.default(old.0, old_at).unwrap_or(self.old.place(was.name.place));
        self.find(Severity::Warning, text, (new_place, label), (old_place, note));
    }
}

fn names(fields: &[Field]) -> HashMap<&str, usize> {
    fields.iter().enumerate().map(|(at, field)| (field.name.text.as_str(), at)).collect()
}

const fn word(requiredness: Requiredness) -> &'static str {
    match requiredness {
        Requiredness::Required => "required",
        Requiredness::Optional => "optional",
        Requiredness::Default => "neither required nor optional",
    }
}
