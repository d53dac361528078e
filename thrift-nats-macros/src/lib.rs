//! The attribute macro of thrift-nats. Use it as `thrift_nats_runtime::thrift`.

use std::path::PathBuf;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Ident, ItemMod, LitBool, LitStr, Token, parenthesized};
use thrift_nats_codegen::{Containers, Error, Generated, Options, Strings};

/// Fills a module with the code that is generated from `.thrift` files: a module for each namespace.
///
/// ```ignore
/// #[thrift_nats_runtime::thrift("idl/tutorial.thrift")]
/// mod api {}
///
/// use api::tutorial::CalculatorClient;
/// ```
///
/// Paths are relative to the folder of the crate's `Cargo.toml`. The crate is built again when one of the files has
/// changed. Options may follow the files, separated by commas:
///
/// | option | default |
/// | --- | --- |
/// | `include("folder", …)` | none: only the including file's folder is searched |
/// | `client = false`, `server = false` | both are generated |
/// | `containers = "hash"` | `"btree"` |
/// | `strings = "shared"` | `"owned"` |
/// | `serde = true` | no |
/// | `type_attribute("pattern", "#[…]")`, `field_attribute("pattern", "#[…]")` | none |
/// | `extern_file("file", "::path")` | none: everything is generated |
/// | `keep_unknown_fields = true` | fields that the IDL does not have are skipped |
/// | `comments = false` | the IDL's comments become documentation |
/// | `deny_warnings = true` | warnings are shown as uses of something deprecated |
/// | `runtime = "::path"` | `::thrift_nats_runtime` |
#[proc_macro_attribute]
pub fn thrift(
    arguments: proc_macro::TokenStream,
    module: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(arguments.into(), module.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// The arguments of the attribute, as far as they could be read.
struct Arguments {
    files: Vec<PathBuf>,
    options: Options,
    /// The first file, for errors.
    span: Span,
    /// The arguments that could not be read.
    error: Option<syn::Error>,
}

impl Arguments {
    fn new(arguments: TokenStream) -> Self {
        // Cargo sets it for every crate. Other build tools run in the folder of the crate.
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        let span = arguments.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
        let mut read = Self { files: Vec::new(), options: Options::new().threads(false), span, error: None };
        for argument in split(arguments) {
            let result = (|input: ParseStream<'_>| read.argument(input, &folder)).parse2(argument);
            result.unwrap_or_else(|error| read.report(error));
        }
        if read.files.is_empty() && read.error.is_none() {
            read.report(syn::Error::new(read.span, "expected the path of a `.thrift` file, in quotes"));
        }
        read
    }

    fn report(&mut self, error: syn::Error) {
        match &mut self.error {
            Some(errors) => errors.combine(error),
            None => self.error = Some(error),
        }
    }

    fn argument(&mut self, input: ParseStream<'_>, folder: &std::path::Path) -> syn::Result<()> {
        if input.peek(LitStr) {
            let file: LitStr = input.parse()?;
            if self.files.is_empty() {
                self.span = file.span();
            }
            self.files.push(folder.join(file.value()));
        } else {
            self.option(input, folder)?;
        }
        if input.is_empty() { Ok(()) } else { Err(input.error("expected `,`")) }
    }

    fn option(&mut self, input: ParseStream<'_>, folder: &std::path::Path) -> syn::Result<()> {
        let name: Ident = input.parse()?;
        let options = self.options.clone();
        let switch = || {
            input.parse::<Token![=]>()?;
            input.parse::<LitBool>().map(|value| value.value)
        };
        self.options = match name.to_string().as_str() {
            "include" => {
                let list;
                parenthesized!(list in input);
                let folders = list.parse_terminated(<LitStr as Parse>::parse, Token![,])?;
                folders.iter().fold(options, |options, path| options.include(folder.join(path.value())))
            }
            "client" => options.client(switch()?),
            "server" => options.server(switch()?),
            "containers" => options.containers(match choice(input)? {
                (kind, _) if kind == "btree" => Containers::BTree,
                (kind, _) if kind == "hash" => Containers::Hash,
                (_, span) => return Err(syn::Error::new(span, "expected `\"btree\"` or `\"hash\"`")),
            }),
            "strings" => options.strings(match choice(input)? {
                (kind, _) if kind == "owned" => Strings::Owned,
                (kind, _) if kind == "shared" => Strings::Shared,
                (_, span) => return Err(syn::Error::new(span, "expected `\"owned\"` or `\"shared\"`")),
            }),
            "serde" => options.serde(switch()?),
            "type_attribute" => {
                let (pattern, attribute) = pair(input)?;
                options
                    .type_attribute(&pattern, &attribute)
                    .map_err(|error| syn::Error::new(name.span(), error))?
            }
            "field_attribute" => {
                let (pattern, attribute) = pair(input)?;
                options
                    .field_attribute(&pattern, &attribute)
                    .map_err(|error| syn::Error::new(name.span(), error))?
            }
            "extern_file" => {
                let (file, path) = pair(input)?;
                options.extern_file(file, &path).map_err(|error| syn::Error::new(name.span(), error))?
            }
            "keep_unknown_fields" => options.keep_unknown_fields(switch()?),
            "comments" => options.comments(switch()?),
            "deny_warnings" => options.deny_warnings(switch()?),
            "runtime" => {
                input.parse::<Token![=]>()?;
                let path: LitStr = input.parse()?;
                options.runtime(&path.value()).map_err(|error| syn::Error::new(path.span(), error))?
            }
            other => {
                let known = "`include`, `client`, `server`, `containers`, `strings`, `serde`, `type_attribute`, \
                             `field_attribute`, `extern_file`, `keep_unknown_fields`, `comments`, `deny_warnings`, `runtime`";
                let text = format!("unknown option `{other}`; the options are {known}");
                return Err(syn::Error::new(name.span(), text));
            }
        };
        Ok(())
    }
}

/// The arguments between commas. A comma may follow the last one.
fn split(arguments: TokenStream) -> Vec<TokenStream> {
    let mut split = vec![TokenStream::new()];
    for token in arguments {
        match (&token, split.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => split.push(TokenStream::new()),
            (_, Some(last)) => last.extend([token]),
            (_, None) => {}
        }
    }
    if split.last().is_some_and(TokenStream::is_empty) {
        split.pop();
    }
    split
}

/// `= "choice"`.
fn choice(input: ParseStream<'_>) -> syn::Result<(String, Span)> {
    input.parse::<Token![=]>()?;
    let choice: LitStr = input.parse()?;
    Ok((choice.value(), choice.span()))
}

/// `("one", "other")`.
fn pair(input: ParseStream<'_>) -> syn::Result<(String, String)> {
    let content;
    parenthesized!(content in input);
    let one: LitStr = content.parse()?;
    content.parse::<Token![,]>()?;
    let other: LitStr = content.parse()?;
    content.parse::<Option<Token![,]>>()?;
    Ok((one.value(), other.value()))
}

fn expand(arguments: TokenStream, module: TokenStream) -> syn::Result<TokenStream> {
    let module: ItemMod = syn::parse2(module)?;
    let Some((_, items)) = &module.content else {
        return Err(syn::Error::new_spanned(&module, "expected a module with braces: `mod api {}`"));
    };
    let (attributes, visibility, name) = (&module.attrs, &module.vis, &module.ident);
    let Arguments { files, options, span, error } = Arguments::new(arguments);
    // The module is filled as far as possible. Without it, rustc would report the paths into it as errors, too.
    let error = error.map(|error| error.to_compile_error());
    if files.is_empty() {
        return Ok(quote! { #error #module });
    }
    let (filled, read) = match options.generate(&files) {
        Ok(Generated { code, sources, warnings, .. }) => {
            let code: TokenStream = code.parse().map_err(|error| syn::Error::new(span, error))?;
            let warnings = warnings.iter().map(|warning| show_warning(&warning.to_string()));
            (quote! { #code #(#warnings)* }, sources)
        }
        Err(error) => {
            let (failure, modules) = (failure(&error, span), error.modules().parse::<TokenStream>());
            // Without the modules, rustc would report the paths into them as errors, too.
            let modules = modules.map_err(|error| syn::Error::new(span, error))?;
            (quote! { #failure #modules }, error.sources().to_vec())
        }
    };
    // rustc builds the crate again when one of these files changes.
    let tracked = read.iter().filter_map(|path| path.canonicalize().ok()).map(|path| {
        let path = path.to_string_lossy().into_owned();
        quote! { const _: &[u8] = ::core::include_bytes!(#path); }
    });
    Ok(quote! {
        #error
        #(#attributes)*
        #visibility mod #name {
            #(#items)*
            #filled
            #(#tracked)*
        }
    })
}

fn failure(error: &Error, span: Span) -> TokenStream {
    syn::Error::new(span, format!("the Thrift IDL has errors\n\n{error}")).to_compile_error()
}

/// A warning. A stable macro can only show one as the use of a deprecated item.
fn show_warning(text: &str) -> TokenStream {
    quote! {
        const _: () = {
            #[deprecated(note = #text)]
            const THRIFT_IDL: () = ();
            THRIFT_IDL
        };
    }
}
