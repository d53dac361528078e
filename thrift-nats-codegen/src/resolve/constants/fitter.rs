//! Converts a value to its type.

use thrift_parser::syntax::{self, BaseType, StructKind, Value, ValueKind};
use uuid::Uuid;

use super::text::{Path, describe, written};
use crate::diagnostics::{Diagnostic, with_article};
use crate::ir::{Constant, Field, ItemId, ItemKind, Program, Requiredness, Ty, TyKind};
use crate::resolve::{Checker, hints};
use crate::sources::{Place, SourceId};

/// The most values that are written out for constants that are used as values of other types. Without a bound, a few lines
/// could stand for any number of values.
const MOST_COPIES: usize = 1_000_000;

/// The place of a value, as far as it decides how the value is converted.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    /// Within a set element or map key, where types are ordered and a constant of the plain type cannot be used.
    pub(super) key: bool,
    /// Number of constants of other types that led here.
    pub(super) hops: usize,
}

/// One of the lists of fields of an item.
#[derive(Clone, Copy)]
pub(super) enum List {
    Fields,
    /// Of the function with this number.
    Arguments(usize),
    Throws(usize),
}

impl List {
    fn of(self, program: &mut Program, item: ItemId) -> &mut Vec<Field> {
        match (self, &mut program.items[item.index()].kind) {
            (Self::Fields, ItemKind::Struct { fields, .. }) => fields,
            (Self::Arguments(number), ItemKind::Service { functions, .. }) => {
                &mut functions[number].arguments
            }
            (Self::Throws(number), ItemKind::Service { functions, .. }) => &mut functions[number].throws,
            _ => unreachable!("items are numbered as definitions are"),
        }
    }
}

/// Converts values to their types, and reports those that do not fit.
pub(super) struct Fitter<'c, 'a> {
    pub(super) checker: &'c mut Checker<'a>,
    /// By item: whether it is a constant whose value needs itself.
    pub(super) circular: Vec<bool>,
    /// Number of values that were written out for constants that are used as values of other types.
    pub(super) copies: usize,
}

impl Fitter<'_, '_> {
    pub(super) fn defaults(
        &mut self,
        file: SourceId,
        owner: &str,
        written: &[syntax::Field],
        (id, list): (ItemId, List),
        position: Position,
    ) {
        for (index, field) in written.iter().enumerate() {
            let Some(value) = &field.default else { continue };
            let ty = list.of(&mut self.checker.program, id)[index].ty.clone();
            let root = Path::root(owner);
            let path = root.then(format!(".{}", field.name));
            let made = self.fit(value, file, &ty, &path, position);
            list.of(&mut self.checker.program, id)[index].default = Some(made);
        }
    }

    pub(super) fn error(&mut self, value: &Value, file: SourceId, text: String, label: String) -> Constant {
        let place = Place { source: file, span: value.span };
        self.checker.report(Diagnostic::error(place, text).label(label));
        Constant::Unknown
    }

    /// Reports a value that does not fit its type.
    pub(super) fn misfit(&mut self, value: &Value, file: SourceId, ty: &Ty, path: &Path<'_>) -> Constant {
        self.misfit_with(value, file, ty, path, None)
    }

    pub(super) fn misfit_with(
        &mut self,
        value: &Value,
        file: SourceId,
        ty: &Ty,
        path: &Path<'_>,
        help: Option<String>,
    ) -> Constant {
        let wanted = with_article(&self.type_name(ty));
        let text = format!("`{path}` must be {wanted}, not {}", describe(value));
        let error = Diagnostic::error(Place { source: file, span: value.span }, text);
        self.checker.report(error.label(format!("expected {wanted}")).maybe_help(help));
        Constant::Unknown
    }

    pub(super) fn type_name(&self, ty: &Ty) -> String {
        let behind = self.checker.program.behind(ty);
        match &behind.kind {
            TyKind::Base(base) => match base {
                BaseType::Bool => "bool",
                BaseType::I8 => "i8",
                BaseType::I16 => "i16",
                BaseType::I32 => "i32",
                BaseType::I64 => "i64",
                BaseType::Double => "double",
                BaseType::String => "string",
                BaseType::Binary => "binary",
            }
            .to_owned(),
            TyKind::Uuid => "uuid".to_owned(),
            TyKind::List(element) => format!("list of {}", self.type_name(element)),
            TyKind::Set(element) => format!("set of {}", self.type_name(element)),
            TyKind::Map(key, value) => format!("map of {} to {}", self.type_name(key), self.type_name(value)),
            TyKind::Item(id) => {
                let item = self.checker.program.item(*id);
                let word = match &item.kind {
                    ItemKind::Enum(_) => "enum",
                    ItemKind::Struct { kind: StructKind::Union, .. } => "union",
                    ItemKind::Struct { kind: StructKind::Exception, .. } => "exception",
                    _ => "struct",
                };
                format!("value of {word} {}", item.name.text)
            }
            TyKind::Unknown => "value".to_owned(),
        }
    }

    /// Converts a value to type `ty`.
    pub(super) fn fit(
        &mut self,
        value: &Value,
        file: SourceId,
        ty: &Ty,
        path: &Path<'_>,
        position: Position,
    ) -> Constant {
        if position.hops > 0 {
            self.copies += 1;
            if self.copies == MOST_COPIES {
                let text = format!("constants of other types stand for more than {MOST_COPIES} values");
                return self.error(value, file, text, "too many here".to_owned());
            }
            if self.copies > MOST_COPIES {
                return Constant::Unknown;
            }
        }
        if let ValueKind::Name(name) = &value.kind {
            return self.fit_name(value, name, file, ty, path, position);
        }
        let behind = self.checker.program.behind(ty).clone();
        match (&behind.kind, &value.kind) {
            (TyKind::Unknown, _) => Constant::Unknown,
            (_, ValueKind::Integer(_) | ValueKind::Literal(_))
                if self.checker.scopes.is_mistaken(file, value.span) =>
            {
                Constant::Unknown
            }
            (TyKind::Base(base), kind) => self.fit_base(*base, kind, value, file, ty, path),
            (TyKind::Uuid, ValueKind::Literal(text)) => match parse_uuid(text) {
                Some(uuid) => Constant::Uuid(uuid),
                None => {
                    let label = "expected 8-4-4-4-12 hexadecimal digits, in braces or not".to_owned();
                    self.error(value, file, format!("`{path}` is not a UUID"), label)
                }
            },
            (TyKind::List(element) | TyKind::Set(element), ValueKind::List(values)) => {
                let position =
                    Position { key: position.key || matches!(behind.kind, TyKind::Set(_)), ..position };
                let fit = |(index, value): (usize, &Value)| {
                    self.fit(value, file, element, &path.then(format!("[{index}]")), position)
                };
                Constant::List(values.iter().enumerate().map(fit).collect())
            }
            // Apache's compiler accepts any empty brackets, and ThriftTest.thrift uses that.
            (TyKind::List(_) | TyKind::Set(_), ValueKind::Map(entries)) if entries.is_empty() => {
                Constant::List(Vec::new())
            }
            (TyKind::Map(..), ValueKind::List(values)) if values.is_empty() => Constant::Map(Vec::new()),
            (TyKind::Map(key, element), ValueKind::Map(entries)) => {
                self.duplicate_keys(entries, file, path);
                let in_key = Position { key: true, ..position };
                let fit = |(name, value): &(Value, Value)| {
                    let shown = written(name);
                    let made = self.fit(name, file, key, &path.then(format!("<key {shown}>")), in_key);
                    (made, self.fit(value, file, element, &path.then(format!("[{shown}]")), position))
                };
                Constant::Map(entries.iter().map(fit).collect())
            }
            (TyKind::Item(id), kind) => match (&self.checker.program.item(*id).kind, kind) {
                (ItemKind::Enum(values), ValueKind::Integer(number)) => {
                    match values.iter().find(|other| i64::from(other.number) == *number) {
                        Some(found) => Constant::Enum(*id, found.number),
                        None if self.checker.vague.contains(id) => Constant::Unknown,
                        None => {
                            let name = self.checker.program.item(*id).name.text.clone();
                            let label = format!("no value of enum `{name}`");
                            self.error(value, file, format!("`{name}` has no value {number}"), label)
                        }
                    }
                }
                (ItemKind::Enum(values), ValueKind::Literal(text)) => {
                    let last = text.rsplit('.').next().unwrap_or(text);
                    let names = || values.iter().map(|value| value.name.text.as_str());
                    let meant = names().find(|name| *name == last).or_else(|| hints::nearest(last, names()));
                    let of = self.shown_type(ty, *id, file);
                    let help = meant.map(|meant| format!("write `{of}.{meant}`, without quotes"));
                    self.misfit_with(value, file, ty, path, help)
                }
                (ItemKind::Struct { .. }, ValueKind::Map(entries)) => {
                    self.fit_struct(*id, entries, value, file, path, position)
                }
                _ => self.misfit(value, file, ty, path),
            },
            _ => self.misfit(value, file, ty, path),
        }
    }

    fn fit_base(
        &mut self,
        base: BaseType,
        kind: &ValueKind,
        value: &Value,
        file: SourceId,
        ty: &Ty,
        path: &Path<'_>,
    ) -> Constant {
        match (base, kind) {
            (BaseType::Bool, ValueKind::Integer(number)) => match number {
                0 => Constant::Bool(false),
                1 => Constant::Bool(true),
                _ => {
                    let label = "expected true, false, 1 or 0".to_owned();
                    self.error(value, file, format!("`{path}` must be a bool, not {number}"), label)
                }
            },
            (BaseType::I8 | BaseType::I16 | BaseType::I32 | BaseType::I64, ValueKind::Integer(number)) => {
                let (least, most) = match base {
                    BaseType::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
                    BaseType::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
                    BaseType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
                    _ => (i64::MIN, i64::MAX),
                };
                if (least..=most).contains(number) {
                    return Constant::Int(*number);
                }
                let name = self.type_name(ty);
                let label = format!("not within {least} and {most}");
                self.error(value, file, format!("`{path}`: {number} does not fit into an {name}"), label)
            }
            (BaseType::Double, ValueKind::Double(number)) => Constant::Double(*number),
            (BaseType::Double, ValueKind::Integer(number)) => Constant::Double(*number as f64),
            (BaseType::String, ValueKind::Literal(text)) => Constant::String(text.clone()),
            (BaseType::Binary, ValueKind::Literal(text)) => Constant::Binary(text.clone().into_bytes()),
            _ => self.misfit(value, file, ty, path),
        }
    }

    fn fit_struct(
        &mut self,
        id: ItemId,
        entries: &[(Value, Value)],
        value: &Value,
        file: SourceId,
        path: &Path<'_>,
        position: Position,
    ) -> Constant {
        let mut made: Vec<(usize, Constant)> = Vec::with_capacity(entries.len());
        let in_key = Position { key: position.key || self.checker.program.keys.contains(&id), ..position };
        for (key, entry) in entries {
            let ItemKind::Struct { fields, .. } = &self.checker.program.item(id).kind else { break };
            let place = Place { source: file, span: key.span };
            let ValueKind::Literal(name) = &key.kind else {
                let text =
                    format!("a field of `{path}` must be named by a quoted literal, not {}", describe(key));
                self.error(key, file, text, "expected a field's name in quotes".to_owned());
                continue;
            };
            let Some(index) = fields.iter().position(|field| field.name.text == *name) else {
                if self.checker.scopes.may_have(id, name) {
                    continue;
                }
                let item = self.checker.program.item(id);
                let near = hints::nearest(name, fields.iter().map(|field| field.name.text.as_str()));
                let error = Diagnostic::error(place, format!("`{}` has no field `{name}`", item.name.text))
                    .label("no such field")
                    .note(item.name.place, "defined here")
                    .maybe_help(near.map(|near| format!("there is a field `{near}`")));
                self.checker.report(error);
                continue;
            };
            let ty = fields[index].ty.clone();
            let constant = self.fit(entry, file, &ty, &path.then(format!(".{name}")), in_key);
            if let Some(first) = made.iter_mut().find(|(other, _)| *other == index) {
                let text = format!("field `{name}` of `{path}` is given twice");
                self.checker.report(Diagnostic::warning(place, text).label("the last one counts"));
                first.1 = constant;
            } else {
                made.push((index, constant));
            }
        }
        let ItemKind::Struct { kind, fields } = &self.checker.program.item(id).kind else {
            return Constant::Unknown;
        };
        let place = Place { source: file, span: value.span };
        if *kind == StructKind::Union {
            if entries.len() != 1 {
                let text = format!("`{path}` must have exactly one field: it is a union");
                self.checker
                    .report(Diagnostic::error(place, text).label(format!("{} fields", entries.len())));
            }
        } else {
            let missing = fields.iter().enumerate().filter(|(index, field)| {
                let given = made.iter().any(|(given, _)| given == index);
                !given && field.requiredness == Requiredness::Required && field.default.is_none()
            });
            let missing: Vec<String> = missing.map(|(_, field)| format!("`{}`", field.name.text)).collect();
            if !missing.is_empty() {
                let missing = crate::diagnostics::enumerate(&missing);
                let text = format!("`{path}` leaves out the required field {missing}");
                self.checker.report(Diagnostic::warning(place, text).label("zero or empty then"));
            }
        }
        Constant::Struct(id, made)
    }

    fn duplicate_keys(&mut self, entries: &[(Value, Value)], file: SourceId, path: &Path<'_>) {
        let mut seen = std::collections::HashMap::new();
        for (key, _) in entries {
            let plain =
                matches!(key.kind, ValueKind::Integer(_) | ValueKind::Literal(_) | ValueKind::Name(_));
            let place = Place { source: file, span: key.span };
            let plain = plain && !self.checker.scopes.is_mistaken(file, key.span);
            if let Some(first) = plain.then(|| seen.insert(written(key), place)).flatten() {
                let text = format!("`{path}` has the key {} twice", written(key));
                self.checker.report(
                    Diagnostic::warning(place, text).label("the last one counts").note(first, "first here"),
                );
            }
        }
    }
}

/// `8-4-4-4-12` digits, with or without braces, as Apache's compiler accepts them.
fn parse_uuid(text: &str) -> Option<Uuid> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    if bare.len() == 36 { Uuid::parse_str(bare).ok() } else { None }
}
