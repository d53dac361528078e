//! Names in values: constants and enum values, converted to the type of the value.

use thrift_parser::syntax::{Definition, Value, ValueKind};

use super::fitter::{Fitter, Position};
use super::text::Path;
use crate::diagnostics::{Diagnostic, Severity, with_article};
use crate::ir::{Constant, ItemId, ItemKind, Program, Ty, TyKind};
use crate::resolve::Checker;
use crate::resolve::hints;
use crate::resolve::scope::Kind;
use crate::sources::{Place, SourceId};

/// The longest chain of constants of other types that name each other.
const MOST_HOPS: usize = 100;

/// The meaning of a name in a value.
pub(super) enum Named {
    Constant(ItemId),
    EnumValue(ItemId, i32),
    /// The enum exists, the value does not.
    NoValueOf(ItemId),
    Integer(i64),
}

impl Checker<'_> {
    /// The meaning of a name in a value.
    pub(super) fn named(&self, file: SourceId, name: &str) -> Option<Named> {
        if let Some(constant) = self.scopes.find(file, Kind::Constant, name) {
            return Some(Named::Constant(constant));
        }
        match name {
            "true" => return Some(Named::Integer(1)),
            "false" => return Some(Named::Integer(0)),
            _ => {}
        }
        let (of, value) = name.rsplit_once('.')?;
        let id = self.scopes.find(file, Kind::Type, of)?;
        let place = Place { source: file, span: self.program.item(id).name.place.span };
        let ty = Ty { kind: TyKind::Item(id), annotations: Vec::new(), place };
        let TyKind::Item(id) = self.program.behind(&ty).kind else { return None };
        let ItemKind::Enum(values) = &self.program.item(id).kind else { return None };
        let number = values.iter().find(|other| other.name.text == value).map(|value| value.number);
        Some(number.map_or(Named::NoValueOf(id), |number| Named::EnumValue(id, number)))
    }
}

impl Fitter<'_, '_> {
    pub(super) fn fit_name(
        &mut self,
        value: &Value,
        name: &str,
        file: SourceId,
        ty: &Ty,
        path: &Path<'_>,
        position: Position,
    ) -> Constant {
        match self.checker.named(file, name) {
            Some(Named::Integer(number)) => {
                let integer = Value { kind: ValueKind::Integer(number), span: value.span };
                self.fit(&integer, file, ty, path, position)
            }
            Some(Named::EnumValue(id, number)) => match self.checker.program.behind(ty).kind {
                TyKind::Item(wanted) if wanted == id => Constant::Enum(id, number),
                TyKind::Item(_) => self.misfit(value, file, ty, path),
                // An enum value may be used as a number.
                _ => {
                    let integer = Value { kind: ValueKind::Integer(i64::from(number)), span: value.span };
                    self.fit(&integer, file, ty, path, position)
                }
            },
            Some(Named::NoValueOf(_)) | None if self.value_of_wanted(name, ty).is_some() => {
                let Some((id, number)) = self.value_of_wanted(name, ty) else { return Constant::Unknown };
                let right = self.shown_type(ty, id, file);
                let last = name.rsplit('.').next().unwrap_or(name);
                let place = Place { source: file, span: value.span };
                self.checker.report(
                    Diagnostic::warning(place, format!("`{name}` is taken for `{right}.{last}`"))
                        .label("names no enum that is known here")
                        .help(format!("write `{right}.{last}`")),
                );
                Constant::Enum(id, number)
            }
            Some(Named::NoValueOf(id)) => {
                let item = self.checker.program.item(id);
                let (of, missing) = name.rsplit_once('.').unwrap_or(("", name));
                if self.checker.scopes.may_have(id, missing) {
                    return Constant::Unknown;
                }
                let ItemKind::Enum(values) = &item.kind else { return Constant::Unknown };
                let near = hints::nearest(missing, values.iter().map(|value| value.name.text.as_str()));
                let help = near.map(|near| format!("there is `{of}.{near}`"));
                let place = Place { source: file, span: value.span };
                let error =
                    Diagnostic::error(place, format!("enum `{}` has no value `{missing}`", item.name.text))
                        .label("no such value")
                        .note(item.name.place, "the enum is defined here")
                        .maybe_help(help);
                self.checker.report(error);
                Constant::Unknown
            }
            Some(Named::Constant(id)) => self.fit_constant(value, id, file, ty, path, position),
            None => {
                let unknown = self.checker.scopes.unknown(file, Kind::Constant, name, value.span);
                let behind = self.checker.program.behind(ty);
                let unknown = unknown.map(|error| match behind.kind {
                    // A value of the expected enum, without the name of the enum.
                    TyKind::Item(id) => match &self.checker.program.item(id).kind {
                        ItemKind::Enum(values) if values.iter().any(|value| value.name.text == name) => {
                            let of = self.shown_type(ty, id, file);
                            error.help(format!("write `{of}.{name}`"))
                        }
                        _ => error,
                    },
                    _ => error,
                });
                self.checker.diagnostics.extend(unknown);
                Constant::Unknown
            }
        }
    }

    /// The value of the enum `ty` that the last part of a name means. Apache's compiler looks only at that part.
    fn value_of_wanted(&self, name: &str, ty: &Ty) -> Option<(ItemId, i32)> {
        let (_, last) = name.rsplit_once('.')?;
        let TyKind::Item(id) = self.checker.program.behind(ty).kind else { return None };
        let ItemKind::Enum(values) = &self.checker.program.item(id).kind else { return None };
        values.iter().find(|value| value.name.text == last).map(|value| (id, value.number))
    }

    /// The name of a type as it is written in `file`: its own, or that of the item that it names.
    pub(super) fn shown_type(&self, ty: &Ty, behind: ItemId, file: SourceId) -> String {
        match &ty.kind {
            TyKind::Item(named) => self.shown_name(*named, file),
            _ => self.shown_name(behind, file),
        }
    }

    /// The name of an item as it is written in `file`.
    fn shown_name(&self, id: ItemId, file: SourceId) -> String {
        let item = self.checker.program.item(id);
        if item.file == file {
            return item.name.text.clone();
        }
        format!("{}.{}", self.checker.program.files[item.file.index()].stem, item.name.text)
    }

    fn has_errors_since(&self, before: usize) -> bool {
        self.checker.diagnostics[before..].iter().any(|found| found.severity() == Severity::Error)
    }

    /// Whether the value of a constant fits its type. If not, the error is reported at its definition.
    fn is_right(&mut self, value: &Value, id: ItemId, file: SourceId, path: &Path<'_>) -> bool {
        let ItemKind::Const { ty, .. } = &self.checker.program.item(id).kind else { return true };
        let ty = ty.clone();
        let before = self.checker.diagnostics.len();
        self.fit(value, file, &ty, path, Position { key: false, hops: 1 });
        let is_right = !self.has_errors_since(before);
        self.checker.diagnostics.truncate(before);
        is_right
    }

    fn fit_constant(
        &mut self,
        value: &Value,
        id: ItemId,
        file: SourceId,
        ty: &Ty,
        path: &Path<'_>,
        position: Position,
    ) -> Constant {
        if self.circular[id.index()] {
            return Constant::Unknown;
        }
        let declared = self.checker.scopes.item(id);
        let (Definition::Const(constant), ItemKind::Const { ty: of, .. }) =
            (declared.definition, &self.checker.program.item(id).kind)
        else {
            return Constant::Unknown;
        };
        if matches!(self.checker.program.behind(of).kind, TyKind::Unknown) {
            return Constant::Unknown;
        }
        if !position.key && same(&self.checker.program, of, ty) {
            return Constant::Ref(id);
        }
        let hops = position.hops + 1;
        let place = Place { source: file, span: value.span };
        if hops > MOST_HOPS {
            let text = format!("more than {MOST_HOPS} constants of different types stand for one another");
            return self.error(value, file, text, "too many in a row".to_owned());
        }
        // The value is converted again, to the other type. A misfit is reported once, where it is used.
        let before = self.checker.diagnostics.len();
        let made = self.fit(&constant.value, declared.file, ty, path, Position { hops, ..position });
        let fits = !self.has_errors_since(before);
        // Warnings are reported at the definition of the constant.
        self.checker.diagnostics.truncate(before);
        if !fits {
            // Only for the outermost name, or each constant of a chain would check the rest of the chain again.
            if position.hops == 0 && !self.is_right(&constant.value, id, declared.file, path) {
                return Constant::Unknown;
            }
            let wanted = with_article(&self.type_name(ty));
            let ItemKind::Const { ty: of, .. } = &self.checker.program.item(id).kind else { return made };
            let of = with_article(&self.type_name(of));
            let error =
                Diagnostic::error(place, format!("`{path}` must be {wanted}; `{}` is {of}", constant.name))
                    .label(format!("expected {wanted}"))
                    .note(declared.place(), "the constant is defined here");
            self.checker.report(error);
            return Constant::Unknown;
        }
        made
    }
}

/// Whether two types are the same, also in Rust.
fn same(program: &Program, one: &Ty, other: &Ty) -> bool {
    let (one, other) = (program.behind(one), program.behind(other));
    // Another type in Rust: the value must be converted again.
    if one.rust_type().map(|made| &made.value) != other.rust_type().map(|made| &made.value) {
        return false;
    }
    match (&one.kind, &other.kind) {
        (TyKind::Base(one), TyKind::Base(other)) => one == other,
        (TyKind::Uuid, TyKind::Uuid) => true,
        (TyKind::List(one), TyKind::List(other)) | (TyKind::Set(one), TyKind::Set(other)) => {
            same(program, one, other)
        }
        (TyKind::Map(key, value), TyKind::Map(other_key, other_value)) => {
            same(program, key, other_key) && same(program, value, other_value)
        }
        (TyKind::Item(one), TyKind::Item(other)) => one == other,
        _ => false,
    }
}
