//! The resolved program: every name is resolved, every value has its type, every check has passed. It knows no Rust.

use std::collections::BTreeSet;
use std::path::PathBuf;

use thrift_parser::syntax::{BaseType, StructKind};
use uuid::Uuid;

use crate::sources::{Place, SourceId};

/// All files of a run.
#[derive(Debug, Default)]
pub(crate) struct Program {
    /// The number of given files. They come first.
    pub(crate) roots: usize,
    /// By [`SourceId`].
    pub(crate) files: Vec<File>,
    /// By [`ItemId`]: file after file, each in source order.
    pub(crate) items: Vec<Item>,
    /// The structs and unions that are set elements, map keys, or part of one: they must be ordered.
    pub(crate) keys: BTreeSet<ItemId>,
}

impl Program {
    pub(crate) fn ids(&self) -> impl Iterator<Item = ItemId> + use<> {
        (0..self.items.len()).map(ItemId::new)
    }

    pub(crate) fn item(&self, id: ItemId) -> &Item {
        &self.items[id.index()]
    }

    /// The type that remains when all typedefs are resolved.
    pub(crate) fn behind<'a>(&'a self, mut ty: &'a Ty) -> &'a Ty {
        // No typedef names itself: the resolver has checked that.
        while let TyKind::Item(id) = ty.kind {
            match &self.item(id).kind {
                ItemKind::Typedef(target) => ty = target,
                _ => break,
            }
        }
        ty
    }
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Its name without folder and last extension: its prefix in other files.
    pub(crate) stem: String,
    /// As it was given or included.
    pub(crate) path: PathBuf,
    /// The files it includes itself, in source order.
    pub(crate) includes: Vec<SourceId>,
    /// Scope and name, in source order.
    pub(crate) namespaces: Vec<(String, String)>,
    pub(crate) items: Vec<ItemId>,
}

/// A definition of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ItemId(u32);

impl ItemId {
    pub(crate) fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A definition.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) file: SourceId,
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) kind: ItemKind,
}

/// The kinds of definitions, with their content.
#[derive(Debug)]
pub(crate) enum ItemKind {
    Typedef(Ty),
    Const { ty: Ty, value: Constant },
    Enum(Vec<EnumValue>),
    Struct { kind: StructKind, fields: Vec<Field> },
    Service { extends: Option<ItemId>, functions: Vec<Function> },
}

/// A name where it is defined.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// `key = "value"`, or a key that stands alone, whose value is `"1"`.
#[derive(Clone, Debug)]
pub(crate) struct Annotation {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) place: Place,
}

/// One value of an enum.
#[derive(Debug)]
pub(crate) struct EnumValue {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) number: i32,
}

/// A field of a struct, an argument, or an entry of a `throws` list.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) id: i16,
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) requiredness: Requiredness,
    pub(crate) ty: Ty,
    /// `&`: boxed.
    pub(crate) reference: bool,
    pub(crate) default: Option<Constant>,
}

/// Whether a field must, may or should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requiredness {
    Required,
    Optional,
    /// Neither is written: always sent, and may be missing.
    Default,
}

/// A function of a service.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) oneway: bool,
    /// `None` for `void`.
    pub(crate) returns: Option<Ty>,
    pub(crate) arguments: Vec<Field>,
    /// Every type is an exception, or a typedef of one.
    pub(crate) throws: Vec<Field>,
}

impl Ty {
    /// The annotation `rust.type`, if there is one.
    pub(crate) fn rust_type(&self) -> Option<&Annotation> {
        self.annotations.iter().rev().find(|annotation| annotation.key == "rust.type")
    }
}

/// A type where it is used.
#[derive(Clone, Debug)]
pub(crate) struct Ty {
    pub(crate) kind: TyKind,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) place: Place,
}

/// The kinds of [`Ty`].
#[derive(Clone, Debug)]
pub(crate) enum TyKind {
    Base(BaseType),
    Uuid,
    List(Box<Ty>),
    Set(Box<Ty>),
    Map(Box<Ty>, Box<Ty>),
    /// A typedef, an enum or a struct.
    Item(ItemId),
    /// A type that is not defined. The error is reported already, and no other must follow from it.
    Unknown,
}

/// A value of a known type.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Binary(Vec<u8>),
    Uuid(Uuid),
    /// A value of an enum, by its number.
    Enum(ItemId, i32),
    /// Elements of a list or set.
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// Fields of a struct, by their position.
    Struct(ItemId, Vec<(usize, Self)>),
    /// The value of a constant of the same type.
    Ref(ItemId),
    /// A value with an error, which is reported already.
    Unknown,
}

impl File {
    /// The namespace for a language: the last, if there are several.
    pub(crate) fn namespace_for(&self, language: &str) -> Option<&str> {
        let found = self.namespaces.iter().rev().find(|(scope, _)| scope == language);
        found.map(|(_, name)| name.as_str())
    }
}
