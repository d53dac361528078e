//! The shapes of types in memory: which fields are boxed or an `Option`, and which traits can be derived.

use std::collections::HashSet;

use thrift_parser::syntax::{BaseType, StructKind};

use crate::graph::Graph;
use crate::ir::{Constant, Field, ItemId, ItemKind, Program, Requiredness, Ty, TyKind};
use crate::options::{Containers, Options, Strings};

/// The shapes of the structs of a program.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// By item, by field.
    fields: Vec<Vec<FieldShape>>,
    /// The structs with a plain `double`, which has no total equality.
    with_doubles: HashSet<ItemId>,
    /// The structs with a hash set or map, which cannot be hashed.
    with_hashes: HashSet<ItemId>,
}

/// The shape of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldShape {
    pub(crate) boxed: bool,
    pub(crate) optional: bool,
}

impl FieldShape {
    /// The shape of a field that does not lead back to its struct.
    pub(crate) fn plain(field: &Field) -> Self {
        Self { boxed: field.reference, optional: field.requiredness == Requiredness::Optional }
    }
}

impl Shapes {
    pub(crate) fn new(program: &Program, options: &Options) -> Self {
        let fields_of = |item: &ItemKind| match item {
            ItemKind::Struct { fields, .. } => fields.iter().map(FieldShape::plain).collect(),
            _ => Vec::new(),
        };
        let mut fields: Vec<Vec<FieldShape>> =
            program.items.iter().map(|item| fields_of(&item.kind)).collect();
        // No value of a struct that always contains itself could end. Fields that may be missing become `Option`.
        mark(
            program,
            &mut fields,
            |kind, field| kind != StructKind::Union && !field.optional,
            |kind, field| {
                if kind == Requiredness::Default {
                    field.optional = true;
                }
            },
        );
        // Fields that lead back to their own struct are boxed.
        mark(program, &mut fields, |_, _| true, |_, field| field.boxed = true);
        Self {
            fields,
            with_doubles: with(program, |ty| {
                matches!(ty.kind, TyKind::Base(BaseType::Double)) && custom(ty).is_none()
            }),
            with_hashes: with(program, |ty| is_hash(options, ty)),
        }
    }

    pub(crate) fn field(&self, item: ItemId, field: usize) -> FieldShape {
        self.fields[item.index()][field]
    }

    /// Whether every value of the struct is equal to itself: it cannot contain `NaN`.
    pub(crate) fn has_total_equality(&self, item: ItemId) -> bool {
        !self.with_doubles.contains(&item)
    }

    /// Whether the struct can be hashed.
    pub(crate) fn has_hash(&self, item: ItemId) -> bool {
        self.has_total_equality(item) && !self.with_hashes.contains(&item)
    }
}

/// The struct that a field contains directly, not within a container.
fn held(program: &Program, ty: &Ty) -> Option<ItemId> {
    match program.behind(ty).kind {
        TyKind::Item(id) if matches!(program.item(id).kind, ItemKind::Struct { .. }) => Some(id),
        _ => None,
    }
}

/// Calls `set` for each field that `counts`, and that leads back to its own struct by fields that count.
fn mark(
    program: &Program,
    shapes: &mut [Vec<FieldShape>],
    counts: impl Fn(StructKind, FieldShape) -> bool,
    set: impl Fn(Requiredness, &mut FieldShape),
) {
    let edges = |(index, item): (usize, &crate::ir::Item)| match &item.kind {
        ItemKind::Struct { kind, fields } => {
            let counting = fields.iter().zip(&shapes[index]).filter(|(_, shape)| counts(*kind, **shape));
            counting.filter_map(|(field, _)| held(program, &field.ty)).map(ItemId::index).collect()
        }
        _ => Vec::new(),
    };
    let component = Graph { edges: program.items.iter().enumerate().map(edges).collect() }.components();
    for (index, item) in program.items.iter().enumerate() {
        let ItemKind::Struct { kind, fields } = &item.kind else { continue };
        for (field, shape) in fields.iter().zip(&mut shapes[index]) {
            let held = held(program, &field.ty);
            if counts(*kind, *shape) && held.is_some_and(|held| component[held.index()] == component[index]) {
                set(field.requiredness, shape);
            }
        }
    }
}

/// The structs that have a part for which `is` holds, at any depth, outside of keys.
fn with(program: &Program, is: impl Fn(&Ty) -> bool) -> HashSet<ItemId> {
    let mut found = HashSet::new();
    let mut users: Vec<Vec<ItemId>> = vec![Vec::new(); program.items.len()];
    let mut work = Vec::new();
    for id in program.ids() {
        // Keys use ordered types.
        let ItemKind::Struct { fields, .. } = &program.item(id).kind else { continue };
        if program.keys.contains(&id) {
            continue;
        }
        let mut parts: Vec<&Ty> = fields.iter().map(|field| &field.ty).collect();
        while let Some(part) = parts.pop() {
            let part = program.behind(part);
            if is(part) {
                work.push(id);
            }
            match &part.kind {
                TyKind::List(element) => parts.push(element),
                TyKind::Map(_, value) => parts.push(value),
                TyKind::Item(item) => users[item.index()].push(id),
                TyKind::Set(_) | TyKind::Base(_) | TyKind::Uuid | TyKind::Unknown => {}
            }
        }
    }
    while let Some(id) = work.pop() {
        if found.insert(id) {
            work.extend(&users[id.index()]);
        }
    }
    found
}

/// The Rust type that `rust.type` names, if it is a type of the user.
pub(crate) fn custom(ty: &Ty) -> Option<&str> {
    let value = ty.rust_type()?.value.as_str();
    (!matches!(value, "hash" | "btree" | "shared" | "owned")).then_some(value)
}

/// Whether a set or map outside of keys is a hash container.
pub(crate) fn is_hash(options: &Options, ty: &Ty) -> bool {
    match (&ty.kind, ty.rust_type().map(|annotation| annotation.value.as_str())) {
        (TyKind::Set(_) | TyKind::Map(..), Some("hash")) => true,
        (TyKind::Set(_) | TyKind::Map(..), None) => options.containers == Containers::Hash,
        _ => false,
    }
}

/// Whether a string is shared.
pub(crate) fn is_shared(options: &Options, ty: &Ty) -> bool {
    match (&ty.kind, ty.rust_type().map(|annotation| annotation.value.as_str())) {
        (TyKind::Base(BaseType::String), Some("shared")) => true,
        (TyKind::Base(BaseType::String), None) => options.strings == Strings::Shared,
        _ => false,
    }
}

/// Whether a type differs within a set element or map key: it contains a `double` or a hash container, outside of structs.
pub(crate) fn differs_in_key(program: &Program, options: &Options, ty: &Ty) -> bool {
    let ty = program.behind(ty);
    if custom(ty).is_some() {
        return false;
    }
    match &ty.kind {
        TyKind::Base(base) => *base == BaseType::Double,
        TyKind::List(element) => differs_in_key(program, options, element),
        TyKind::Map(_, value) => is_hash(options, ty) || differs_in_key(program, options, value),
        // Its elements are keys already.
        TyKind::Set(_) => is_hash(options, ty),
        TyKind::Uuid | TyKind::Item(_) | TyKind::Unknown => false,
    }
}

/// Whether a value equals the `Default` of its type.
pub(crate) fn is_zero(constant: &Constant) -> bool {
    match constant {
        Constant::Bool(value) => !value,
        Constant::Int(number) => *number == 0,
        Constant::Enum(_, number) => *number == 0,
        // The default is zero, not minus zero.
        Constant::Double(number) => number.to_bits() == 0,
        Constant::String(text) => text.is_empty(),
        Constant::Binary(bytes) => bytes.is_empty(),
        Constant::Uuid(uuid) => uuid.is_nil(),
        Constant::List(elements) => elements.is_empty(),
        Constant::Map(entries) => entries.is_empty(),
        Constant::Struct(..) | Constant::Ref(_) | Constant::Unknown => false,
    }
}
