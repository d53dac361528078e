//! Types: how they are encoded, and whether one may replace another.

use std::fmt;

use thrift_parser::syntax::BaseType;

use super::Audit;
use super::version::word;
use crate::diagnostics::Severity;
use crate::ir::{ItemId, ItemKind, Program, Ty, TyKind};

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    String,
    Uuid,
    List,
    Set,
    Map,
    Struct,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a bool",
            Self::I8 => "an i8",
            Self::I16 => "an i16",
            Self::I32 => "an i32",
            Self::I64 => "an i64",
            Self::Double => "a double",
            Self::String => "a string",
            Self::Uuid => "a uuid",
            Self::List => "a list",
            Self::Set => "a set",
            Self::Map => "a map",
            Self::Struct => "a struct",
        })
    }
}

/// The difference between two types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// They are the same, or the change is reported at a definition.
    None,
    /// Another type, the same on the wire.
    Type,
    /// Another type on the wire: which part of it, and what it was and is.
    Wire { part: String, old: Wire, new: Wire },
}

impl Change {
    /// The worse of two changes. Of equals, the first.
    fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Wire { .. }, _) | (_, Self::None) | (Self::Type, Self::Type) => self,
            (Self::None | Self::Type, _) => other,
        }
    }

    fn within(self, part: &str) -> Self {
        match self {
            Self::Wire { part: inner, old, new } if inner.is_empty() => {
                Self::Wire { part: format!("{part}: "), old, new }
            }
            Self::Wire { part: inner, old, new } => Self::Wire { part: format!("{part}, {inner}"), old, new },
            Self::None | Self::Type => self,
        }
    }
}

/// The encoding of a type that is not a typedef. `None` if it has an error, which is reported already.
fn wire(program: &Program, ty: &Ty) -> Option<Wire> {
    Some(match &program.behind(ty).kind {
        TyKind::Base(base) => match base {
            BaseType::Bool => Wire::Bool,
            BaseType::I8 => Wire::I8,
            BaseType::I16 => Wire::I16,
            BaseType::I32 => Wire::I32,
            BaseType::I64 => Wire::I64,
            BaseType::Double => Wire::Double,
            BaseType::String | BaseType::Binary => Wire::String,
        },
        TyKind::Uuid => Wire::Uuid,
        TyKind::List(_) => Wire::List,
        TyKind::Set(_) => Wire::Set,
        TyKind::Map(..) => Wire::Map,
        TyKind::Item(id) => match program.item(*id).kind {
            ItemKind::Enum(_) => Wire::I32,
            ItemKind::Struct { .. } => Wire::Struct,
            ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Service { .. } => return None,
        },
        TyKind::Unknown => return None,
    })
}

impl Audit<'_> {
    /// The change of a type. A definition that replaces another is compared with it, too.
    pub(super) fn types(&mut self, old: &Ty, new: &Ty) -> Change {
        if let (TyKind::Item(old), TyKind::Item(new)) = (&old.kind, &new.kind)
            && self.matches.are(*old, *new)
        {
            return Change::None;
        }
        let (TyKind::Item(old_id), TyKind::Item(new_id)) = (&old.kind, &new.kind) else {
            return self.types_behind(old, new);
        };
        // Typedefs may use each other so often that resolving each one again would take forever.
        if let Some(known) = self.changes.get(&(*old_id, *new_id)) {
            return known.clone();
        }
        let change = self.types_behind(old, new);
        self.changes.insert((*old_id, *new_id), change.clone());
        change
    }

    /// The same, with all typedefs resolved.
    pub(super) fn types_behind(&mut self, old: &Ty, new: &Ty) -> Change {
        let (old, new) = (self.old.program.behind(old), self.new.program.behind(new));
        let (Some(old_wire), Some(new_wire)) = (wire(self.old.program, old), wire(self.new.program, new))
        else {
            return Change::None;
        };
        if old_wire != new_wire {
            return Change::Wire { part: String::new(), old: old_wire, new: new_wire };
        }
        match (&old.kind, &new.kind) {
            (TyKind::List(old), TyKind::List(new)) | (TyKind::Set(old), TyKind::Set(new)) => {
                self.types(old, new).within("elements")
            }
            (TyKind::Map(old_key, old_value), TyKind::Map(new_key, new_value)) => {
                let keys = self.types(old_key, new_key).within("keys");
                keys.or(self.types(old_value, new_value).within("values"))
            }
            (TyKind::Item(old), TyKind::Item(new)) => self.items(*old, *new),
            (TyKind::Base(old), TyKind::Base(new)) if old == new => Change::None,
            (TyKind::Uuid, TyKind::Uuid) => Change::None,
            (TyKind::Item(old), _) => {
                self.replaced.insert(*old);
                Change::Type
            }
            _ => Change::Type,
        }
    }

    /// Compares an enum or struct with the one that it replaces.
    fn items(&mut self, old: ItemId, new: ItemId) -> Change {
        if self.matches.are(old, new) {
            return Change::None;
        }
        self.enqueue(old, new);
        if self.matches.new_of(old).is_some() || self.matches.old_of(new).is_some() {
            self.replaced.insert(old);
            return Change::Type;
        }
        // One was removed and the other is new: it was renamed.
        self.matches.add(old, new);
        let (was, is) = (self.old_item(old), self.new_item(new));
        let message = format!("{} `{}` is called `{}` now", word(was), was.name.text, is.name.text);
        let (old_place, new_place) = (self.old.name(old), self.new.name(new));
        let at = (new_place, "stands where the other stood");
        self.find(Severity::Warning, message, at, (old_place, "the old name"));
        Change::None
    }

    /// Reports a change of type.
    pub(super) fn type_finding(&mut self, what: &str, old: &Ty, new: &Ty) {
        let change = self.types(old, new);
        self.changed(&change, what, old, new);
    }

    pub(super) fn changed(&mut self, change: &Change, what: &str, old: &Ty, new: &Ty) {
        let message = || {
            let (was, is) = (self.old.text(old.place), self.new.text(new.place));
            if was == is {
                format!("type of {what} changes: `{is}` stands for another one")
            } else {
                format!("type of {what} changes from `{was}` to `{is}`")
            }
        };
        let (old_place, new_place) = (self.old.place(old.place), self.new.place(new.place));
        match change {
            Change::None => {}
            Change::Type => {
                let at = (new_place, "the same on the wire, not in code");
                self.find(Severity::Warning, message(), at, (old_place, "was this"));
            }
            Change::Wire { part, old: was, new: is } => self.find(
                Severity::Error,
                message(),
                (new_place, &format!("{part}{is} on the wire")),
                (old_place, &format!("{part}{was} before")),
            ),
        }
    }
}
