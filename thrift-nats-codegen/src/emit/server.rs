//! The trait of a service, and what serves it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::Emitter;
use super::types::Position;
use crate::ir::{Function, Item, ItemId};
use crate::naming::ident;

impl Emitter<'_> {
    pub(super) fn server(
        &self,
        id: ItemId,
        item: &Item,
        extends: Option<ItemId>,
        functions: &[Function],
    ) -> TokenStream {
        let rt = &self.rt;
        let names = self.names.item(id);
        let service = names.service.as_ref().expect("every service has been named");
        let (name, written, server) = (ident(&names.name), &item.name.text, ident(&service.server));
        // The type parameter must not hide the trait.
        let handler = if names.name == "H" { format_ident!("Handler") } else { format_ident!("H") };
        let doc = self.doc(item.doc.as_ref(), &format!("Service `{written}`: what a server implements."));
        let deprecated = self.deprecated(&item.annotations);
        let above = match extends {
            Some(parent) => self.path(parent, &self.names.item(parent).name, id),
            None => quote! { ::core::marker::Send + ::core::marker::Sync + 'static },
        };
        let methods = functions.iter().zip(names.members.iter().zip(&service.functions)).map(
            |(function, (method, names))| {
                let method = ident(method);
                let doc = self.doc(function.doc.as_ref(), &format!("Function `{}`.", function.name.text));
                let errors = self.errors_doc(function, names);
                let deprecated = self.deprecated(&function.annotations);
                let parameters = function.arguments.iter().zip(&names.parameters).map(|(argument, name)| {
                    let (name, ty) = (ident(name), self.ty(&argument.ty, id, Position::Plain));
                    quote! { #name: #ty }
                });
                let (success, error) = self.result_types(id, function, names, id);
                quote! {
                    #doc
                    #errors
                    #deprecated
                    fn #method(
                        &self,
                        cx: &#rt::Context
                        #(, #parameters)*
                    ) -> impl ::core::future::Future<
                        Output = ::core::result::Result<#success, #error>
                    > + ::core::marker::Send;
                }
            },
        );
        let arms = functions.iter().zip(names.members.iter().zip(&service.functions)).map(
            |(function, (method, names))| {
                let (text, method) = (&function.name.text, ident(method));
                let (read, given) = if function.arguments.is_empty() {
                    (quote! { request.arguments::<#rt::NoArguments>()?; }, Vec::new())
                } else {
                    let arguments = ident(&names.arguments);
                    let fields = names.fields.iter().map(|field| ident(field));
                    (
                        quote! { let arguments: #arguments = request.arguments()?; },
                        fields.map(|field| quote! { , arguments.#field }).collect(),
                    )
                };
                let reply = if function.oneway {
                    quote! { no_reply }
                } else {
                    quote! { reply }
                };
                quote! {
                    #text => {
                        #read
                        request.#reply(#name::#method(handler, request.context() #(#given)*).await)
                    }
                }
            },
        );
        let otherwise = match extends {
            Some(parent) => {
                let parent_names =
                    self.names.item(parent).service.as_ref().expect("every service has been named");
                let parent = self.path(parent, &parent_names.server, id);
                quote! { #parent::<#handler>::dispatch(handler, request).await }
            }
            None => quote! { Err(request.unknown_method()) },
        };
        let body = if functions.is_empty() {
            otherwise
        } else {
            quote! {
                match request.method() {
                    #(#arms)*
                    _ => #otherwise,
                }
            }
        };
        // Without a function of its own and a parent there is nothing to wait for, or to call.
        let unused = (functions.is_empty() && extends.is_none()).then(|| quote! { let _ = handler; });
        let unused_async = unused.is_some().then(|| {
            quote! { #[allow(clippy::unused_async, reason = "as every service has it")] }
        });
        let server_doc = format!(" Serves `{written}` with a handler.");
        quote! {
            #doc
            #deprecated
            pub trait #name: #above {
                #(#methods)*
            }

            #[doc = #server_doc]
            pub struct #server<#handler> {
                handler: ::std::sync::Arc<#handler>,
            }

            impl<#handler: #name> #server<#handler> {
                #[doc = " The service, run by `handler`."]
                #[must_use]
                pub fn new(handler: #handler) -> Self {
                    Self { handler: ::std::sync::Arc::new(handler) }
                }

                #unused_async
                #[doc(hidden)]
                pub async fn dispatch(
                    handler: &#handler,
                    request: &#rt::server::Request,
                ) -> ::core::result::Result<#rt::server::Reply, #rt::Error> {
                    #unused
                    #body
                }
            }

            impl<#handler> ::core::clone::Clone for #server<#handler> {
                fn clone(&self) -> Self {
                    Self { handler: ::std::sync::Arc::clone(&self.handler) }
                }
            }

            impl<#handler> ::core::fmt::Debug for #server<#handler> {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.write_str(::core::stringify!(#server))
                }
            }

            impl<#handler> ::core::convert::From<::std::sync::Arc<#handler>> for #server<#handler> {
                fn from(handler: ::std::sync::Arc<#handler>) -> Self { Self { handler } }
            }

            impl<#handler: #name> #rt::server::Service for #server<#handler> {
                fn name(&self) -> &'static str { #written }

                fn call(&self, request: #rt::server::Request) -> #rt::server::ReplyFuture {
                    let handler = ::std::sync::Arc::clone(&self.handler);
                    ::std::boxed::Box::pin(async move { Self::dispatch(&handler, &request).await })
                }
            }
        }
    }
}
