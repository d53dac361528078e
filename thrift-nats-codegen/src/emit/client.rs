//! The client of a service.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::Emitter;
use super::constant::integer;
use super::function::MOST_IN_A_TUPLE;
use super::types::Parameter;
use crate::ir::{Function, Item, ItemId, ItemKind};
use crate::naming::{FunctionNames, ident};

impl Emitter<'_> {
    pub(super) fn client(
        &self,
        id: ItemId,
        item: &Item,
        extends: Option<ItemId>,
        functions: &[Function],
    ) -> Vec<TokenStream> {
        let rt = &self.rt;
        let names = self.names.item(id);
        let service = names.service.as_ref().expect("every service has been named");
        let (name, client) = (ident(&names.name), ident(&service.client));
        let own = functions
            .iter()
            .zip(&service.functions)
            .map(|(function, names)| self.method(id, function, names, id));
        let mut inherited = Vec::new();
        let mut ancestor = extends;
        while let Some(parent) = ancestor {
            let ItemKind::Service { extends, functions } = &self.program.item(parent).kind else { break };
            let names = self.function_names(parent);
            inherited.extend(
                functions.iter().zip(names).map(|(function, names)| self.method(parent, function, names, id)),
            );
            ancestor = *extends;
        }
        let in_process = self.options.server.then(|| {
            let server = ident(&service.server);
            quote! {
                #[doc = " Calls `handler` in this process: the same encoding and dispatch, without NATS."]
                pub fn in_process(handler: impl #name) -> Self {
                    Self::new(#rt::Client::in_process(#server::new(handler)))
                }
            }
        });
        let doc = format!(" A client of `{}`. Cheap to clone; clones share the sessions.", item.name.text);
        let as_ref = quote! {
            #[doc = " The client without types, for its session events and counters."]
            impl ::core::convert::AsRef<#rt::Client> for #client {
                fn as_ref(&self) -> &#rt::Client {
                    &self.client
                }
            }
        };
        let declaration = quote! {
            #[doc = #doc]
            #[derive(Clone, Debug)]
            pub struct #client {
                client: #rt::Client,
            }
        };
        let methods = quote! {
            impl #client {
                #[doc = " Opens a session with a server on `subject`, with all options at their defaults."]
                #[doc = ""]
                #[doc = " # Errors"]
                #[doc = " If no server listens on `subject`, or no session can be opened."]
                pub async fn connect(
                    nats: &#rt::async_nats::Client,
                    subject: impl ::core::convert::Into<::std::string::String>,
                ) -> #rt::Result<Self, #rt::ConnectError> {
                    #rt::Client::connect(nats, subject).await.map(Self::new)
                }

                #[doc = " A client that uses the sessions and options of `client`: see `Client::builder`."]
                #[must_use]
                pub const fn new(client: #rt::Client) -> Self {
                    Self { client }
                }

                #in_process

                #[doc = " Closes the sessions of all clones; calls in flight fail."]
                #[doc = ""]
                #[doc = " # Errors"]
                #[doc = " If the connection to NATS is closed."]
                pub async fn close(&self) -> #rt::Result<(), #rt::ShutdownError> {
                    self.client.close().await
                }

                #(#own)*
                #(#inherited)*
            }
        };
        vec![declaration, methods, as_ref]
    }

    /// The method for a function of `service`, in the client of `at`.
    fn method(&self, service: ItemId, function: &Function, names: &FunctionNames, at: ItemId) -> TokenStream {
        let rt = &self.rt;
        let (text, method) = (&function.name.text, ident(&names.client_method));
        let doc = self.doc(function.doc.as_ref());
        let deprecated = self.deprecated(&function.annotations);
        let parameters: Vec<_> = function
            .arguments
            .iter()
            .zip(&names.fields)
            .map(|(argument, name)| (argument.id, ident(name), self.parameter(&argument.ty, at)))
            .collect();
        let declared = parameters.iter().map(|(_, name, Parameter { ty, .. })| quote! { #name: #ty });
        let result = self.result_type(service, function, names, at);
        let arguments = self.written(&parameters);
        let kind = if function.oneway {
            quote! { oneway }
        } else {
            quote! { call }
        };
        let marked = |annotation: &crate::ir::Annotation| {
            annotation.key == "idempotent" && matches!(annotation.value.as_str(), "1" | "true")
        };
        let idempotent = function.annotations.iter().any(marked).then(|| quote! { .idempotent() });
        quote! {
            #doc
            #deprecated
            pub fn #method(&self #(, #declared)*) -> #rt::Call<#result> {
                self.client.#kind(#text, &#arguments) #idempotent
            }
        }
    }

    /// The arguments as they are written: a tuple of ids and references, or several where there are too many for one.
    fn written(&self, parameters: &[(i16, Ident, Parameter)]) -> TokenStream {
        let rt = &self.rt;
        let tuples = parameters.chunks(MOST_IN_A_TUPLE).map(|parameters| {
            let pairs = parameters.iter().map(|(id, name, Parameter { borrowed, .. })| {
                let id = integer((*id).into());
                let reference = (!borrowed).then(|| quote! { & });
                quote! { (#id, #reference #name), }
            });
            quote! { (#(#pairs)*) }
        });
        let chained = tuples.rev().reduce(|rest, tuple| quote! { #rt::__private::Chain(#tuple, #rest) });
        chained.unwrap_or_else(|| quote! { () })
    }
}
