//! What functions send and answer: the structs of their arguments, and their errors.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use super::record::{Member, Record};
use super::types::Position;
use crate::ir::{Function, ItemId, TyKind};
use crate::naming::{FunctionNames, ident};
use crate::shape::FieldShape;

impl Emitter<'_> {
    /// The names of the functions of a service.
    pub(super) fn function_names(&self, service: ItemId) -> &[FunctionNames] {
        let names = self.names.item(service).service.as_ref();
        &names.expect("every service has been named").functions
    }

    /// The structs of arguments and the errors of all functions.
    pub(super) fn messages(&self, service: ItemId, functions: &[Function]) -> TokenStream {
        let functions = functions.iter().zip(self.function_names(service));
        functions
            .map(|(function, names)| {
                let arguments =
                    (!function.arguments.is_empty()).then(|| self.arguments(service, function, names));
                let error = (!function.throws.is_empty()).then(|| self.error(service, function, names));
                quote! { #error #arguments }
            })
            .collect()
    }

    fn arguments(&self, service: ItemId, function: &Function, names: &FunctionNames) -> TokenStream {
        let members = function.arguments.iter().zip(&names.fields).map(|(field, name)| Member {
            name: ident(name),
            field,
            shape: FieldShape { boxed: false, optional: false },
        });
        let record = Record {
            name: ident(&names.arguments),
            written: "arguments",
            fields: members.collect(),
            at: service,
            position: Position::Plain,
        };
        let name = &record.name;
        let declared = record.fields.iter().map(|member| {
            let (name, ty) = (&member.name, self.ty(&member.field.ty, service, Position::Plain));
            quote! { pub #name: #ty }
        });
        let default = self.record_default(&record);
        let derived = default.is_none().then(|| quote! { , Default });
        let value = self.record_value(&record);
        quote! {
            #[doc(hidden)]
            #[derive(Debug #derived)]
            pub struct #name { #(#declared),* }
            #default
            #value
        }
    }

    fn error(&self, service: ItemId, function: &Function, names: &FunctionNames) -> TokenStream {
        let rt = &self.rt;
        let name = ident(&names.error);
        let doc = format!(" What `{}` can fail with.", function.name.text);
        let variants: Vec<_> = names.variants.iter().map(|variant| ident(variant)).collect();
        let types: Vec<_> =
            function.throws.iter().map(|thrown| self.ty(&thrown.ty, service, Position::Plain)).collect();
        let declared =
            function.throws.iter().zip(variants.iter().zip(&types)).map(|(thrown, (variant, ty))| {
                let doc = self.doc(thrown.doc.as_ref(), &format!("The exception `{}`.", thrown.name.text));
                quote! { #doc #variant(#ty) }
            });
        let writes = function.throws.iter().zip(&variants).map(|(thrown, variant)| {
            let id = integer(thrown.id.into());
            quote! { Self::#variant(exception) => #rt::protocol::Value::write_field(exception, output, #id), }
        });
        let reads = function.throws.iter().zip(&variants).map(|(thrown, variant)| {
            let (id, text) = (integer(thrown.id.into()), &thrown.name.text);
            quote! {
                (#id, #rt::protocol::TType::Struct) => input.read_field(#text).map(Self::#variant).map(Some),
            }
        });
        // Where one exception stands twice, the first of them is meant.
        let mut seen = HashSet::new();
        let distinct =
            function.throws.iter().zip(variants.iter().zip(&types)).filter(|(thrown, _)| {
                match self.program.behind(&thrown.ty).kind {
                    TyKind::Item(id) => seen.insert(id),
                    _ => false,
                }
            });
        let from = distinct.map(|(_, (variant, ty))| {
            quote! {
                impl ::core::convert::From<#ty> for #name {
                    fn from(exception: #ty) -> Self { Self::#variant(exception) }
                }
            }
        });
        quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, PartialEq)]
            pub enum #name {
                #(#declared,)*
                #[doc = " Everything that is not in the IDL."]
                Rpc(#rt::Error),
            }

            #(#from)*

            impl ::core::convert::From<#rt::Error> for #name {
                fn from(error: #rt::Error) -> Self { Self::Rpc(error) }
            }

            impl ::core::fmt::Display for #name {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        #(Self::#variants(exception) => ::core::fmt::Display::fmt(exception, f),)*
                        Self::Rpc(error) => ::core::fmt::Display::fmt(error, f),
                    }
                }
            }

            impl ::core::error::Error for #name {
                fn source(&self) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
                    match self {
                        #(Self::#variants(exception) => ::core::error::Error::source(exception),)*
                        Self::Rpc(error) => ::core::error::Error::source(error),
                    }
                }
            }

            impl #rt::MethodError for #name {
                fn undeclared(&self) -> ::core::option::Option<&#rt::Error> {
                    match self {
                        Self::Rpc(error) => Some(error),
                        #(Self::#variants(_))|* => None,
                    }
                }

                fn write_declared<O: #rt::protocol::OutputProtocol>(
                    &self,
                    output: &mut O,
                ) -> ::core::result::Result<(), #rt::protocol::EncodeError> {
                    match self {
                        #(#writes)*
                        Self::Rpc(_) => Ok(()),
                    }
                }

                fn read_declared<I: #rt::protocol::InputProtocol>(
                    input: &mut I,
                    field: #rt::protocol::FieldHeader,
                ) -> ::core::result::Result<::core::option::Option<Self>, #rt::protocol::DecodeError> {
                    match (field.id, field.ttype) {
                        #(#reads)*
                        _ => Ok(None),
                    }
                }
            }
        }
    }

    /// What a function returns, and the error beside it, as types in the module of `at`.
    pub(super) fn result_types(
        &self,
        service: ItemId,
        function: &Function,
        names: &FunctionNames,
        at: ItemId,
    ) -> (TokenStream, TokenStream) {
        let rt = &self.rt;
        let success = match &function.returns {
            Some(ty) => self.ty(ty, at, Position::Plain),
            None => quote! { () },
        };
        let error = if function.throws.is_empty() {
            quote! { #rt::Error }
        } else {
            self.path(service, &names.error, at)
        };
        (success, error)
    }

    /// What rustdoc says of errors.
    pub(super) fn errors_doc(&self, function: &Function, names: &FunctionNames) -> TokenStream {
        let text = if function.throws.is_empty() {
            "\n# Errors\nEverything that is not in the IDL.".to_owned()
        } else {
            format!("\n# Errors\nSee [`{}`].", names.error)
        };
        super::docs::attributes(&text)
    }
}
