//! Values: whether a constant or default has changed.

use super::Audit;
use crate::ir::{Constant, Field, ItemId, ItemKind, Program};

/// The longest chain of constants that name each other. The values at the end of a longer one count as different.
const MOST_HOPS: usize = 100;

impl Audit<'_> {
    /// Whether two values are equal. A constant that has changed is reported at its definition, and counts as equal here.
    pub(super) fn same_value(&mut self, old: &Constant, new: &Constant) -> bool {
        self.same(old, new, 0)
    }

    fn same(&mut self, old: &Constant, new: &Constant, hops: usize) -> bool {
        match (old, new) {
            (Constant::Ref(old), Constant::Ref(new)) => {
                self.matches.are(*old, *new) || self.same_constants(*old, *new, hops + 1)
            }
            (Constant::Ref(old), new) => match value(self.old.program, *old) {
                Some(old) if hops < MOST_HOPS => self.same(old, new, hops + 1),
                _ => false,
            },
            (old, Constant::Ref(new)) => match value(self.new.program, *new) {
                Some(new) if hops < MOST_HOPS => self.same(old, new, hops + 1),
                _ => false,
            },
            (Constant::Bool(old), Constant::Bool(new)) => old == new,
            (Constant::Int(old), Constant::Int(new)) => old == new,
            (Constant::Double(old), Constant::Double(new)) => old.to_bits() == new.to_bits(),
            (Constant::Uuid(old), Constant::Uuid(new)) => old == new,
            (Constant::Enum(_, old), Constant::Enum(_, new)) => old == new,
            (Constant::Int(int), Constant::Enum(_, number))
            | (Constant::Enum(_, number), Constant::Int(int)) => *int == i64::from(*number),
            (Constant::String(_) | Constant::Binary(_), Constant::String(_) | Constant::Binary(_)) => {
                bytes(old) == bytes(new)
            }
            (Constant::List(old), Constant::List(new)) => {
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| self.same(old, new, hops))
            }
            (Constant::Map(old), Constant::Map(new)) => {
                old.len() == new.len()
                    && old.iter().zip(new).all(|((old_key, old), (new_key, new))| {
                        self.same(old_key, new_key, hops) && self.same(old, new, hops)
                    })
            }
            (Constant::Struct(old_id, old), Constant::Struct(new_id, new)) => {
                let (old_fields, new_fields) =
                    (fields(self.old.program, *old_id), fields(self.new.program, *new_id));
                old.len() == new.len()
                    && old.iter().all(|(old_index, old)| {
                        let id = old_fields.get(*old_index).map(|field| field.id);
                        let other =
                            new.iter().find(|(index, _)| new_fields.get(*index).map(|field| field.id) == id);
                        other.is_some_and(|(_, new)| self.same(old, new, hops))
                    })
            }
            (
                Constant::Bool(_)
                | Constant::Int(_)
                | Constant::Double(_)
                | Constant::String(_)
                | Constant::Binary(_)
                | Constant::Uuid(_)
                | Constant::Enum(..)
                | Constant::List(_)
                | Constant::Map(_)
                | Constant::Struct(..)
                | Constant::Unknown,
                _,
            ) => false,
        }
    }

    /// Whether two constants have the same value. Each pair is compared once.
    fn same_constants(&mut self, old: ItemId, new: ItemId, hops: usize) -> bool {
        if let Some(known) = self.equal.get(&(old, new)) {
            return *known;
        }
        let same = match (value(self.old.program, old), value(self.new.program, new)) {
            (Some(old), Some(new)) if hops < MOST_HOPS => self.same(old, new, hops),
            _ => false,
        };
        self.equal.insert((old, new), same);
        same
    }
}

fn value(program: &Program, constant: ItemId) -> Option<&Constant> {
    match &program.item(constant).kind {
        ItemKind::Const { value, .. } => Some(value),
        ItemKind::Typedef(_) | ItemKind::Enum(_) | ItemKind::Struct { .. } | ItemKind::Service { .. } => None,
    }
}

fn fields(program: &Program, of: ItemId) -> &[Field] {
    match &program.item(of).kind {
        ItemKind::Struct { fields, .. } => fields,
        ItemKind::Typedef(_) | ItemKind::Enum(_) | ItemKind::Const { .. } | ItemKind::Service { .. } => &[],
    }
}

fn bytes(text: &Constant) -> &[u8] {
    match text {
        Constant::String(text) => text.as_bytes(),
        Constant::Binary(bytes) => bytes,
        _ => &[],
    }
}
