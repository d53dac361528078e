//! Exceptions as errors.

use proc_macro2::TokenStream;
use quote::quote;
use thrift_parser::syntax::BaseType;

use super::Emitter;
use crate::ir::{Field, Item, ItemId, TyKind};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn exception(&self, id: ItemId, item: &Item, fields: &[Field]) -> TokenStream {
        let names = self.names.item(id);
        let (name, written) = (ident(&names.name), &item.name.text);
        // The field with the message: the one that `(message = "…")` names, else the one named `message`.
        let chosen = item.annotations.iter().rev().find(|annotation| annotation.key == "message");
        let chosen = chosen.map_or("message", |annotation| annotation.value.as_str());
        let speaks = |field: &Field| {
            field.name.text == chosen
                && matches!(self.program.behind(&field.ty).kind, TyKind::Base(BaseType::String))
        };
        let shown = match fields.iter().position(speaks) {
            Some(index) => {
                let field = ident(&names.members[index]);
                if self.shapes.field(id, index).optional {
                    let with_message = format!("{written}: {{message}}");
                    quote! {
                        match &self.#field {
                            Some(message) => ::core::write!(f, #with_message),
                            None => f.write_str(#written),
                        }
                    }
                } else {
                    let with_text = format!("{written}: {{}}");
                    quote! { ::core::write!(f, #with_text, self.#field) }
                }
            }
            None => quote! { ::core::fmt::Debug::fmt(self, f) },
        };
        quote! {
            impl ::core::fmt::Display for #name {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { #shown }
            }

            impl ::core::error::Error for #name {}
        }
    }
}
