//! The trait of a service, and what serves it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

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
        let id_of_service = id;
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
                let result = self.result_type(id, function, names, id);
                quote! {
                    #doc
                    #errors
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
                let fields: Vec<_> = names.fields.iter().map(|field| ident(field)).collect();
                let (read, given): (_, Vec<_>) = if function.arguments.is_empty() {
                    (quote! { let () = request.arguments(())?; }, Vec::new())
                } else if has_struct(function) {
                    let arguments = ident(&names.arguments);
                    (
                        quote! { let arguments: #arguments = request.arguments(#rt::ManyParameters)?; },
                        fields.iter().map(|field| quote! { , arguments.#field }).collect(),
                    )
                } else {
                    let parameters = function.arguments.iter().map(|argument| {
                        let (id, text) = (integer(argument.id.into()), &argument.name.text);
                        let default = argument.default.as_ref().map(|default| {
                            let default = self.value(default, &argument.ty, id_of_service, Position::Plain);
                            quote! { , #default }
                        });
                        quote! { (#id, #text #default), }
                    });
                    let positions = (0..fields.len()).map(|index| {
                        let index = proc_macro2::Literal::usize_unsuffixed(index);
                        quote! { , arguments.#index }
                    });
                    (quote! { let arguments = request.arguments((#(#parameters)*))?; }, positions.collect())
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
        let declaration = quote! {
            #doc
            #deprecated
            pub trait #name: #above {
                #(#methods)*
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
                ) -> #rt::Result<#rt::server::Reply> {
                    #unused
                    #body
                }
            }
        };
        vec![declaration, server_declaration, dispatch, quote! { #rt::service!(#server, #name, #written); }]
    }
}
