//! Uses of types.

use proc_macro2::TokenStream;
use quote::quote;
use thrift_parser::syntax::BaseType;

use super::Emitter;
use crate::ir::{Item, ItemId, ItemKind, Ty, TyKind};
use crate::naming::ident;
use crate::shape::{FieldShape, custom, differs_in_key, is_hash, is_shared};

/// Whether a type or value is within a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Plain,
    /// In a set element, a map key, or a struct that is one: it must be ordered.
    Key,
}

/// The parameter type of an argument in a client's method.
pub(super) struct Parameter {
    pub(super) ty: TokenStream,
    pub(super) borrowed: bool,
}

impl Emitter<'_> {
    pub(super) fn typedef(&self, id: ItemId, item: &Item, ty: &Ty) -> TokenStream {
        let doc = self.doc(item.doc.as_ref());
        let deprecated = self.deprecated(&item.annotations);
        let name = ident(&self.names.item(id).name);
        let ty = self.ty(ty, id, Position::Plain);
        quote! { #doc #deprecated pub type #name = #ty; }
    }

    /// The position of the fields of a struct.
    pub(super) fn position_in(&self, structure: ItemId) -> Position {
        if self.program.keys.contains(&structure) { Position::Key } else { Position::Plain }
    }

    /// A type, as it is written in the module of `at`.
    pub(super) fn ty(&self, ty: &Ty, at: ItemId, position: Position) -> TokenStream {
        let rt = &self.rt;
        let expand = position == Position::Key && differs_in_key(self.program, self.options, ty);
        let ty = if expand { self.program.behind(ty) } else { ty };
        if let Some(path) = custom(ty) {
            return path.parse().expect("the type has been parsed before");
        }
        match &ty.kind {
            TyKind::Base(base) => match base {
                BaseType::Bool => quote! { bool },
                BaseType::I8 => quote! { i8 },
                BaseType::I16 => quote! { i16 },
                BaseType::I32 => quote! { i32 },
                BaseType::I64 => quote! { i64 },
                BaseType::Double if position == Position::Key => quote! { #rt::OrderedF64 },
                BaseType::Double => quote! { f64 },
                BaseType::String if is_shared(self.options, ty) => quote! { #rt::FastStr },
                BaseType::String => quote! { ::std::string::String },
                BaseType::Binary => quote! { #rt::Bytes },
            },
            TyKind::Uuid => quote! { #rt::Uuid },
            TyKind::List(element) => {
                let element = self.ty(element, at, position);
                quote! { ::std::vec::Vec<#element> }
            }
            TyKind::Set(element) => {
                let (set, element) = (self.set_name(ty, position), self.ty(element, at, Position::Key));
                quote! { #set<#element> }
            }
            TyKind::Map(key, value) => {
                let (key, value) = (self.ty(key, at, Position::Key), self.ty(value, at, position));
                let map = self.map_name(ty, position);
                quote! { #map<#key, #value> }
            }
            TyKind::Item(item) => self.path(*item, &self.names.item(*item).name, at),
            TyKind::Unknown => unreachable!("a program with an unknown type is not generated"),
        }
    }

    /// The type of a parameter of a client's method: borrowed, unless it is a number, an enum or another small value.
    pub(super) fn parameter(&self, ty: &Ty, at: ItemId) -> Parameter {
        let behind = self.program.behind(ty);
        let owned = self.ty(ty, at, Position::Plain);
        if custom(ty).is_some() || custom(behind).is_some() {
            return Parameter { ty: quote! { &#owned }, borrowed: true };
        }
        match &behind.kind {
            TyKind::Base(BaseType::String) => Parameter { ty: quote! { &str }, borrowed: true },
            TyKind::Base(BaseType::Binary) => Parameter { ty: quote! { &#owned }, borrowed: true },
            TyKind::Base(_) | TyKind::Uuid => Parameter { ty: owned, borrowed: false },
            TyKind::List(element) => {
                let element = self.ty(element, at, Position::Plain);
                Parameter { ty: quote! { &[#element] }, borrowed: true }
            }
            TyKind::Item(id) if matches!(self.program.item(*id).kind, ItemKind::Enum(_)) => {
                Parameter { ty: owned, borrowed: false }
            }
            TyKind::Item(_) | TyKind::Set(_) | TyKind::Map(..) | TyKind::Unknown => {
                Parameter { ty: quote! { &#owned }, borrowed: true }
            }
        }
    }

    /// The type of a set, without its element.
    pub(super) fn set_name(&self, ty: &Ty, position: Position) -> TokenStream {
        if position == Position::Plain && is_hash(self.options, ty) {
            quote! { ::std::collections::HashSet }
        } else {
            quote! { ::std::collections::BTreeSet }
        }
    }

    /// The type of a map, without key and value.
    pub(super) fn map_name(&self, ty: &Ty, position: Position) -> TokenStream {
        if position == Position::Plain && is_hash(self.options, ty) {
            quote! { ::std::collections::HashMap }
        } else {
            quote! { ::std::collections::BTreeMap }
        }
    }

    /// The type of a field, with the `Box` and the `Option` around it.
    pub(super) fn field_type(
        &self,
        ty: &Ty,
        shape: FieldShape,
        at: ItemId,
        position: Position,
    ) -> TokenStream {
        let mut tokens = self.ty(ty, at, position);
        if shape.boxed {
            tokens = quote! { ::std::boxed::Box<#tokens> };
        }
        if shape.optional {
            tokens = quote! { ::core::option::Option<#tokens> };
        }
        tokens
    }

    /// The path to a name in the module of `item`, from the module of `at`.
    pub(super) fn path(&self, item: ItemId, name: &str, at: ItemId) -> TokenStream {
        let name_ident = ident(name);
        if let Some(module) = self.externs.path(self.program.item(item).file.index()) {
            let module: TokenStream = module.parse().expect("the path has been parsed before");
            return quote! { #module::#name_ident };
        }
        let (to, from) = (self.names.module(self.program, item), self.names.module(self.program, at));
        let common = to.iter().zip(from).take_while(|(to, from)| to == from).count();
        let up = from[common..].iter().map(|_| quote! { super:: });
        let down = to[common..].iter().map(|name| {
            let name = ident(name);
            quote! { #name:: }
        });
        quote! { #(#up)* #(#down)* #name_ident }
    }
}
