//! The trait of a service, and its server.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::constant::integer;
use super::function::has_struct;
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
    ) -> Vec<TokenStream> {
        let rt = &self.rt;
        let names = self.names.item(id);
        let service = names.service.as_ref().expect("every service has been named");
        let (name, written, server) = (ident(&names.name), &item.name.text, ident(&service.server));
        let handler = ident(&service.handler);
        let doc = self.doc(item.doc.as_ref());
        let deprecated = self.deprecated(&item.annotations);
        let above = match extends {
            Some(parent) => self.path(parent, &self.names.item(parent).name, id),
            None => quote! { ::core::marker::Send + ::core::marker::Sync + 'static },
        };
        let methods = functions.iter().zip(names.members.iter().zip(&service.functions)).map(
            |(function, (method, names))| {
                let method = ident(method);
                let doc = self.doc(function.doc.as_ref());
                let deprecated = self.deprecated(&function.annotations);
                let parameters = function.arguments.iter().zip(&names.parameters).map(|(argument, name)| {
                    let (name, ty) = (ident(name), self.ty(&argument.ty, id, Position::Plain));
                    quote! { #name: #ty }
                });
                let result = self.result_type(id, function, names, id);
                quote! {
                    #doc
                    #deprecated
                    fn #method(
                        &self,
                        cx: &#rt::Context
                        #(, #parameters)*
                    ) -> impl ::core::future::Future<
                        Output = #rt::Result<#result>
                    > + ::core::marker::Send;
                }
            },
        );
        let arms = functions.iter().zip(names.members.iter().zip(&service.functions)).map(
            |(function, (method, names))| {
                let (text, method) = (&function.name.text, ident(method));
                let bindings: Vec<_> = names.bindings.iter().map(|name| ident(name)).collect();
                let (pattern, read) = if bindings.is_empty() {
                    (quote! { () }, quote! { () })
                } else if has_struct(function) {
                    let arguments = ident(&names.arguments);
                    let fields = names.fields.iter().zip(&bindings).map(|(field, binding)| {
                        let field = ident(field);
                        if field == *binding {
                            quote! { #field }
                        } else {
                            quote! { #field: #binding }
                        }
                    });
                    (quote! { #arguments { #(#fields),* } }, quote! { #rt::__private::StructOfArguments })
                } else {
                    let parameters = function.arguments.iter().map(|argument| {
                        let (number, text) = (integer(argument.id.into()), &argument.name.text);
                        let default = argument.default.as_ref().map(|default| {
                            let default = self.value(default, &argument.ty, id, Position::Plain);
                            quote! { , #default }
                        });
                        quote! { (#number, #text #default), }
                    });
                    (quote! { (#(#bindings,)*) }, quote! { (#(#parameters)*) })
                };
                let reply = if function.oneway {
                    quote! { no_reply }
                } else {
                    quote! { reply }
                };
                quote! {
                    #text => {
                        let #pattern = request.arguments(#read)?;
                        request.#reply(#name::#method(handler, request.context() #(, #bindings)*).await)
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
        // Without functions and a parent there is nothing to call or to await.
        let unused = (functions.is_empty() && extends.is_none()).then(|| quote! { let _ = handler; });
        let unused_async = unused.is_some().then(|| {
            quote! { #[allow(clippy::unused_async, reason = "the dispatch of every service is async")] }
        });
        let server_doc = format!(" Serves `{written}` with a handler: pass it to `ServerBuilder::serve`.");
        let declaration = quote! {
            #doc
            #deprecated
            pub trait #name: #above {
                #(#methods)*
            }
        };
        let forwarded = functions.iter().zip(names.members.iter().zip(&service.functions)).map(
            |(function, (method, names))| {
                let method = ident(method);
                let arguments: Vec<_> = names.parameters.iter().map(|name| ident(name)).collect();
                let types =
                    function.arguments.iter().map(|argument| self.ty(&argument.ty, id, Position::Plain));
                let result = self.result_type(id, function, names, id);
                quote! {
                    async fn #method(&self, cx: &#rt::Context #(, #arguments: #types)*) -> #rt::Result<#result> {
                        <#handler as #name>::#method(self, cx #(, #arguments)*).await
                    }
                }
            },
        );
        let shared = quote! {
            impl<#handler: #name> #name for ::std::sync::Arc<#handler> {
                #(#forwarded)*
            }
        };
        let server_declaration = quote! {
            #[doc = #server_doc]
            pub struct #server<#handler> {
                handler: ::std::sync::Arc<#handler>,
            }
        };
        let dispatch = quote! {
            impl<#handler: #name> #server<#handler> {
                #[doc = " A service whose calls run on `handler`. To share the handler, pass an `Arc` of it."]
                #[must_use]
                pub fn new(handler: #handler) -> Self {
                    Self { handler: ::std::sync::Arc::new(handler) }
                }

                #unused_async
                #[doc(hidden)]
                pub async fn dispatch(
                    handler: &#handler,
                    request: &#rt::Request,
                ) -> #rt::Result<#rt::Reply> {
                    #unused
                    #body
                }
            }
        };
        vec![
            declaration,
            shared,
            server_declaration,
            dispatch,
            quote! { #rt::__private::service_server!(#server, #name, #written); },
        ]
    }
}
