//! Unions: one of their fields, or one that is not known.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use crate::ir::{Field, Item, ItemId};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn union(&self, id: ItemId, item: &Item, fields: &[Field]) -> TokenStream {
        let rt = &self.rt;
        let doc = self.doc(item.doc.as_ref(), &format!("Union `{}`.", item.name.text));
        let deprecated = self.deprecated(&item.annotations);
        let names = self.names.item(id);
        let (name, written) = (ident(&names.name), &item.name.text);
        let position = self.position_in(id);
        let mut derives = vec![quote! { Clone }, quote! { Debug }];
        derives.extend(self.comparisons(id));
        derives.extend(self.derives(&item.annotations));
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
            quote! { Self::#member(value) => { #rt::protocol::Value::write_field(value, output, #id)?; } }
        });
        let reads = members.iter().map(|(field, member)| {
            let (id, ttype, text) = (integer(field.id.into()), self.ttype(&field.ty), &field.name.text);
            quote! { (#id, #ttype) => Self::#member(input.read_field(#text)?), }
        });
        let read = if fields.is_empty() {
            quote! {
                input.skip(field.ttype)?;
                value = Self::Unknown(field.id);
            }
        } else {
            quote! {
                value = match (field.id, field.ttype) {
                    #(#reads)*
                    _ => {
                        input.skip(field.ttype)?;
                        Self::Unknown(field.id)
                    }
                };
            }
        };
        quote! {
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

            impl ::core::default::Default for #name {
                fn default() -> Self { #default }
            }

            impl #rt::protocol::Value for #name {
                const TTYPE: #rt::protocol::TType = #rt::protocol::TType::Struct;

                fn write<O: #rt::protocol::OutputProtocol>(
                    &self,
                    output: &mut O,
                ) -> ::core::result::Result<(), #rt::protocol::EncodeError> {
                    output.struct_begin()?;
                    match self {
                        #(#writes)*
                        Self::Unknown(0) => {}
                        Self::Unknown(id) => {
                            return Err(#rt::protocol::EncodeError::unknown_union_field(#written, *id));
                        }
                    }
                    output.struct_end();
                    Ok(())
                }

                fn read<I: #rt::protocol::InputProtocol>(
                    input: &mut I,
                ) -> ::core::result::Result<Self, #rt::protocol::DecodeError> {
                    let mut value = Self::Unknown(0);
                    input.struct_begin()?;
                    while let Some(field) = input.field_begin()? {
                        if value != Self::Unknown(0) {
                            return Err(#rt::protocol::DecodeError::second_union_field(#written, field.id));
                        }
                        #read
                    }
                    input.struct_end();
                    Ok(value)
                }
            }
        }
    }
}
