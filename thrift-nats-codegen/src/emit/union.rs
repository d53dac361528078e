//! Unions: enums with a variant for each field, and one for unknown fields.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use crate::ir::{Field, Item, ItemId};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn union(&self, id: ItemId, item: &Item, fields: &[Field]) -> Vec<TokenStream> {
        let rt = &self.rt;
        let doc = self.doc(item.doc.as_ref());
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
            let doc = self.doc(field.doc.as_ref());
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
        let keeps = self.options.keep_unknown_fields;
        let default = default.unwrap_or_else(|| {
            if keeps {
                quote! { Self::Unknown(#rt::protocol::UnknownFields::default()) }
            } else {
                quote! { Self::Unknown(0) }
            }
        });
        let writes = members.iter().map(|(field, member)| {
            let id = integer(field.id.into());
            quote! { Self::#member(value) => output.field(#id, value)?, }
        });
        let reads = members.iter().map(|(field, member)| {
            let (id, text) = (integer(field.id.into()), &field.name.text);
            let read = if keeps {
                quote! { read_variant_or_keep }
            } else {
                quote! { read_variant }
            };
            quote! { #id => field.#read(#text, Self::#member, Self::Unknown)?, }
        });
        let otherwise = if keeps {
            quote! { keep_variant }
        } else {
            quote! { skip_variant }
        };
        let read = if fields.is_empty() {
            quote! { field.#otherwise(Self::Unknown)? }
        } else {
            quote! {
                match field.id {
                    #(#reads)*
                    _ => field.#otherwise(Self::Unknown)?,
                }
            }
        };
        let write_unknown = if keeps {
            quote! { Self::Unknown(fields) => fields.write(output)?, }
        } else {
            quote! {
                Self::Unknown(0) => {}
                Self::Unknown(id) => {
                    return Err(#rt::protocol::EncodeError::unknown_union_field(#written, *id));
                }
            }
        };
        // A union without a field, and the test for one with a field.
        let (nothing, is_something) = if keeps {
            (
                quote! { Self::Unknown(#rt::protocol::UnknownFields::default()) },
                quote! { !::core::matches!(&value, Self::Unknown(fields) if fields.is_empty()) },
            )
        } else {
            (quote! { Self::Unknown(0) }, quote! { value != Self::Unknown(0) })
        };
        let value = self.struct_value_impl(
            &name,
            &quote! {
                match self {
                    #(#writes)*
                    #write_unknown
                }
            },
            &quote! {
                let mut value = #nothing;
                input.read_struct(|field| {
                    if #is_something {
                        return Err(#rt::protocol::DecodeError::second_union_field(#written, field.id));
                    }
                    value = #read;
                    Ok(())
                })?;
                Ok(value)
            },
        );
        let unknown = if keeps {
            let serde = self.options.serde.then(|| quote! { #[serde(skip)] });
            quote! {
                #[doc = " A field that the IDL does not have; it is written back. Empty if no field is set."]
                #serde
                Unknown(#rt::protocol::UnknownFields),
            }
        } else {
            quote! {
                #[doc = " The id of a field that the IDL does not have; its value is not kept. 0 if no field is set."]
                Unknown(i16),
            }
        };
        let declaration = quote! {
            #doc
            #deprecated
            #[derive(#(#derives),*)]
            #serde
            #attributes
            pub enum #name {
                #(#variants,)*
                #unknown
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
