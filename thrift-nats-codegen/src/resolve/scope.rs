//! Names: the definitions of each file, and the lookup of names.

use std::collections::HashMap;

use thrift_parser::syntax::{Definition, Span, StructKind};

use super::hints;
use super::load::File;
use crate::diagnostics::{Diagnostic, with_article};
use crate::ir::ItemId;
use crate::sources::{Place, SourceId, Sources};

/// A definition, and its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared<'a> {
    pub(super) file: SourceId,
    pub(super) definition: &'a Definition,
}

impl Declared<'_> {
    pub(super) fn place(&self) -> Place {
        Place { source: self.file, span: self.definition.name().span }
    }
}

/// Types, constants and services may have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Type,
    Constant,
    Service,
}

const KINDS: [Kind; 3] = [Kind::Type, Kind::Constant, Kind::Service];

pub(super) fn kind_of(definition: &Definition) -> Kind {
    match definition {
        Definition::Typedef(_) | Definition::Enum(_) | Definition::Struct(_) => Kind::Type,
        Definition::Const(_) => Kind::Constant,
        Definition::Service(_) => Kind::Service,
    }
}

/// Thrift's word for the kind of a definition.
pub(super) fn word(definition: &Definition) -> &'static str {
    match definition {
        Definition::Typedef(_) => "typedef",
        Definition::Const(_) => "constant",
        Definition::Enum(_) => "enum",
        Definition::Struct(item) => match item.kind {
            StructKind::Struct => "struct",
            StructKind::Union => "union",
            StructKind::Exception => "exception",
        },
        Definition::Service(_) => "service",
    }
}

/// The definitions and includes of a file.
#[derive(Debug, Default)]
struct Scope<'a> {
    names: HashMap<(Kind, &'a str), ItemId>,
    /// By prefix. Files in two folders may have the same name.
    includes: HashMap<&'a str, Vec<SourceId>>,
}

/// All names of a run.
#[derive(Debug)]
pub(super) struct Scopes<'a> {
    files: &'a [File],
    sources: &'a Sources,
    scopes: Vec<Scope<'a>>,
    declared: Vec<Declared<'a>>,
}

impl<'a> Scopes<'a> {
    /// Collects the definitions of the files. Items are numbered file after file, in source order.
    pub(super) fn new(files: &'a [File], sources: &'a Sources, ids: &[SourceId]) -> Self {
        let mut scopes = Vec::with_capacity(files.len());
        let mut declared = Vec::new();
        for (file, id) in files.iter().zip(ids) {
            let mut scope = Scope::default();
            for included in &file.includes {
                let stem = files[included.index()].stem.as_str();
                let same: &mut Vec<SourceId> = scope.includes.entry(stem).or_default();
                if !same.contains(included) {
                    same.push(*included);
                }
            }
            for definition in &file.document.definitions {
                let item = ItemId::new(declared.len());
                let name = definition.name().text.as_str();
                scope.names.entry((kind_of(definition), name)).or_insert(item);
                declared.push(Declared { file: *id, definition });
            }
            scopes.push(scope);
        }
        Self { files, sources, scopes, declared }
    }

    pub(super) fn path(&self, file: SourceId) -> &'a std::path::Path {
        &self.sources.get(file).path
    }

    pub(super) fn declared(&self) -> &[Declared<'a>] {
        &self.declared
    }

    pub(super) fn item(&self, id: ItemId) -> Declared<'a> {
        self.declared[id.index()]
    }

    /// The definition that `name` refers to in `file`: one of the file, or of a file that it includes directly.
    pub(super) fn find(&self, file: SourceId, kind: Kind, name: &str) -> Option<ItemId> {
        let scope = &self.scopes[file.index()];
        let included = || {
            let (prefix, name) = name.rsplit_once('.')?;
            let files = scope.includes.get(prefix)?;
            files.iter().find_map(|file| self.own(*file, kind, name))
        };
        self.own(file, kind, name).or_else(included)
    }

    fn own(&self, file: SourceId, kind: Kind, name: &str) -> Option<ItemId> {
        self.scopes[file.index()].names.get(&(kind, name)).copied()
    }

    /// The error for a name that refers to nothing. `None` if another error is the cause.
    pub(super) fn unknown(&self, file: SourceId, kind: Kind, name: &str, span: Span) -> Option<Diagnostic> {
        let what = match kind {
            Kind::Type => "type",
            Kind::Constant => "constant or enum value",
            Kind::Service => "service",
        };
        if self.is_mistaken(file, span) {
            return None;
        }
        let scope = &self.scopes[file.index()];
        let error = Diagnostic::error(Place { source: file, span }, format!("unknown {what} `{name}`"));
        // A prefix may contain dots: the longest one counts.
        let dots = name.rmatch_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
        let missing = &self.files[file.index()].missing;
        let is_known = |prefix: &str| scope.includes.contains_key(prefix);
        // The file may be missing because its name is wrong in the include.
        let unread = &self.files[file.index()].unread;
        if (!missing.is_empty() || unread.lacks_name_of(&["include"]))
            && dots.clone().next().is_some()
            && !dots.clone().any(|(prefix, _)| is_known(prefix))
        {
            return None;
        }
        for (prefix, rest) in dots.clone() {
            if missing.iter().any(|missing| missing == prefix) {
                return None;
            }
            let Some(files) = scope.includes.get(prefix) else { continue };
            if files.iter().any(|file| self.may_define(*file, rest)) {
                return None;
            }
            let path = self.sources.get(files[0]).path.display();
            let error = error.label(format!("`{path}` does not define it"));
            if let Some(other) = self.of_other_kind(files[0], kind, rest) {
                return Some(self.misnamed(error, other, kind));
            }
            let names = files.iter().flat_map(|file| self.names_of(*file, kind));
            let near = hints::nearest(rest, names).map(|near| format!("there is `{prefix}.{near}`"));
            if near.is_none() && files.iter().any(|file| self.may_lack(*file, kind, rest)) {
                return None;
            }
            return Some(error.maybe_help(near));
        }
        // Or its include could not be read.
        if self.may_define(file, name.split('.').next().unwrap_or(name)) {
            return None;
        }
        if let Some(other) = self.of_other_kind(file, kind, name) {
            let error = error.label(format!("not a {what}"));
            return Some(self.misnamed(error, other, kind));
        }
        let error = error.label("not found in this file or its includes");
        let help = self.meant(file, kind, name);
        if help.is_none() && self.may_lack(file, kind, name) {
            return None;
        }
        Some(error.maybe_help(help))
    }

    fn misnamed(&self, error: Diagnostic, other: ItemId, wanted: Kind) -> Diagnostic {
        let other = self.item(other);
        let word = word(other.definition);
        let error = error.note(other.place(), format!("this is {}", with_article(word)));
        match (wanted, kind_of(other.definition)) {
            (Kind::Constant, Kind::Type) => match other.definition {
                Definition::Enum(item) if !item.values.is_empty() => {
                    error.help(format!("write `{}.{}`", item.name.text, item.values[0].name.text))
                }
                _ => error,
            },
            _ => error,
        }
    }

    fn of_other_kind(&self, file: SourceId, kind: Kind, name: &str) -> Option<ItemId> {
        KINDS.into_iter().filter(|other| *other != kind).find_map(|other| self.own(file, other, name))
    }

    fn names_of(&self, file: SourceId, kind: Kind) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<&'a str> = self.scopes[file.index()]
            .names
            .keys()
            .filter(|(of, _)| *of == kind)
            .map(|(_, name)| *name)
            .collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// A suggestion for a name that refers to nothing.
    fn meant(&self, file: SourceId, kind: Kind, name: &str) -> Option<String> {
        let scope = &self.scopes[file.index()];
        let included = &self.files[file.index()].includes;
        let stem = |file: SourceId| self.files[file.index()].stem.as_str();
        // The name is in an included file, and the prefix is missing.
        if let Some(of) = included.iter().find(|of| self.own(**of, kind, name).is_some()) {
            return Some(format!("write `{}.{name}`", stem(*of)));
        }
        if let Some((prefix, rest)) = name.rsplit_once('.') {
            // The name is in a file that is not included here.
            let defines = |(index, of): &(usize, &File)| {
                of.stem == prefix && self.scopes[*index].names.contains_key(&(kind, rest))
            };
            if let Some((index, _)) = self.files.iter().enumerate().find(defines) {
                let declared = self.item(self.scopes[index].names[&(kind, rest)]);
                let path = self.sources.get(declared.file).path.file_name().unwrap_or_default();
                let path = path.to_string_lossy();
                return Some(format!("includes are not passed on: add `include \"{path}\"` to this file"));
            }
            let mut prefixes: Vec<&str> = scope.includes.keys().copied().collect();
            prefixes.sort_unstable();
            if let Some(near) = hints::nearest(prefix, prefixes.into_iter()) {
                return Some(format!("there is an include `{near}`"));
            }
            // It may be an enum whose name could not be read.
            let may_be_enum = kind == Kind::Constant && self.may_lack(file, kind, name);
            if !may_be_enum && !KINDS.into_iter().any(|kind| self.own(file, kind, prefix).is_some()) {
                return Some(format!(
                    "no include is called `{prefix}`: is `include \"{prefix}.thrift\"` missing?"
                ));
            }
        }
        if kind == Kind::Constant
            && let Some(help) = hints::value(name)
        {
            return Some(help.to_owned());
        }
        if kind == Kind::Type
            && let Some(base) = hints::base_type(name)
        {
            return Some(format!("in Thrift it is `{base}`"));
        }
        if let Some(near) = hints::nearest(name, self.names_of(file, kind)) {
            let declared = self.item(scope.names[&(kind, near)]);
            return Some(format!("there is {} `{near}`", with_article(word(declared.definition))));
        }
        for of in included {
            if let Some(near) = hints::nearest(name, self.names_of(*of, kind)) {
                return Some(format!("there is `{}.{near}`", stem(*of)));
            }
        }
        const BASE: [&str; 9] = ["bool", "i8", "i16", "i32", "i64", "double", "string", "binary", "uuid"];
        match kind {
            Kind::Type => hints::nearest(name, BASE.into_iter()).map(|near| format!("there is `{near}`")),
            Kind::Constant | Kind::Service => None,
        }
    }

    /// Whether a part of a file that could not be read may define `name`.
    fn may_define(&self, file: SourceId, name: &str) -> bool {
        self.files[file.index()].unread.may_define(name)
    }

    /// Whether a file has a definition of this kind without a name, which may be the missing one.
    fn may_lack(&self, file: SourceId, kind: Kind, name: &str) -> bool {
        const TYPES: &[&str] = &["struct", "union", "exception", "enum", "typedef"];
        let unread = &self.files[file.index()].unread;
        match kind {
            Kind::Type => unread.lacks_name_of(TYPES),
            Kind::Service => unread.lacks_name_of(&["service"]),
            // An enum value follows the name of the enum.
            Kind::Constant if name.contains('.') => unread.lacks_name_of(TYPES),
            Kind::Constant => unread.lacks_name_of(&["const"]),
        }
    }

    /// Whether there is a mistake at this place, so that the value is not known.
    pub(super) fn is_mistaken(&self, file: SourceId, span: Span) -> bool {
        self.files[file.index()].unread.is_mistaken(span)
    }

    /// Whether some members of a definition could not be read.
    pub(super) fn is_partial(&self, id: ItemId) -> bool {
        let declared = self.item(id);
        self.files[declared.file.index()].unread.is_missing_in(declared.definition.span())
    }

    /// Whether a definition may have a member of this name that could not be read.
    pub(super) fn may_have(&self, id: ItemId, name: &str) -> bool {
        let declared = self.item(id);
        self.files[declared.file.index()].unread.may_name_member(declared.definition.span(), name)
    }
}
