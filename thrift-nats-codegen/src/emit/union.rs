//! Unions: one of their fields, or one that is not known.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use crate::ir::{Field, Item, ItemId};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn union(&self, id: ItemId, item: &Item, fields: &[Field]) -> Vec<TokenStream> {
        let rt = &self.rt;
        let doc = self.doc(item.doc.as_ref(), &format!("Union `{}`.", item.name.text));
        let deprecated = self.deprecated(&item.annotations);
        let names = self.names.item(id);
        let (name, written) = (ident(&names.name), &item.name.text);
        let position = self.position_in(id);
        let mut derives = vec![quote! { Clone }, quote! { Debug }];
        derives.extend(self.comparisons(id));
        derives.extend(self.derives(&item.annotations, &derives));
        derives.extend(self.serde_derives());
        let (attributes, serde) = (self.type_attributes(id), self.serde_enum());
        let members: Vec<_> = fields.iter().zip(names.members.iter().map(|member| ident(member))).collect();
        let boxed = |index: usize| self.shapes.field(id, index).boxed;
        let variants = members.iter().enumerate().map(|(index, (field, member))| {
            let doc = self.doc(field.doc.as_ref(), &format!("Field {}, `{}`.", field.id, field.name.text));
            let deprecated = self.deprecated(&field.annotations);
            let ty = self.ty(&field.ty, id, position);
            let ty = if boxed(index) {
                quote! { ::std::boxed::Box<#ty> }
            } else {
                ty
            };
            let serde = self.serde_name(&member.to_string(), &field.name.text);
            let attributes = self.field_attributes(id, &field.name.text);
            quote! { #doc #deprecated #serde #attributes #member(#ty) }
        });
        let default = members.iter().enumerate().find_map(|(index, (field, member))| {
            let value = self.value(field.default.as_ref()?, &field.ty, id, position);
            let value = if boxed(index) {
                quote! { ::std::boxed::Box::new(#value) }
            } else {
                value
            };
            Some(quote! { Self::#member(#value) })
        });
        let default = default.unwrap_or_else(|| quote! { Self::Unknown(0) });
        let writes = members.iter().map(|(field, member)| {
            let id = integer(field.id.into());
            quote! { Self::#member(value) => output.field(#id, value)?, }
        });
        let reads = members.iter().map(|(field, member)| {
            let (id, text) = (integer(field.id.into()), &field.name.text);
            quote! { #id => field.read_variant(#text, Self::#member, Self::Unknown)?, }
        });
        let read = if fields.is_empty() {
            quote! { field.skip_variant(Self::Unknown)? }
        } else {
            quote! {
                match field.id {
                    #(#reads)*
                    _ => field.skip_variant(Self::Unknown)?,
                }
            }
        };
        let value = self.struct_value_impl(
            &name,
            &quote! {
                match self {
                    #(#writes)*
                    Self::Unknown(0) => {}
                    Self::Unknown(id) => {
                        return Err(#rt::protocol::EncodeError::unknown_union_field(#written, *id));
                    }
                }
            },
            &quote! {
                let mut value = Self::Unknown(0);
                input.read_struct(|field| {
                    if value != Self::Unknown(0) {
                        return Err(#rt::protocol::DecodeError::second_union_field(#written, field.id));
                    }
                    value = #read;
                    Ok(())
                })?;
                Ok(value)
            },
        );
        let declaration = quote! {
            #doc
            #deprecated
            #[derive(#(#derives),*)]
            #serde
            #attributes
            pub enum #name {
                #(#variants,)*
                #[doc = " A field that the IDL does not have, by its id; 0 if no field is set. Its value is not kept."]
                Unknown(i16),
            }
        };
        let default = quote! {
            impl ::core::default::Default for #name {
                fn default() -> Self { #default }
            }
        };
        vec![declaration, default, value]
    }
}
