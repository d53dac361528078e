//! The types of functions: structs of arguments, and errors.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use super::record::{Member, Record};
use super::types::Position;
use crate::ir::{Field, Function, ItemId, TyKind};
use crate::naming::{FunctionNames, ident};
use crate::shape::FieldShape;

/// The largest number of arguments in a tuple of the runtime.
pub(super) const MOST_IN_A_TUPLE: usize = 12;

/// Whether a server reads the arguments of a function into a struct, because there are too many for a tuple.
pub(super) fn has_struct(function: &Function) -> bool {
    function.arguments.len() > MOST_IN_A_TUPLE
}

impl Emitter<'_> {
    /// The names of the functions of a service.
    pub(super) fn function_names(&self, service: ItemId) -> &[FunctionNames] {
        let names = self.names.item(service).service.as_ref();
        &names.expect("every service has been named").functions
    }

    /// The structs of arguments and the errors of all functions.
    pub(super) fn messages(&self, service: ItemId, functions: &[Function]) -> Vec<TokenStream> {
        let functions = functions.iter().zip(self.function_names(service));
        functions
            .flat_map(|(function, names)| {
                let has_struct = self.options.server && has_struct(function);
                let arguments = has_struct.then(|| self.arguments(service, function, names));
                let error = (!function.throws.is_empty()).then(|| self.error(service, function, names));
                [error, arguments].into_iter().flatten()
            })
            .flatten()
            .collect()
    }

    fn arguments(&self, service: ItemId, function: &Function, names: &FunctionNames) -> Vec<TokenStream> {
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
            keeps_unknown: false,
        };
        let name = &record.name;
        let declared = record.fields.iter().map(|member| {
            let (name, ty) = (&member.name, self.ty(&member.field.ty, service, Position::Plain));
            quote! { pub #name: #ty }
        });
        let default = self.record_default(&record);
        let derived = default.is_none().then(|| quote! { , Default });
        let value = self.record_value(&record);
        let declaration = quote! {
            #[doc(hidden)]
            #[derive(Debug #derived)]
            pub struct #name { #(#declared),* }
        };
        [Some(declaration), default, Some(value)].into_iter().flatten().collect()
    }

    fn error(&self, service: ItemId, function: &Function, names: &FunctionNames) -> Vec<TokenStream> {
        let rt = &self.rt;
        let name = ident(&names.error);
        let doc = format!(" The exceptions of `{}`, and `Rpc` for every other error.", function.name.text);
        let variants: Vec<_> = names.variants.iter().map(|variant| ident(variant)).collect();
        let types: Vec<_> =
            function.throws.iter().map(|thrown| self.ty(&thrown.ty, service, Position::Plain)).collect();
        let declared =
            function.throws.iter().zip(variants.iter().zip(&types)).map(|(thrown, (variant, ty))| {
                let doc = self.doc(thrown.doc.as_ref());
                quote! { #doc #variant(#ty) }
            });
        // An exception that is declared twice does not say which variant is meant.
        let exception = |thrown: &Field| match self.program.behind(&thrown.ty).kind {
            TyKind::Item(id) => Some(id),
            _ => None,
        };
        let is_unique = |thrown: &Field| {
            function.throws.iter().filter(|other| exception(other) == exception(thrown)).count() == 1
        };
        let unique =
            function.throws.iter().zip(variants.iter().zip(&types)).filter(|(thrown, _)| is_unique(thrown));
        let from = unique.map(|(_, (variant, ty))| quote! { from #variant(#ty) });
        let entries = function.throws.iter().zip(&variants).map(|(thrown, variant)| {
            let (id, text) = (integer(thrown.id.into()), &thrown.name.text);
            quote! { #id => #variant(#text) }
        });
        let declaration = quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, PartialEq)]
            pub enum #name {
                #(#declared,)*
                #[doc = " An error that the IDL does not declare."]
                Rpc(#rt::Error),
            }
        };
        vec![declaration, quote! { #rt::__private::method_error!(#name { #(#entries),* } #(#from)*); }]
    }

    /// The type arguments of `Result` and `Call` for a function, in the module of `at`: what it returns, and its error if
    /// it throws.
    pub(super) fn result_type(
        &self,
        service: ItemId,
        function: &Function,
        names: &FunctionNames,
        at: ItemId,
    ) -> TokenStream {
        let success = match &function.returns {
            Some(ty) => self.ty(ty, at, Position::Plain),
            None => quote! { () },
        };
        if function.throws.is_empty() {
            return success;
        }
        let error = self.path(service, &names.error, at);
        quote! { #success, #error }
    }
}
