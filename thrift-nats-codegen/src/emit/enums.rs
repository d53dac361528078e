//! Enums. They are open, so that a value that a newer peer has added is kept.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use crate::ir::{EnumValue, Item, ItemId};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn enumeration(&self, id: ItemId, item: &Item, values: &[EnumValue]) -> Vec<TokenStream> {
        let rt = &self.rt;
        let doc = self.doc(item.doc.as_ref());
        let deprecated = self.deprecated(&item.annotations);
        let names = self.names.item(id);
        let name = ident(&names.name);
        let written = &item.name.text;
        let members: Vec<_> = names.members.iter().map(|member| ident(member)).collect();
        let constants = values.iter().zip(&members).map(|(value, member)| {
            let doc = self.doc(value.doc.as_ref());
            let deprecated = self.deprecated(&value.annotations);
            let number = integer(value.number.into());
            quote! { #doc #deprecated pub const #member: Self = Self(#number); }
        });
        // If several names have one number, the first is shown.
        let mut seen = HashSet::new();
        let (distinct, aliases): (Vec<_>, Vec<_>) =
            values.iter().zip(&members).partition(|(value, _)| seen.insert(value.number));
        let listed = distinct.iter().map(|(_, member)| member);
        let shown = distinct.iter().map(|(value, member)| {
            let text = &value.name.text;
            quote! { Self::#member => Some(#text) }
        });
        let name_doc = " The name of the value in the IDL; `None` for a number without a name.";
        let name_fn = if distinct.is_empty() {
            quote! {
                #[must_use]
                pub const fn name(self) -> ::core::option::Option<&'static str> {
                    let Self(_) = self;
                    None
                }
            }
        } else {
            quote! {
                #[must_use]
                pub const fn name(self) -> ::core::option::Option<&'static str> {
                    match self {
                        #(#shown,)*
                        Self(_) => None,
                    }
                }
            }
        };
        // `VALUES` has only one of several names for a number.
        let aliases = aliases.into_iter().map(|(value, member)| {
            let text = &value.name.text;
            quote! { , #text => #member }
        });
        let mut derives: Vec<TokenStream> =
            ["Clone", "Copy", "Default", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash"]
                .map(|name| name.parse().expect("a name is a token"))
                .into();
        // The runtime's macro implements `Debug`.
        let present = [derives.as_slice(), &[quote! { Debug }]].concat();
        derives.extend(self.derives(&item.annotations, &present));
        derives.extend(self.serde_derives());
        let (attributes, serde) = (self.type_attributes(id), self.serde_enum());
        let declaration = quote! {
            #doc
            #deprecated
            #[derive(#(#derives),*)]
            #serde
            #attributes
            pub struct #name(pub i32);
        };
        let values = quote! {
            impl #name {
                #(#constants)*
                #[doc = " All values of the IDL, without aliases."]
                pub const VALUES: &'static [Self] = &[#(Self::#listed),*];

                #[doc = #name_doc]
                #name_fn
            }
        };
        vec![declaration, values, quote! { #rt::__private::open_enum!(#name, #written #(#aliases)*); }]
    }
}
