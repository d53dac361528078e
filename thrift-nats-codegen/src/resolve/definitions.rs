//! Definitions: their names, types, numbers and ids.

use std::collections::HashMap;

use thrift_parser::syntax::{self, Definition, Header, Span, StructKind, TypeKind};

use super::Checker;
use super::load::{File, Files};
use super::scope::{Kind, kind_of, word};
use crate::diagnostics::{Diagnostic, with_article};
use crate::ir::{self, Constant, EnumValue, Field, Item, ItemId, ItemKind, Name, Requiredness, Ty, TyKind};
use crate::sources::{Place, SourceId};

/// The languages that a namespace may be for.
const NAMESPACE_SCOPES: &[&str] = &[
    "*",
    "as3",
    "c_glib",
    "cl",
    "cocoa",
    "cpp",
    "cpp2",
    "csharp",
    "d",
    "dart",
    "delphi",
    "erl",
    "gleam",
    "go",
    "gv",
    "hack",
    "haxe",
    "hs",
    "html",
    "java",
    "java.swift",
    "javame",
    "js",
    "json",
    "kotlin",
    "lua",
    "markdown",
    "netcore",
    "netstd",
    "node",
    "ocaml",
    "perl",
    "php",
    "py",
    "py.asyncio",
    "py.tornado",
    "py.twisted",
    "py3",
    "rb",
    "rs",
    "rust",
    "smalltalk",
    "smalltalk.category",
    "smalltalk.prefix",
    "st",
    "swift",
    "ts",
    "xml",
    "xsd",
];

/// The kind of a list of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldList {
    Struct(StructKind),
    Arguments,
    Throws,
}

impl FieldList {
    const fn noun(self) -> &'static str {
        match self {
            Self::Struct(_) => "field",
            Self::Arguments => "argument",
            Self::Throws => "exception",
        }
    }
}

impl Checker<'_> {
    /// Warns of old forms: each word once in a file.
    pub(super) fn legacy(&mut self, files: &[File], ids: &[SourceId]) {
        for (file, id) in files.iter().zip(ids) {
            let mut seen: Vec<(&str, Span, usize)> = Vec::new();
            for word in &file.document.legacy {
                match seen.iter_mut().find(|(known, ..)| *known == word.text) {
                    Some((.., count)) => *count += 1,
                    None => seen.push((&word.text, word.span, 1)),
                }
            }
            for (word, span, count) in seen {
                let place = Place { source: *id, span };
                let warning = match word {
                    "byte" => {
                        Diagnostic::warning(place, "`byte` is an old word for `i8`").label("write `i8`")
                    }
                    "async" => Diagnostic::warning(place, "`async` is an old word for `oneway`")
                        .label("write `oneway`"),
                    _ => Diagnostic::warning(place, format!("`{word}` has no effect")).label("remove it"),
                };
                let times = (count > 1).then(|| format!("it stands {count} times in this file"));
                self.report(warning.maybe_help(times));
            }
        }
    }

    /// Namespaces and includes of each file.
    pub(super) fn headers(&mut self, files: &[File], ids: &[SourceId]) {
        for (file, id) in files.iter().zip(ids) {
            let mut namespaces = Vec::new();
            for header in &file.document.headers {
                let Header::Namespace(namespace) = header else { continue };
                let scope = namespace.scope.text.as_str();
                if !NAMESPACE_SCOPES.contains(&scope) {
                    let place = Place { source: *id, span: namespace.scope.span };
                    let near = super::hints::nearest(scope, NAMESPACE_SCOPES.iter().copied());
                    self.report(
                        Diagnostic::warning(place, format!("unknown namespace scope `{scope}`"))
                            .label("no language of Thrift")
                            .maybe_help(near.map(|near| format!("there is `{near}`"))),
                    );
                }
                namespaces.push((scope.to_owned(), namespace.name.text.clone()));
            }
            let (stem, includes) = (file.stem.clone(), file.includes.clone());
            let path = self.scopes.path(*id).to_owned();
            self.program.files.push(ir::File { stem, path, includes, namespaces, items: Vec::new() });
        }
    }

    /// Names that are defined twice, in a file or in a namespace that several files share.
    pub(super) fn duplicate_definitions(&mut self, files: &Files) {
        let mut ranks = vec![0; files.files.len()];
        for (rank, file) in files.order.iter().enumerate() {
            ranks[file.index()] = rank;
        }
        let mut declared: Vec<_> = self.scopes.declared().to_vec();
        // Included files come first, so that a clash is reported in the including file.
        declared.sort_by_key(|declared| ranks[declared.file.index()]);
        let mut seen = HashMap::new();
        for declared in declared {
            let name = declared.definition.name();
            if let Some(error) = dotted(declared.file, name, word(declared.definition)) {
                self.report(error);
                continue;
            }
            let namespace = self.program.files[declared.file.index()].namespace_for("*");
            let room = namespace.map_or(Err(declared.file), |namespace| Ok(namespace.to_owned()));
            let key = (room, kind_of(declared.definition), name.text.as_str());
            if let Some(first) = seen.get(&key) {
                let first: &super::scope::Declared<'_> = first;
                let text = format!("{} `{}` is defined twice", word(declared.definition), name.text);
                let error = Diagnostic::error(declared.place(), text).label("defined again here").note(
                    first.place(),
                    format!("first defined here, as {}", with_article(word(first.definition))),
                );
                self.report(if first.file == declared.file {
                    error
                } else {
                    error.help("both files have the same namespace: rename one, or give one of them another namespace")
                });
            } else {
                seen.insert(key, declared);
            }
        }
    }

    /// Resolves everything except the values of constants and defaults.
    pub(super) fn definitions(&mut self) {
        for (index, declared) in self.scopes.declared().iter().enumerate() {
            let file = declared.file;
            let (doc, annotations, kind) = match declared.definition {
                Definition::Typedef(item) => {
                    let ty = self.annotated(file, &item.ty, &item.annotations);
                    (&item.doc, item.annotations.as_slice(), ItemKind::Typedef(ty))
                }
                Definition::Const(item) => {
                    let ty = self.ty(file, &item.ty);
                    (&item.doc, [].as_slice(), ItemKind::Const { ty, value: Constant::Unknown })
                }
                Definition::Enum(item) => (
                    &item.doc,
                    item.annotations.as_slice(),
                    ItemKind::Enum(self.enum_values(file, item, ItemId::new(index))),
                ),
                Definition::Struct(item) => {
                    let fields = self.fields(file, &item.fields, FieldList::Struct(item.kind));
                    (&item.doc, item.annotations.as_slice(), ItemKind::Struct { kind: item.kind, fields })
                }
                Definition::Service(item) => {
                    let (extends, functions) = self.service(file, ItemId::new(index), item);
                    (&item.doc, item.annotations.as_slice(), ItemKind::Service { extends, functions })
                }
            };
            let item = Item {
                file,
                name: name(file, declared.definition.name()),
                doc: doc.as_ref().map(|doc| doc.text.clone()),
                annotations: annotations_of(file, annotations),
                kind,
            };
            self.program.items.push(item);
            self.program.files[file.index()].items.push(ItemId::new(index));
        }
    }

    /// The type of a field or typedef, whose `rust.type` is the type's own.
    fn annotated(&mut self, file: SourceId, ty: &syntax::Type, annotations: &[syntax::Annotation]) -> Ty {
        let mut ty = self.ty(file, ty);
        let annotations = annotations_of(file, annotations);
        ty.annotations.extend(annotations.into_iter().filter(|annotation| annotation.key == "rust.type"));
        ty
    }

    /// A type where it is used.
    pub(super) fn ty(&mut self, file: SourceId, ty: &syntax::Type) -> Ty {
        let kind = match &ty.kind {
            TypeKind::Base(base) => TyKind::Base(*base),
            TypeKind::List(element) => TyKind::List(Box::new(self.ty(file, element))),
            TypeKind::Set(element) => TyKind::Set(Box::new(self.ty(file, element))),
            TypeKind::Map(key, value) => {
                TyKind::Map(Box::new(self.ty(file, key)), Box::new(self.ty(file, value)))
            }
            TypeKind::Named(name) => match self.scopes.find(file, Kind::Type, name) {
                Some(item) => TyKind::Item(item),
                // Only where no file defines a type of that name.
                None if name == "uuid" => TyKind::Uuid,
                None => {
                    self.diagnostics.extend(self.scopes.unknown(file, Kind::Type, name, ty.span));
                    TyKind::Unknown
                }
            },
        };
        let annotations = annotations_of(file, &ty.annotations);
        Ty { kind, annotations, place: Place { source: file, span: ty.span } }
    }

    fn enum_values(&mut self, file: SourceId, item: &syntax::Enum, id: ItemId) -> Vec<EnumValue> {
        let mut values: Vec<EnumValue> = Vec::with_capacity(item.values.len());
        let mut names = HashMap::new();
        let mut numbers = HashMap::new();
        // Wide enough for any sum. A number outside of the range is reported once.
        let mut next = 0_i64;
        // Whether the last number is known. If not, the next numbers are not known either.
        let mut is_known = !self.scopes.is_partial(id);
        if !is_known {
            self.vague.insert(id);
        }
        for value in &item.values {
            let place = Place { source: file, span: value.name.span };
            if let Some(error) = dotted(file, &value.name, "enum value") {
                self.report(error);
            }
            if let Some(first) = names.insert(value.name.text.as_str(), place) {
                let text = format!("enum value `{}.{}` is defined twice", item.name, value.name);
                self.report(
                    Diagnostic::error(place, text)
                        .label("defined again here")
                        .note(first, "first defined here"),
                );
                names.insert(value.name.text.as_str(), first);
            }
            let written = value.number.map(|number| Place { source: file, span: number.span });
            let number = value.number.map_or(next, |number| number.value);
            next = number.saturating_add(1);
            is_known |= written.is_some();
            let is_mistaken = value.number.is_some_and(|number| self.scopes.is_mistaken(file, number.span));
            if let Err(_) = i32::try_from(number)
                && is_known
            {
                let text = format!(
                    "number {number} of `{}.{}` does not fit in i32 (-2147483648 to 2147483647)",
                    item.name, value.name
                );
                let error = Diagnostic::error(written.unwrap_or(place), text);
                self.report(match written {
                    Some(_) => error.label("not within -2147483648 and 2147483647"),
                    None => error.label("one more than the value before it").help("give it a number"),
                });
                is_known = false;
            }
            if is_mistaken || !is_known {
                // The next numbers would have the same error.
                (is_known, next) = (false, 0);
                self.vague.insert(id);
            }
            let number = i32::try_from(number).unwrap_or_default();
            if !is_known {
                // The value keeps its name.
            } else if let Some((first, first_place)) = numbers.get(&number) {
                let text = format!("`{first}` and `{}` are two names for {number}", value.name);
                self.report(
                    Diagnostic::warning(written.unwrap_or(place), text)
                        .label("the number has a name already")
                        .note(*first_place, "first used here"),
                );
            } else {
                numbers.insert(number, (value.name.text.as_str(), written.unwrap_or(place)));
            }
            values.push(EnumValue {
                name: name(file, &value.name),
                doc: value.doc.as_ref().map(|doc| doc.text.clone()),
                annotations: annotations_of(file, &value.annotations),
                number,
            });
        }
        values
    }

    /// Fields, with ids as Apache numbers them: those that are left out, or not positive, count down from -1.
    pub(super) fn fields(&mut self, file: SourceId, list: &[syntax::Field], kind: FieldList) -> Vec<Field> {
        let mut fields = Vec::with_capacity(list.len());
        let (mut ids, mut names) = (HashMap::new(), HashMap::new());
        let mut default: Option<Place> = None;
        let mut next_implicit = -1_i64;
        for field in list {
            let place = |span: Span| Place { source: file, span };
            let name_place = place(field.name.span);
            let mut implicit = || {
                next_implicit -= 1;
                next_implicit + 1
            };
            let (id, id_place) = match field.id {
                Some(id) if self.scopes.is_mistaken(file, id.span) => (0, place(id.span)),
                Some(id) if id.value > 0 => (id.value, place(id.span)),
                Some(id) => {
                    let number = implicit();
                    let text = format!("field id {} is not positive", id.value);
                    self.report(
                        Diagnostic::warning(place(id.span), text)
                            .label(format!("on the wire it is {number}"))
                            .help("Apache's compiler numbers such fields itself, counting down from -1"),
                    );
                    (number, place(id.span))
                }
                None => {
                    let number = implicit();
                    if let FieldList::Struct(_) = kind {
                        let text = format!("field `{}` has no id", field.name);
                        self.report(
                            Diagnostic::warning(name_place, text)
                                .label(format!("on the wire it is {number}"))
                                .help("ids that are left out change with the order of the fields: write one"),
                        );
                    }
                    (number, name_place)
                }
            };
            let id = i16::try_from(id).unwrap_or_else(|_| {
                let text = format!("field id {id} does not fit in i16 (-32768 to 32767)");
                self.report(Diagnostic::error(id_place, text).label("not within 1 and 32767"));
                0
            });
            if id != 0
                && let Some((first_place, first)) = ids.insert(id, (id_place, &field.name))
            {
                let text = format!("id {id} is used twice, by `{first}` and by `{}`", field.name);
                let free = (1..=i16::MAX).find(|id| {
                    !list.iter().any(|field| field.id.is_some_and(|other| other.value == i64::from(*id)))
                });
                self.report(
                    Diagnostic::error(id_place, text)
                        .label("used again here")
                        .note(first_place, "first used here")
                        .maybe_help(free.map(|free| format!("the next free id is {free}"))),
                );
                ids.insert(id, (first_place, first));
            }
            if let Some(error) = dotted(file, &field.name, kind.noun()) {
                self.report(error);
            }
            if let Some(first) = names.insert(field.name.text.as_str(), name_place) {
                let text = format!("{} `{}` is defined twice", kind.noun(), field.name);
                self.report(
                    Diagnostic::error(name_place, text)
                        .label("defined again here")
                        .note(first, "first defined here"),
                );
                names.insert(field.name.text.as_str(), first);
            }
            let requiredness = self.requiredness(file, field, kind);
            if let (FieldList::Struct(StructKind::Union), Some(value)) = (kind, &field.default) {
                match default {
                    None => default = Some(place(value.span)),
                    Some(first) => self.report(
                        Diagnostic::error(place(value.span), "union has more than one default")
                            .label("the second")
                            .note(first, "the first"),
                    ),
                }
            }
            fields.push(Field {
                id,
                name: name(file, &field.name),
                doc: field.doc.as_ref().map(|doc| doc.text.clone()),
                annotations: annotations_of(file, &field.annotations),
                requiredness,
                ty: self.annotated(file, &field.ty, &field.annotations),
                reference: field.reference,
                default: field.default.as_ref().map(|_| Constant::Unknown),
            });
        }
        fields
    }

    fn requiredness(&mut self, file: SourceId, field: &syntax::Field, kind: FieldList) -> Requiredness {
        let (written, span) = match field.requiredness {
            None if kind == FieldList::Struct(StructKind::Union) => return Requiredness::Optional,
            None => return Requiredness::Default,
            Some(written) => written,
        };
        let place = Place { source: file, span };
        match (kind, written) {
            (FieldList::Struct(StructKind::Union), syntax::Requiredness::Required) => {
                self.report(
                    Diagnostic::error(place, "a union cannot require one of its fields")
                        .label("exactly one of the fields is set")
                        .help("remove `required`"),
                );
                Requiredness::Optional
            }
            (FieldList::Struct(_), syntax::Requiredness::Required) => Requiredness::Required,
            (FieldList::Struct(_), syntax::Requiredness::Optional) => Requiredness::Optional,
            (FieldList::Arguments | FieldList::Throws, written) => {
                let word = match written {
                    syntax::Requiredness::Required => "required",
                    syntax::Requiredness::Optional => "optional",
                };
                let noun = kind.noun();
                self.report(
                    Diagnostic::warning(place, format!("`{word}` has no meaning for an {noun}"))
                        .label("ignored")
                        .help(format!("remove `{word}`")),
                );
                Requiredness::Default
            }
        }
    }
}

pub(super) fn name(file: SourceId, name: &syntax::Name) -> Name {
    Name { text: name.text.clone(), place: Place { source: file, span: name.span } }
}

pub(super) fn annotations_of(file: SourceId, annotations: &[syntax::Annotation]) -> Vec<ir::Annotation> {
    let convert = |annotation: &syntax::Annotation| ir::Annotation {
        key: annotation.key.text.clone(),
        value: annotation.value.as_ref().map_or("1", |value| &value.value).to_owned(),
        place: Place { source: file, span: annotation.span },
    };
    annotations.iter().map(convert).collect()
}

/// The error of a name that is defined with a dot in it.
pub(super) fn dotted(file: SourceId, name: &syntax::Name, what: &str) -> Option<Diagnostic> {
    name.text.contains('.').then(|| {
        let place = Place { source: file, span: name.span };
        Diagnostic::error(place, format!("the name of {} cannot have a dot", with_article(what)))
            .label("a dot stands between a file's prefix and a name")
            .help(format!("write `{}`", name.text.replace('.', "_")))
    })
}
