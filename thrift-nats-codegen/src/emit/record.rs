//! Structs, exceptions, and the arguments of functions with many of them.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use thrift_parser::syntax::BaseType;

use super::Emitter;
use super::constant::integer;
use super::types::Position;
use crate::derives::{asked, is_of_serde, standard_name};
use crate::ir::{Annotation, Field, Item, ItemId, Requiredness, Ty, TyKind};
use crate::naming::ident;
use crate::shape::{FieldShape, custom, is_shared, is_zero};

/// Fields that are read and written together.
pub(super) struct Record<'a> {
    /// Its name in Rust, and in the IDL.
    pub(super) name: Ident,
    pub(super) written: &'a str,
    pub(super) fields: Vec<Member<'a>>,
    pub(super) at: ItemId,
    pub(super) position: Position,
    /// Whether it keeps the fields that it does not know.
    pub(super) keeps_unknown: bool,
}

/// A field, with its name and shape in Rust.
pub(super) struct Member<'a> {
    pub(super) name: Ident,
    pub(super) field: &'a Field,
    pub(super) shape: FieldShape,
}

impl Emitter<'_> {
    pub(super) fn structure(&self, id: ItemId, item: &Item, fields: &[Field]) -> Vec<TokenStream> {
        let names = self.names.item(id);
        let members = fields.iter().zip(&names.members).enumerate().map(|(index, (field, name))| Member {
            name: ident(name),
            field,
            shape: self.shapes.field(id, index),
        });
        let record = Record {
            name: ident(&names.name),
            written: &item.name.text,
            fields: members.collect(),
            at: id,
            position: self.position_in(id),
            keeps_unknown: self.options.keep_unknown_fields,
        };
        let doc = self.doc(item.doc.as_ref());
        let deprecated = self.deprecated(&item.annotations);
        let mut derives = vec![quote! { Clone }, quote! { Debug }];
        derives.extend(record.has_zero_default().then(|| quote! { Default }));
        derives.extend(self.comparisons(id));
        derives.extend(self.derives(&item.annotations, &derives));
        derives.extend(self.serde_derives());
        let (attributes, serde) = (self.type_attributes(id), self.serde_struct());
        let name = &record.name;
        let declared = record.fields.iter().map(|member| {
            let field = member.field;
            let attributes = self.field_attributes(id, &field.name.text);
            let serde = self.serde_field(member);
            let doc = self.doc(field.doc.as_ref());
            let deprecated = self.deprecated(&field.annotations);
            let (name, ty) = (&member.name, self.field_type(&field.ty, member.shape, id, record.position));
            quote! { #doc #deprecated #serde #attributes pub #name: #ty }
        });
        let unknown = record.keeps_unknown.then(|| {
            let rt = &self.rt;
            let serde = self.options.serde.then(|| quote! { #[serde(skip)] });
            quote! {
                #[doc = " Fields that the IDL does not have. They are written back."]
                #serde
                pub unknown_fields: #rt::protocol::UnknownFields,
            }
        });
        let default = self.record_default(&record);
        let value = self.record_value(&record);
        let declaration = quote! {
            #doc
            #deprecated
            #[derive(#(#derives),*)]
            #serde
            #attributes
            pub struct #name { #(#declared,)* #unknown }
        };
        [Some(declaration), default, Some(value)].into_iter().flatten().collect()
    }

    /// The traits for comparing that a struct or union can have.
    pub(super) fn comparisons(&self, id: ItemId) -> Vec<TokenStream> {
        let mut derives = vec![quote! { PartialEq }];
        if self.shapes.has_total_equality(id) {
            derives.push(quote! { Eq });
        }
        if self.shapes.has_hash(id) {
            derives.push(quote! { Hash });
        }
        if self.program.keys.contains(&id) {
            derives.extend([quote! { PartialOrd }, quote! { Ord }]);
        }
        derives
    }

    /// The traits of `rust.derive` that are not derived or implemented already.
    pub(super) fn derives(&self, annotations: &[Annotation], present: &[TokenStream]) -> Vec<TokenStream> {
        let mut names: Vec<String> = present.iter().map(ToString::to_string).collect();
        // `Default` is implemented if it is not derived.
        names.push("Default".to_owned());
        let mut others = Vec::new();
        for (path, _) in asked(annotations) {
            let name = standard_name(path);
            let is_there = names.contains(&name) || self.options.serde && is_of_serde(path);
            if !is_there {
                others.extend(path.parse::<TokenStream>().ok());
                names.push(name);
            }
        }
        others
    }

    /// `Default`, if it cannot be derived.
    pub(super) fn record_default(&self, record: &Record<'_>) -> Option<TokenStream> {
        if record.has_zero_default() {
            return None;
        }
        let name = &record.name;
        let values = record.fields.iter().map(|member| {
            let value = self.default_of(member, record);
            let name = &member.name;
            quote! { #name: #value }
        });
        let unknown = record.keeps_unknown.then(|| {
            let rt = &self.rt;
            quote! { unknown_fields: #rt::protocol::UnknownFields::default(), }
        });
        Some(quote! {
            #[doc = " Fields have the defaults of the IDL, or are zero, empty or `None`."]
            impl ::core::default::Default for #name {
                fn default() -> Self {
                    Self { #(#values,)* #unknown }
                }
            }
        })
    }

    fn default_of(&self, member: &Member<'_>, record: &Record<'_>) -> TokenStream {
        match &member.field.default {
            None if member.shape.optional => quote! { None },
            None => self.zero(&member.field.ty, member.shape, record),
            Some(value) => {
                let mut value = self.value(value, &member.field.ty, record.at, record.position);
                if member.shape.boxed {
                    value = quote! { ::std::boxed::Box::new(#value) };
                }
                if member.shape.optional {
                    value = quote! { Some(#value) };
                }
                value
            }
        }
    }

    /// The default of a field without one in the IDL.
    fn zero(&self, ty: &Ty, shape: FieldShape, record: &Record<'_>) -> TokenStream {
        let rt = &self.rt;
        let behind = self.program.behind(ty);
        let value = match &behind.kind {
            _ if custom(behind).is_some() || is_shared(self.options, behind) => {
                let ty = self.ty(ty, record.at, record.position);
                quote! { <#ty as ::core::default::Default>::default() }
            }
            TyKind::Base(base) => match base {
                BaseType::Bool => quote! { false },
                BaseType::I8 | BaseType::I16 | BaseType::I32 | BaseType::I64 => quote! { 0 },
                BaseType::Double => match record.position {
                    Position::Plain => quote! { 0.0 },
                    Position::Key => quote! { #rt::OrderedFloat(0.0) },
                },
                BaseType::String => quote! { ::std::string::String::new() },
                BaseType::Binary => quote! { #rt::Bytes::new() },
            },
            TyKind::Uuid => quote! { #rt::Uuid::nil() },
            TyKind::List(_) => quote! { ::std::vec::Vec::new() },
            TyKind::Set(_) => {
                let set = self.set_name(behind, record.position);
                quote! { #set::new() }
            }
            TyKind::Map(..) => {
                let map = self.map_name(behind, record.position);
                quote! { #map::new() }
            }
            TyKind::Item(_) | TyKind::Unknown => {
                let ty = self.ty(ty, record.at, record.position);
                quote! { <#ty as ::core::default::Default>::default() }
            }
        };
        if shape.boxed {
            quote! { ::std::boxed::Box::new(#value) }
        } else {
            value
        }
    }

    /// The implementation of `Value`.
    pub(super) fn record_value(&self, record: &Record<'_>) -> TokenStream {
        let rt = &self.rt;
        let (name, written) = (&record.name, record.written);
        let writes = record.fields.iter().map(|member| {
            let (name, id) = (&member.name, integer(member.field.id.into()));
            if member.shape.optional {
                quote! { output.optional_field(#id, &self.#name)?; }
            } else {
                quote! { output.field(#id, &self.#name)?; }
            }
        });
        let required =
            || record.fields.iter().filter(|member| member.field.requiredness == Requiredness::Required);
        let seen =
            |member: &Member<'_>| format_ident!("has_{}", member.name.to_string().trim_start_matches("r#"));
        let declared = required().map(|member| {
            let seen = seen(member);
            quote! { let mut #seen = false; }
        });
        let missing = required().map(|member| {
            let (seen, field) = (seen(member), &member.field.name.text);
            quote! {
                if !#seen {
                    return Err(#rt::protocol::DecodeError::missing_field(#written, #field));
                }
            }
        });
        let arms = record.fields.iter().map(|member| {
            let (name, id, text) = (&member.name, integer(member.field.id.into()), &member.field.name.text);
            if record.keeps_unknown {
                let unknown = quote! { &mut value.unknown_fields };
                return if member.field.requiredness == Requiredness::Required {
                    let seen = seen(member);
                    quote! { #id => field.read_required_or_keep(#text, &mut value.#name, &mut #seen, #unknown) }
                } else if member.shape.optional {
                    quote! { #id => field.read_optional_or_keep(#text, &mut value.#name, #unknown) }
                } else {
                    quote! { #id => field.read_or_keep(#text, &mut value.#name, #unknown) }
                };
            }
            if member.field.requiredness == Requiredness::Required {
                let seen = seen(member);
                quote! { #id => field.read_required(#text, &mut value.#name, &mut #seen) }
            } else if member.shape.optional {
                quote! { #id => field.read_optional(#text, &mut value.#name) }
            } else {
                quote! { #id => field.read(#text, &mut value.#name) }
            }
        });
        let otherwise = if record.keeps_unknown {
            quote! { field.keep(&mut value.unknown_fields) }
        } else {
            quote! { field.skip() }
        };
        let body = if record.fields.is_empty() && record.keeps_unknown {
            quote! {
                let mut value = Self::default();
                input.read_struct(|field| field.keep(&mut value.unknown_fields))?;
                Ok(value)
            }
        } else if record.fields.is_empty() {
            quote! {
                input.skip(#rt::protocol::TType::Struct)?;
                Ok(Self {})
            }
        } else {
            quote! {
                let mut value = Self::default();
                #(#declared)*
                input.read_struct(|field| match field.id {
                    #(#arms,)*
                    _ => #otherwise,
                })?;
                #(#missing)*
                Ok(value)
            }
        };
        let kept = record.keeps_unknown.then(|| quote! { self.unknown_fields.write(output)?; });
        self.struct_value_impl(name, &quote! { #(#writes)* #kept }, &body)
    }

    /// The implementation of `Value` for a type that is encoded as a struct.
    pub(super) fn struct_value_impl(
        &self,
        name: &Ident,
        writes: &TokenStream,
        read: &TokenStream,
    ) -> TokenStream {
        let rt = &self.rt;
        quote! {
            impl #rt::protocol::Value for #name {
                const TTYPE: #rt::protocol::TType = #rt::protocol::TType::Struct;

                fn write<O: #rt::protocol::OutputProtocol>(&self, output: &mut O) -> #rt::protocol::EncodeResult {
                    output.struct_begin()?;
                    #writes
                    output.struct_end();
                    Ok(())
                }

                fn read<I: #rt::protocol::InputProtocol>(input: &mut I) -> #rt::protocol::DecodeResult<Self> {
                    #read
                }
            }
        }
    }
}

impl Record<'_> {
    /// Whether all defaults are what `derive(Default)` gives.
    pub(super) fn has_zero_default(&self) -> bool {
        self.fields.iter().all(|member| match &member.field.default {
            None => true,
            Some(value) => !member.shape.optional && is_zero(value),
        })
    }
}
